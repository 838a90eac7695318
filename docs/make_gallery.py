"""Draws the pictures of the gallery: ``python docs/make_gallery.py``.

The data are the 700 blood cells x 765 genes that scanpy's wheel carries (extra ``datasets``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from PIL import Image
from sklearn.cluster import AgglomerativeClustering

import clusterwhy as cw
from clusterwhy.datasets import load_cells

mpl.use("Agg")
import matplotlib.pyplot as plt

DPI = 80
COLOURS = 256


def fit(n_patches: int) -> cw.LOCOMP:
    """Explain seven clusters of the cells."""
    cells = load_cells()
    frame = pd.DataFrame(cells.data, columns=cells.feature_names)
    ward = AgglomerativeClustering(7)
    sizes = {"max_samples": 0.42, "max_features": 0.26}
    return cw.LOCOMP(ward, n_patches=n_patches, n_jobs=-1, random_state=0, **sizes).fit(frame)


def draw(loco: cw.LOCOMP) -> dict[str, object]:
    """Draw one figure for each display."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    convergence = cw.ConvergenceDisplay.from_estimator(loco, ax=axes[0])
    convergence.plot(axes[1], kind="rank")
    axes[0].get_legend().remove()
    return {
        "importance": cw.ImportanceDisplay.from_estimator(loco).figure_,
        "cluster_importance": cw.ClusterImportanceDisplay.from_estimator(loco, per_cluster=3).figure_,
        "sample_importance": cw.SampleImportanceDisplay.from_estimator(loco, max_display=12).figure_,
        "convergence": figure,
        "consensus": cw.ConsensusDisplay.from_estimator(loco, max_samples=250).figure_,
        "interaction": cw.InteractionDisplay.from_estimator(loco).figure_,
    }


def main() -> None:
    """Save the pictures, small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--patches", type=int, default=5000)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, figure in draw(fit(options.patches)).items():
        path = options.output / f"{name}.png"
        figure.savefig(path, dpi=DPI)
        # A palette takes a third of the bytes.
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(COLOURS, kmeans=1).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
