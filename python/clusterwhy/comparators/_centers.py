"""The centres of a fitted clusterer, and what it does to its data before it clusters."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OneToOneFeatureMixin
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer


def feature_scaling(clusterer: Any) -> Pipeline | None:
    """Return what a fitted clusterer, None for none, does to its data while each feature remains one feature."""
    if not isinstance(clusterer, Pipeline):
        return None
    steps = [step for _, step in clusterer.steps[:-1]]
    kept = list(takewhile(keeps_features, steps))
    return clusterer[: len(kept)] if kept else None


def keeps_features(step: Any) -> bool:
    """Whether a transformer makes of each feature one that depends on no other."""
    if step is None or step == "passthrough":
        return True
    # These divide by the length of a row, though they name what comes out as what went in.
    return isinstance(step, OneToOneFeatureMixin) and not isinstance(step, (Normalizer, TfidfTransformer))


def scaled(scaling: Pipeline | None, X: NDArray[Any]) -> NDArray[np.float64]:
    """Return data (n, M) as a clusterer's last step sees them, whatever container the steps put out."""
    return np.asarray(X if scaling is None else scaling.transform(X), dtype=np.float64)


def numbered_centers(clusterer: Any, classes: NDArray[Any], n_features: int) -> NDArray[np.float64] | None:
    """Return the centres (K', M) that a fitted clusterer's labels number, where it has them.

    Those of a pipeline that scales lie where its last step sees the data.
    """
    scaling = feature_scaling(clusterer)
    if scaling is not None and len(scaling) == len(clusterer) - 1:
        clusterer = clusterer[-1]
    centers = getattr(clusterer, "cluster_centers_", None)
    if centers is None or np.ndim(centers) != 2 or classes.max() >= len(centers):
        return None
    centers = np.asarray(centers, dtype=np.float64)
    return centers if centers.shape[1] == n_features else None
