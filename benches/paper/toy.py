"""Figure 1: the interlaced moons, whose three signal features are known to matter in the order X1, X2, X3."""

from __future__ import annotations

import time
import warnings
from typing import Any

import methods
from results import Results, Unit
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import adjusted_rand_score
from tqdm import tqdm

import clusterwhy as cw
from clusterwhy import comparators
from clusterwhy.datasets import make_interlaced_moons

METHODS = ("LOCO-Split", "silhouette LOCO", "stability LOCO", "PBFI", "LRP", "FCM-SHAP", "PFI")


def make_method(name: str, seed: int, splits: int) -> Any:
    """Return an unfitted method, with spectral clustering where it takes any clusterer."""
    spectral = SpectralClustering(3, affinity="nearest_neighbors")
    if name == "LOCO-Split":
        return cw.LOCOSplit(spectral, RandomForestClassifier(), n_repeats=splits, random_state=seed)
    if name == "silhouette LOCO":
        return comparators.SilhouetteLOCO(spectral, random_state=seed)
    if name == "stability LOCO":
        return comparators.StabilityLOCO(spectral, random_state=seed)
    if name == "FCM-SHAP":
        return comparators.FuzzyCMeansSHAP(KMeans(3, n_init=10), method="exact", random_state=seed)
    return methods.make_method(name, spectral, 3, seed, splits)


def run(results: Results, n_samples: int, splits: int, replicates: int) -> None:
    """Measure what is missing."""
    done = results.done()
    work = [
        Unit("figure1", "moons", "figure", 3, n_samples, 2, replicate, method, splits)
        for replicate in range(replicates)
        for method in METHODS
    ]
    for unit in tqdm([unit for unit in work if unit not in done], desc="figure1"):
        X, y, _ = make_interlaced_moons(n_samples, reading="figure", random_state=unit.replicate)
        model = make_method(unit.method, unit.replicate, splits)
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            model.fit(X)
        seconds = time.process_time() - start
        measured = [(f"X{j + 1}", "score", value) for j, value in enumerate(model.feature_importances_)]
        results.add(unit, [*measured, ("", "ari", adjusted_rand_score(y, model.labels_))], seconds)
