"""Figures 3 and 4, Tables 1 and 2: do the top genes of the 700 cells' clusters mark the cell types?

Each method's clusters are matched to the ten cell types by the Hungarian method; of the ten genes that score highest
in a cluster, Table 1 counts the known markers of its type, and Table 2 those that mark only others (markers.csv).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from methods import make_method, ordering
from numpy.typing import NDArray
from results import Results, Unit
from scipy.optimize import linear_sum_assignment
from scipy.stats import ttest_ind
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics.cluster import contingency_matrix
from tqdm import tqdm

import clusterwhy as cw
from clusterwhy.datasets import load_cells

FOLDER = Path(__file__).parent
N_CLUSTERS = 10
TOP = 10
#: The source's shares of the observations and of the features in a minipatch.
SAMPLES, FEATURES = 0.42, 0.26
METHODS = ("LOCO-MP", "LOCO-RAMPART", "LRP", "PBFI", "PFI", "IMPACC", "t-test, Louvain")
PUBLISHED = "published LOCO-MP"


@dataclass
class Explained:
    """Labels of the cells; scores (M,) of the genes, or None; scores (K, M) by cluster, or None."""

    labels: NDArray[Any]
    scores: NDArray[Any] | None
    by_cluster: NDArray[Any] | None


def explain(method: str, X: NDArray[Any], seed: int, n_patches: int, python: str | None) -> Explained:
    """Run one method as the source ran it."""
    ward = AgglomerativeClustering(N_CLUSTERS)
    patches = {"max_samples": SAMPLES, "max_features": FEATURES, "random_state": seed}
    if method == PUBLISHED:
        return published(X, seed, n_patches, python)
    if method == "t-test, Louvain":
        return louvain_markers()
    model: Any
    if method == "LOCO-MP":
        model = cw.LOCOMP(ward, n_patches=n_patches, **patches)
    elif method == "LOCO-RAMPART":
        model = cw.LOCORampart(ward, n_features_to_select=100, n_patches=max(n_patches // 5, 1), **patches)
    else:
        model = make_method(method, KMeans(N_CLUSTERS, n_init=10), N_CLUSTERS, seed, n_patches)
    model.fit(X)
    return Explained(model.labels_, ordering(model), scores_by_cluster(model))


def scores_by_cluster(model: Any) -> NDArray[Any] | None:
    """Return the scores (K, M) of the clusters that the labels have, sorted by label; None where there are none."""
    if not hasattr(model, "cluster_importances_"):
        return None
    # A label that the consensus has lost has a row too.
    found = model.cluster_importances_[np.isin(model.classes_, model.labels_)]
    if not hasattr(model, "rounds_"):
        return found
    # Of RAMPART's survivors alone: earlier rounds have scores of another scale.
    survivors = np.isin(np.arange(found.shape[1]), model.rounds_[-1]["features"])
    return np.where(survivors, found, np.nan)


def louvain_markers() -> Explained:
    """Louvain clusters and the t statistics of each against the rest, as in scanpy's usual pipeline."""
    import scanpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = scanpy.datasets.pbmc68k_reduced()
    labels = cells.obs["louvain"].to_numpy().astype(int)
    expression = cells.raw[:, cells.var_names].X.toarray()
    found = [ttest_ind(expression[labels == k], expression[labels != k], equal_var=False) for k in np.unique(labels)]
    return Explained(labels, None, np.nan_to_num(np.array([test.statistic for test in found])))


def published(X: NDArray[Any], seed: int, n_patches: int, python: str | None) -> Explained:
    """Run the published library in an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "cells.npy"
        np.save(data, X)
        command = [str(python), str(FOLDER / "published.py"), str(data), str(seed), str(n_patches)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    return Explained(np.array(found["labels"]), np.array(found["scores"]), np.array(found["by_cluster"]))


def match(labels: NDArray[Any], types: NDArray[Any]) -> dict[int, int]:
    """Match clusters (by position among the sorted labels) to types, so that most cells agree."""
    counts = contingency_matrix(labels, types)
    return {int(k): int(t) for k, t in zip(*linear_sum_assignment(-counts), strict=True)}


def count_markers(found: Explained, cells: Any, markers: pd.DataFrame) -> list[tuple[str, str, Any]]:
    """Count known markers among the top genes, overall and in each cluster that is matched to a type."""
    genes = np.asarray(cells.feature_names)
    marked = {name: set(part["gene"]) for name, part in markers.groupby("cell_type")}
    everything = set(markers["gene"])
    rows: list[tuple[str, str, Any]] = []
    if found.scores is not None:
        best = genes[np.argsort(-np.nan_to_num(found.scores, nan=-np.inf), kind="stable")[:TOP]]
        rows += [(gene, "global_rank", rank) for rank, gene in enumerate(best, 1)]
        rows.append(("", "global_markers", sum(gene in everything for gene in best)))
    if found.by_cluster is None:
        return rows
    for k, t in match(found.labels, cells.target).items():
        name = str(cells.target_names[t])
        best = genes[np.argsort(-np.nan_to_num(found.by_cluster[k], nan=-np.inf), kind="stable")[:TOP]]
        own = [gene in marked[name] for gene in best]
        other = [gene in everything and gene not in marked[name] for gene in best]
        rows += [(f"{name}: {gene}", "rank", rank) for rank, gene in enumerate(best, 1)]
        rows += [(name, "markers", sum(own)), (name, "markers_of_others", sum(other))]
    return rows


def core_seconds() -> float:
    """Return the time of cores that this process took, and those that it started and has seen end."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run(results: Results, n_patches: int, replicates: int, python: str | None) -> None:
    """Measure what is missing; the published library only where the Python that has it is given."""
    cells = load_cells()
    markers = pd.read_csv(FOLDER / "markers.csv")
    done = results.done()
    work = [
        Unit("cells", "cells", "", N_CLUSTERS, len(cells.data), 0, replicate, method, n_patches)
        for replicate in range(replicates)
        for method in (*METHODS, *([PUBLISHED] if python else []))
    ]
    for unit in tqdm([unit for unit in work if unit not in done], desc="cells"):
        start = core_seconds()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = explain(unit.method, cells.data, unit.replicate, n_patches, python)
        seconds = core_seconds() - start
        results.add(unit, count_markers(found, cells, markers), seconds)
