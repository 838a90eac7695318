"""The methods that are compared, each as the source ran it."""

from __future__ import annotations

from typing import Any

from sklearn.cluster import KMeans

import clusterwhy as cw
from clusterwhy import comparators

LOCO = ("LOCO-MP", "LOCO-RAMPART")
OTHERS = ("PBFI", "LRP", "FCM-SHAP", "PFI", "IMPACC")
#: In the source's legends some methods have a clusterer of their own, whatever the setting.
BASE = {"PBFI": "k-means", "LRP": "k-means", "FCM-SHAP": "fuzzy c-means", "IMPACC": "Ward"}


def make_method(
    name: str,
    clusterer: Any,
    n_clusters: int,
    seed: int,
    n_patches: int,
    size: float = 0.2,
    *,
    classifier: Any = None,
    loss: str = "hinge",
    reference: Any = "full",
) -> Any:
    """Return an unfitted method.

    Parameters
    ----------
    name : str
        One of `LOCO` or `OTHERS`.
    clusterer : estimator
        What fits the setting best; methods with a clusterer of their own do not use it.
    n_clusters, seed : int
    n_patches : int
        Of LOCO-MP; RAMPART has a fifth of them in each round.
    size : float
        Fraction of the observations and of the features in a minipatch.
    classifier, loss, reference : estimator or None, str, estimator or "full"
        Of LOCO-MP and RAMPART.
    """
    k_means = KMeans(n_clusters, n_init=10)
    sizes = {"max_samples": size, "max_features": size}
    common = {**sizes, "loss": loss, "reference": reference, "random_state": seed}
    if name == "LOCO-MP":
        return cw.LOCOMP(clusterer, classifier, n_patches=n_patches, **common)
    if name == "LOCO-RAMPART":
        return cw.LOCORampart(clusterer, classifier, n_patches=max(n_patches // 5, 1), **common)
    if name == "PBFI":
        return comparators.PrototypeImportance(k_means, random_state=seed)
    if name == "LRP":
        return comparators.NEON(k_means, random_state=seed)
    if name == "FCM-SHAP":
        return comparators.FuzzyCMeansSHAP(k_means, method="permutation", n_permutations=20, random_state=seed)
    if name == "PFI":
        return comparators.PermutationImportance(clusterer, random_state=seed)
    if name == "IMPACC":
        # Its authors' share of the features, however few these are.
        return comparators.IMPACC(n_clusters=n_clusters, max_features=0.1, random_state=seed)
    raise ValueError(f"unknown method {name!r}")


def ordering(model: Any) -> Any:
    """Return scores whose order is the method's ranking: RAMPART's are of different rounds."""
    return -model.ranking_ if isinstance(model, cw.LOCORampart) else model.feature_importances_
