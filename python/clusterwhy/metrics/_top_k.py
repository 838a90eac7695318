"""How many of the signal features a score finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from clusterwhy._tables import of_features
from clusterwhy._validation import check_count

from ._validation import as_scores


def _signal_mask(signal: Any, n_features: int) -> npt.NDArray[np.bool_]:
    indices = np.asarray(signal)
    if indices.ndim != 1 or indices.size == 0:
        raise ValueError(f"signal must name at least one feature, got shape {indices.shape}.")
    if indices.dtype == np.bool_:
        if indices.size != n_features:
            raise ValueError(f"signal is a mask of {indices.size} features, but importances has {n_features}.")
        if not indices.any():
            raise ValueError("signal must name at least one feature, but the mask is False throughout.")
        return indices
    if not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"signal must hold integer indices or be a boolean mask, got dtype {indices.dtype}.")
    if indices.min() < 0 or indices.max() >= n_features:
        raise ValueError(f"signal must hold indices from 0 to {n_features - 1}, got {indices.tolist()}.")
    mask = np.zeros(n_features, dtype=np.bool_)
    mask[indices] = True
    if mask.sum() != indices.size:
        raise ValueError("signal names a feature twice.")
    return mask


def top_k_hits(importances: npt.ArrayLike, signal: npt.ArrayLike, k: int | None = None) -> float:
    """Return the share of the k most important features that are signal features.

    Parameters
    ----------
    importances : array-like of shape (n_features,)
        Scores; larger is more important. A Series whose index is the features' positions, in any order, is taken
        by it; other names are not read. NaN means that a feature has no score: it is never among the top
        k, and a place that no feature with a score can fill is a miss.
    signal : array-like of int of shape (n_signal,), or of bool of shape (n_features,)
        Indices of the signal features, or a mask.
    k : int, optional
        Number of features to look at, from 1 to n_features. Default: the number of signal features. With
        more than that, 1 cannot be reached.

    Returns
    -------
    hits : float
        From 0 to 1. Features that tie for the last places share them: the result is then the expectation
        over random orders among the tied, so that the order of the columns never helps.

    Raises
    ------
    ValueError
        If the shapes do not fit, an index is out of range or named twice, or k is out of range.

    Examples
    --------
    >>> from clusterwhy.metrics import top_k_hits
    >>> top_k_hits([0.9, 0.1, 0.8, 0.2], signal=[0, 3])
    0.5
    >>> top_k_hits([1.0, 0.0, 0.0, 0.0], signal=[0, 3])  # three features tie for the second place
    0.6666666666666666
    """
    # Integer names are positions, as those of a sorted Series are.
    importances = of_features(importances, "importances", list(range(np.size(importances))), named=False)
    scores = as_scores(importances, "importances", ndim=1)
    is_signal = _signal_mask(signal, scores.size)
    k = check_count(int(is_signal.sum()) if k is None else k, "k", minimum=1, maximum=scores.size)
    scored = ~np.isnan(scores)
    if not scored.any():
        return 0.0
    if scored.sum() <= k:
        return float(is_signal[scored].sum() / k)
    last = np.sort(scores[scored])[-k]
    above, tied = scores > last, scores == last
    places_left = k - int(above.sum())
    expected = is_signal[above].sum() + places_left * is_signal[tied].sum() / tied.sum()
    return float(expected / k)
