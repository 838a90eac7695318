"""Cluster LOCO-Split: refits a classifier without each feature on one part, and tests it on the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import KFold
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from clusterwhy import _core, native
from clusterwhy._chance import warn_chance
from clusterwhy._fitting import (
    SPLIT_STREAM,
    cluster,
    fresh,
    predict_in_parts,
    take,
    train,
)
from clusterwhy._identity import describe_data
from clusterwhy._importances import check_selection
from clusterwhy._inference import rank_features, without_rounding
from clusterwhy._loco import LOCOMixin
from clusterwhy._loco_mp import accept_sparse, lost_labels
from clusterwhy._parallel import data_on_workers, preferred_workers, run_blocks
from clusterwhy._precision import warn_coarse_features
from clusterwhy._progress import Progress, ReportsProgress
from clusterwhy._reference import (
    check_reference,
    clusterer_of_all_data,
    given_labels,
    reference_from_all_data,
    reference_from_overlaps,
)
from clusterwhy._scores import (
    Loss,
    call_loss,
    check_loss,
    check_same_form,
    standard_errors,
    try_loss,
    uses_hard_votes,
)
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._validation import (
    check_count,
    check_data,
    check_patch_size,
    check_verbose,
    decode_labels,
    n_threads,
    seed_from_random_state,
    warn_nothing_to_explain,
)
from clusterwhy._votes import LeaveOneOut
from clusterwhy._warnings import warn_user

# Sets of features whose classifiers are one task.
SETS = 8


@dataclass(frozen=True)
class Split:
    """A part to train on and a part to calibrate on."""

    index: int
    train: NDArray[np.int64]
    calibration: NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """A split with codes for its training part and, as the clusterer named them, its calibration part."""

    split: Split
    train: NDArray[np.int32]
    calibration: NDArray[np.int64]


def cluster_split(X: Any, clusterer: Any, split: Split, seed: int) -> list[NDArray[np.int64]]:
    """Cluster the two parts of a split, each on its own."""
    labels = []
    with single_threaded_libraries():
        for name, rows in (("training", split.train), ("calibration", split.calibration)):
            stream = SPLIT_STREAM + 2 * split.index + (name == "training")
            what = f"the {name} part of split {split.index}"
            labels.append(cluster(fresh(clusterer, seed, stream), take(X, rows), what))
    return labels


def predict_without(
    X: Any,
    classifier: Any,
    labelled: Labelled,
    left_out: list[NDArray[np.int64]],
    n_classes: int,
    seed: int,
) -> NDArray[np.float64]:
    """Train without each of the sets of features (none of them: with all) and predict the calibration part.

    Returns probabilities of shape (len(left_out), n, K).
    """
    split, n_features = labelled.split, X.shape[1]
    known = labelled.train >= 0
    y = labelled.train[known].astype(np.int64)
    out = np.zeros((len(left_out), len(split.calibration), n_classes))
    if (y == y[0]).all():
        out[:, :, y[0]] = 1
        return out
    with single_threaded_libraries():
        for proba, absent in zip(out, left_out, strict=True):
            columns = np.delete(np.arange(n_features), absent)
            what = f"split {split.index} {describe_left_out(absent)}"
            # Streams of different splits and features never meet: the first 2^16 are the clusterers'. That of a set
            # is its first feature's, so that a set of one scores what the feature does.
            stream = (
                SPLIT_STREAM + 2**16 + split.index * (n_features + 1) + (int(absent[0]) + 1 if absent.size else 0)
            )
            part = take(X, split.train[known], columns)
            fitted, classes = train(fresh(classifier, seed, stream), part, y, what)
            votes = predict_in_parts(fitted, classes, X, split.calibration, columns, n_classes, what)
            if votes.ndim == 1:
                proba[np.arange(len(votes)), votes] = 1
            else:
                proba[:] = votes
    return out


def describe_left_out(absent: NDArray[np.int64]) -> str:
    """Say which features there are, for a message."""
    if absent.size == 0:
        return "with all features"
    return f"without feature{'s' if absent.size > 1 else ''} {', '.join(map(str, absent[:5]))}"


@dataclass(frozen=True)
class Refits:
    """All that is needed to leave out any set of features: it is trained without them on each split.

    Attributes
    ----------
    X : {ndarray, CSR matrix} of shape (N, M)
        The data, not a copy of them.
    X_described : str
        What they were when they were fitted.
    classifier : estimator
    judges : list of Judge
        One for each split.
    n_classes, seed : int
    """

    X: Any
    X_described: str
    classifier: Any
    judges: list[Judge]
    n_classes: int
    seed: int

    def rises(
        self, sets: list[NDArray[np.int64]], n_jobs: int | None, progress: Progress
    ) -> list[NDArray[np.float64]]:
        """Return for each split the rises of the loss (n, len(sets)), or (len(sets),) for a loss of the whole set."""
        plan = [
            (at, slice(start, start + SETS)) for at in range(len(self.judges)) for start in range(0, len(sets), SETS)
        ]
        results = run_blocks(
            predict_without,
            [
                (self.X, self.classifier, self.judges[at].labelled, sets[part], self.n_classes, self.seed)
                for at, part in plan
            ],
            [len(sets[part]) for _, part in plan],
            n_jobs=n_jobs,
            progress=progress,
            description="leave out",
            unit="feature",
            prefer=preferred_workers(self.classifier),
        )
        out = [np.full((*np.shape(judge.base), len(sets)), np.nan) for judge in self.judges]
        for (at, part), without in zip(plan, results, strict=True):
            judge = self.judges[at]
            for column, proba in enumerate(without, start=part.start):
                out[at][..., column] = judge.loss_of(proba) - judge.base
        return out


def warn_lost_labels(judges: list[Judge], codes: NDArray[np.int32], classes: NDArray[Any]) -> None:
    """Warn of clusters of the reference that are not found again in the calibration parts."""
    found = np.concatenate([judge.z for judge in judges])
    reference = np.concatenate([codes[judge.labelled.split.calibration] for judge in judges])
    parts = lost_labels(found, reference, classes, "in a calibration part")
    if parts:
        warn_user(
            f"the clusters of the parts are not quite those of the reference: {'; '.join(parts)}. A part may hold "
            "too few of its observations (n_folds, calibration_size, n_repeats), or the clusterer does not find that "
            "cluster in parts of the data: check that it finds as many clusters as the reference has"
        )


class LOCOSplit(ReportsProgress, LOCOMixin):
    """Feature importance for any clustering, by leaving one covariate out of a classifier across a split.

    The data are split; each part is clustered on its own; a classifier learns the clusters of the training
    part and is tested on those of the calibration part. The score of a feature is what the test loses when
    the classifier is trained and tested without it. Nothing is clustered again for a feature.

    Parameters
    ----------
    clusterer : estimator, default=None
        As in :class:`LOCOMP`.
    classifier : estimator, default=None
        Soft where it has ``predict_proba``, hard else. None is a random forest of 100 trees,
        :class:`clusterwhy.native.RandomForest`.
    calibration_size : float or int, default=0.5
        The calibration part: a float is a fraction (rounded up), an int a count. Not used with `n_folds`.
    n_repeats : int, default=1
        Splits of the shuffled data (or rounds of folds); scores average.
    n_folds : int, default=None
        Calibrate on each of so many folds in turn instead of on one part.
    loss : {"hinge", "margin", "brier", "log", "zero_one", "ari"} or callable, default="hinge"
        As in :class:`LOCOMP`.
    reference : {"full", "overlap"}, estimator or array-like of shape (N,), default="full"
        The labels that name the clusters of all splits: those of `clusterer` on all the data, or of another
        clusterer; built from the parts to train on where these overlap (observations in none of them have no
        reference label, -1; two folds share none, and are refused); or given.
    n_features_to_select : int or float, default=None
        Features that ``get_support`` and ``transform`` keep: a count or a fraction; None is half.
    n_jobs : int, default=None
        Workers (through joblib) for splits and features.
    random_state : int, RandomState, Generator or None, default=None
        Every random state inside the estimators gets its own seed for every split and feature.
    verbose : int, default=0
        Show a progress bar. From scikit-learn 1.9 on, ``set_callbacks`` takes its callbacks.

    Attributes
    ----------
    feature_importances_ : ndarray of shape (M,)
        Loss without the feature minus loss with all, averaged over the calibration part and the splits.
    cluster_importances_ : ndarray of shape (K, M)
        The same within each cluster of the calibration parts.
    sample_importances_ : ndarray of shape (N, M)
        The same for each observation, over the splits that calibrate on it; NaN for the others.
    standard_errors_, cluster_standard_errors_ : ndarray of shape (M,), (K, M)
        ``sd / sqrt(N)`` over the observations calibrated on (divisor N - 1 in the standard deviation).
    monte_carlo_errors_ : ndarray of shape (M,)
        Standard error of the mean over splits; NaN for a single one.
    labels_ : ndarray of shape (N,)
        Majority of the labels that the splits gave an observation; the reference where none did.
    reference_labels_, classes_ : ndarray of shape (N,), (K,)
        As in :class:`LOCOMP`.
    loo_error_, loo_proba_ : float, ndarray of shape (N, K)
        Loss and votes with all features on the calibration parts.
    splits_ : list of tuple
        ``(train, calibration)`` positions.
    ranking_, n_features_in_, feature_names_in_
        As in :class:`LOCOMP`.

    See Also
    --------
    LOCOMP : For more features, and where features stand in for one another.

    Notes
    -----
    Costs two clusterings and M + 1 classifiers a split. The data stay with the estimator, though not a copy of them,
    so that sets of features can be scored later: a pickle holds them.

    References
    ----------
    .. [1] He and Allen, "Cluster LOCO", arXiv 2606.14592, Algorithm 1.

    Examples
    --------
    >>> import clusterwhy as cw
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> import numpy as np
    >>> X, _ = make_blobs(300, n_features=2, centers=3, random_state=4)
    >>> X = np.hstack([X, np.random.default_rng(0).normal(size=(300, 2))])
    >>> split = cw.LOCOSplit(KMeans(3), n_repeats=5, random_state=0).fit(X)
    >>> bool(split.feature_importances_[:2].min() > split.feature_importances_[2:].max())
    True
    """

    _default_classifier: ClassVar[Callable[[], Any]] = native.RandomForest
    _clusters_parts: ClassVar[bool] = False

    def __init__(
        self,
        clusterer: Any = None,
        classifier: Any = None,
        *,
        calibration_size: float = 0.5,
        n_repeats: int = 1,
        n_folds: int | None = None,
        loss: Loss = "hinge",
        reference: Any = "full",
        n_features_to_select: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.clusterer = clusterer
        self.classifier = classifier
        self.calibration_size = calibration_size
        self.n_repeats = n_repeats
        self.n_folds = n_folds
        self.loss = loss
        self.reference = reference
        self.n_features_to_select = n_features_to_select
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = accept_sparse(self.clusterer, self.reference)
        tags.input_tags.allow_nan = self._accepts_nan()
        return tags

    def fit(self, X: Any, y: Any = None) -> LOCOSplit:
        """Split `X`, cluster the parts and score every feature.

        Parameters
        ----------
        X : {array-like, sparse CSR matrix} of shape (N, M)
            As in :meth:`LOCOMP.fit`. Sparse data are densified one part at a time.
        y : ignored

        Returns
        -------
        LOCOSplit
            The fitted estimator. A fit that fails or is interrupted leaves an earlier fit as it was.
        """
        with self._progress(X, 3) as progress:
            fitted = self._blank_copy()
            with ExitStack() as workers:
                fitted._fit(X, workers, progress)
            self._adopt(fitted)
        return self

    def _fit(self, X: Any, workers: ExitStack, progress: Progress) -> None:
        check_reference(self.reference)
        clusterer, classifier = self._estimators().values()
        loss = check_loss(self.loss)
        threads = n_threads(self.n_jobs)
        X = check_data(self, X, allow_nan=self._accepts_nan(), minimum=4)
        n_samples, n_features = X.shape
        check_selection(self.n_features_to_select, n_features)
        seed = seed_from_random_state(self.random_state)
        splits = self._draw_splits(n_samples, seed)
        workers.enter_context(data_on_workers(X))
        running: dict[str, Any] = {"n_jobs": self.n_jobs, "progress": progress}

        parts = list(
            run_blocks(
                cluster_split,
                [(X, clusterer, split, seed) for split in splits],
                [1] * len(splits),
                description="cluster",
                unit="split",
                prefer=preferred_workers(clusterer),
                **running,
            )
        )
        codes, classes = self._reference_codes(X, clusterer, splits, parts, seed)
        nothing = warn_nothing_to_explain(X, classes)
        k = len(classes)
        # Overlaps name nobody in the calibration part of a single split.
        tried = codes[splits[0].calibration]
        try_loss(loss, tried if (tried >= 0).any() else codes, k)
        labelled = [
            Labelled(split, align(part[0], codes[split.train]), part[1])
            for split, part in zip(splits, parts, strict=True)
        ]
        for one in labelled:
            if not (one.train >= 0).any():
                overlaps = isinstance(self.reference, str) and self.reference == "overlap"
                if overlaps and (parts[one.split.index][0] >= 0).any():
                    raise ValueError(
                        f"the training part of split {one.split.index} shares no labelled observation with the "
                        "others, which name the clusters where reference='overlap': use another reference, n_folds "
                        "of 3 or more, or more n_repeats"
                    )
                raise ValueError(
                    f"the training part of split {one.split.index} is all noise (-1): "
                    "there is nothing to train a classifier on"
                )
        bases = run_blocks(
            predict_without,
            [(X, classifier, one, [np.empty(0, dtype=np.int64)], k, seed) for one in labelled],
            [1] * len(labelled),
            description="classify",
            unit="split",
            prefer=preferred_workers(classifier),
            **running,
        )
        judges = [Judge(one, base[0], loss) for one, base in zip(labelled, bases, strict=True)]
        # Not the user's own object, which may change; the data are, and are looked at again before they are used.
        self._refits_ = Refits(X, describe_data(X), clone(classifier, safe=False), judges, k, seed)
        rises = self._refits_.rises([np.array([j]) for j in range(n_features)], self.n_jobs, progress)
        self.splits_ = [(split.train, split.calibration) for split in splits]
        self.classes_ = classes
        self.reference_labels_ = decode_labels(codes, classes)
        consensus = self._collect(judges, rises, codes, n_samples, threads)
        if not nothing:
            warn_coarse_features(X, classifier, self._names())
            warn_lost_labels(judges, codes, classes)
            warn_chance(self.loo_proba_, consensus, None if isinstance(self.reference, str) else codes)

    def _draw_splits(self, n_samples: int, seed: int) -> list[Split]:
        repeats = check_count(self.n_repeats, "n_repeats")
        splits: list[Split] = []
        for repeat in range(repeats):
            state = np.random.RandomState(_core.estimator_seeds(seed, SPLIT_STREAM - 1 - repeat, 1))
            if self.n_folds is not None:
                folds = check_count(self.n_folds, "n_folds", minimum=2)
                if folds > n_samples // 2:
                    raise ValueError(
                        f"n_folds={folds} leaves fewer than 2 of {n_samples} observations a fold, expected at most "
                        f"{n_samples // 2}"
                    )
                pairs = KFold(folds, shuffle=True, random_state=state).split(np.empty(n_samples))
            else:
                size = check_patch_size(self.calibration_size, n_samples, "calibration_size", "observations")
                if n_samples - size < 2 or size < 2:
                    raise ValueError(
                        f"calibration_size={self.calibration_size!r} splits {n_samples} observations into "
                        f"{n_samples - size} to train on and {size} to calibrate on; each needs at least 2"
                    )
                order = state.permutation(n_samples)
                pairs = [(order[size:], order[:size])]
            for train_rows, calibration in pairs:
                splits.append(Split(len(splits), np.sort(train_rows), np.sort(calibration)))
        return splits

    def _reference_codes(
        self,
        X: Any,
        clusterer: Any,
        splits: list[Split],
        parts: list[list[NDArray[np.int64]]],
        seed: int,
    ) -> tuple[NDArray[np.int32], NDArray[Any]]:
        given = given_labels(self.reference, X.shape[0])
        if given is not None:
            return given
        whole = clusterer_of_all_data(self.reference, clusterer)
        if whole is not None:
            return reference_from_all_data(whole, X, seed)
        # Of the training parts alone: a split's two parts share nothing, and calibration labels are aligned to
        # predictions, not to the reference.
        return reference_from_overlaps(
            [part[0] for part in parts], [split.train for split in splits], X.shape[0], n_threads(self.n_jobs)
        )

    def _collect(
        self,
        judges: list[Judge],
        rises: list[NDArray[np.float64]],
        codes: NDArray[np.int32],
        n_samples: int,
        threads: int,
    ) -> NDArray[np.int32]:
        """Set what the splits come to, and return the consensus."""
        k, n_features = len(self.classes_), rises[0].shape[-1]
        totals, counts = np.zeros((n_samples, k)), np.zeros(n_samples)
        votes = np.zeros((n_samples, k), dtype=np.int64)
        for judge in judges:
            rows = judge.labelled.split.calibration
            totals[rows] += judge.proba
            counts[rows] += 1
            known = judge.z >= 0
            votes[rows[known], judge.z[known]] += 1
        most = votes.max(axis=1)
        own = np.where(codes >= 0, votes[np.arange(n_samples), np.maximum(codes, 0)], -1)
        consensus = np.where((most == 0) | (own == most), codes, votes.argmax(axis=1)).astype(np.int32)
        self.labels_ = decode_labels(consensus, self.classes_)
        with np.errstate(invalid="ignore"):
            self.loo_proba_ = totals / counts[:, None]
        scores = np.array([judge.mean(rise) for judge, rise in zip(judges, rises, strict=True)])
        self.feature_importances_ = sum(scores) / len(scores)
        self.loo_error_ = float(np.mean([np.nanmean(judge.base) for judge in judges]))
        self.monte_carlo_errors_ = (
            scores.std(axis=0, ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.full(n_features, np.nan)
        )
        self.ranking_ = rank_features(self.feature_importances_)
        if judges[0].whole_set:
            return consensus
        samples, seen = np.zeros((n_samples, n_features)), np.zeros(n_samples)
        by_cluster, present = np.zeros((k, n_features)), np.zeros((k, 1))
        for judge, rise in zip(judges, rises, strict=True):
            known = judge.z >= 0
            rows = judge.labelled.split.calibration[known]
            samples[rows] += rise[known]
            seen[rows] += 1
            for cluster_code in np.unique(judge.z[known]):
                by_cluster[cluster_code] += rise[judge.z == cluster_code].mean(axis=0)
                present[cluster_code] += 1
        with np.errstate(invalid="ignore"):
            self.sample_importances_ = samples / seen[:, None]
            self.cluster_importances_ = by_cluster / present
        found = standard_errors(self.sample_importances_, consensus, k, None, 0.0, 0.0, threads)
        self.standard_errors_ = found["error"][-1]
        self.cluster_standard_errors_ = found["error"][:-1]
        losses = np.concatenate([judge.base for judge in judges]) if callable(self.loss) else None
        self._spreads_ = without_rounding(found["spread"], losses)
        return consensus

    # ------------------------------------------------------------------ sets of features

    def group_importance(self, groups: Any) -> NDArray[np.float64]:
        """Score sets of features: what is lost when none of a set is available.

        A classifier is trained without the set on every split that was fitted, which costs as much as a feature
        does. The data must still be as they were fitted, since the estimator keeps them, not a copy; an error says
        when they are not.

        Parameters
        ----------
        groups : list of lists, or dict of lists
            Each a set of feature names or positions, and not all of the features.

        Returns
        -------
        ndarray of shape (n_groups,)
            In the order of `groups`, on the scale of ``feature_importances_``.
        """
        check_is_fitted(self)
        labels, members = self._feature_sets(groups, "groups")
        return self._score_sets(labels, members, "group")

    def _score_sets(self, labels: list[Any], members: list[NDArray[np.int64]], kind: str) -> NDArray[np.float64]:
        if not members:
            return np.empty(0)
        for label, positions in zip(labels, members, strict=True):
            if len(positions) == self.n_features_in_:
                raise ValueError(
                    f"{kind} {label!r} is all {len(positions)} features: without them there is nothing to predict "
                    "from"
                )
        if describe_data(self._refits_.X) != self._refits_.X_described:
            raise ValueError("the data have changed since the fit: fit again, or to a copy (fit(X.copy()))")
        with data_on_workers(self._refits_.X):
            rises = self._refits_.rises(members, self.n_jobs, Progress(check_verbose(self.verbose)))
        scores = [judge.mean(rise) for judge, rise in zip(self._refits_.judges, rises, strict=True)]
        return np.asarray(sum(scores) / len(scores))


class Judge:
    """Holds the labels that a split's predictions are judged by, and the loss with all features."""

    def __init__(
        self,
        labelled: Labelled,
        proba: NDArray[np.float64],
        loss: Loss,
    ) -> None:
        self.labelled, self.proba, self.loss = labelled, proba, loss
        # Pointwise losses need the calibration labels under the names that were predicted.
        self.z = align(labelled.calibration, proba.argmax(axis=1).astype(np.int32))
        self.known = labelled.calibration >= 0
        if not self.known.any():
            raise ValueError(
                f"the calibration part of split {labelled.split.index} is all noise (-1): there is nothing to score"
            )
        self.first: NDArray[Any] | None = None
        self.base = self.loss_of(proba)
        self.whole_set = self.base.ndim == 0

    def loss_of(self, proba: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the loss of each calibration observation (NaN for noise), or of the whole set."""
        if self.loss == "ari":
            found = proba[self.known].argmax(axis=1)
            return np.asarray(-adjusted_rand_score(self.labelled.calibration[self.known], found))
        out = np.full(len(proba), np.nan)
        if not isinstance(self.loss, str):
            value = call_loss(self.loss, self.z[self.known].astype(np.int64), proba[self.known])
            if self.first is None:
                self.first = value
            check_same_form(self.first, value)
            if value.ndim == 0:
                return value
            out[self.known] = value
            return out
        if uses_hard_votes(self.loss):
            proba = np.eye(proba.shape[1])[proba.argmax(axis=1)]
        votes = LeaveOneOut(np.ascontiguousarray(proba), np.ones(len(proba), dtype=np.uint32))
        return _core.losses(votes, self.z, [str(self.loss)])[:, 0]

    def mean(self, rises: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average the rises of the loss (n, S) over the observations; one of the whole set (S,) is its own mean."""
        if self.whole_set:
            return rises
        # One at a time: the order of additions, and so the bits, would depend on how many sets there are.
        return np.array([rise.mean() for rise in rises[self.known].T])


def align(labels: NDArray[np.int64], reference: NDArray[np.int32]) -> NDArray[np.int32]:
    """Align one labelling to codes."""
    rows = np.arange(len(labels), dtype=np.int64)
    offsets = np.array([0, len(labels)], dtype=np.int64)
    return _core.align_patches(labels, rows, offsets, np.ascontiguousarray(reference), 1)
