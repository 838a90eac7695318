"""Stability-LOCO: what the agreement of clusterings of subsamples loses without a feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from clusterwhy import _core
from clusterwhy._fitting import cluster, fresh, refuse_column_positions, take
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._validation import check_count, check_patch_size, n_threads, seed_from_random_state
from clusterwhy.comparators._base import ComparatorMixin
from clusterwhy.comparators._leave_out import columns_without, describe, without_each

ADVICE = "if it needs more observations than that, make the subsamples larger (max_samples)"


class StabilityLOCO(ComparatorMixin):
    """Feature importance by the change of the clustering's stability when a feature is left out.

    Stability is that of the model explorer [1]_: pairs of subsamples are clustered, each on its own, and the two
    clusterings of a pair are compared where they overlap, here by the adjusted Rand index. The score of a feature is
    the mean index with all features, less that with the same subsamples clustered without it: the rise of the
    negative index. A stable clustering need not be a right one, nor an unstable one depend on a feature.

    Parameters
    ----------
    clusterer : estimator, default=None
        Clusters subsamples; never changed. Copies are fitted, whose random states get a seed for each
        subsample, the same whatever is left out. None is Ward clustering, into 2 or as many clusters as there are
        labels in `reference`.
    n_pairs : int, default=20
        Pairs of subsamples.
    max_samples : int or float, default=0.8
        Observations in a subsample: a float is a fraction (rounded up), an int a count.
    reference : {"full"} or array-like of shape (N,), default="full"
        Labels to report: those of `clusterer` on all the data, or these. They do not enter the scores.
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    n_jobs : int, default=None
        Workers (through joblib) for the features.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the subsamples and the clusterings.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Stability with all features less that without one.
    stability_ : float
        Mean adjusted Rand index with all features, at most 1.
    monte_carlo_errors_ : ndarray of shape (M,)
        Standard error of the mean over the pairs, as if these did not share observations; NaN for a single pair.
    labels_, reference_labels_ : ndarray of shape (N,)
        Labels of all the data, twice.
    classes_ : ndarray of shape (K,)
        Their values, sorted, without noise.
    ranking_ : ndarray of shape (M,)
        1 is the most important.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    clusterwhy.LOCOSplit : Asks whether clusters found on one part are found on another.

    Notes
    -----
    Costs ``2 n_pairs (M + 1)`` clusterings. Noise counts as one more cluster. Stability is of the whole set, so that
    there are no scores of clusters or observations.

    References
    ----------
    .. [1] Ben-Hur, Elisseeff and Guyon, "A stability based method for discovering structure in clustered data",
       Pacific Symposium on Biocomputing 2002; with fractions of 0.8 and 100 pairs.
    .. [2] He and Allen, "Cluster LOCO", arXiv 2606.14592, section 3.1 and Figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> from clusterwhy.comparators import StabilityLOCO
    >>> X = np.random.default_rng(0).normal(size=(100, 3)) + np.repeat([[0, 0, 0], [9, 0, 0]], 50, axis=0)
    >>> model = StabilityLOCO(KMeans(2, n_init=1), random_state=0).fit(X)
    >>> model.stability_, model.ranking_[0].item()
    (1.0, 1)
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        n_pairs: int = 20,
        max_samples: float = 0.8,
        reference: Any = "full",
        n_features_to_select: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.n_pairs = n_pairs
        self.max_samples = max_samples
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: Any) -> None:
        n_pairs = check_count(self.n_pairs, "n_pairs")
        n_threads(self.n_jobs)
        clusterer = self._checked_clusterer()
        refuse_column_positions(clusterer, "clusterer")
        X = self._check_data(X)
        n_samples, n_features = X.shape
        size = check_patch_size(self.max_samples, n_samples, "max_samples", "observations")
        seed = seed_from_random_state(self.random_state)
        rows = _core.minipatch_indices(n_samples, n_features, size, n_features, seed, 0, 2 * n_pairs, False)
        overlap = min(np.intersect1d(*pair).size for pair in rows.reshape(n_pairs, 2, size))
        if overlap < 2:
            raise ValueError(
                f"a pair of subsamples of {size} of {n_samples} observations shares {overlap}, and must share at "
                "least 2 for their clusterings to be compared; raise max_samples"
            )
        self._label(X, seed)
        found = without_each(stabilities_without, (X, clusterer, rows, seed), n_features, self.n_jobs, "stability")
        rises = found[0] - np.array(found[1:])
        self.stability_ = float(found[0].mean())
        self._score(rises.mean(axis=1))
        spreads = np.full(n_features, np.nan) if n_pairs == 1 else rises.std(axis=1, ddof=1)
        self.monte_carlo_errors_ = spreads / np.sqrt(n_pairs)


def stabilities_without(
    X: NDArray[Any], clusterer: Any, rows: NDArray[np.int64], seed: int, left_out: list[int | None]
) -> list[NDArray[np.float64]]:
    """Return the agreement of each pair of subsamples (P,) without each of the features named (None: with all)."""
    out = []
    with single_threaded_libraries():
        for j in left_out:
            columns = columns_without(X.shape[1], j)
            labels = [
                cluster(fresh(clusterer, seed, 2 * b), take(X, part, columns), f"subsample {b} {describe(j)}", ADVICE)
                for b, part in enumerate(rows)
            ]
            pairs = range(0, len(rows), 2)
            out.append(np.array([agreement(rows[b : b + 2], labels[b : b + 2]) for b in pairs]))
    return out


def agreement(rows: NDArray[np.int64], labels: list[NDArray[np.int64]]) -> float:
    """Compare the labels of two subsamples where they overlap."""
    _, first, second = np.intersect1d(rows[0], rows[1], assume_unique=True, return_indices=True)
    return float(adjusted_rand_score(labels[0][first], labels[1][second]))
