"""Fits one configuration in a process of its own and prints what it took as JSON; called by compare.py.

The published library runs in an environment of its own, so nothing of clusterwhy is imported for it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from joblib.externals.loky import get_reusable_executor
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier


def estimators(method: str, k: int) -> tuple[Any, Any]:
    """Return the clusterer and classifier that a name such as ``ward+tree`` stands for."""
    clusterer, classifier = method.split("+")
    clusterers = {
        "ward": AgglomerativeClustering(k),
        "kmeans": KMeans(k, n_init=1),
        "spectral": SpectralClustering(k, affinity="nearest_neighbors"),
    }
    classifiers = {"tree": DecisionTreeClassifier(), "forest": RandomForestClassifier(100)}
    return clusterers[clusterer], classifiers[classifier]


def run_ours(options: argparse.Namespace, X: np.ndarray) -> dict[str, Any]:
    import clusterwhy as cw

    clusterer, classifier = estimators(options.method, options.k)
    settings = {
        "n_patches": options.patches,
        "max_samples": options.rows,
        "max_features": options.columns,
        "engine": options.engine,
        "n_jobs": options.jobs,
        "random_state": options.seed,
    }
    if options.top:
        settings["max_features"] = options.columns / X.shape[1]
        model = cw.LOCORampart(clusterer, classifier, n_features_to_select=options.top, **settings)
    else:
        model = cw.LOCOMP(clusterer, classifier, **settings)
    warm = cw.LOCOMP(clusterer, classifier, **{**settings, "n_patches": 2, "max_features": 2})
    import warnings

    with warnings.catch_warnings():
        # Two minipatches are there to load the code, not to score anything.
        warnings.simplefilter("ignore")
        warm.fit(X)
    wall, cpu = time.perf_counter(), cpu_seconds()
    model.fit(X)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": cpu_seconds() - cpu,
        "scores": model.feature_importances_.tolist(),
        "ranking": model.ranking_.tolist(),
    }


def run_published(options: argparse.Namespace, X: np.ndarray) -> dict[str, Any]:
    from clim import RAMPART, ClusterLOCO_RAMPART, ClusterLOCOMP
    from clim.utils import hinge_error, transform_scores_to_ranking

    clusterer, classifier = estimators(options.method, options.k)
    parallel = {"n_jobs": options.jobs, "backend": "loky", "prefer": "processes", "verbose": 0}
    wall, cpu = time.perf_counter(), cpu_seconds()
    if options.top:
        fractions = {"alpha_N": options.rows / X.shape[0], "alpha_M": options.columns / X.shape[1]}
        score = ClusterLOCO_RAMPART(
            K=options.k,
            error_metric=hinge_error,
            base_clusterer=clusterer,
            base_classifier=classifier,
            random_state=options.seed,
            parallel=parallel,
            **fractions,
        )
        found = RAMPART(
            X,
            generalizability_fn=score,
            B=options.patches,
            ranking_fn=transform_scores_to_ranking,
            top_k=options.top,
            **fractions,
        )
        scores = np.full(X.shape[1], np.nan)
        scores[found["final_index_set"]] = found["phi_last"]
    else:
        model = ClusterLOCOMP(
            K=options.k,
            B=options.patches,
            base_clusterer=clusterer,
            base_classifier=classifier,
            random_state=options.seed,
        )
        model.fit(X, patch_n=options.rows, patch_m=options.columns, par=parallel, pprint=False)
        found = model.score(error_metric=hinge_error, agg="mean", proba_error=True)
        scores = np.asarray(found["delta"], dtype=float)
    return {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu, "scores": scores.tolist()}


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its workers, which are ended first so that they count."""
    get_reusable_executor().shutdown(wait=True)
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--engine", choices=("native", "sklearn", "published"), required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--k", type=int, required=True)
    parser.add_argument("--patches", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--top", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    X = np.load(options.data)
    result = run_published(options, X) if options.engine == "published" else run_ours(options, X)
    # Of this process alone. (getrusage would give the parent's, which a process starts out with.)
    status = Path("/proc/self/status").read_text().splitlines()
    result["megabytes"] = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
