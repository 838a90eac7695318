"""Fits an ensemble of minipatches with the user's own estimators.

Two passes, each over the same blocks: every minipatch is clustered; then, with the labels aligned, every
minipatch trains a classifier that predicts the observations it leaves out, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._fitting import cluster, fresh, predict_in_parts, take, train
from clusterwhy._parallel import blocks, run_blocks
from clusterwhy._patches import Minipatches, pack_bits
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._votes import VoteStore, compact


@dataclass(frozen=True)
class Task:
    """What a block needs beside the data: small, and the same for every block."""

    patches: Minipatches
    clusterer: Any
    classifier: Any


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
    X: Any, task: Task, block: range, labels: NDArray[np.int32], n_classes: int
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Train and predict minipatches `block`, whose aligned labels (len(block), n) are given.

    Returns the votes, (len(block), N) classes or (len(block), N, K) probabilities, and bits of the observations
    that each minipatch votes on: those it leaves out, but none if it is all noise, and not those whose
    probabilities are all 0, as some classifiers give where they abstain.
    """
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
                proba[t, held_out] = votes
                voters[t, held_out] = votes.any(axis=1)
    if proba is None:
        return classes, pack_bits(voters)
    # Minipatches with one class cast whole votes among the soft ones.
    whole = voters & certain[:, None]
    proba[whole, classes[whole]] = 1
    return compact(proba, voters), pack_bits(voters)


def cluster_patches(X: Any, task: Task, *, n_jobs: int | None, verbose: int) -> Iterator[NDArray[np.int64]]:
    """Cluster every minipatch; yields labels (b, n) as the clusterer names them, block by block."""
    plan = blocks(len(task.patches))
    return run_blocks(
        cluster_block,
        [(X, task, block) for block in plan],
        [len(block) for block in plan],
        n_jobs=n_jobs,
        verbose=verbose,
        description="cluster",
    )


def classify_patches(
    X: Any, task: Task, labels: NDArray[np.int32], n_classes: int, *, n_jobs: int | None, verbose: int
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Train and predict every minipatch: all votes, and bits of the observations that each votes on."""
    plan = blocks(len(task.patches), X.shape[0] * n_classes * 8)
    store = VoteStore(len(task.patches), X.shape[0], n_classes)
    voters = np.empty((len(task.patches), -(-X.shape[0] // 64)), dtype=np.uint64)
    parts = run_blocks(
        classify_block,
        [(X, task, block, labels[block.start : block.stop], n_classes) for block in plan],
        [len(block) for block in plan],
        n_jobs=n_jobs,
        verbose=verbose,
        description="classify",
    )
    for block, (votes, who) in zip(plan, parts, strict=True):
        store.put(block.start, votes)
        voters[block.start : block.stop] = who
    return store.votes, voters


def align_and_count(
    parts: Iterable[NDArray[np.int64]],
    patches: Minipatches,
    reference: NDArray[np.int32],
    n_classes: int,
    threads: int,
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Align the labels of minipatches, block by block, to the reference (N,).

    Returns the aligned labels (B, n) and the votes (N, K) that they are for each observation.
    """
    aligned = np.empty((len(patches), patches.n_rows), dtype=np.int32)
    counts = np.zeros((patches.n_samples, n_classes), dtype=np.uint32)
    start = 0
    for labels in parts:
        stop = start + len(labels)
        rows = patches.rows(slice(start, stop)).ravel()
        offsets = np.arange(len(labels) + 1, dtype=np.int64) * patches.n_rows
        flat = _core.align_patches(labels.ravel(), rows, offsets, reference, threads)
        aligned[start:stop] = flat.reshape(labels.shape)
        counts += _core.count_votes(flat, rows, patches.n_samples, n_classes)
        start = stop
    return aligned, counts
