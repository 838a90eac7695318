"""Simple attributions, to hold the feature-flipping AUC of an explanation against.

They explain an evidence ``f``, positive inside the cluster of an observation: :func:`prediction_difference`,
:func:`squared_gradient`, :func:`integrated_gradients`, :func:`dimension_removal`. :func:`squared_difference` knows
only the data, and :func:`random_attribution` nothing.

All return relevances of shape (n_samples, n_features). ``evidence(X)`` returns ``f`` of shape (n_samples,) for the
cluster of the observation in the same row of the data that are explained, and ``gradient(X)`` its derivatives,
(n_samples, n_features).

After table I of J. Kauffmann et al., "From clustering to cluster explanations via neural networks", IEEE TNNLS 35
(2024).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from clusterwhy._validation import check_count, check_option, seed_from_random_state

from ._kde import as_bandwidth, draw_kernels
from ._validation import as_baseline, as_scores, check_finite

__all__ = [
    "dimension_removal",
    "integrated_gradients",
    "prediction_difference",
    "random_attribution",
    "squared_difference",
    "squared_gradient",
]

Floats = npt.NDArray[np.float64]


def random_attribution(X: npt.ArrayLike, random_state: Any = None) -> Floats:
    """Return uniform random numbers.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds them.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    data = as_scores(X, "X", ndim=2)
    return np.random.default_rng(seed_from_random_state(random_state)).random(data.shape)


def squared_difference(X: npt.ArrayLike, baseline: npt.ArrayLike | None = None) -> Floats:
    """Return ``(x - baseline)^2``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.
    baseline : array-like of shape (n_features,), default=None
        None is the mean of the data. A pandas Series is matched with the columns of a frame by its names.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    data = _finite(X)
    return np.square(data - _baseline(X, data, baseline))


def prediction_difference(
    X: npt.ArrayLike,
    evidence: Callable[[Floats], Floats],
    *,
    imputation: str = "conditional",
    bandwidth: float | None = None,
    random_state: Any = None,
) -> Floats:
    """Return what ``f``, or whether an observation is in its cluster, loses when one feature is replaced.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.
    evidence : callable
        ``evidence(X) -> f`` of shape (n_samples,). The source takes the decision, 1 (or True) in the cluster and 0
        outside, which few single features change.
    imputation : {"conditional", "zero"}, default="conditional"
        By 0, or by one draw from a kernel density estimate of the data, given the other features.
    bandwidth : float, default=None
        Of that estimate; None maximises the leave-one-out likelihood.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the draws.

    Returns
    -------
    ndarray of shape (n_samples, n_features)

    Notes
    -----
    Calls `evidence` once and once for each feature; the conditional draws take O(n_samples^2 n_features) time and
    O(n_samples^2) memory.
    """
    data = _finite(X)
    check_option(imputation, "imputation", ("conditional", "zero"))
    imputed = np.zeros_like(data)
    if imputation == "conditional":
        imputed = _draw_each(data, as_bandwidth(bandwidth, data), seed_from_random_state(random_state))
    whole = _evidence(evidence, data)
    out = np.empty_like(data)
    for j in range(data.shape[1]):
        replaced = data.copy()
        replaced[:, j] = imputed[:, j]
        out[:, j] = whole - _evidence(evidence, replaced)
    return out


def _draw_each(data: Floats, bandwidth: float, seed: int) -> Floats:
    """Draw every feature of every observation, given its others."""
    rng = np.random.default_rng(seed)
    out = bandwidth * rng.standard_normal(data.shape)
    # Of differences: far from the origin the expanded squares keep no digits.
    squares = cdist(data, data, "sqeuclidean")
    for j, column in enumerate(data.T):
        others = squares - np.square(column[:, None] - column)
        out[:, j] += column[draw_kernels(others / (-2.0 * bandwidth**2), 1, rng)[0]]
    return out


def squared_gradient(X: npt.ArrayLike, gradient: Callable[[Floats], Floats]) -> Floats:
    """Return the squared derivatives of ``f``.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.
    gradient : callable
        ``gradient(X)`` of shape (n_samples, n_features).

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    return np.square(_gradient(gradient, _finite(X)))


def integrated_gradients(
    X: npt.ArrayLike,
    gradient: Callable[[Floats], Floats],
    *,
    baseline: npt.ArrayLike | None = None,
    n_steps: int = 10,
) -> Floats:
    """Return ``(x - baseline)`` times the mean derivative on the way, at the middles of `n_steps` equal steps.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.
    gradient : callable
        ``gradient(X)`` of shape (n_samples, n_features).
    baseline : array-like of shape (n_features,), default=None
        None is the mean of the data.
    n_steps : int, default=10
        Calls of `gradient`.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    data = _finite(X)
    n_steps = check_count(n_steps, "n_steps", minimum=1)
    start = _baseline(X, data, baseline)
    total = np.zeros_like(data)
    for share in (np.arange(n_steps) + 0.5) / n_steps:
        total += _gradient(gradient, start + share * (data - start))
    return (data - start) * total / n_steps


def dimension_removal(
    X: npt.ArrayLike, evidence: Callable[[Floats], Floats], evidence_without: Callable[[Floats, int], Floats]
) -> Floats:
    """Return what ``f`` loses when a feature is left out of every distance.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Finite numbers.
    evidence : callable
        ``evidence(X) -> f`` of shape (n_samples,).
    evidence_without : callable
        ``evidence_without(X, j)`` is ``f`` with feature j of the data and of the clustering left out.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    data = _finite(X)
    whole = _evidence(evidence, data)
    without = [_evidence(evidence_without, data, j) for j in range(data.shape[1])]
    return np.asarray(whole[:, None] - np.array(without).T)


def _finite(X: npt.ArrayLike) -> Floats:
    data = as_scores(X, "X", ndim=2)
    check_finite(data)
    return data


def _evidence(evidence: Callable[..., Any], data: Floats, *left_out: int) -> Floats:
    """Call what the user gave for evidence, where a decision may be True or False."""
    values = np.asarray(evidence(data, *left_out), dtype=np.float64)
    if values.shape != data.shape[:1]:
        name = "evidence_without" if left_out else "evidence"
        raise ValueError(f"{name} must return one value per observation, shape {data.shape[:1]}, got {values.shape}.")
    return values


def _gradient(gradient: Callable[[Floats], Any], data: Floats) -> Floats:
    values = np.asarray(gradient(data), dtype=np.float64)
    if values.shape != data.shape:
        raise ValueError(f"gradient must return one value per feature of X, shape {data.shape}, got {values.shape}.")
    return values


def _baseline(X: Any, data: Floats, baseline: npt.ArrayLike | None) -> Floats:
    if baseline is None:
        return np.asarray(data.mean(axis=0))
    return as_baseline(baseline, X)
