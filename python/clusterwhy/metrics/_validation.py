"""Checks that the metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse

from clusterwhy._tables import in_columns_of
from clusterwhy._validation import missing_labels


def as_scores(importances: Any, name: str, *, ndim: int) -> npt.NDArray[np.float64]:
    """Return `importances` as a float64 array of `ndim` dimensions, with NaN allowed."""
    check_dense(importances, name)
    try:
        scores = np.asarray(importances, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if scores.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {scores.shape}.")
    if scores.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {scores.shape}.")
    return scores


def as_baseline(baseline: Any, X: Any) -> npt.NDArray[np.float64]:
    """Return one value for each column of `X`, which names put in order."""
    values = as_scores(in_columns_of(X, baseline, "baseline"), "baseline", ndim=1)
    if values.size != np.shape(X)[1]:
        raise ValueError(f"baseline has {values.size} values, but X has {np.shape(X)[1]} features.")
    return values


def check_finite(data: npt.NDArray[np.float64]) -> None:
    """Refuse data with values that are missing or infinite."""
    if not np.isfinite(data).all():
        raise ValueError("X must be finite.")


def check_dense(X: Any, name: str) -> None:
    """Refuse a sparse matrix, which NumPy would take for a single object."""
    if issparse(X):
        raise TypeError(f"{name} must be dense, got a sparse {type(X).__name__}; pass {name}.toarray().")


def as_labels(labels: Any, name: str) -> npt.NDArray[Any]:
    """Return `labels` as an array of one dimension, none of them missing."""
    if np.ma.is_masked(labels):
        raise ValueError(f"{name} must not be masked: leave such observations out.")
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty array of one dimension, got shape {array.shape}.")
    missing = missing_labels(array) if array.dtype.kind in "fO" else []
    if missing:
        raise ValueError(f"{name} must be there for every observation, got {array[missing[0]]} for {missing[0]}.")
    return array


def top_features(scores: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.intp]:
    """Return the indices of the k largest scores, the largest first.

    Among equal scores the smaller index comes first. NaN is no score: such features are left out, so that
    fewer than k may come back.
    """
    order = np.argsort(-scores, kind="stable")
    return order[: min(k, int(np.count_nonzero(~np.isnan(scores))))]
