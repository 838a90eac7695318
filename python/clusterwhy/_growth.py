"""An ensemble as a sequence of minipatches that is only ever appended to, block by block.

Minipatch ``b`` depends on (seed, b) and on the reference labels alone, so a longer ensemble begins with the shorter
one, bit for bit, however either came about. Growing until the scores are precise, adding minipatches to a fitted
estimator and going on from a checkpoint are three uses of that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from clusterwhy import _core
from clusterwhy._checkpoint import Checkpoint
from clusterwhy._identity import Identity
from clusterwhy._inference import rank_features
from clusterwhy._patches import Minipatches
from clusterwhy._progress import Progress
from clusterwhy._reference import reference_from_overlaps
from clusterwhy._votes import MAX_CLASSES, Ensemble, VoteStore
from clusterwhy._warnings import warn_user

# Minipatches that n_patches="auto" looks at first, and how many times as many at each later look: so many looks that
# few minipatches are spent in vain, so few that scoring and rebuilding references cost no more than a share.
FIRST = 250
GROWTH = 1.5
# A further look that time leaves fewer minipatches for than this share of those there are would tell nothing new.
WORTHWHILE = 0.05
# Rows of minipatches that are counted at a time.
COUNTED_ROWS = 2**22

Reference = tuple[NDArray[np.int32], NDArray[Any]]
Votes = tuple[NDArray[Any], NDArray[np.uint64]]


class Engine(Protocol):
    """Fits minipatches of `X` from `start` on, and yields what it finds in blocks of its own choice, in order."""

    @property
    def X(self) -> Any:
        """The data, as it reads them."""
        ...

    def cluster(self, patches: Minipatches, start: int, progress: Progress) -> Iterator[NDArray[np.int64]]:
        """Yield labels (b, n) as the clusterer names them."""
        ...

    def classify(
        self, patches: Minipatches, labels: NDArray[np.int32], n_classes: int, start: int, progress: Progress
    ) -> Iterator[Votes]:
        """Yield votes, and bits of who casts them, of classifiers trained on aligned labels."""
        ...


@dataclass(frozen=True)
class Grown:
    """An ensemble of some size, with the labels it was aligned to and those it agreed on, as codes of `classes`.

    `identity` is all that minipatches depend on besides their number. `counts` (N, K) are the minipatches that gave
    each observation each label. `labels` (B, n), as the clusterer named them, are kept where the reference is built
    from them and must be built anew for a larger ensemble.
    """

    patches: Minipatches
    identity: Identity
    ensemble: Ensemble
    reference: NDArray[np.int32]
    classes: NDArray[Any]
    counts: NDArray[np.uint32]
    labels: NDArray[Any] | None

    @cached_property
    def consensus(self) -> NDArray[np.int32]:
        """What most of the minipatches that hold an observation call it."""
        return _core.majority(self.counts, self.reference)

    @property
    def stability(self) -> NDArray[np.float64]:
        """The share of the minipatches holding an observation that gave it its consensus label; NaN without label."""
        consensus, n_samples = self.consensus, len(self.counts)
        # Without noise whoever holds an observation names it.
        held = self.counts.sum(axis=1, dtype=np.int64)
        if held.sum() < len(self.patches) * self.patches.n_rows:
            held[:] = 0
            step = max(1, COUNTED_ROWS // self.patches.n_rows)
            for start in range(0, len(self.patches), step):
                rows = self.patches.rows(slice(start, start + step)).ravel()
                held += np.bincount(rows, minlength=n_samples)
        own = self.counts[np.arange(n_samples), np.maximum(consensus, 0)]
        known = (held > 0) & (consensus >= 0)
        share: NDArray[np.float64] = np.divide(own, held, out=np.full(n_samples, np.nan), where=known)
        return share


class GrowingEnsemble:
    """Clusters, aligns, trains and predicts minipatches, and appends them to those there are.

    Parameters
    ----------
    engine : Engine
    design : Minipatches
        What minipatches are drawn from; its number of them is not used.
    reference : tuple of codes (N,) and classes, or None
        None builds the labels from the minipatches' overlaps. Those depend on all minipatches, so growth builds them
        anew, and aligns and trains every minipatch again where they have changed; nothing is clustered again.
    identity : dict
        All that minipatches depend on besides their number.
    threads : int
    checkpoint : Checkpoint, optional
        Holds blocks that need not be made again, and is given those that are made.
    before : Grown, optional
        What to append to, in place of nothing.
    """

    def __init__(
        self,
        engine: Engine,
        design: Minipatches,
        reference: Reference | None,
        identity: Identity,
        *,
        threads: int,
        checkpoint: Checkpoint | None = None,
        before: Grown | None = None,
    ) -> None:
        self._engine = engine
        self._design = design
        self._identity = identity
        self._given = self._reference = reference
        self._threads = threads
        self._checkpoint = checkpoint
        self._labels: NDArray[Any] = np.empty((0, design.n_rows), dtype=np.int8)
        self._counts: NDArray[np.uint32] | None = None
        self._votes: VoteStore | None = None
        self._before = before
        self._size = 0
        if before is not None:
            self._size = len(before.patches)
            self._reference = before.reference, before.classes
            self._counts = before.counts
            if before.labels is not None:
                self._labels = before.labels

    def __len__(self) -> int:
        return self._size

    def grow(self, n_patches: int, progress: Progress) -> Grown:
        """Append minipatches until there are `n_patches`."""
        patches = replace(self._design, n_patches=n_patches)
        start = len(self)
        parts = self._blocks(
            "labels", start, n_patches, lambda at: map(narrow, self._engine.cluster(patches, at, progress))
        )
        reference = self._given
        if reference is None:
            reference, start = self._rebuild_reference(parts, patches)
            parts = iter([self._labels[start:]])
        codes, classes = self._reference = reference
        if len(classes) > MAX_CLASSES:
            raise ValueError(f"at most {MAX_CLASSES} reference labels are possible, got {len(classes)}")
        aligned, counts = align_and_count(parts, patches, start, codes, len(classes), self._threads)
        self._counts = counts if self._counts is None or start == 0 else self._counts + counts
        if not self._counts.any():
            raise ValueError(
                "every minipatch was all noise (-1): there is nothing to train a classifier on; a clusterer that "
                "goes by distances (eps) or densities needs other parameters in minipatches, or larger minipatches "
                "(max_samples, max_features)"
            )
        votes = self._vote_store(patches, len(classes), start)
        # Classifiers learn the reference's labels: those of another reference are not the same votes.
        stage = "votes" if self._given is not None else f"votes-of-{n_patches}"
        at = start
        for block, voters in self._blocks(
            stage,
            start,
            n_patches,
            lambda at: self._engine.classify(patches, aligned[at - start :], len(classes), at, progress),
        ):
            votes.put(at, block, voters)
            at += len(block)
        self._size = n_patches
        holds, share = patches.held(), patches.n_rows / patches.n_samples
        ensemble = Ensemble(votes.votes, votes.voters, holds, patches._n_active, len(classes), share)
        labels = self._labels if self._given is None else None
        return Grown(patches, self._identity, ensemble, codes, classes, self._counts, labels)

    def _rebuild_reference(self, parts: Iterator[NDArray[Any]], patches: Minipatches) -> tuple[Reference, int]:
        """Build the reference from the labels of all minipatches; return it and how many it leaves as they are."""
        start = len(self)
        self._labels = np.concatenate([self._labels, *parts])
        reference = reference_from_overlaps(self._labels, patches.rows(), patches.n_samples, self._threads)
        # The classes too: a label may name no observation, and is a column of the votes all the same.
        same = self._reference is not None and all(map(np.array_equal, reference, self._reference))
        return reference, start if same else 0

    def _blocks(self, stage: str, start: int, stop: int, make: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
        if self._checkpoint is None:
            return make(start)
        return self._checkpoint.blocks(stage, start, stop, make)

    def _vote_store(self, patches: Minipatches, n_classes: int, start: int) -> VoteStore:
        """Make room for the votes of `patches`, of which `start` are there."""
        if self._votes is None or start == 0:
            self._votes = VoteStore(patches.n_samples, n_classes)
        self._votes.reserve(len(patches))
        if self._before is not None and start > 0:
            self._votes.put(0, self._before.ensemble.votes, self._before.ensemble.voters)
        self._before = None
        return self._votes


def align_and_count(
    parts: Iterable[NDArray[Any]],
    patches: Minipatches,
    start: int,
    reference: NDArray[np.int32],
    n_classes: int,
    threads: int,
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Align the labels of minipatches from `start` on, given in blocks, to the reference (N,).

    Returns the aligned labels (len(patches) - start, n) and the votes (N, K) that they are for each observation.
    """
    aligned = np.empty((len(patches) - start, patches.n_rows), dtype=np.int32)
    counts = np.zeros((patches.n_samples, n_classes), dtype=np.uint32)
    at = 0
    for labels in parts:
        stop = at + len(labels)
        rows = patches.rows(slice(start + at, start + stop)).ravel()
        offsets = np.arange(len(labels) + 1, dtype=np.int64) * patches.n_rows
        flat = _core.align_patches(labels.ravel().astype(np.int64, copy=False), rows, offsets, reference, threads)
        aligned[at:stop] = flat.reshape(labels.shape)
        counts += _core.count_votes(flat, rows, patches.n_samples, n_classes)
        at = stop
    return aligned, counts


