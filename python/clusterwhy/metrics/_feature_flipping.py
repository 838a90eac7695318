"""Whether the features said to matter most are enough to bring an observation into its cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid
from sklearn.utils import gen_batches

from clusterwhy._tables import in_columns_of
from clusterwhy._validation import check_count, seed_from_random_state

from ._kde import as_bandwidth, draw_kernels
from ._matching import is_noise
from ._validation import as_labels, as_scores, check_finite

Floats = npt.NDArray[np.float64]

# Bytes of one array of kernel weights: observations are treated a block at a time.
BLOCK_BYTES = 16 * 2**20


def feature_flipping_auc(
    importances: npt.ArrayLike,
    X: npt.ArrayLike,
    predict: Callable[[npt.NDArray[Any]], Any],
    *,
    labels: npt.ArrayLike | None = None,
    bandwidth: float | None = None,
    n_draws: int = 1,
    random_state: Any = None,
) -> float:
    """Return how soon observations return to their clusters, as their features are added by importance.

    An observation begins empty; its features are added from the most to the least important. Those still missing
    are drawn from a kernel density estimate of the data, given those that are there, and it is asked whether the
    result is in the observation's cluster. The area under the curve of the answers, over the share of features
    added, is averaged over the observations.

    Parameters
    ----------
    importances : array-like of shape (n_samples, n_features) or (n_features,)
        Scores of each observation, or the same for all; larger is more important. Among equal scores the feature
        with the smaller index comes first, and NaN last. Names of features, as pandas has them, are matched with
        those of `X`.
    X : array-like of shape (n_samples, n_features)
        The data, which should be standardised: the density has one bandwidth for all features.
    predict : callable
        ``predict(X) -> labels`` of shape (n,): the clusters of data of shape (n, n_features). It is called
        ``(n_features + 1) n_draws`` times for a block of observations.
    labels : array-like of shape (n_samples,), default=None
        The clusters that were explained; None is ``predict(X)``. Noise (below 0) takes no part.
    bandwidth : float, default=None
        Standard deviation of the kernels. None maximises the leave-one-out likelihood.
    n_draws : int, default=1
        Times that missing features are drawn. More of them lower the chance error, not the expectation.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the draws. The draws of one seed are the same for all importances, as far as the order allows.

    Returns
    -------
    auc : float
        From 0 to 1; 1 is best. Random importances are the figure to compare with.

    Raises
    ------
    ValueError
        If the shapes do not fit, or numbers are not finite or out of range.

    Notes
    -----
    The density keeps the kernel of the observation itself. The area is by trapezoids, from the empty set to all
    features. Costs O(n_samples^2 n_features) and the predictions, and O(n_samples^2) memory for the bandwidth.

    References
    ----------
    .. [1] J. Kauffmann et al., "From clustering to cluster explanations via neural networks", IEEE TNNLS 35 (2024),
       algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterwhy.metrics import feature_flipping_auc
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> X[:, 1] += np.where(np.arange(200) < 100, -3.0, 3.0)
    >>> good = feature_flipping_auc([0, 1, 0], X, lambda Z: Z[:, 1] > 0, random_state=0)
    >>> poor = feature_flipping_auc([1, 0, 1], X, lambda Z: Z[:, 1] > 0, random_state=0)
    >>> round(good, 2), round(poor, 2)
    (0.92, 0.58)
    """
    data = as_scores(X, "X", ndim=2)
    importances = in_columns_of(X, importances, "importances")
    scores = np.asarray(importances)
    scores = as_scores(importances, "importances", ndim=1 if scores.ndim == 1 else 2)
    if scores.shape != data.shape[-scores.ndim :]:
        raise ValueError(
            f"importances must have shape {data.shape} to match X, or {data.shape[1:]}, got {scores.shape}."
        )
    check_finite(data)
    n_draws = check_count(n_draws, "n_draws", minimum=1)
    width = as_bandwidth(bandwidth, data)
    own = _predicted(predict, data) if labels is None else as_labels(labels, "labels")
    if own.shape != data.shape[:1]:
        raise ValueError(f"labels must have shape {data.shape[:1]} to match X, got {own.shape}.")
    # Nothing is in a cluster of its own that is in none.
    scored = np.flatnonzero(~is_noise(own))
    if scored.size == 0:
        what = "predict" if labels is None else "labels"
        raise ValueError(f"{what} must name at least one cluster, got noise (below 0) alone.")
    order = np.argsort(-np.broadcast_to(scores, data.shape), axis=1, kind="stable")
    rng = np.random.default_rng(seed_from_random_state(random_state))
    n_rows = max(1, BLOCK_BYTES // (8 * len(data)))
    curve = np.zeros(data.shape[1] + 1)
    for batch in gen_batches(len(scored), n_rows):
        part = scored[batch]
        curve += _hits(data, data[part], order[part], own[part], predict, width, n_draws, rng)
    return float(trapezoid(curve, dx=1.0 / data.shape[1]) / (len(scored) * n_draws))


def _hits(
    data: Floats,
    Z: Floats,
    order: npt.NDArray[np.intp],
    own: npt.NDArray[Any],
    predict: Callable[[npt.NDArray[Any]], Any],
    bandwidth: float,
    n_draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Count the draws in their own clusters with 0, 1, ... features of `Z` there, shape (n_features + 1,)."""
    n, m = Z.shape
    rows = np.arange(n)
    present = np.zeros((n, m), dtype=bool)
    log_weights = np.zeros((n, len(data)))
    hits = np.zeros(m + 1)
    for step in range(m + 1):
        if step > 0:
            added = order[:, step - 1]
            present[rows, added] = True
            apart = (Z[rows, added][:, None] - data.T[added]) / bandwidth
            log_weights -= np.square(apart) / 2.0
        for kernels in draw_kernels(log_weights, n_draws, rng):
            drawn = data[kernels] + bandwidth * rng.standard_normal((n, m))
            hits[step] += np.count_nonzero(_predicted(predict, np.where(present, Z, drawn)) == own)
    return hits


def _predicted(predict: Callable[[npt.NDArray[Any]], Any], X: Floats) -> npt.NDArray[Any]:
    labels = np.asarray(predict(X))
    if labels.shape != X.shape[:1]:
        raise ValueError(f"predict must return one label per observation, shape {X.shape[:1]}, got {labels.shape}.")
    return as_labels(labels, "what predict returns")
