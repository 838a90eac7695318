"""Prototype-based importance: how far apart the clusters' prototypes lie along each feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._validation import check_option, seed_from_random_state
from clusterwhy.comparators._base import ComparatorMixin

PROTOTYPES = ("mean", "median", "center")


class PrototypeImportance(ComparatorMixin):
    """Feature importance by the distance between the prototypes of clusters.

    The score of a feature is ``sum_{k < l} |mu_kj - mu_lj|``, over all pairs of prototypes, divided by its sum
    over the features. It depends on the features' scales: standardise them first.

    Parameters
    ----------
    clusterer : estimator, default=None
        Clusters all the data once; never changed. None is Ward clustering into 2. Not used when labels are given
        as `reference`.
    prototypes : {"mean", "median", "center"}, default="mean"
        Mean or median of each cluster's observations, or the fitted clusterer's own ``cluster_centers_``: of k-means
        that has converged these are the means, of soft assignments (fuzzy c-means) they are not.
    reference : {"full"} or array-like of shape (N,), default="full"
        The labels to explain: those of `clusterer`, or these (integers with -1 for noise, or strings).
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the clusterer where it has no seed of its own.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Sums to 1; NaN when all prototypes are equal.
    cluster_importances_ : ndarray of shape (K, M)
        ``sum_l |mu_kj - mu_lj|``, divided by its sum over the features; rows in the order of ``classes_``.
    prototypes_ : ndarray of shape (K, M)
        The prototypes themselves.
    clusterer_ : estimator
        The fitted clusterer; not set when labels were given.
    labels_, reference_labels_ : ndarray of shape (N,)
        The labels that are explained, twice.
    classes_ : ndarray of shape (K,)
        Their values, sorted, without noise.
    ranking_ : ndarray of shape (M,)
        1 is the most important.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Costs one clustering and O(N M + K**2 M).

    References
    ----------
    .. [1] G. Nápoles, N. Griffioen, S. Khoshrou and Ç. Güven, "Feature importance for clustering", CIARP 2023,
       LNCS 14469, 31-45 (the first of its algorithms; PBFI in the paper of Cluster LOCO).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterwhy.comparators import PrototypeImportance
    >>> X = np.array([[0.0, 1.0], [0.0, 2.0], [4.0, 1.0], [4.0, 4.0]])
    >>> PrototypeImportance(reference=[0, 0, 1, 1]).fit(X).feature_importances_
    array([0.8, 0.2])
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        prototypes: str = "mean",
        reference: Any = "full",
        n_features_to_select: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.prototypes = prototypes
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.random_state = random_state

    def _fit(self, X: Any) -> None:
        kind = check_option(self.prototypes, "prototypes", PROTOTYPES)
        X = self._check_data(X)
        codes = self._label(X, seed_from_random_state(self.random_state))
        if kind == "center":
            self.prototypes_ = self._own_centres(X.shape[1])
        else:
            centre = np.mean if kind == "mean" else np.median
            centres = [centre(X[codes == k].astype(np.float64), axis=0) for k in range(len(self.classes_))]
            self.prototypes_ = np.array(centres)
        apart = np.array([np.abs(self.prototypes_ - own).sum(axis=0) for own in self.prototypes_])
        self._score(_shares(apart.sum(axis=0)), _shares(apart))

    def _own_centres(self, n_features: int) -> NDArray[np.float64]:
        """Return the centres of the clusterer, those of the labels that occur."""
        instead = "use prototypes='mean' or 'median', which take any labels"
        if not isinstance(self.reference, str):
            raise ValueError(f"prototypes='center' are a clusterer's, and labels were given as reference: {instead}")
        name = type(self.clusterer_).__name__
        centres = np.asarray(getattr(self.clusterer_, "cluster_centers_", None))
        if centres.ndim != 2 or centres.shape[1] != n_features or centres.dtype.kind not in "fiu":
            raise ValueError(
                f"prototypes='center' needs a clusterer with cluster_centers_ of shape (K, {n_features}), which "
                f"{name} has not: {instead}"
            )
        if self.classes_.dtype.kind not in "iu" or not (self.classes_ < len(centres)).all():
            raise ValueError(f"the labels of {name} are not rows of its cluster_centers_: {instead}")
        return np.asarray(centres[self.classes_], dtype=np.float64)


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(values / values.sum(axis=-1, keepdims=True))
