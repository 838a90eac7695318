"""Cluster LOCO-MP: leave-one-covariate-out scores from an ensemble of minipatches."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted

from clusterwhy._chance import warn_chance
from clusterwhy._checkpoint import Checkpoint, read_identity
from clusterwhy._engine import ENGINES, EngineChoice, choose_engine
from clusterwhy._ensemble import SklearnEngine
from clusterwhy._growth import Convergence, Engine, GrowingEnsemble, Grown, Target, grow_until
from clusterwhy._identity import Identity, describe, describe_data, describe_estimator, refuse_differences, versions
from clusterwhy._importances import check_selection
from clusterwhy._inference import rank_features
from clusterwhy._loco import LOCOMixin
from clusterwhy._native_ensemble import NativeEngine
from clusterwhy._parallel import data_on_workers
from clusterwhy._patches import Minipatches, enough_patches, pack_bits
from clusterwhy._precision import warn_coarse_features
from clusterwhy._progress import Progress, ReportsProgress
from clusterwhy._reference import (
    check_reference,
    clusterer_of_all_data,
    given_labels,
    is_labels,
    reference_from_all_data,
)
from clusterwhy._scores import Loss, check_loss, prepare, score_ensemble, summarise, try_loss
from clusterwhy._tables import shown
from clusterwhy._validation import (
    check_count,
    check_data,
    check_flag,
    check_nonnegative,
    check_option,
    check_patch_size,
    check_path,
    check_verbose,
    decode_labels,
    n_threads,
    seed_from_random_state,
    warn_nothing_to_explain,
)
from clusterwhy._warnings import warn_user

# A set of features is only scored when at least so many minipatches hold none of it.
MIN_ELIGIBLE = 5
# Below this agreement of consensus and reference a fit warns that it explains something else.
MIN_AGREEMENT = 0.8
# The same of a cluster's own observations.
MIN_KEPT = 0.2
# Features whose scores n_patches="auto" makes precise, where n_features_to_select does not say.
TOP = 10


@dataclass(frozen=True)
class Settings:
    """Parameters of a fit, checked."""

    clusterer: Any
    classifier: Any
    #: What clusters all the data for the reference, if anything does.
    whole: Any
    loss: Loss
    engine: str
    barrier: float
    keep_samples: bool
    n_jobs: int | None
    threads: int
    verbose: int

    def choose_engine(self, X: Any, n_columns: int, workers: ExitStack) -> tuple[EngineChoice, Engine]:
        """Decide, before anything is fitted, where minipatches of so many features run, and take the data there."""
        if self.keep_samples:
            check_room_for_samples(*X.shape)
        choice, native = choose_engine(self.engine, self.clusterer, self.classifier, X, n_columns)
        if self.verbose:
            print(f"clusterwhy: engine {choice!r}")
        engine: SklearnEngine | NativeEngine
        if native is None:
            engine = SklearnEngine(X, self.clusterer, self.classifier, self.n_jobs)
        else:
            engine = NativeEngine(X, *native, self.threads)
        workers.enter_context(data_on_workers(engine.X))
        return choice, engine

    def score(self, grown: Grown) -> dict[str, Any]:
        """Score an ensemble."""
        return score_ensemble(
            grown.ensemble,
            grown.consensus,
            self.loss,
            barrier=self.barrier,
            threads=self.threads,
            keep_samples=self.keep_samples,
        )


def lost_labels(
    found: NDArray[np.int32], reference: NDArray[np.int32], classes: NDArray[Any], where: str
) -> list[str]:
    """Say which labels no observation is `found` to have, and which only others than those of the reference."""
    codes = np.arange(len(classes))
    given = np.isin(codes, found)
    kept = np.isin(codes, found[found == reference])
    # Parts that do not overlap leave some without a reference: nothing says that these are of another label.
    known = np.isin(codes, reference)
    parts = []
    for lost, what in (
        (~given, "no observation keeps the label {} {}, so that its scores are NaN"),
        (
            given & known & ~kept,
            "no observation keeps the label {} {}, and its scores are of others that are given it",
        ),
    ):
        if lost.any():
            parts.append(what.format(shown([repr(label) for label in classes[lost].tolist()]), where))
    return parts


def warn_clusters(consensus: NDArray[np.int32], reference: NDArray[np.int32], classes: NDArray[Any]) -> None:
    """Warn when the minipatches do not find the clusters that they were aligned to."""
    share = (consensus == reference)[reference >= 0].mean()
    parts = lost_labels(consensus, reference, classes, "in the consensus")
    members = np.bincount(reference[reference >= 0], minlength=len(classes))
    kept = np.bincount(consensus[(consensus == reference) & (reference >= 0)], minlength=len(classes))
    shrunken = (kept > 0) & (kept < MIN_KEPT * members)
    if shrunken.any():
        few = (f"{kept[k]} of {members[k]} keep the label {classes[k].item()!r}" for k in np.flatnonzero(shrunken))
        parts.append(f"of the observations with a label, only {shown(list(few))}")
    if share < MIN_AGREEMENT:
        parts.append(f"the consensus agrees with the reference for {100 * share:.0f}% of the observations only")
    if not parts:
        return
    warn_user(
        f"the clusters of the minipatches are not quite those of the reference: {'; '.join(parts)}. The scores "
        "explain the consensus (labels_). Check that the clusterer's parameters suit minipatches (distances shrink "
        "with the number of features, so eps, bandwidths and thresholds must too), or use larger ones (max_samples, "
        "max_features)."
    )


class MinipatchMixin(ReportsProgress, LOCOMixin):
    """Checks and questions that LOCO-MP and RAMPART share."""

    _default_classifier: ClassVar[Callable[[], Any]] = DecisionTreeClassifier

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = accept_sparse(self.clusterer, self.reference)
        tags.input_tags.allow_nan = self._accepts_nan()
        return tags

    def _check_settings(self) -> Settings:
        check_reference(self.reference)
        check_path(self.checkpoint, "checkpoint")
        estimators = self._estimators()
        return Settings(
            **estimators,
            whole=clusterer_of_all_data(self.reference, estimators["clusterer"]),
            loss=check_loss(self.loss),
            engine=check_option(self.engine, "engine", ENGINES),
            barrier=check_nonnegative(self.variance_barrier, "variance_barrier"),
            keep_samples=check_flag(self.store_sample_importances, "store_sample_importances"),
            n_jobs=self.n_jobs,
            threads=n_threads(self.n_jobs),
            verbose=check_verbose(self.verbose),
        )

    def _check_target(self, n_top: int, max_seconds: float | None = None) -> Target:
        """Return how far the ensemble is to grow; `n_top` scores are to be precise."""
        auto = isinstance(self.n_patches, str)
        if auto and self.n_patches != "auto":
            raise ValueError(f"n_patches must be an integer or 'auto', got {self.n_patches!r}")
        return Target(
            n_patches=None if auto else check_count(self.n_patches, "n_patches"),
            tol=check_nonnegative(self.tol, "tol"),
            max_patches=check_count(self.max_patches, "max_patches"),
            max_seconds=None if max_seconds is None else check_nonnegative(max_seconds, "max_seconds"),
            n_top=n_top,
            can_go_on=hasattr(self, "warm_start"),
        )

    def _settle_seed(self, before: Grown | None = None) -> int:
        """Return the seed; an earlier fit's or a checkpoint's, where `random_state` would draw another."""
        drawn = not isinstance(self.random_state, numbers.Integral)
        if before is not None and drawn:
            return before.patches.seed
        if self.checkpoint is not None and self.random_state is None:
            identity = read_identity(self.checkpoint)
            if identity is not None and identity.get("random_state", "").isdigit():
                return int(identity["random_state"])
        return seed_from_random_state(self.random_state)

    def _identity(self, X: Any, settings: Settings, engine: str, design: Minipatches) -> Identity:
        """Describe all that minipatches depend on, besides their number."""
        reference = np.asarray(self.reference) if is_labels(self.reference) else self.reference
        return {
            **versions(),
            "X": describe_data(X),
            "feature_names_in_": describe(vars(self).get("feature_names_in_")),
            **describe_estimator("clusterer", settings.clusterer),
            **describe_estimator("classifier", settings.classifier),
            "max_samples": f"{design.n_rows} of {design.n_samples}",
            "max_features": f"{design.n_columns} of {design._n_active}",
            **describe_estimator("reference", reference),
            "engine": str(engine),
            "random_state": str(design.seed),
        }

    def _adopt_ensemble(self, grown: Grown, engine: EngineChoice, loss: Loss) -> None:
        consensus = grown.consensus
        self.patches_ = grown.patches
        self.engine_ = engine
        self.classes_ = grown.classes
        self.reference_labels_ = decode_labels(grown.reference, grown.classes)
        self.labels_ = decode_labels(consensus, grown.classes)
        self.label_stability_ = grown.stability
        self._ensemble_ = grown.ensemble
        self._codes_ = consensus
        self._loss_ = loss

    def _warn_of_clusters(self, X: Any, grown: Grown, settings: Settings) -> None:
        """Warn, once, when there is little or nothing to explain."""
        if not warn_nothing_to_explain(X, grown.classes):
            warn_coarse_features(X, settings.classifier, self._names())
            warn_clusters(grown.consensus, grown.reference, grown.classes)
            advice = ", and try larger minipatches (max_samples, max_features)"
            given = None if isinstance(self.reference, str) else grown.reference
            warn_chance(self.loo_proba_, grown.consensus, given, advice)

    # ------------------------------------------------------------------ sets of features

    def group_importance(self, groups: Any, *, return_counts: bool = False) -> Any:
        """Score sets of features: what is lost when none of a set is available.

        Gene sets, one-hot columns or correlated blocks. Nothing is fitted again: the minipatches that hold
        none of the set stand for its absence.

        Parameters
        ----------
        groups : list of lists, or dict of lists
            Each a set of feature names or positions.
        return_counts : bool, default=False
            Also return how many minipatches hold none of each set.

        Returns
        -------
        importances : ndarray of shape (n_groups,)
            In the order of `groups`, on the scale of ``feature_importances_``.
        counts : ndarray of shape (n_groups,)
            Only with `return_counts`.

        Raises
        ------
        ValueError
            When fewer than 5 minipatches hold none of a set; the message says how many there were.
        """
        check_is_fitted(self)
        labels, members = self._feature_sets(groups, "groups")
        touched, counts = self._absences(labels, members, "group")
        scores = self._score_absences(touched)
        return (scores, counts) if return_counts else scores

    def _score_sets(self, labels: list[Any], members: list[NDArray[np.int64]], kind: str) -> NDArray[np.float64]:
        return self._score_absences(self._absences(labels, members, kind)[0])

    def _score_absences(self, touched: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Score sets of which `touched` (B, n) says which minipatches hold any."""
        if touched.shape[1] == 0:
            return np.empty(0)
        threads, loss = n_threads(self.n_jobs), self._loss_
        ensemble = prepare(self._ensemble_.with_sets(pack_bits(touched), touched.shape[1]), loss)
        found = summarise(ensemble, ensemble.leave_one_out(threads), self._codes_, loss, threads)
        return np.asarray(found.mean[-1])

    def _absences(
        self, labels: list[Any], members: list[NDArray[np.int64]], kind: str
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which minipatches hold any of each set (B, len(members)), and how many hold none and vote."""
        ensemble = self._ensemble_
        active = self.patches_.features
        touched = np.empty((ensemble.n_patches, len(members)), dtype=bool)
        for column, (label, positions) in enumerate(zip(labels, members, strict=True)):
            if active is not None:
                gone = np.setdiff1d(positions, active)
                if gone.size:
                    raise ValueError(
                        f"{kind} {label!r} has features that were dropped before the last round: "
                        f"{self._names()[gone].tolist()}"
                    )
                positions = np.searchsorted(active, positions)
            # Only the words of bits that have members of the set.
            words = np.unique(positions // 64)
            members_of_set = np.zeros((1, ensemble.n_features), dtype=bool)
            members_of_set[0, positions] = True
            touched[:, column] = (ensemble.holds[:, words] & pack_bits(members_of_set)[:, words]).any(axis=1)
        counts = (~touched & ensemble.voting[:, None]).sum(axis=0)
        for label, count, positions in zip(labels, counts, members, strict=True):
            if count < MIN_ELIGIBLE:
                raise ValueError(
                    f"{kind} {label!r} ({len(positions)} features) is absent from {count} of "
                    f"{len(ensemble.voters)} minipatches, too few to score it (at least {MIN_ELIGIBLE} are "
                    "needed): use more minipatches, smaller ones (max_features) or smaller sets"
                )
        return touched, counts


class LOCOMP(MinipatchMixin):
    """Feature importance for any clustering, by leaving covariates out of an ensemble of minipatches.

    Many small random subsets of observations and features (minipatches) are clustered, their labels aligned
    to a reference clustering, and a classifier is trained on each. A feature matters when the minipatches
    without it predict the consensus labels of left-out observations worse than all minipatches do. One
    ensemble scores every feature, cluster and observation, whatever the clusterer; it is less sensitive to
    correlated features than leaving out one feature at a time.

    Parameters
    ----------
    clusterer : estimator, default=None
        With ``fit_predict``, or ``fit`` and ``labels_``, or ``fit`` and ``predict``; a Pipeline too. None is
        Ward clustering into as many clusters as the labels passed as `reference` have, or 2; or the clusterer that is
        passed there. Never changed:
        every minipatch is clustered by a copy.
    classifier : estimator, default=None
        Its votes are soft where it has ``predict_proba``, hard else. None is a
        :class:`~sklearn.tree.DecisionTreeClassifier`.
    n_patches : int or "auto", default=1000
        B, the number of minipatches. ``monte_carlo_errors_`` says whether it is enough: the error falls with
        its square root. ``"auto"`` grows the ensemble, half as many again at a time, until the top scores are
        precise (`tol`) or a budget is spent, with a :class:`~sklearn.exceptions.ConvergenceWarning`;
        ``convergence_`` records each look. The top are the `n_features_to_select` best, or the best 10 (half the
        features, where they are fewer than 20). The scores at B minipatches do not depend on how they came about.
    tol : float, default=0.05
        For ``n_patches="auto"``: the scores are precise when the Monte-Carlo error of each of the top is at most
        `tol` times the largest score, and no feature has left the top since the look before (but for one that scores
        within that tolerance of those that stayed).
    max_patches : int, default=50_000
        For ``n_patches="auto"``: the most minipatches.
    max_seconds : float, default=None
        For ``n_patches="auto"``: about how long a fit may take, judged by the minipatches so far, of which there are
        250 at least; how many it allows depends on the machine, and ``n_patches_`` says it. None is no limit.
    max_samples, max_features : float or int, default=0.2
        Size of a minipatch: a float is a fraction (rounded up), an int a count. With many features, or features that
        stand in for one another, fewer rank better (`max_features` of 0.1); every cluster must be among the
        observations of a minipatch.
    loss : {"hinge", "margin", "brier", "log", "zero_one", "ari"} or callable, default="hinge"
        What is compared with and without a feature. ``"zero_one"`` and ``"ari"`` count one whole vote per
        minipatch. ``"ari"`` is one figure for the whole set: no scores of clusters or observations, no
        standard errors. A callable ``loss(y, proba)`` gets codes (n,) and probabilities (n, K), whose column
        ``k`` is ``classes_[k]``, and returns one value per observation, or one number for the whole set. A copy
        of it is tried on the reference labels before any minipatch is fitted, unless these are built from overlaps.
    reference : {"full", "overlap"}, estimator or array-like of shape (N,), default="full"
        The labels that minipatches are aligned to: those of `clusterer` on all the data, or of another clusterer (the
        same with more starts, say: this one clustering may cost more than each of thousands); built from the
        minipatches' overlaps alone, where clustering all the data costs too much; or labels to explain
        (integers with -1 for noise, or strings). Minipatches are clustered all the same, and the labels name their
        clusters: what is explained is the consensus, and a warning says when it is not much like the labels. No
        N x N matrix is ever made here.
    engine : {"auto", "native", "sklearn"}, default="auto"
        Where minipatches run: in Rust where Rust reproduces the estimators, else through the estimators
        themselves. ``engine_`` says which ran and why.
    variance_barrier : float, default=1e-4
        Factor of the term that keeps standard errors away from 0.
    n_features_to_select : int or float, default=None
        Features that ``get_support`` and ``transform`` keep: a count or a fraction; None is half.
    warm_start : bool, default=False
        Add minipatches to those of the earlier fit, up to `n_patches`, in place of beginning anew: the same bits as
        one fit with all of them. The data and what minipatches depend on must be the same, and the seed stays;
        `loss`, `variance_barrier`, budgets and workers may change. With as many minipatches as there are, scores
        are computed anew and nothing is fitted. With ``reference="overlap"`` the reference depends on all
        minipatches, so that it is built anew, and classifiers are trained anew where it changes.
    checkpoint : str or path-like, default=None
        Directory for what is finished: labels and votes, block by block. A fit of the same that finds one goes on
        from there, after whatever ended the earlier one, and with the same bits; one that is of other data,
        parameters or versions, or damaged, is refused. More minipatches than before may be asked for. Nothing is
        deleted: it takes the space of the votes and labels (see Notes). Functions, as parameters or inside
        estimators, are compared by name.
    store_sample_importances : bool, default=True
        Keep the scores of single observations, 8 N M bytes. All other scores are the same bits without.
    n_jobs : int, default=None
        Workers for minipatches (through joblib, whose backend you may set) and threads for the aggregation.
        The results are the same bits for any number.
    random_state : int, RandomState, Generator or None, default=None
        An int is the seed of ``patches_``. Every random state inside the estimators gets its own seed for
        every minipatch; NumPy's global generator is never used.
    verbose : int, default=0
        Show which engine runs and a progress bar. From scikit-learn 1.9 on, ``set_callbacks`` takes its callbacks.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Mean rise of the loss without the feature; larger is more important. Relative to the average feature: clearly
        above 0 is evidence that a feature helps, about 0 or below is no evidence that it does not. NaN where no
        minipatch leaves the feature out; exactly 0 where none holds it.
    cluster_importances_ : ndarray of shape (K, M)
        The same mean over the observations of each consensus cluster, rows in the order of ``classes_``.
    sample_importances_ : ndarray of shape (N, M)
        The rise for each observation. NaN where it is not defined.
    standard_errors_, cluster_standard_errors_ : ndarray of shape (M,), (K, M)
        ``sd / sqrt(N)`` plus the variance barrier ``variance_barrier * Dhat * log(N) * n / N``, where ``sd``
        (divisor N - 1) and N are over the observations averaged and ``Dhat`` is the root mean squared
        distance between the votes of up to ten disjoint pairs of minipatches.
    monte_carlo_errors_, cluster_monte_carlo_errors_ : ndarray of shape (M,), (K, M)
        Standard deviation of the scores over other draws of as many minipatches. NaN where these say nothing of it:
        with one or two (up to 15, for a loss without a slope), and for features that none of them holds.
    labels_, reference_labels_ : ndarray of shape (N,)
        Consensus and reference labels.
    label_stability_ : ndarray of shape (N,)
        Share of the minipatches holding an observation that gave it its consensus label; NaN where that is noise,
        and for observations in no minipatch.
    classes_ : ndarray of shape (K,)
        The label values, sorted, without noise.
    loo_error_ : float
        Mean loss of the leave-one-out votes: how well the clustering itself generalises.
    loo_proba_ : ndarray of shape (N, K)
        Mean vote of the minipatches that leave an observation out.
    ranking_ : ndarray of shape (M,)
        1 is the most important.
    patches_ : Minipatches
        The minipatches, derived again from their seed on request.
    n_patches_ : int
        B, as it came out.
    convergence_ : dict of ndarray
        An entry for each look at the scores, of which a fit with a number of minipatches has one, at its end:
        ``n_patches``, ``feature_importances`` (looks, M), ``top_k_overlap`` with the look before (NaN for the first),
        ``monte_carlo_error`` (the largest of the top scores), ``tolerance`` (what `tol` allows), ``seconds`` since
        the beginning (earlier fits of a warm start included) and ``converged``.
    engine_ : str
        The engine that ran; ``engine_.reason`` says why.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    LOCORampart : Finds the top k of very many features with fewer minipatches.
    LOCOSplit : Refits without each feature; for few features and data that need no ensemble.

    Notes
    -----
    Scores explain the clustering that was found, conditional on its labels, and not the world; correlated
    features share their importance; intervals do not include the uncertainty of the labels.

    Memory, beside the data: ``B N`` 2-byte votes for hard votes and for probabilities that are all 0 or 1 (fully
    grown trees), else ``B N K`` probabilities in the classifier's dtype; ``8 N M`` bytes for
    ``sample_importances_`` (at most 256 MB or ``512 N`` without); ``B (N + M) / 8`` bytes of masks, twice;
    ``4 B n`` bytes of labels, and with ``reference="overlap"`` some ``28 B n`` while it is built; ``8 N M`` bytes for
    trees and forests in the native engine (none for sparse data); and for each worker three times a block of at
    most 32 minipatches' probabilities (256 MB). The scaling page of the documentation has figures. N x M x K
    numbers are never stored. Sparse data are densified one minipatch at a time; with ``reference="full"`` the
    clusterer gets all of them at once, sparse as they are, and must take that (Ward does not: use ``"overlap"``).

    References
    ----------
    .. [1] He and Allen, "Cluster LOCO: Feature Importance for Interpreting Clusters", arXiv 2606.14592.
    .. [2] Gan, Zheng and Allen, "Model-Agnostic Confidence Intervals for Feature Importance: A Fast and
       Powerful Approach Using Minipatch Ensembles", arXiv 2206.02088.

    Examples
    --------
    >>> import clusterwhy as cw
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> import numpy as np
    >>> X, _ = make_blobs(200, n_features=4, centers=3, random_state=0)
    >>> X = np.hstack([X, np.random.default_rng(0).normal(size=(200, 16))])
    >>> loco = cw.LOCOMP(KMeans(3), n_patches=500, max_features=0.3, random_state=0).fit(X)
    >>> bool(loco.feature_importances_[:4].min() > loco.feature_importances_[4:].max())
    True
    """

    _grown_: Grown
    convergence_: dict[str, NDArray[Any]]

    def __init__(
        self,
        clusterer: Any = None,
        classifier: Any = None,
        *,
        n_patches: int | str = 1000,
        tol: float = 0.05,
        max_patches: int = 50_000,
        max_seconds: float | None = None,
        max_samples: float = 0.2,
        max_features: float = 0.2,
        loss: Loss = "hinge",
        reference: Any = "full",
        engine: str = "auto",
        variance_barrier: float = 1e-4,
        n_features_to_select: float | None = None,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        store_sample_importances: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.clusterer = clusterer
        self.classifier = classifier
        self.n_patches = n_patches
        self.tol = tol
        self.max_patches = max_patches
        self.max_seconds = max_seconds
        self.max_samples = max_samples
        self.max_features = max_features
        self.loss = loss
        self.reference = reference
        self.engine = engine
        self.variance_barrier = variance_barrier
        self.n_features_to_select = n_features_to_select
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.store_sample_importances = store_sample_importances
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> LOCOMP:
        """Cluster the minipatches of `X` and score every feature.

        Parameters
        ----------
        X : {array-like, sparse CSR matrix} of shape (N, M)
            float32 or float64, kept as such; other numbers become float64. C or Fortran order, read-only
            memory maps, pandas and polars frames.
        y : ignored
            For scikit-learn's pipelines. Labels to explain are passed as ``reference``.

        Returns
        -------
        LOCOMP
            The fitted estimator. A fit that fails or is interrupted leaves an earlier fit as it was.
        """
        earlier = self if check_flag(self.warm_start, "warm_start") and self._has("_grown_") else None
        with self._progress(X, None if self.n_patches == "auto" else 2) as progress:
            fitted = self._blank_copy()
            with ExitStack() as workers:
                fitted._fit(X, earlier, workers, progress)
            self._adopt(fitted)
        return self

    def _fit(self, X: Any, earlier: LOCOMP | None, workers: ExitStack, progress: Progress) -> None:
        before = None if earlier is None else earlier._grown_
        settings = self._check_settings()
        X = check_data(self, X, allow_nan=self._accepts_nan(), minimum=2)
        n_samples, n_features = X.shape
        n_top = check_selection(self.n_features_to_select, n_features) or min(TOP, max(1, n_features // 2))
        target = self._check_target(n_top, self.max_seconds)
        design = Minipatches(
            n_samples=n_samples,
            n_features=n_features,
            n_patches=0,
            n_rows=check_patch_size(self.max_samples, n_samples, "max_samples", "observations"),
            n_columns=check_patch_size(self.max_features, n_features, "max_features", "features"),
            seed=self._settle_seed(before),
        )
        check_something_left_out(design)
        reference = given_labels(self.reference, n_samples)
        choice, engine = settings.choose_engine(X, design.n_columns, workers)
        identity = self._identity(X, settings, choice, design)
        if before is not None:
            check_can_grow(before, target, identity)
        checkpoint = None if self.checkpoint is None else Checkpoint(self.checkpoint, identity)
        if settings.whole is not None:
            if before is not None:
                reference = before.reference, before.classes
            else:
                reference = cluster_all(X, settings, design.seed, checkpoint)
        if reference is not None:
            try_loss(settings.loss, reference[0], len(reference[1]))
        ensemble = GrowingEnsemble(
            engine, design, reference, identity, threads=settings.threads, checkpoint=checkpoint, before=before
        )
        convergence = Convergence(None if earlier is None else earlier.convergence_)
        grown, scores = grow_until(ensemble, target, settings.score, convergence, progress)
        self._grown_ = grown
        self.convergence_ = convergence.record
        self.n_patches_ = len(grown.patches)
        self._adopt_ensemble(grown, choice, settings.loss)
        self.__dict__.update(scores)
        self.ranking_ = rank_features(self.feature_importances_)
        warn_missing_votes(self, self.feature_importances_)
        self._warn_of_clusters(X, grown, settings)


def cluster_all(
    X: Any, settings: Settings, seed: int, checkpoint: Checkpoint | None
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Cluster all the data for the reference, unless a checkpoint knows what comes of it."""
    if checkpoint is None:
        return reference_from_all_data(settings.whole, X, seed)
    codes, classes = checkpoint.once("reference", lambda: reference_from_all_data(settings.whole, X, seed))
    return codes, classes


def check_can_grow(before: Grown, target: Target, identity: Identity) -> None:
    """Refuse to add minipatches of other data or estimators, or fewer than there are."""
    refuse_differences(
        before.identity,
        identity,
        "warm_start=True adds minipatches to the earlier fit, and this one is not of the same",
        "change it back, or set warm_start=False to begin anew",
    )
    there = len(before.patches)
    if target.n_patches is not None and target.n_patches < there:
        raise ValueError(
            f"n_patches={target.n_patches} must be at least the {there} minipatches that the earlier fit has when "
            "warm_start=True; set warm_start=False to begin anew with fewer"
        )


def accept_sparse(clusterer: Any, reference: Any) -> bool:
    """Whether sparse data go all the way: the reference alone needs a clusterer that takes them."""
    if is_labels(reference) or (isinstance(reference, str) and reference == "overlap"):
        return True
    whole = clusterer_of_all_data(reference, clusterer)
    return hasattr(whole, "__sklearn_tags__") and bool(get_tags(whole).input_tags.sparse)


def check_something_left_out(patches: Minipatches) -> None:
    """Refuse minipatches of all the observations or all the features: nothing would be left out."""
    if patches.n_rows == patches.n_samples:
        raise ValueError(
            f"minipatches of all {patches.n_samples} observations leave none out to predict: make max_samples smaller"
        )
    if patches.n_columns == patches._n_active:
        raise ValueError(
            f"minipatches of all {patches._n_active} features leave none out to score: make max_features smaller"
        )


def warn_missing_votes(estimator: MinipatchMixin, scores: NDArray[np.float64], where: str = "") -> None:
    """Warn of (active) features and observations that no minipatch tells of; say how many would be enough."""
    patches = estimator.patches_
    missing = np.isnan(scores)
    unseen = ~missing & ~estimator._ensemble_.held()
    without_vote = int(np.isnan(estimator.loo_proba_[:, 0]).sum())
    if not missing.any() and not unseen.any() and not without_vote:
        return
    n, m = patches.n_samples, patches._n_active
    out = (1 - patches.n_rows / n) * (1 - patches.n_columns / m)
    enough = max(enough_patches(n, m, out), enough_patches(1, m, patches.n_columns / m))
    names = estimator._names() if patches.features is None else estimator._names()[patches.features]
    parts = []
    if missing.any():
        parts.append(
            f"no minipatch without them can score the features {shown(names[missing])}: their scores are NaN"
        )
    if unseen.any():
        parts.append(
            f"no minipatch holds the features {shown(names[unseen])}: their scores are 0, which says nothing of them"
        )
    if without_vote:
        parts.append(f"{without_vote} observations are left out by no minipatch and are not scored")
    warn_user(
        f"{where}{'; '.join(parts)}. About {enough} minipatches (n_patches) of this size reach every feature and "
        f"observation; {len(patches)} were used."
    )


def check_room_for_samples(n_samples: int, n_features: int) -> None:
    """Refuse scores of single observations that will not fit before the work is done, not after it."""
    try:
        # Pages that nobody touches cost nothing.
        np.empty((n_samples, n_features))
    except MemoryError:
        raise MemoryError(
            f"the scores of single observations would take {8e-9 * n_samples * n_features:.3g} GB of memory, more "
            "than the system gives: store_sample_importances=False does without them, and gives the same other scores"
        ) from None
