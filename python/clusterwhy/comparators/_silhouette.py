"""Silhouette-LOCO: what the silhouette loses when the data are clustered without a feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import silhouette_samples

from clusterwhy._fitting import REFERENCE_STREAM, cluster, fresh, refuse_column_positions, take
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._validation import n_threads, seed_from_random_state
from clusterwhy.comparators._base import ComparatorMixin
from clusterwhy.comparators._leave_out import columns_without, describe, without_each

ADVICE = "it clusters without each feature in turn, and must take one feature less than the data have"


class SilhouetteLOCO(ComparatorMixin):
    """Feature importance by the change of the silhouette when a feature is left out.

    The score of a feature is the mean silhouette of the clustering with all features, less that of the data
    clustered again without it; each silhouette is measured in the features that were clustered. A feature
    that blurs the clusters scores below 0, whether it matters to them or not: silhouettes prefer few features and
    compact clusters, and are shown for what they miss.

    Parameters
    ----------
    clusterer : estimator, default=None
        Clusters all the data with all features, and without each. Never changed: copies are fitted, from the same
        seed each time. None is Ward clustering, into 2 or as many clusters as there are labels in `reference`.
    reference : {"full"} or array-like of shape (N,), default="full"
        The labels with all features: those of `clusterer`, or these (integers with -1 for noise, or strings).
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    n_jobs : int, default=None
        Workers (through joblib) for the features.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the clusterer where it has no seed of its own.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Means of the sample scores.
    cluster_importances_ : ndarray of shape (K, M)
        The same within each cluster; rows in the order of ``classes_``.
    sample_importances_ : ndarray of shape (N, M)
        Silhouette of each observation with all features less that without one, from -2 to 2. NaN for noise in
        either clustering. Observations that are alone in their cluster have a silhouette of 0, and so have all in
        a single cluster.
    silhouettes_ : ndarray of shape (N,)
        Silhouettes with all features; NaN for noise, 0 if there is nothing else.
    standard_errors_, cluster_standard_errors_ : ndarray of shape (M,), (K, M)
        ``sd / sqrt(N)`` over observations.
    labels_, reference_labels_ : ndarray of shape (N,)
        The labels with all features, twice.
    classes_ : ndarray of shape (K,)
        Their values, sorted, without noise.
    ranking_ : ndarray of shape (M,)
        1 is the most important.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    clusterwhy.LOCOSplit : Measures what a classifier of the clusters loses.

    Notes
    -----
    Costs M + 1 clusterings and O(N**2 M**2) for the silhouettes.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
       J. Comput. Appl. Math. 20 (1987).
    .. [2] He and Allen, "Cluster LOCO", arXiv 2606.14592, section 3.1 and Figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> from clusterwhy.comparators import SilhouetteLOCO
    >>> X = np.random.default_rng(0).normal(size=(100, 3)) + np.repeat([[0, 0, 0], [9, 0, 0]], 50, axis=0)
    >>> SilhouetteLOCO(KMeans(2, n_init=1), random_state=0).fit(X).feature_importances_.round(1)
    array([ 0.4, -0.1, -0. ])
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        reference: Any = "full",
        n_features_to_select: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: Any) -> None:
        threads = n_threads(self.n_jobs)
        clusterer = self._checked_clusterer()
        refuse_column_positions(clusterer, "clusterer")
        X = self._check_data(X)
        seed = seed_from_random_state(self.random_state)
        codes = self._label(X, seed)
        found = without_each(silhouettes_without, (X, clusterer, codes, seed), X.shape[1], self.n_jobs, "silhouettes")
        samples = np.ascontiguousarray((found[0] - np.array(found[1:])).T)
        self.silhouettes_ = found[0]
        self._score_samples(samples, codes, threads)


def silhouettes_without(
    X: NDArray[Any], clusterer: Any, codes: NDArray[np.int32], seed: int, left_out: list[int | None]
) -> list[NDArray[np.float64]]:
    """Return the silhouettes (N,) without each of the features named; with all (None), those of the codes."""
    out = []
    with single_threaded_libraries():
        for j in left_out:
            part = take(X, np.arange(len(X)), columns_without(X.shape[1], j))
            if j is None:
                out.append(silhouettes(part, codes))
                continue
            copy = fresh(clusterer, seed, REFERENCE_STREAM, keep_given=True)
            out.append(silhouettes(part, cluster(copy, part, f"all the data {describe(j)}", ADVICE)))
    return out


def silhouettes(X: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the silhouette of each observation, NaN for noise; 0 where all or none are together, or noise."""
    known = labels >= 0
    out = np.where(known | ~known.any(), 0.0, np.nan)
    if 2 <= len(np.unique(labels[known])) < known.sum():
        part = X[known].astype(np.float64, copy=False)
        # scikit-learn's distances are differences of squares: far from zero nothing would be left of them.
        out[known] = silhouette_samples(part - part.mean(axis=0), labels[known])
    return out
