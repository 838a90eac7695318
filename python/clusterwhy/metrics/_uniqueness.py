"""Whether the explanations of neighbouring observations differ."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.neighbors import NearestNeighbors

from clusterwhy._validation import check_count, check_option

from ._validation import as_scores, check_finite


def uniqueness(
    sample_importances: npt.ArrayLike,
    X: npt.ArrayLike,
    *,
    n_neighbors: int = 2,
    reduction: str = "mean",
) -> float:
    r"""Return how fast explanations change from an observation to its neighbours.

    For the explanations z and the r nearest neighbours :math:`I_i` of :math:`x_i`, the ratios
    :math:`\|z_i - z_l\|_2 / \|x_i - x_l\|_2`, l in :math:`I_i`, are reduced for each observation, and the
    mean over observations is returned.

    Parameters
    ----------
    sample_importances : array-like of shape (n_samples, n_features)
        The explanation of each observation. Where one of a pair is NaN in a feature, the pair counts as
        equal in that feature.
    X : array-like of shape (n_samples, n_inputs)
        The observations, finite.
    n_neighbors : int, default=2
        Number r of neighbours, from 1 to n_samples - 1.
    reduction : {"mean", "min"}, default="mean"
        How the ratios of an observation are reduced. The source prints a mean over the neighbours with
        a stray minimum in it; its first version has the minimum alone.

    Returns
    -------
    uniqueness : float
        At least 0; larger is more specific to the observation. An observation equal to :math:`x_i` is no
        neighbour of it, and the next one takes its place; an observation with fewer than r others that
        differ from it uses those there are. NaN, with a warning, where all observations are equal.

    Raises
    ------
    ValueError
        If the shapes do not fit, X is not finite, or `n_neighbors` is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If all observations are equal.

    References
    ----------
    .. [1] J. Svirsky and O. Lindenbaum, "Interpretable deep clustering for tabular data", ICML 2024,
       section 5.

    Examples
    --------
    >>> from clusterwhy.metrics import uniqueness
    >>> uniqueness([[0.0], [1.0], [3.0]], [[0.0], [1.0], [2.0]], n_neighbors=1)
    1.3333333333333333
    """
    explanations = as_scores(sample_importances, "sample_importances", ndim=2)
    data = as_scores(X, "X", ndim=2)
    n_samples = data.shape[0]
    if explanations.shape[0] != n_samples:
        raise ValueError(f"sample_importances explains {explanations.shape[0]} observations, but X has {n_samples}.")
    if n_samples < 2:
        raise ValueError("uniqueness compares observations and needs at least 2, got 1.")
    check_finite(data)
    n_neighbors = check_count(n_neighbors, "n_neighbors", minimum=1, maximum=n_samples - 1)
    check_option(reduction, "reduction", ("mean", "min"))

    # So many candidates that r of them differ from the observation, however often it is repeated.
    repeats = int(np.unique(data, axis=0, return_counts=True)[1].max())
    n_candidates = min(n_samples, n_neighbors + repeats)
    # The search expands squares, which keep no digits far from the origin.
    data = data - data.mean(axis=0)
    candidates = NearestNeighbors(n_neighbors=n_candidates).fit(data).kneighbors(data, return_distance=False)
    ratios = np.empty(n_samples)
    for i in range(n_samples):
        # Differences, not the neighbour search's distances: those may be tiny where they should be 0.
        distances = np.linalg.norm(data[candidates[i]] - data[i], axis=1)
        nearest = np.argsort(distances, kind="stable")
        nearest = nearest[distances[nearest] > 0][:n_neighbors]
        changes = np.nan_to_num(explanations[candidates[i][nearest]] - explanations[i], nan=0.0)
        slopes = np.linalg.norm(changes, axis=1) / distances[nearest]
        ratios[i] = np.nan if slopes.size == 0 else slopes.mean() if reduction == "mean" else slopes.min()
    if np.isnan(ratios).all():
        warnings.warn("uniqueness is not defined: all observations are equal.", UndefinedMetricWarning, stacklevel=2)
        return float("nan")
    return float(np.nanmean(ratios))
