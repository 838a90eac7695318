"""Fuzzy c-means: memberships, and the clusterer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted

from clusterwhy._tables import read_table
from clusterwhy._validation import check_count, check_nonnegative
from clusterwhy._warnings import warn_user
from clusterwhy.native import KMeans


def check_fuzziness(value: Any) -> float:
    """Return `value` as a finite float above 1."""
    fuzziness = check_nonnegative(value, "fuzziness")
    if fuzziness <= 1:
        raise ValueError(f"fuzziness must be above 1 (2 is usual, near 1 is hard clustering), got {value}")
    return fuzziness


def memberships(squared: NDArray[np.float64], fuzziness: float) -> NDArray[np.float64]:
    """Return memberships, proportional to ``d**(-2 / (fuzziness - 1))``, from squared distances d**2 (..., K).

    A point on a centre belongs to it alone, in equal parts if several centres lie there.
    """
    nearest = squared.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = np.where(squared <= nearest, 1.0, nearest / squared) ** (1 / (fuzziness - 1))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def squared_distances(X: NDArray[Any], centers: NDArray[Any]) -> NDArray[np.float64]:
    """Return squared distances (N, K) in double precision; summed as they are, so that a far origin costs nothing."""
    X = X.astype(np.float64, copy=False)
    return np.stack([np.square(X - center).sum(axis=1) for center in centers.astype(np.float64)], axis=1)


class FuzzyCMeans(ClusterMixin, BaseEstimator):
    """Fuzzy c-means: every observation belongs to every cluster by a share that falls with the distance.

    Minimises ``sum_ik u_ik**m |x_i - mu_k|**2`` over centres and memberships in turn, from the centres of k-means.

    Parameters
    ----------
    n_clusters : int, default=2
        Centres to find.
    fuzziness : float, default=2.0
        The exponent m, above 1.
    max_iter : int, default=300
        Turns at most.
    tol : float, default=1e-8
        It stops when the centres' squared shifts sum to at most this share of the features' mean variance.
    random_state : int, RandomState, Generator or None, default=None
        Seeds k-means.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, M) of float64
        Means of the observations weighted by ``u**m``.
    memberships_ : ndarray of shape (N, n_clusters)
        Shares u; each row sums to 1.
    labels_ : ndarray of shape (N,) of int64
        The cluster of the largest share, which is that of the nearest centre.
    n_iter_ : int
        Turns taken.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    A turn costs O(N K M). With many features distances become alike, memberships equal, and at m = 2 the centres
    may meet at the mean of the data: lower the fuzziness then, or take the centres of k-means.

    References
    ----------
    .. [1] J. C. Bezdek, "Pattern recognition with fuzzy objective function algorithms", 1981.

    Examples
    --------
    >>> from clusterwhy.comparators import FuzzyCMeans
    >>> fuzzy = FuzzyCMeans(2, random_state=0).fit([[0.0], [1.0], [10.0], [11.0]])
    >>> sorted(fuzzy.cluster_centers_.ravel().round(1).tolist())
    [0.5, 10.5]
    """

    def __init__(
        self,
        n_clusters: int = 2,
        *,
        fuzziness: float = 2.0,
        max_iter: int = 300,
        tol: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.fuzziness = fuzziness
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the centres of the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (N, M)
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self
        """
        fuzziness = check_fuzziness(self.fuzziness)
        max_iter, tol = check_count(self.max_iter, "max_iter"), check_nonnegative(self.tol, "tol")
        X = read_table(self, X).astype(np.float64, copy=False)
        start = KMeans(check_count(self.n_clusters, "n_clusters"), random_state=self.random_state)._fit(X)
        # About the mean, products of matrices lose no digits to a far origin.
        middle = X.mean(axis=0)
        X, centers = X - middle, start.cluster_centers_ - middle
        enough, shift, turn = tol * X.var(axis=0).mean(), np.inf, 0
        while shift > enough and turn < max_iter:
            shares = memberships(euclidean_distances(X, centers, squared=True), fuzziness) ** fuzziness
            total = shares.sum(axis=0)[:, None]
            # A centre that no observation has a share in stays where it is.
            moved = np.divide(shares.T @ X, total, out=centers.copy(), where=total > 0)
            shift = np.square(moved - centers).sum()
            centers = moved
            turn += 1
        if shift > enough:
            warn_user(
                f"fuzzy c-means had not converged after max_iter={max_iter} turns; raise max_iter or tol",
                ConvergenceWarning,
            )
        self.cluster_centers_ = centers + middle
        self.memberships_ = memberships(squared_distances(X, centers), fuzziness)
        self.labels_ = self.memberships_.argmax(axis=1)
        self.n_iter_ = turn
        return self

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the nearest centre of each row of `X`.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n,) of int64
        """
        check_is_fitted(self)
        X = read_table(self, X, reset=False)
        return np.asarray(squared_distances(X, self.cluster_centers_).argmin(axis=1))
