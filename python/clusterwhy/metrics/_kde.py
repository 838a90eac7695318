"""A Gaussian kernel density of observations, to draw missing features from."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from ._validation import check_finite

Floats = npt.NDArray[np.float64]

# Bandwidths that are tried before the best is refined.
GRID = 40


def as_bandwidth(value: Any, X: Floats) -> float:
    """Return `value` as the standard deviation of the kernels; None is the likeliest for `X`."""
    if value is None:
        return leave_one_out_bandwidth(X)
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"bandwidth must be None or a finite number above 0, got {value!r}.")
    return float(value)


def leave_one_out_bandwidth(X: Floats) -> float:
    """Return the standard deviation of the kernels under which the observations are likeliest, each given the others.

    Looked for between a tenth of the smallest positive distance and the largest one, per feature: with repeated
    observations the likelihood has no maximum.
    """
    check_finite(X)
    # Of differences, so that repeated observations are at 0 wherever they lie.
    squares = cdist(X, X, "sqeuclidean")
    np.fill_diagonal(squares, np.inf)
    finite = squares[np.isfinite(squares) & (squares > 0)]
    if finite.size == 0:
        raise ValueError("a bandwidth needs at least two different observations.")
    n_features = X.shape[1]

    def loss(log_width: float) -> float:
        kernels = logsumexp(squares / (-2.0 * np.exp(2.0 * log_width)), axis=1)
        return float(n_features * log_width - kernels.mean())

    lowest, highest = np.log([finite.min() / 100.0, finite.max()]) / 2.0 - np.log(n_features) / 2.0
    grid = np.linspace(lowest, highest, GRID)
    best = grid[np.argmin([loss(width) for width in grid])]
    step = grid[1] - grid[0]
    return float(np.exp(minimize_scalar(loss, bounds=(best - step, best + step), method="bounded").x))


def draw_kernels(log_weights: Floats, n_draws: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw kernels (n_draws, n) with probabilities given by rows of log weights (n, N), up to a constant."""
    cumulative = np.exp(log_weights - log_weights.max(axis=1, keepdims=True)).cumsum(axis=1)
    aims = rng.random((n_draws, len(log_weights))) * cumulative[:, -1]
    return np.array([np.argmax(cumulative > aim[:, None], axis=1) for aim in aims])
