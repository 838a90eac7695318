"""Says when a classifier cannot see what a feature says, for want of digits or of size."""

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
# Fewer steps than this between the extremes of a feature lose what it says.
MIN_STEPS = 256
# They also take values for one that are no further apart than this, whatever the feature's unit.
RESOLUTION = 1e-7


def _column_extremes(X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the greatest value of each feature."""
    low, high = X.min(axis=0), X.max(axis=0)
    return (np.ravel(low.toarray()), np.ravel(high.toarray())) if issparse(X) else (low, high)


def warn_coarse_features(X: Any, classifier: Any, names: NDArray[Any]) -> None:
    """Warn of features whose values are so small, or so far from 0, that trees take many of them for one."""
    if not isinstance(classifier, SINGLE_PRECISION):
        return
    low, high = (extreme.astype(np.float64) for extreme in _column_extremes(X))
    varies, reach = low < high, high - low
    name = type(classifier).__name__
    small = varies & (reach < MIN_STEPS * RESOLUTION)
    if small.any():
        features = shown([repr(str(feature)) for feature in names[small]])
        warn_user(
            f"the values of {features} differ by less than {MIN_STEPS * RESOLUTION:.1g}, and {name} takes values "
            f"within {RESOLUTION:.0e} of each other for equal: standardize the data"
        )
    step = np.maximum(np.abs(low), np.abs(high)) * float(np.finfo(np.float32).eps)
    # Single-precision data have no more digits than it reads.
    coarse = varies & ~small & (reach < MIN_STEPS * step) & (X.dtype != np.float32)
    if coarse.any():
        features = shown([repr(str(feature)) for feature in names[coarse]])
        warn_user(
            f"the values of {features} differ by little beside their size, and {name} compares "
            "in single precision, in which most of them are equal: subtract the mean of each feature, or standardize "
            "them"
        )
