"""Cluster LOCO-RAMPART: sequential halving towards the top k features."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._checkpoint import Checkpoint
from clusterwhy._core import estimator_seeds
from clusterwhy._fitting import ROUND_STREAM
from clusterwhy._functions import align_labels
from clusterwhy._growth import Convergence, GrowingEnsemble, Grown, Target, grow_until
from clusterwhy._identity import Identity, describe
from clusterwhy._importances import check_selection
from clusterwhy._inference import rank_features
from clusterwhy._loco_mp import MinipatchMixin, Settings, cluster_all, warn_missing_votes
from clusterwhy._patches import Minipatches
from clusterwhy._progress import Progress
from clusterwhy._reference import given_labels
from clusterwhy._scores import Loss, try_loss
from clusterwhy._validation import MAX_COUNT, check_data, check_patch_size, check_positive
from clusterwhy._warnings import warn_user

SCORES = (
    "feature_importances_",
    "monte_carlo_errors_",
    "standard_errors_",
    "cluster_importances_",
    "cluster_standard_errors_",
    "cluster_monte_carlo_errors_",
    "sample_importances_",
    "_spreads_",
)


class LOCORampart(MinipatchMixin):
    """The top k of very many features, by scoring, keeping the better half and scoring again.

    Each round is a :class:`LOCOMP` of the features still in: the minipatches of later rounds are spent on the
    features that matter, and their clusterings are no longer blurred by those that do not.

    Parameters
    ----------
    clusterer, classifier : estimator, default=None
        As in :class:`LOCOMP`.
    n_features_to_select : int or float, default=10
        k, the number (or fraction) of features that the halving stops at. Of no more features than that there is
        one round, which scores all.
    n_patches : int or "auto", default=1000
        Minipatches in the first round; ``"auto"`` grows every round until its top k scores are precise.
    patch_growth : float, default=1.0
        Each round has so many times the minipatches of the round before: 1 keeps the budget constant.
    tol, max_patches
        As in :class:`LOCOMP`, in each round.
    max_samples, max_features : float or int, default=0.2
        As in :class:`LOCOMP`, of the features still in; a count is capped at half of them, so that every
        feature is left out by enough minipatches.
    loss, engine, variance_barrier, store_sample_importances, n_jobs, random_state, verbose
        As in :class:`LOCOMP`.
    checkpoint : str or path-like, default=None
        As in :class:`LOCOMP`, but all parameters must be the same: which features a round has depends on all of the
        rounds before. For that reason there is no warm start either.
    reference : {"full", "overlap"}, estimator or array-like of shape (N,), default="full"
        ``"full"``, or a clusterer, clusters all the data anew in each round, on the features still in, and carries
        the label names over from round to round; ``"overlap"`` builds labels in the first round, and later rounds
        align to the consensus of the round before; labels passed stay as they are.

    Attributes
    ----------
    ranking_ : ndarray of shape (M,)
        All features, 1 is best: the survivors by their last score, then by the round that dropped them and
        their score in it.
    feature_importances_, cluster_importances_, sample_importances_, standard_errors_,
    cluster_standard_errors_, monte_carlo_errors_, cluster_monte_carlo_errors_
        As in :class:`LOCOMP`, each feature's from the last round that scored it. Scores of different rounds
        have different companions and are not on one scale; intervals and p-values are post-selection.
    rounds_ : list of dict
        For each round ``features`` (positions), ``importances``, ``n_patches``, ``loo_error`` and ``convergence``
        (as ``convergence_`` of :class:`LOCOMP`).
    labels_, reference_labels_, label_stability_, classes_, loo_error_, loo_proba_, patches_, engine_
        As in :class:`LOCOMP`, of the last round.

    See Also
    --------
    LOCOMP : Scores every feature with one ensemble.

    References
    ----------
    .. [1] He and Allen, "Cluster LOCO", arXiv 2606.14592, Algorithm 3.
    .. [2] Chen, Tang and Allen, "Top-k Feature Importance Ranking", arXiv 2509.15420.

    Examples
    --------
    >>> import clusterwhy as cw
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> import numpy as np
    >>> X, _ = make_blobs(150, n_features=4, centers=3, random_state=0)
    >>> X = np.hstack([X, np.random.default_rng(0).normal(size=(150, 28))])
    >>> top = cw.LOCORampart(KMeans(3), n_features_to_select=4, n_patches=300, max_samples=0.3, random_state=0)
    >>> sorted(top.fit(X).get_support(indices=True).tolist())
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        clusterer: Any = None,
        classifier: Any = None,
        *,
        n_features_to_select: float = 10,
        n_patches: int | str = 1000,
        patch_growth: float = 1.0,
        tol: float = 0.05,
        max_patches: int = 50_000,
        max_samples: float = 0.2,
        max_features: float = 0.2,
        loss: Loss = "hinge",
        reference: Any = "full",
        engine: str = "auto",
        variance_barrier: float = 1e-4,
        checkpoint: str | os.PathLike[str] | None = None,
        store_sample_importances: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.clusterer = clusterer
        self.classifier = classifier
        self.n_features_to_select = n_features_to_select
        self.n_patches = n_patches
        self.patch_growth = patch_growth
        self.tol = tol
        self.max_patches = max_patches
        self.max_samples = max_samples
        self.max_features = max_features
        self.loss = loss
        self.reference = reference
        self.engine = engine
        self.variance_barrier = variance_barrier
        self.checkpoint = checkpoint
        self.store_sample_importances = store_sample_importances
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> LOCORampart:
        """Halve the features of `X` until k remain, and score those once more.

        Parameters
        ----------
        X : {array-like, sparse CSR matrix} of shape (N, M)
            As in :meth:`LOCOMP.fit`.
        y : ignored

        Returns
        -------
        LOCORampart
            The fitted estimator. A fit that fails or is interrupted leaves an earlier fit as it was.
        """
        with self._progress(X) as progress:
            fitted = self._blank_copy()
            with ExitStack() as workers:
                fitted._fit(X, workers, progress)
            self._adopt(fitted)
        return self

    def _fit(self, X: Any, workers: ExitStack, progress: Progress) -> None:
        settings = self._check_settings()
        X = check_data(self, X, allow_nan=self._accepts_nan(), minimum=2)
        n_features = X.shape[1]
        growth = check_positive(self.patch_growth, "patch_growth")
        k = check_selection(self.n_features_to_select, n_features)
        if k is None:
            raise TypeError("n_features_to_select must be an integer or a fraction, got None")
        seed = self._settle_seed()
        target = self._check_target(k)
        if target.n_patches is None and growth != 1:
            raise ValueError(
                f"patch_growth must be 1 when n_patches='auto' finds each round's number, got {growth:g}"
            )
        given = given_labels(self.reference, X.shape[0])
        checkpoint = None
        if self.checkpoint is not None:
            checkpoint = Checkpoint(self.checkpoint, self._run_identity(X, settings, seed))

        active = np.arange(n_features, dtype=np.int64)
        self.ranking_ = np.empty(n_features, dtype=np.int64)
        self.rounds_: list[dict[str, Any]] = []
        table: dict[str, NDArray[np.float64]] = {}
        found: Grown | None = None
        while found is None or len(active) > 1:
            turn = len(self.rounds_)
            title = f"round {turn + 1}"
            part = None if checkpoint is None else checkpoint.part(title.replace(" ", "-"))
            design = self._round_design(X.shape, active, turn, seed)
            choice, engine = settings.choose_engine(X, design.n_columns, workers)
            # In the engine's order: the next round does not make another copy.
            X = engine.X
            reference = given
            if reference is None:
                reference = self._round_reference(X, active, settings, seed, found, part)
            if turn == 0 and reference is not None:
                try_loss(settings.loss, reference[0], len(reference[1]))
            ensemble = GrowingEnsemble(engine, design, reference, {}, threads=settings.threads, checkpoint=part)
            convergence = Convergence()
            aim = round_target(target, growth, turn)
            with progress.part(title, None if aim.n_patches is None else 2) as part_of_run:
                found, scores = grow_until(ensemble, aim, settings.score, convergence, part_of_run)
            place(table, scores, active, n_features)
            importances = scores["feature_importances_"]
            self.rounds_.append(
                {
                    "features": active,
                    "importances": importances,
                    "n_patches": len(found.patches),
                    "loo_error": scores["loo_error_"],
                    "convergence": convergence.record,
                }
            )
            order = np.argsort(rank_features(importances))
            self.ranking_[active[order]] = np.arange(1, len(active) + 1)
            self.loo_error_, self.loo_proba_ = scores["loo_error_"], scores["loo_proba_"]
            self._adopt_ensemble(found, choice, settings.loss)
            warn_missing_votes(self, importances, f"{title}: ")
            if len(active) <= k:
                break
            active = np.sort(active[order[: max(k, len(active) // 2)]])
        self.__dict__.update(table)
        self._warn_of_clusters(X, found, settings)

    def _last_rounds(self) -> NDArray[np.int64]:
        rounds = np.zeros(self.n_features_in_, dtype=np.int64)
        for turn, found in enumerate(self.rounds_):
            rounds[found["features"]] = turn
        return rounds

    def _run_identity(self, X: Any, settings: Settings, seed: int) -> Identity:
        """Describe all that the rounds depend on: which features a round has is for the earlier ones to say."""
        design = self._round_design(X.shape, np.arange(X.shape[1]), 0, seed)
        names = ("n_features_to_select", "n_patches", "patch_growth", "tol", "max_patches", "max_features", "loss")
        params = {name: describe(getattr(self, name)) for name in names}
        return {**self._identity(X, settings, settings.engine, design), **params}

    def _round_reference(
        self,
        X: Any,
        active: NDArray[np.int64],
        settings: Settings,
        seed: int,
        before: Grown | None,
        checkpoint: Checkpoint | None,
    ) -> tuple[NDArray[np.int32], NDArray[Any]] | None:
        """Return the labels that a round aligns to, under the names of the round before."""
        if settings.whole is None:
            return None if before is None else (before.consensus, before.classes)
        part = X if len(active) == X.shape[1] else X[:, active]
        codes, classes = cluster_all(part, settings, seed, checkpoint)
        if before is None:
            return codes, classes
        if len(classes) == 1 < len(before.classes):
            warn_user(
                f"all the data make a single cluster on the {len(active)} features of a later round: its scores mean "
                "nothing, and its survivors are arbitrary. Check that the parameters of the clusterer suit fewer "
                "features, pass labels as reference, or select more features (n_features_to_select)"
            )
        renamed = align_labels(codes, before.reference)
        return renamed.astype(np.int32), before.classes

    def _round_design(self, shape: tuple[int, int], active: NDArray[np.int64], turn: int, seed: int) -> Minipatches:
        n_samples, n_features = shape
        m = len(active)
        if isinstance(self.max_features, (int, np.integer)) and not isinstance(self.max_features, bool):
            n_columns = min(check_patch_size(self.max_features, n_features, "max_features", "features"), m // 2)
            n_columns = max(1, n_columns)
        else:
            n_columns = check_patch_size(self.max_features, m, "max_features", "features")
            if turn > 0:
                # Rounding up must not fill the few features of a late round; a fraction of 1 fails in the first.
                n_columns = min(n_columns, max(1, m - 1))
        n_rows = check_patch_size(self.max_samples, n_samples, "max_samples", "observations")
        if n_rows == n_samples:
            raise ValueError(
                f"minipatches of all {n_samples} observations leave none out to predict: make max_samples smaller"
            )
        if n_columns == m and m > 1:
            raise ValueError(f"minipatches of all {m} features leave none out to score: make max_features smaller")
        return Minipatches(
            n_samples=n_samples,
            n_features=n_features,
            n_patches=0,
            n_rows=n_rows,
            n_columns=n_columns,
            seed=round_seed(seed, turn),
            features=None if turn == 0 else active,
        )


def round_target(target: Target, growth: float, turn: int) -> Target:
    """Return how far a round grows, given how far the first does."""
    if target.n_patches is None:
        return target
    wanted = target.n_patches * min(growth**turn, 2.0**64)
    if wanted > MAX_COUNT:
        raise ValueError(
            f"patch_growth={growth} asks for {wanted:.3g} minipatches in round {turn + 1}, "
            f"expected at most {MAX_COUNT}: 1 keeps the number constant, 2 doubles it"
        )
    return replace(target, n_patches=max(1, round(wanted)))


def round_seed(seed: int, turn: int) -> int:
    """Derive the seed of a round: the first round's is the seed itself."""
    if turn == 0:
        return seed
    low, high = estimator_seeds(seed, ROUND_STREAM + turn, 2)
    return int(low) | int(high) << 31


def place(
    table: dict[str, NDArray[np.float64]], scores: dict[str, Any], active: NDArray[np.int64], n_features: int
) -> None:
    """Write a round's scores to the places of its features in tables of all features."""
    for name in SCORES:
        if name not in scores:
            continue
        values = scores[name]
        if name not in table:
            table[name] = np.full((*values.shape[:-1], n_features), np.nan)
        table[name][..., active] = values
