"""Permutation importance: how often labels change when the values of a feature are shuffled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core, native
from clusterwhy._fitting import REFERENCE_STREAM, check_classifier, fresh, train
from clusterwhy._parallel import blocks, run_blocks
from clusterwhy._precision import warn_coarse_features
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._validation import check_count, n_threads, seed_from_random_state
from clusterwhy.comparators._base import ComparatorMixin
from clusterwhy.comparators._relabel import Relabeller, make_relabeller

CLASSIFIER_STREAM = REFERENCE_STREAM + 1


class PermutationImportance(ComparatorMixin):
    """Feature importance by the share of labels that change when the feature is permuted.

    The clusterer's own ``predict`` says which, before and after. For a clusterer without one, and for labels that
    are given, a classifier that is trained on all the data with the labels takes its place.

    Parameters
    ----------
    clusterer : estimator, default=None
        Clusters all the data once; never changed. None is Ward clustering into 2. Not used when labels are given
        as `reference`.
    classifier : estimator, default=None
        Predicts labels where the clusterer cannot: any classifier. None is 30 bagged trees whose nodes look at all
        features, ``clusterwhy.native.RandomForest(30, max_features=None)``: a forest whose nodes look at few spreads
        its votes over so many features that to permute any one of them changes nothing.
    n_repeats : int, default=10
        Permutations of each feature.
    reference : {"full"} or array-like of shape (N,), default="full"
        The labels to explain: those of `clusterer`, or these (integers with -1 for noise, or strings).
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    n_jobs : int, default=None
        Workers (through joblib) for the features.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the permutations, a stream of its own for each feature, the classifier, and the clusterer where it has
        no seed of its own.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Share of the labels that change, from 0 to 1: the mean over observations and permutations.
    cluster_importances_ : ndarray of shape (K, M)
        The same within each cluster; rows in the order of ``classes_``.
    sample_importances_ : ndarray of shape (N, M)
        The same for each observation; NaN for noise.
    standard_errors_, cluster_standard_errors_ : ndarray of shape (M,), (K, M)
        ``sd / sqrt(N)`` over observations.
    monte_carlo_errors_, cluster_monte_carlo_errors_ : ndarray of shape (M,), (K, M)
        Standard error of the mean over permutations; NaN for a single one.
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
    For the nearest of K centres (k-means of scikit-learn and of this package, :class:`FuzzyCMeans`, and
    :class:`sklearn.neighbors.NearestCentroid` as the classifier) a feature costs O(N (K + n_repeats)): the
    change of its value at which an observation leaves its cluster is known, up to rounding. Where scores of clusters
    are sums over features (:class:`clusterwhy.datasets.GammaMixture`, :class:`sklearn.mixture.GaussianMixture` with
    diagonal or spherical covariances, :class:`sklearn.naive_bayes.GaussianNB`) one term is replaced, which costs
    O(N K n_repeats). In trees of this package, alone or in a forest, an observation goes down again only from the
    node of its path that splits on the feature: with T trees and paths of d nodes that is O(N T d^2 n_repeats) for
    all the features together, beside one walk of the paths for each 32 features, and O(T K) where another leaf is
    reached.
    Everything else predicts ``n_repeats * M`` copies of the data, some 64 MB at a time.

    Where clusters are told apart by many features at once, to permute one changes few labels or none: scores of
    exactly 0 are tied, and ``ranking_`` settles ties by position.

    References
    ----------
    .. [1] O. Pfaffel, "FeatureImpCluster: feature importance for partitional clustering", 2020, R package.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> from clusterwhy.comparators import PermutationImportance
    >>> X = np.random.default_rng(0).normal(size=(100, 3)) + np.repeat([[0, 0, 0], [9, 0, 0]], 50, axis=0)
    >>> PermutationImportance(KMeans(2, n_init=1), random_state=0).fit(X).feature_importances_.round(1)
    array([0.5, 0. , 0. ])
    """

    def __init__(
        self,
        clusterer: Any = None,
        classifier: Any = None,
        *,
        n_repeats: int = 10,
        reference: Any = "full",
        n_features_to_select: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.classifier = classifier
        self.n_repeats = n_repeats
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: Any) -> None:
        n_repeats, threads = check_count(self.n_repeats, "n_repeats"), n_threads(self.n_jobs)
        default = native.RandomForest(30, max_features=None)
        classifier = check_classifier(default if self.classifier is None else self.classifier)
        X = self._check_data(X)
        n_samples, n_features = X.shape
        seed = seed_from_random_state(self.random_state)
        codes = self._label(X, seed)
        predictor = vars(self).get("clusterer_")
        if not hasattr(predictor, "predict"):
            warn_coarse_features(X, classifier, self._names())
            known = codes >= 0
            copy = fresh(classifier, seed, CLASSIFIER_STREAM, keep_given=True)
            with single_threaded_libraries():
                predictor, _ = train(copy, X[known], codes[known].astype(np.int64), "all the data")
        with single_threaded_libraries():
            relabeller = make_relabeller(predictor, X)
        parts = blocks(n_features, 8 * n_repeats * n_samples)
        arguments = [(X, relabeller, codes, len(self.classes_), part, n_repeats, seed) for part in parts]
        samples = np.empty((n_samples, n_features))
        repeats = np.empty((n_repeats, len(self.classes_) + 1, n_features))
        found = run_blocks(
            permute, arguments, [len(part) for part in parts], n_jobs=self.n_jobs, description="permute"
        )
        for part, (of_samples, of_repeats) in zip(parts, found, strict=True):
            columns = slice(part.start, part.stop)
            samples[:, columns], repeats[:, :, columns] = of_samples, of_repeats
        self._score_samples(samples, codes, threads)
        errors = np.full(repeats.shape[1:], np.nan)
        if n_repeats > 1:
            errors = repeats.std(axis=0, ddof=1) / np.sqrt(n_repeats)
        self.monte_carlo_errors_, self.cluster_monte_carlo_errors_ = errors[-1], errors[:-1]


def permute(
    X: NDArray[Any],
    relabeller: Relabeller,
    codes: NDArray[np.int32],
    n_classes: int,
    features: range,
    n_repeats: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Permute some features.

    Returns rates of change of each observation (N, F), NaN for noise, and of each permutation within each cluster and
    over all (R, K + 1, F).
    """
    orders = _core.permutations(len(X), n_repeats, seed, features.start, features.stop)
    members = np.equal.outer(codes, np.arange(n_classes)).astype(np.float64)
    members = np.column_stack([members, codes >= 0])
    members /= members.sum(axis=0)
    samples = np.empty((len(X), len(features)))
    repeats = np.empty((n_repeats, n_classes + 1, len(features)))
    with single_threaded_libraries():
        for f, changed in enumerate(relabeller.changes(X, features, orders)):
            samples[:, f] = changed.mean(axis=0)
            repeats[:, :, f] = changed @ members
    samples[codes < 0] = np.nan
    return samples, repeats
