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
from clusterwhy.displays._overview import save_overview

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of the demo."""
    parser.add_argument(
        "--output", type=Path, default=Path("output"), help="folder for the figure and table (output)"
    )
    parser.add_argument("--patches", type=int, default=5000, help="number of minipatches (5000)")
    parser.add_argument("--jobs", type=int, default=-1, help="workers (-1: every core)")


def run(options: argparse.Namespace) -> None:
    """Explain the cells, print what was found, and save the table and the figure."""
    cells = load_cells()
    options.output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    loco = explain(cells.data, [str(name) for name in cells.feature_names], options.patches, options.jobs)
    seconds = time.perf_counter() - start
    print(report(loco, np.asarray(cells.target_names)[cells.target]))
    table, figure = options.output / "genes.csv", options.output / "genes.png"
    loco.to_frame().to_csv(table, index=False)
    save_overview({"Whole clustering": loco}, figure, max_display=20, by_cluster=True, level=0.95)
    print(f"\n{options.patches} minipatches in {seconds:.1f} s ({loco.engine_}: {loco.engine_.reason}).")
    print(f"Saved {table} and {figure}.")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(prog="python -m clusterwhy.demo", description=__doc__)
    add_arguments(parser)
    run(parser.parse_args(arguments))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
