"""Says when a classifier cannot see what a feature says, for want of digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from clusterwhy import native
from clusterwhy._tables import shown
from clusterwhy._warnings import warn_user

# These compare in single precision, scikit-learn's own too.
SINGLE_PRECISION = (
    DecisionTreeClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
    native.DecisionTree,
    native.ExtraTrees,
    native.RandomForest,
)
# Fewer steps of single precision than this between the extremes of a feature lose what it says.
MIN_STEPS = 256


def _column_extremes(X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the greatest value of each feature."""
    low, high = X.min(axis=0), X.max(axis=0)
    return (np.ravel(low.toarray()), np.ravel(high.toarray())) if issparse(X) else (low, high)


def warn_coarse_features(X: Any, classifier: Any, names: NDArray[Any]) -> None:
    """Warn of features whose values lie so far from 0 that single precision takes many of them for one."""
    if not isinstance(classifier, SINGLE_PRECISION) or X.dtype == np.float32:
        return
    low, high = _column_extremes(X)
    step = np.maximum(np.abs(low), np.abs(high)) * float(np.finfo(np.float32).eps)
    coarse = (low < high) & (high - low < MIN_STEPS * step)
    if coarse.any():
        features = shown([repr(str(name)) for name in names[coarse]])
        warn_user(
            f"the values of {features} differ by little beside their size, and {type(classifier).__name__} compares "
            "in single precision, in which most of them are equal: subtract the mean of each feature, or standardize "
            "them"
        )
