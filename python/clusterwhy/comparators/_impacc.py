"""Consensus clustering by minipatches, uniform or adaptive, with the features that tell its clusters apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from sklearn.preprocessing import StandardScaler

from clusterwhy import _core
from clusterwhy._fitting import check_clusterer, name_of
from clusterwhy._patches import Minipatches, pack_bits
from clusterwhy._validation import (
    check_count,
    check_nonnegative,
    check_patch_size,
    check_proportion,
    seed_from_random_state,
    warn_nothing_to_explain,
)
from clusterwhy._warnings import warn_user
from clusterwhy.comparators._base import ComparatorMixin

# Features in a minipatch where nothing else is asked for: this share, and no fewer unless that were more than half.
SHARE = 0.1
FEWEST = 5


@dataclass(frozen=True)
class DrawnMinipatches(Minipatches):
    """Minipatches that depend on what the earlier ones showed, and so are stored."""

    drawn_rows: NDArray[np.uint32] = field(kw_only=True, compare=False, repr=False)
    drawn_columns: NDArray[np.uint32] = field(kw_only=True, compare=False, repr=False)

    def _draw(self, start: int, stop: int, columns: bool) -> NDArray[np.int64]:
        return (self.drawn_columns if columns else self.drawn_rows)[start:stop].astype(np.int64)

    def _bits(self, start: int, stop: int, *, columns: bool) -> NDArray[np.uint64]:
        drawn = self._draw(start, stop, columns)
        mask = np.full((len(drawn), self.n_features if columns else self.n_samples), not columns)
        np.put_along_axis(mask, drawn, columns, axis=1)
        return pack_bits(mask)


class MPCC(ClusterMixin, ComparatorMixin):
    """Minipatch consensus clustering: uniform minipatches.

    Many minipatches, each some observations and some features, are clustered by Ward's method. The consensus of two
    observations is how often they fell into the same cluster, of the times that both were sampled. The final
    labels are Ward's, on the distances ``1 - consensus``. :class:`IMPACC` draws its minipatches better.

    Parameters
    ----------
    clusterer : estimator, default=None
        Only its number of clusters is used (``n_clusters``, also of a step of a pipeline): the method clusters by
        itself, and explains its own labels.
    n_clusters : int, default=None
        Clusters of the final labels. None is that of `clusterer`, or 2.
    max_iter : int, default=300
        The most minipatches.
    max_samples : float or int, default=0.25
        Observations in a minipatch, at least 3: a float is a fraction (rounded up), an int a count.
    max_features : float or int, default=None
        Features in a minipatch, likewise. None is a tenth of them, as published, but no fewer than 5 or, of fewer
        than 10, than half: among fewer there is next to nothing to compare.
    cut_quantile : float, default=0.95
        A minipatch's tree is cut at this quantile of the heights of its merges, whatever the number of clusters.
    support_fraction : float, default=0.05
        Share of a minipatch's features that gain support, those of the lowest p-values.
    n_iter_no_change : int, default=5
        Stop when the 90th percentile of the confusions moved by less than `tol` that many times in a row, all of them
        after every observation was seen. None never stops early: use it where clusters are so clear that there
        is hardly any confusion to watch.
    tol : float, default=1e-5
        See `n_iter_no_change`.
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the minipatches.

    Attributes
    ----------
    labels_, reference_labels_ : ndarray of shape (N,) of int64
        The final labels, ``0..K-1``, twice: they are what is explained.
    classes_ : ndarray of shape (K,)
        Their values.
    feature_importances_ : ndarray of shape (M,)
        In which share of the minipatches that held it a feature gained support: from 0 to 1, NaN for a feature
        that was in none.
    ranking_ : ndarray of shape (M,)
        1 is the most important.
    consensus_ : ndarray of shape (N, N)
        Of 8 N^2 bytes; 0 where two observations were never sampled together.
    confusion_ : ndarray of shape (N,)
        Mean of ``consensus * (1 - consensus)``: how hard an observation is to place.
    confusion_curve_ : ndarray of shape (`n_iter_`,)
        The 90th percentile of the confusions after each minipatch.
    n_iter_ : int
        Minipatches drawn; `max_iter` unless it stopped early.
    patches_ : Minipatches
        The minipatches: ``rows(b)``, ``columns(b)``, ``len()``.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    UserWarning
        When observations were in no minipatch (their labels mean nothing), or minipatches have a single feature (the
        scores mean nothing).

    See Also
    --------
    MPACC : Draws observations that are hard to place more often.
    IMPACC : Draws important features more often, too.

    Notes
    -----
    Features are standardised first. A feature gains support in a minipatch when its p-value in an F-test between the
    minipatch's clusters is at or below the `support_fraction` quantile of that minipatch's p-values. All features
    of a minipatch have the same degrees of freedom, so they are compared by F itself, which goes on telling them
    apart where p-values underflow. Gan and Allen score features for IMPACC only; the score here is the same share.

    The published R package clusters by Manhattan distances; this is Ward's method proper, on Euclidean distances.

    A minipatch costs O(n^2 m) for its n observations and m features, and the final labels O(N^2). Memory: 10 N^2
    bytes at the most.

    References
    ----------
    .. [1] L. Gan and G. I. Allen, "Fast and interpretable consensus clustering via minipatch learning", PLOS
       Computational Biology 18 (2022), e1010577.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from clusterwhy.comparators import MPCC
    >>> X, _ = make_blobs(60, n_features=4, centers=3, random_state=0)
    >>> model = MPCC(n_clusters=3, max_features=0.5, random_state=0).fit(X)
    >>> model.labels_.shape, model.consensus_.shape
    ((60,), (60, 60))
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        n_clusters: int | None = None,
        max_iter: int = 300,
        max_samples: float = 0.25,
        max_features: float | None = None,
        cut_quantile: float = 0.95,
        support_fraction: float = 0.05,
        n_iter_no_change: int | None = 5,
        tol: float = 1e-5,
        n_features_to_select: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.n_clusters = n_clusters
        self.max_iter = max_iter
        self.max_samples = max_samples
        self.max_features = max_features
        self.cut_quantile = cut_quantile
        self.support_fraction = support_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.n_features_to_select = n_features_to_select
        self.random_state = random_state

    def _fit(self, X: Any) -> None:
        params = self._core_params()
        X = self._check_data(X)
        n, m = X.shape
        if params["n_clusters"] > n:
            raise ValueError(f"n_clusters={params['n_clusters']} is more than there are observations, n_samples={n}")
        params["n_rows"] = check_patch_size(self.max_samples, n, "max_samples", "observations")
        params["n_columns"] = self._n_columns(m)
        if params["n_rows"] < 3:
            raise ValueError(
                f"max_samples={self.max_samples!r} of {n} observations makes minipatches of {params['n_rows']}, "
                "and fewer than 3 have no clusters to tell apart; raise max_samples"
            )
        seed = seed_from_random_state(self.random_state)
        found = _core.minipatch_consensus(_standardise(X), params, seed)
        self._present(found, seed)
        warn_nothing_to_explain(X, self.classes_)
        never = int((found["rows_sampled"] == 0).sum())
        if never:
            warn_user(
                f"{never} observations were in no minipatch, and their labels mean nothing; raise max_samples or "
                "max_iter, or use MPACC or IMPACC, which show every observation"
            )
        if params["n_columns"] == 1:
            warn_user(
                f"max_features={self.max_features!r} of {m} features makes minipatches of one feature, which always "
                "gains support: the scores mean nothing; raise max_features"
            )

    def _n_columns(self, n_features: int) -> int:
        if self.max_features is not None:
            return check_patch_size(self.max_features, n_features, "max_features", "features")
        return max(math.ceil(SHARE * n_features), min(FEWEST, math.ceil(n_features / 2)))

    def _core_params(self) -> dict[str, Any]:
        """Check the parameters that do not depend on the data, and name them as the core does."""
        patience = self.n_iter_no_change
        return {
            "n_clusters": self._resolve_n_clusters(),
            "max_iter": check_count(self.max_iter, "max_iter"),
            "cut_quantile": check_proportion(self.cut_quantile, "cut_quantile"),
            "support": check_proportion(self.support_fraction, "support_fraction"),
            "n_iter_no_change": None if patience is None else check_count(patience, "n_iter_no_change"),
            "tol": check_nonnegative(self.tol, "tol"),
            "burn_in": None,
        }

    def _resolve_n_clusters(self) -> int:
        if self.n_clusters is not None:
            return check_count(self.n_clusters, "n_clusters")
        if self.clusterer is None:
            return 2
        clusterer = check_clusterer(self.clusterer)
        params = clusterer.get_params() if hasattr(clusterer, "get_params") else vars(clusterer)
        found = [value for name, value in params.items() if name.split("__")[-1] == "n_clusters"]
        if len(found) != 1 or found[0] is None:
            raise ValueError(
                f"{name_of(self)} takes only the number of clusters from its clusterer, and {name_of(clusterer)} "
                "does not say one; pass n_clusters"
            )
        return check_count(found[0], f"n_clusters of {name_of(clusterer)}")

    def _present(self, found: dict[str, NDArray[Any]], seed: int) -> None:
        """Set what was found as fitted."""
        self.labels_ = self.reference_labels_ = found["labels"]
        self.classes_ = np.unique(self.labels_)
        with np.errstate(invalid="ignore"):
            self._score(found["support"] / found["columns_sampled"])
        self.consensus_ = found["consensus"]
        self.confusion_ = found["confusion"]
        self.confusion_curve_ = found["confusion_curve"]
        self.n_iter_ = len(self.confusion_curve_)
        self.patches_ = self._patches(found["rows"], found["columns"], seed)

    def _patches(self, rows: NDArray[np.uint32], columns: NDArray[np.uint32], seed: int) -> Minipatches:
        n_patches, n_rows = rows.shape
        return Minipatches(len(self.labels_), self.n_features_in_, n_patches, n_rows, columns.shape[1], seed)