def narrow(labels: NDArray[np.int64]) -> NDArray[Any]:
    """Keep labels in as few bytes as they need; signed, since blocks of uint64 and of less make floats."""
    low, high = labels.min(), labels.max()
    kinds = (np.int8, np.int16, np.int32, np.int64)
    return labels.astype(next(kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max))


@dataclass(frozen=True)
class Target:
    """How far an ensemble grows.

    Attributes
    ----------
    n_patches : int or None
        That many minipatches; None until the scores are precise, within the budgets.
    tol : float
        Precise are top scores whose Monte-Carlo errors are at most this share of the largest score.
    max_patches : int
    max_seconds : float or None
    n_top : int
        How many features are the top.
    can_go_on : bool
        Whether a warm start adds to what there is.
    """

    n_patches: int | None
    tol: float
    max_patches: int
    max_seconds: float | None
    n_top: int
    can_go_on: bool = False

    def first(self, size: int) -> int:
        """Say how many minipatches to look at first, when there are `size`."""
        if self.n_patches is not None:
            return self.n_patches
        return size or min(FIRST, self.max_patches)

    def after(self, size: int, added: int, seconds: float) -> int | None:
        """Say how many to look at after `size`, when the last `added` took so long; None if the budget is spent."""
        wanted = math.ceil(size * GROWTH)
        if wanted * GROWTH > self.max_patches:
            # The last step takes what is left, rather than leave a stump.
            wanted = self.max_patches
        if self.max_seconds is not None and added:
            affordable = size + int((self.max_seconds - seconds) * added / max(seconds, 1e-9))
            if affordable < wanted:
                wanted = affordable if affordable >= size * (1 + WORTHWHILE) else size
        return wanted if wanted > size else None


