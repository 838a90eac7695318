"""Draws the pictures of the gallery: ``python docs/make_gallery.py``.

The data are the 700 blood cells x 765 genes that scanpy's wheel carries (extra ``datasets``), and scikit-learn's
digits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import clusterwhy as cw
from clusterwhy.comparators import NEON
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


def draw_three_explanations() -> object:
    """Draw what gates, NEON and LOCO-Split say of one clustering of digits."""
    X, _ = load_digits(n_class=5, return_X_y=True)
    X = X / 16
    deep = cw.InterpretableDeepClustering(5, random_state=0)
    model = clone(deep).fit(X)
    neon = NEON(layers=model.encoder_layers_, reference=model.labels_).fit(model.gate(X))
    loco = cw.LOCOSplit(deep, LogisticRegression(), reference=model.labels_, random_state=0).fit(X)

    def of_clusters(values: np.ndarray) -> np.ndarray:
        return np.stack([values[model.labels_ == k].mean(axis=0) for k in model.classes_])

    rows = {
        "mean image": of_clusters(X),
        "gates": of_clusters(model.sample_importances_) * model.cluster_importances_,
        "NEON": neon.cluster_importances_,
        "LOCO-Split": loco.cluster_importances_,
    }
    figure, axes = plt.subplots(len(rows), len(model.classes_), figsize=(7, 5.8), layout="constrained")
    for (name, images), line in zip(rows.items(), axes, strict=True):
        line[0].set_ylabel(name)
        for k, ax in enumerate(line):
            ax.imshow(images[k].reshape(8, 8), cmap="cividis")
            ax.set(xticks=[], yticks=[])
    for k, ax in enumerate(axes[0]):
        ax.set_title(f"cluster {k}")
    return figure


def main() -> None:
    """Save the pictures, small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--patches", type=int, default=5000)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    figures = {"three_explanations": draw_three_explanations()} | draw(fit(options.patches))
    for name, figure in figures.items():
        path = options.output / f"{name}.png"
        figure.savefig(path, dpi=DPI)
        # A palette takes a third of the bytes.
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(COLOURS, kmeans=1).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
