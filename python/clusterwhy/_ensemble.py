"""Fits minipatches with the user's own estimators, wherever joblib runs them.

Two passes, each block by block: every minipatch is clustered; then, with the labels aligned, every minipatch trains
a classifier that predicts the observations it leaves out, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._fitting import cluster, fresh, predict_in_parts, take, train
from clusterwhy._parallel import blocks, run_blocks
from clusterwhy._patches import Minipatches, pack_bits
from clusterwhy._progress import SILENT, Progress
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._votes import compact


@dataclass(frozen=True)
class Task:
    """What a block needs beside the data: small, and the same for every block."""

    patches: Minipatches
    clusterer: Any
    classifier: Any


@dataclass(frozen=True)
class SklearnEngine:
    """Runs minipatches through the estimators themselves.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (N, M)
    clusterer, classifier : estimator
    n_jobs : int or None
    """

    X: Any
    clusterer: Any
    classifier: Any
    n_jobs: int | None = None

    def cluster(
        self, patches: Minipatches, start: int = 0, progress: Progress = SILENT
    ) -> Iterator[NDArray[np.int64]]:
        """Cluster minipatches from `start` on; yields labels (b, n) as the clusterer names them, block by block."""
        plan = blocks(len(patches), start=start)
        task = Task(patches, self.clusterer, None)
        return self._run(cluster_block, task, plan, plan, "cluster", progress)

    def classify(
        self,
        patches: Minipatches,
        labels: NDArray[np.int32],
        n_classes: int,
        start: int = 0,
        progress: Progress = SILENT,
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.uint64]]]:
        """Train and predict minipatches from `start` on, whose aligned labels are given; yields blocks in order.

        Each is the votes of :func:`classify_block`, and bits of the observations that each minipatch votes on.
        """
        plan = blocks(len(patches), self.X.shape[0] * n_classes * 8, start)
        task = Task(patches, None, self.classifier)
        # In a tuple, which a cluster sends with the block; a bare array would be left on one worker and lost with it.
        work = [(block, labels[block.start - start : block.stop - start], n_classes) for block in plan]
        return self._run(classify_block, task, plan, work, "classify", progress)

    def _run(
        self, function: Any, task: Task, plan: list[range], work: list[Any], name: str, progress: Progress
    ) -> Iterator[Any]:
        return run_blocks(
            function,
            [(self.X, task, one) for one in work],
            [len(block) for block in plan],
            n_jobs=self.n_jobs,
            description=name,
            progress=progress,
            start=plan[0].start if plan else 0,
        )


def cluster_block(X: Any, task: Task, block: range) -> NDArray[np.int64]:
    """Cluster minipatches `block`: labels of shape (len(block), n)."""
    labels = np.empty((len(block), task.patches.n_rows), dtype=np.int64)
    with single_threaded_libraries():
        for out, b, rows, columns in zip(labels, block, *indices(task.patches, block), strict=True):
            part = take(X, rows, columns)
            clusterer = fresh(task.clusterer, task.patches.seed, 2 * b)
            out[:] = cluster(clusterer, part, f"minipatch {b}")
    return labels


def indices(patches: Minipatches, block: range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Derive the rows and columns of a block of minipatches at once."""
    which = slice(block.start, block.stop)
    return patches.rows(which), patches.columns(which)


def classify_block(
    X: Any, task: Task, work: tuple[range, NDArray[np.int32], int]
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Train and predict a block of minipatches, given with its aligned labels (b, n) and K.

    Returns the votes, (b, N) classes or (b, N, K) probabilities, and bits of the observations
    that each minipatch votes on: those it leaves out, but none if it is all noise, and not those whose
    probabilities are all 0, as some classifiers give where they abstain.
    """
    block, labels, n_classes = work
    n_samples = X.shape[0]
    classes = np.zeros((len(block), n_samples), dtype=np.uint16)
    proba: NDArray[Any] | None = None
    voters = np.ones((len(block), n_samples), dtype=bool)
    certain = np.ones(len(block), dtype=bool)
    with single_threaded_libraries():
        for t, (b, rows, columns) in enumerate(zip(block, *indices(task.patches, block), strict=True)):
            voters[t, rows] = False
            known = labels[t] >= 0
            y = labels[t][known].astype(np.int64)
            if y.size == 0:
                voters[t] = False
                continue
            held_out = np.flatnonzero(voters[t])
            if (y == y[0]).all():
                # One class left: nothing to train.
                votes: NDArray[Any] = np.full(len(held_out), y[0], dtype=np.uint16)
            else:
                what = f"minipatch {b}"
                classifier = fresh(task.classifier, task.patches.seed, 2 * b + 1)
                fitted, values = train(classifier, take(X, rows[known], columns), y, what)
                votes = predict_in_parts(fitted, values, X, held_out, columns, n_classes, what)
            if votes.ndim == 1:
                classes[t, held_out] = votes
            else:
                certain[t] = False
                if proba is None:
                    proba = np.zeros((len(block), n_samples, n_classes), dtype=votes.dtype)
                elif votes.dtype.itemsize > proba.dtype.itemsize:
                    proba = proba.astype(votes.dtype)
                proba[t, held_out] = votes
                voters[t, held_out] = votes.any(axis=1)
    if proba is None:
        return classes, pack_bits(voters)
    # Minipatches with one class cast whole votes among the soft ones.
    whole = voters & certain[:, None]
    proba[whole, classes[whole]] = 1
    return compact(proba, voters), pack_bits(voters)