class Convergence:
    """What each look at a growing ensemble found, and whether it was enough."""

    def __init__(self, record: dict[str, NDArray[Any]] | None = None) -> None:
        self._looks: list[dict[str, Any]] = []
        if record is not None:
            self._looks = [dict(zip(record, values, strict=True)) for values in zip(*record.values(), strict=True)]

    def look(self, n_patches: int, scores: dict[str, Any], target: Target, seconds: float) -> bool:
        """Add a look at the scores, `seconds` after the one before; return whether the scores are precise."""
        values, errors = scores["feature_importances_"], scores["monte_carlo_errors_"]
        top = rank_features(values) <= target.n_top
        allowed = target.tol * np.nanmax(values, initial=0.0)
        # A feature of which nothing is known may be one of the top.
        error = np.nan if np.isnan(errors).any() else errors[top].max()
        overlap, fallen = np.nan, np.inf
        if self._looks:
            before = rank_features(self._looks[-1]["feature_importances"]) <= target.n_top
            overlap = (before & top).sum() / top.sum()
            # A feature that lost its place to an equal has not changed what the top is.
            fallen = values[top].min() - values[before].min()
        # Where no vote ever depends on a feature, more of them tell nothing.
        still = bool(self._looks) and error == 0 and self._looks[-1]["monte_carlo_error"] == 0 and not allowed > 0
        converged = still or bool(error <= allowed and fallen <= allowed and allowed > 0)
        total = seconds + (self._looks[-1]["seconds"] if self._looks else 0.0)
        self._looks.append(
            {
                "n_patches": n_patches,
                "feature_importances": values,
                "top_k_overlap": overlap,
                "monte_carlo_error": error,
                "tolerance": allowed,
                "seconds": total,
                "converged": converged,
            }
        )
        return converged

    @property
    def record(self) -> dict[str, NDArray[Any]]:
        """One array for each figure, an entry for each look."""
        return {name: np.array([look[name] for look in self._looks]) for name in self._looks[-1]}


