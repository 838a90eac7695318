"""The main job on real cells: ``python -m clusterwhy.demo``.

Explains a Ward clustering of 700 blood cells (765 genes; scanpy's bundled ``pbmc68k_reduced``) into 10 clusters
at the settings of the paper: 5000 minipatches of 294 cells x 199 genes, a decision tree each, hinge loss.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.tree import DecisionTreeClassifier

from clusterwhy import LOCOMP
from clusterwhy._importances import import_extra
from clusterwhy.datasets import load_cells

TOP = 10
TOP_BY_CLUSTER = 5


def explain(X: NDArray[np.float32], genes: list[str], n_patches: int, n_jobs: int) -> LOCOMP:
    """Fit LOCO-MP at the paper's settings, with a progress bar."""
    pandas = import_extra("pandas", "pandas", "the demo")
    loco = LOCOMP(
        AgglomerativeClustering(n_clusters=10),
        DecisionTreeClassifier(),
        n_patches=n_patches,
        max_samples=0.42,
        max_features=0.26,
        n_jobs=n_jobs,
        random_state=0,
        verbose=1,
    )
    return loco.fit(pandas.DataFrame(X, columns=genes))


def report(loco: LOCOMP, types: NDArray[Any]) -> str:
    """Write the top genes of the whole clustering and of each cluster as text."""
    lines = [
        f"Top {TOP} genes of the whole clustering (leave-one-out hinge loss {loco.loo_error_:.3f});",
        "intervals and p-values include the Monte-Carlo error:",
        "",
    ]
    frame = loco.to_frame().head(TOP)
    columns = ["feature", "importance", "ci_low", "ci_high", "monte_carlo_error", "p_value", "p_adjusted"]
    lines.append(frame[columns].to_string(index=False, float_format="{:.2e}".format))
    lines += ["", f"Top {TOP_BY_CLUSTER} genes of each cluster:"]
    by_cluster = loco.to_frame(by_cluster=True)
    for label in loco.classes_:
        members = loco.labels_ == label
        if not members.any():
            lines += ["", f"Cluster {label}: no cell keeps this label in the consensus."]
            continue
        kinds, counts = np.unique(types[members], return_counts=True)
        main = f"{counts.max()} of {members.sum()} are {kinds[counts.argmax()]}"
        lines += ["", f"Cluster {label} ({main}):"]
        part = by_cluster[by_cluster["cluster"] == label].head(TOP_BY_CLUSTER)
        shown = ["feature", "importance", "ci_low", "ci_high", "p_value", "p_adjusted"]
        lines.append(part[shown].to_string(index=False, float_format="{:.2e}".format))
    return "\n".join(lines)


def draw(loco: LOCOMP, path: Path) -> None:
    """Save a figure: the top genes with intervals, and the clusters' scores of the same genes."""
    import_extra("matplotlib", '"clusterwhy[plot]"', "the demo's figure")
    from matplotlib.figure import Figure

    top = loco.to_frame().head(20)
    order = [int(np.flatnonzero(loco.feature_names_in_ == name)[0]) for name in top["feature"]]
    figure = Figure(figsize=(11, 6), layout="constrained")
    bars, heat = figure.subplots(1, 2, width_ratios=[1, 1.3])
    interval = loco.confidence_interval(monte_carlo=True)[order]
    reach = interval[:, 1] - loco.feature_importances_[order]
    bars.barh(range(len(order)), loco.feature_importances_[order], xerr=reach, color="#0072B2", ecolor="0.4")
    bars.set_yticks(range(len(order)), top["feature"])
    bars.invert_yaxis()
    bars.set_xlabel(
        "rise of the hinge loss without the gene\n(95% interval with the Monte-Carlo error, given the labels)"
    )
    bars.set_title("Whole clustering")
    scores = loco.cluster_importances_[:, order].T
    limit = float(np.nanmax(np.abs(scores)))
    image = heat.imshow(scores, aspect="auto", cmap="PuOr_r", vmin=-limit, vmax=limit)
    heat.set_yticks(range(len(order)), top["feature"])
    heat.set_xticks(range(len(loco.classes_)), loco.classes_)
    heat.set_xlabel("cluster")
    heat.set_title("By cluster")
    figure.colorbar(image, ax=heat, label="rise of the loss")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(prog="python -m clusterwhy.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder for the figure and table")
    parser.add_argument("--patches", type=int, default=5000, help="number of minipatches (5000)")
    parser.add_argument("--jobs", type=int, default=-1, help="workers (-1: every core)")
    options = parser.parse_args(arguments)
    cells = load_cells()
    start = time.perf_counter()
    loco = explain(cells.data, [str(name) for name in cells.feature_names], options.patches, options.jobs)
    seconds = time.perf_counter() - start
    print(report(loco, np.asarray(cells.target_names)[cells.target]))
    options.output.mkdir(parents=True, exist_ok=True)
    loco.to_frame().to_csv(options.output / "genes.csv", index=False)
    draw(loco, options.output / "genes.png")
    print(f"\n{options.patches} minipatches in {seconds:.1f} s ({loco.engine_}: {loco.engine_.reason}).")
    print(f"Saved {options.output / 'genes.csv'} and {options.output / 'genes.png'}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
