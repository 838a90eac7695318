"""FCM-SHAP: Shapley values of each observation's fuzzy c-means membership in its own cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import pinvh
from scipy.special import comb

from clusterwhy import _core
from clusterwhy._tables import is_constant, of_features
from clusterwhy._validation import check_count, check_option, n_threads, seed_from_random_state
from clusterwhy._warnings import warn_user
from clusterwhy.comparators._base import ComparatorMixin
from clusterwhy.comparators._centers import feature_scaling, numbered_centers, scaled
from clusterwhy.comparators._fuzzy_c_means import FuzzyCMeans, check_fuzziness, memberships, squared_distances

METHODS = ("auto", "exact", "permutation", "kernel")
# Features whose coalitions "auto" enumerates, and those that "exact" can.
AUTO_EXACT = 14
MAX_EXACT = 20
# Bytes of distances that the kernel method holds at a time.
KERNEL_BYTES = 2**26
# How far memberships must be above equal shares, as a part of these, to say anything.
LOW_LEAD = 0.02
# Eigenvalues of the least squares below this share of the largest are 0.
RANK = 1e-10


class FuzzyCMeansSHAP(ComparatorMixin):
    """Feature importance by Shapley values of fuzzy c-means memberships.

    The value of a coalition of features is the membership of an observation in its own cluster when the other
    features take a baseline value. Memberships are proportional to ``d**(-2 / (m - 1))``, d the distance to a
    centre: those of the clusterer, or the means of the clusters.

    Parameters
    ----------
    clusterer : estimator, default=None
        Clusters all the data once; never changed. Its ``cluster_centers_`` are the centres where it has them for
        its labels. Of a pipeline that only scales features before it clusters, the memberships take over the
        scaling. None is :class:`FuzzyCMeans` with 2 clusters.
    method : {"auto", "exact", "permutation", "kernel"}, default="auto"
        "exact" enumerates all coalitions (at most 20 features); "permutation" lets features join in random orders,
        each of them forwards and backwards; "kernel" fits weighted least squares to the values of random
        coalitions and their complements, the same for all observations. "auto" is "exact" for up to 14 features,
        else "permutation".
    fuzziness : float, default=2.0
        The exponent m of fuzzy c-means, above 1.
    baseline : array-like of shape (M,), default=None
        What absent features are taken to be; None is the mean of the data.
    n_permutations : int, default=10
        Random orders for each observation. Only for "permutation".
    n_coalitions : int, default=None
        Coalitions, half of them complements; all of them if there are no more. None is ``2 M + 2048``. Only for
        "kernel".
    reference : {"full"} or array-like of shape (N,), default="full"
        The labels to explain: those of `clusterer`, or these (integers with -1 for noise, or strings), whose means
        are the centres.
    n_features_to_select : int or float, default=None
        How many features ``transform`` keeps; None is half.
    n_jobs : int, default=None
        Threads; they change no bit of the result.
    random_state : int, RandomState instance, Generator or None, default=None
        Seeds the orders or coalitions, and the clusterer where it has no seed of its own.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Mean of ``|sample_importances_|``: that of the clusters, weighted by their sizes.
    cluster_importances_ : ndarray of shape (K, M)
        The same within each cluster; rows in the order of ``classes_``.
    sample_importances_ : ndarray of shape (N, M)
        Shapley values, signed; a row sums to the membership less its base value. NaN for noise.
    base_values_ : ndarray of shape (N,)
        Membership of the baseline in the cluster of each observation; NaN for noise.
    standard_errors_, cluster_standard_errors_ : ndarray of shape (M,), (K, M)
        ``sd / sqrt(N)`` over the observations' absolute values.
    monte_carlo_errors_, cluster_monte_carlo_errors_ : ndarray of shape (M,), (K, M)
        What more orders would still change, to first order; NaN for a single order, 0 for "exact", not defined for
        "kernel". The mean of absolute values is too large besides, as noise has no sign.
    cluster_centers_ : ndarray of shape (K', M)
        The centres: those of the clusterer, also of clusters that nobody is in, or the means; scaled where the data
        are.
    scaling_ : Pipeline or None
        What the clusterer's pipeline does to each feature before it clusters, and was done here.
    clusterer_ : estimator
        The fitted clusterer; not set when labels were given.
    method_ : str
        The method that "auto" chose.
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
    To let a feature join changes K distances, whatever the others: an observation costs O(2**M (K + M)) by "exact"
    and O(n_permutations M K) by "permutation". "kernel" costs O(n_coalitions N M K) as products of matrices; with
    hundreds of features its values are mostly noise unless there are many more coalitions than the default. The
    scales of the features matter: standardise them first, or in the clusterer's pipeline.

    References
    ----------
    .. [1] G. Nápoles, N. Griffioen, S. Khoshrou and Ç. Güven, "Feature importance for clustering", CIARP 2023,
       LNCS 14469, 31-45 (the second of its algorithms; FCM-SHAP in the paper of Cluster LOCO).
    .. [2] Mitchell, Cooper, Frank and Holmes, "Sampling permutations for Shapley value estimation", JMLR 23 (2022).
    .. [3] Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017, theorem 2.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterwhy.comparators import FuzzyCMeansSHAP
    >>> X = np.array([[0.0, 1.0], [0.0, 2.0], [4.0, 1.0], [4.0, 4.0]])
    >>> shap = FuzzyCMeansSHAP(reference=[0, 0, 1, 1]).fit(X)
    >>> shap.feature_importances_.round(2)
    array([0.45, 0.04])
    """

    def __init__(
        self,
        clusterer: Any = None,
        *,
        method: str = "auto",
        fuzziness: float = 2.0,
        baseline: Any = None,
        n_permutations: int = 10,
        n_coalitions: int | None = None,
        reference: Any = "full",
        n_features_to_select: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.clusterer = clusterer
        self.method = method
        self.fuzziness = fuzziness
        self.baseline = baseline
        self.n_permutations = n_permutations
        self.n_coalitions = n_coalitions
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.n_jobs = n_jobs
        self.random_state = random_state

    def to_shap(self, X: Any = None) -> Any:
        """Return the sample scores as a :class:`shap.Explanation`, for any of shap's plots.

        They are additive: a row and its base value sum to the observation's membership in its cluster.

        Parameters
        ----------
        X : array-like of shape (N, M), optional
            The data, to colour the plots by.

        Returns
        -------
        shap.Explanation
            ``values`` of shape (N, M); NaN scores become 0.

        Raises
        ------
        ImportError
            When shap is not installed.
        """
        explanation = super().to_shap(X)
        explanation.base_values = np.nan_to_num(self.base_values_)
        return explanation

    def _default_clusterer(self) -> Any:
        return FuzzyCMeans(fuzziness=self.fuzziness)

    def _fit(self, X: Any) -> None:
        method = check_option(self.method, "method", METHODS)
        fuzziness, threads = check_fuzziness(self.fuzziness), n_threads(self.n_jobs)
        n_permutations = check_count(self.n_permutations, "n_permutations")
        if self.n_coalitions is not None:
            check_count(self.n_coalitions, "n_coalitions")
        X = self._check_data(X)
        n_features = X.shape[1]
        if method == "auto":
            method = "exact" if n_features <= AUTO_EXACT else "permutation"
        if method == "exact" and n_features > MAX_EXACT:
            raise ValueError(
                f"method='exact' enumerates 2**M coalitions, of at most {MAX_EXACT} features, got {n_features}; "
                "use method='permutation'"
            )
        seed = seed_from_random_state(self.random_state)
        codes = self._label(X, seed)
        fitted = vars(self).get("clusterer_")
        self.scaling_ = feature_scaling(fitted)
        baseline = scaled(self.scaling_, self._read_baseline(X.astype(np.float64))[None])[0]
        X = np.ascontiguousarray(scaled(self.scaling_, X))
        centers = numbered_centers(fitted, self.classes_, n_features)
        # Centres that nobody is nearest to have their share of every membership all the same.
        own = codes if centers is None else np.where(codes < 0, codes, self.classes_[codes]).astype(np.int32)
        if centers is None:
            centers = np.array([X[codes == k].mean(axis=0) for k in range(len(self.classes_))])
        with np.errstate(over="ignore"):
            at_baseline = squared_distances(baseline[None], centers)
            finite = np.isfinite(squared_distances(X, centers)).all() and np.isfinite(at_baseline).all()
        if not finite:
            raise ValueError("squared distances to the centres overflow; scale the features of X, or its baseline")
        known = np.flatnonzero(own >= 0)
        shares = memberships(squared_distances(X[known], centers), fuzziness)[np.arange(len(known)), own[known]]
        if not is_constant(X) and np.median(shares) < (1 + LOW_LEAD) / len(centers):
            warn_user(
                "the memberships of most observations in their own clusters are no more than their equal shares, "
                f"1 / {len(centers)}: the centres meet, or the labels are of others, and the values explain rounding "
                "or chance; lower the fuzziness, standardize the features or take KMeans as the clusterer"
            )
        spreads = None
        if method == "kernel":
            coalitions, weights = draw_coalitions(n_features, self.n_coalitions, seed)
            values = kernel_shapley(X, centers, baseline, own, fuzziness, coalitions, weights)
        else:
            game = (X, centers, baseline, own, 1 / (fuzziness - 1))
            if method == "exact":
                values = _core.exact_shapley(*game, threads)
                spreads = np.zeros_like(values)
            else:
                values, spreads = _core.permutation_shapley(*game, n_permutations, seed, threads)
        self._score_samples(np.abs(values), codes, threads)
        self.sample_importances_ = values
        self.base_values_ = np.where(codes < 0, np.nan, memberships(at_baseline, fuzziness)[0, own])
        self.cluster_centers_ = centers
        self.method_ = method
        if spreads is not None:
            groups = [codes == k for k in range(len(self.classes_))] + [codes >= 0]
            errors = np.array([np.sqrt(spreads[group].sum(axis=0)) / group.sum() for group in groups])
            self.monte_carlo_errors_, self.cluster_monte_carlo_errors_ = errors[-1], errors[:-1]

    def _read_baseline(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.baseline is None:
            return np.asarray(X.mean(axis=0))
        names = getattr(self, "feature_names_in_", None)
        columns = list(range(X.shape[1])) if names is None else list(names)
        given = of_features(self.baseline, "baseline", columns, named=names is not None)
        try:
            baseline = np.array(given, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise TypeError(
                f"baseline must be None or numbers, one for each feature, got {self.baseline!r}"
            ) from error
        if baseline.shape != (X.shape[1],) or not np.isfinite(baseline).all():
            raise ValueError(
                f"baseline must have a finite value for each feature, shape ({X.shape[1]},), got "
                + (f"shape {baseline.shape}" if baseline.shape != (X.shape[1],) else f"{self.baseline!r}")
            )
        return baseline


def draw_coalitions(
    n_features: int, n_coalitions: int | None, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return coalitions (S, M), neither empty nor full, and their weights in the least squares.

    All of them, by the Shapley kernel, if they are no more than asked for; else pairs of complements whose sizes
    follow the kernel at equal steps of its distribution and whose members are random, with equal weights.
    """
    wanted = 2 * n_features + 2048 if n_coalitions is None else n_coalitions
    sizes = np.arange(1, n_features)
    if n_features <= MAX_EXACT and 2**n_features - 2 <= wanted:
        sets = np.arange(1, 2**n_features - 1)[:, None] >> np.arange(n_features) & 1
        kernel = 1 / (comb(n_features, sizes) * sizes * (n_features - sizes))
        return sets.astype(bool), kernel[sets.sum(axis=1) - 1]
    if wanted < 2 * n_features:
        raise ValueError(
            f"n_coalitions must be at least twice the number of features, {2 * n_features}, or all, got {wanted}"
        )
    pairs = wanted // 2
    share = np.cumsum(1 / (sizes * (n_features - sizes)))
    drawn = sizes[np.searchsorted(share, (np.arange(pairs) + 0.5) / pairs * share[-1])]
    orders = _core.permutations(n_features, pairs, seed, 0, 1)[0]
    # The members are those that an order puts first.
    half = orders < drawn[:, None]
    return np.concatenate([half, ~half]), np.ones(2 * pairs)


def kernel_shapley(
    X: NDArray[np.float64],
    centers: NDArray[np.float64],
    baseline: NDArray[np.float64],
    codes: NDArray[np.int32],
    fuzziness: float,
    coalitions: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Fit Shapley values (N, M) to the values of coalitions by weighted least squares; NaN for noise.

    What each feature has beyond an equal share of the whole sums to 0, as do the rows of the centred design: its
    solution of least norm meets that constraint.
    """
    n_features = X.shape[1]
    sets = coalitions.astype(np.float64)
    fractions = sets.mean(axis=1)
    design = sets - fractions[:, None]
    # The direction in which all features move together has no eigenvalue but rounding.
    solve = pinvh(design.T @ (weights[:, None] * design), rtol=RANK) @ (design.T * weights)
    absent = np.square(baseline - centers)
    start = absent.sum(axis=1)
    out = np.full(X.shape, np.nan)
    members = np.flatnonzero(codes >= 0)
    width = max(1, KERNEL_BYTES // (8 * len(centers) * max(len(sets), n_features)))
    for first in range(0, len(members), width):
        rows = members[first : first + width]
        changes = np.square(X[rows, None] - centers) - absent
        joined = np.concatenate([np.zeros((1, n_features)), np.ones((1, n_features)), sets])
        # Sums of changes may round to less than 0.
        squared = np.maximum(start + np.einsum("sm,nkm->snk", joined, changes, optimize=True), 0.0)
        own = np.take_along_axis(memberships(squared, fuzziness), codes[rows][None, :, None], axis=-1)[..., 0]
        gain = own[1] - own[0]
        excess = own[2:] - own[0] - fractions[:, None] * gain
        out[rows] = (gain / n_features + solve @ excess).T
    return out