class MPACC(MPCC):
    """Minipatch adaptive consensus clustering: observations that are hard to place are drawn more often.

    As :class:`MPCC`, after a stage of random partitions that show every observation and every feature. An
    observation's weight follows its confusion, ``w <- alpha w + (1 - alpha) u / sum(u)``, where ``u`` is its
    confusion divided by the times that it was sampled. Of those with high weights, a share that rises from 1/2
    towards 1 is drawn into each minipatch by weight (as far as they fit), the rest of it uniformly from the others.

    Parameters
    ----------
    clusterer : estimator, default=None
        Only its number of clusters is used (``n_clusters``, also of a step of a pipeline): the method clusters by
        itself, and explains its own labels.
    n_clusters : int, default=None
        Clusters of the final labels. None is that of `clusterer`, or 2.
    max_iter : int, default=300
        The most adaptive minipatches.
    max_samples : float or int, default=0.25
        Observations in a minipatch, at least 3: a float is a fraction (rounded up), an int a count.
    max_features : float or int, default=None
        Features in a minipatch, as in :class:`MPCC`; drawn uniformly.
    cut_quantile : float, default=0.95
        A minipatch's tree is cut at this quantile of the heights of its merges, whatever the number of clusters.
    support_fraction : float, default=0.05
        Share of a minipatch's features that gain support, those of the lowest p-values.
    burn_in : int, default=3
        How often, at least, the partitions show every observation and feature before draws adapt.
    alpha : float, default=0.5
        What weights keep of themselves at each minipatch.
    sample_quantile : float, default=0.95
        Weights are high from this quantile of them on.
    n_iter_no_change : int, default=5
        Stop when the 90th percentile of the confusions moved by less than `tol` that many times in a row. None never
        stops early.
    tol : float, default=1e-5
        See `n_iter_no_change`.
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the minipatches.

    Attributes
    ----------
    sample_weights_ : ndarray of shape (N,)
        The weights behind the last draw.
    n_iter_ : int
        Adaptive minipatches drawn; `max_iter` unless it stopped early.
    patches_ : Minipatches
        The minipatches of the partitions, and then the `n_iter_` adaptive ones. Stored, in 4 (n + m) bytes each.
    labels_, reference_labels_, classes_, feature_importances_, ranking_, consensus_, confusion_, confusion_curve_
        As in :class:`MPCC`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    MPCC : Uniform minipatches; cost and how features gain support.
    IMPACC : Draws important features more often, too.

    References
    ----------
    .. [1] L. Gan and G. I. Allen, "Fast and interpretable consensus clustering via minipatch learning", PLOS
       Computational Biology 18 (2022), e1010577.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from clusterwhy.comparators import MPACC
    >>> X, _ = make_blobs(60, n_features=4, centers=3, random_state=0)
    >>> model = MPACC(n_clusters=3, max_features=0.5, random_state=0).fit(X)
    >>> model.sample_weights_.shape
    (60,)
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        n_clusters: int | None = None,
        max_iter: int = 300,
        max_samples: float = 0.25,
        max_features: float | None = None,
        cut_quantile: float = 0.95,
        support_fraction: float = 0.05,
        burn_in: int = 3,
        alpha: float = 0.5,
        sample_quantile: float = 0.95,
        n_iter_no_change: int | None = 5,
        tol: float = 1e-5,
        n_features_to_select: float | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            clusterer,
            n_clusters=n_clusters,
            max_iter=max_iter,
            max_samples=max_samples,
            max_features=max_features,
            cut_quantile=cut_quantile,
            support_fraction=support_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            n_features_to_select=n_features_to_select,
            random_state=random_state,
        )
        self.burn_in = burn_in
        self.alpha = alpha
        self.sample_quantile = sample_quantile

    def _core_params(self) -> dict[str, Any]:
        return {
            **super()._core_params(),
            "burn_in": check_count(self.burn_in, "burn_in"),
            "alpha": check_proportion(self.alpha, "alpha"),
            "sample_quantile": check_proportion(self.sample_quantile, "sample_quantile"),
            "feature_deviations": None,
        }

    def _present(self, found: dict[str, NDArray[Any]], seed: int) -> None:
        super()._present(found, seed)
        self.sample_weights_ = found["row_weights"]

    def _patches(self, rows: NDArray[np.uint32], columns: NDArray[np.uint32], seed: int) -> Minipatches:
        sizes = vars(super()._patches(rows, columns, seed))
        return DrawnMinipatches(**sizes, drawn_rows=rows, drawn_columns=columns)


class IMPACC(MPACC):
    """Interpretable minipatch adaptive consensus clustering: important features are drawn more often, too.

    As :class:`MPACC`, and likewise for features: a feature's weight follows its score, ``v <- alpha v + (1 - alpha)
    score``, and weights are high that are `feature_deviations` standard deviations above their mean.

    Parameters
    ----------
    clusterer : estimator, default=None
        Only its number of clusters is used (``n_clusters``, also of a step of a pipeline): the method clusters by
        itself, and explains its own labels.
    n_clusters : int, default=None
        Clusters of the final labels. None is that of `clusterer`, or 2.
    max_iter : int, default=300
        The most adaptive minipatches.
    max_samples : float or int, default=0.25
        Observations in a minipatch, at least 3: a float is a fraction (rounded up), an int a count.
    max_features : float or int, default=None
        Features in a minipatch, likewise. None is a tenth of them, as published, but no fewer than 5 or, of fewer
        than 10, than half: among fewer there is next to nothing to compare.
    cut_quantile : float, default=0.95
        A minipatch's tree is cut at this quantile of the heights of its merges, whatever the number of clusters.
    support_fraction : float, default=0.05
        Share of a minipatch's features that gain support, those of the lowest p-values.
    burn_in : int, default=3
        How often, at least, random partitions show every observation and feature before draws adapt.
    alpha : float, default=0.5
        What weights keep of themselves at each minipatch.
    sample_quantile : float, default=0.95
        Weights of observations are high from this quantile of them on.
    feature_deviations : float, default=1.0
        Weights of features are high that many standard deviations above their mean.
    n_iter_no_change : int, default=5
        Stop when the 90th percentile of the confusions moved by less than `tol` that many times in a row. None never
        stops early.
    tol : float, default=1e-5
        See `n_iter_no_change`.
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the minipatches.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        The score: in which share of the minipatches that held it a feature gained support, from 0 to 1.
    feature_weights_ : ndarray of shape (M,)
        The weights behind the last draw, a moving average of the score.
    sample_weights_ : ndarray of shape (N,)
        The weights behind the last draw.
    n_iter_, patches_
        As in :class:`MPACC`.
    labels_, reference_labels_, classes_, ranking_, consensus_, confusion_, confusion_curve_
        As in :class:`MPCC`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    MPCC : Uniform minipatches; cost and how features gain support.
    MPACC : Uniform features.

    Notes
    -----
    Minipatches depend on one another, so that they cannot be shared out over cores.

    A minipatch of up to 20 features supports only one of them, and the important ones compete for it: with few
    features, scores say how often a feature is the best of its minipatch.

    References
    ----------
    .. [1] L. Gan and G. I. Allen, "Fast and interpretable consensus clustering via minipatch learning", PLOS
       Computational Biology 18 (2022), e1010577.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterwhy.comparators import IMPACC
    >>> X = np.random.default_rng(1).normal(size=(90, 100))
    >>> X[:45, :10] += 5
    >>> model = IMPACC(n_clusters=2, n_features_to_select=5, random_state=0).fit(X)
    >>> model.get_support(indices=True)
    array([0, 1, 5, 8, 9])
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        n_clusters: int | None = None,
        max_iter: int = 300,
        max_samples: float = 0.25,
        max_features: float | None = None,
        cut_quantile: float = 0.95,
        support_fraction: float = 0.05,
        burn_in: int = 3,
        alpha: float = 0.5,
        sample_quantile: float = 0.95,
        feature_deviations: float = 1.0,
        n_iter_no_change: int | None = 5,
        tol: float = 1e-5,
        n_features_to_select: float | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            clusterer,
            n_clusters=n_clusters,
            max_iter=max_iter,
            max_samples=max_samples,
            max_features=max_features,
            cut_quantile=cut_quantile,
            support_fraction=support_fraction,
            burn_in=burn_in,
            alpha=alpha,
            sample_quantile=sample_quantile,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            n_features_to_select=n_features_to_select,
            random_state=random_state,
        )
        self.feature_deviations = feature_deviations

    def _core_params(self) -> dict[str, Any]:
        deviations = check_nonnegative(self.feature_deviations, "feature_deviations")
        return {**super()._core_params(), "feature_deviations": deviations}

    def _present(self, found: dict[str, NDArray[Any]], seed: int) -> None:
        super()._present(found, seed)
        self.feature_weights_ = found["column_weights"]


def _standardise(X: NDArray[Any]) -> NDArray[np.float64]:
    """Give every feature mean 0 and variance 1; a constant becomes 0."""
    return np.ascontiguousarray(StandardScaler().fit_transform(X.astype(np.float64)))