def grow_until(
    ensemble: GrowingEnsemble,
    target: Target,
    score: Callable[[Grown], dict[str, Any]],
    convergence: Convergence,
    progress: Progress,
) -> tuple[Grown, dict[str, Any]]:
    """Grow an ensemble to its target, or until a callback asks to stop.

    Returns it with its scores, and writes down each look at them.
    """
    began = looked = time.monotonic()
    there = len(ensemble)
    size = target.first(there)
    while True:
        with look_at(size, target, progress) as look:
            grown = ensemble.grow(size, look)
            scores = score(grown)
        now = time.monotonic()
        precise = convergence.look(size, scores, target, now - looked)
        looked = now
        if precise or look.stopped or target.n_patches is not None:
            return grown, scores
        following = target.after(size, size - there, now - began)
        if following is None:
            warn_imprecise(convergence.record, target)
            return grown, scores
        size = following
        # What may be as large as the data makes room for what comes in its place.
        del grown, scores


def look_at(size: int, target: Target, progress: Progress) -> AbstractContextManager[Progress]:
    """Begin a look at `size` minipatches, which is all of the task where it is the only one."""
    return nullcontext(progress) if target.n_patches is not None else progress.part(f"{size} minipatches", 2)


def warn_imprecise(record: dict[str, NDArray[Any]], target: Target) -> None:
    """Warn that a budget was spent before the scores were precise."""
    error, allowed = record["monte_carlo_error"][-1], record["tolerance"][-1]
    cause = f"their largest Monte-Carlo error is {error:.3g}, and tol={target.tol:g} allows {allowed:.3g}"
    if not allowed > 0 and target.tol > 0:
        cause = "no score is above 0, so that no error is small beside the largest"
    elif np.isnan(error):
        cause = "some of them are in no minipatch, or left out by none"
    elif error <= allowed:
        cause = "other features than before have just joined them"
    remedy = "Raise max_patches (and max_seconds), or tol; a LOCOMP with warm_start=True goes on from here"
    if not target.can_go_on:
        remedy = "Raise max_patches, or tol"
    warn_user(
        f"the top {target.n_top} scores are not yet precise after {record['n_patches'][-1]} minipatches: {cause}. "
        f"{remedy}.",
        ConvergenceWarning,
    )
