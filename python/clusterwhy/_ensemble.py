"""Fits an ensemble of minipatches with the user's own estimators.

Two passes, each over the same blocks: every minipatch is clustered; then, with the labels aligned, every
minipatch trains a classifier that predicts the observations it leaves out, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._fitting import cluster, fresh, predict_in_parts, take, train
from clusterwhy._parallel import blocks, run_blocks
from clusterwhy._patches import Minipatches
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._votes import VoteStore, compact


@dataclass(frozen=True)
class Task:
    """What a block needs beside the data: small, and the same for every block."""

    patches: Minipatches
    clusterer: Any
    classifier: Any
    n_classes: int


def cluster_block(X: Any, task: Task, block: range) -> NDArray[np.int64]:
    """Cluster minipatches `block`: labels of shape (len(block), n)."""
    labels = np.empty((len(block), task.patches.n_rows), dtype=np.int64)
    with single_threaded_libraries():
        for out, b in zip(labels, block, strict=True):
            part = take(X, task.patches.rows(b), task.patches.columns(b))
            clusterer = fresh(task.clusterer, task.patches.seed, 2 * b)
            out[:] = cluster(clusterer, part, f"minipatch {b}")
    return labels


def classify_block(
    X: Any, task: Task, block: range, labels: NDArray[np.int32]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Train and predict minipatches `block`, whose aligned labels (len(block), n) are given.

    Returns the votes, (len(block), N) classes or (len(block), N, K) probabilities, and which minipatches
    were trained: those that are all noise are not.
    """
    n_samples, n_classes = X.shape[0], task.n_classes
    classes = np.zeros((len(block), n_samples), dtype=np.uint16)
    proba: NDArray[Any] | None = None
    voters = np.ones((len(block), n_samples), dtype=bool)
    trained = np.ones(len(block), dtype=bool)
    with single_threaded_libraries():
        for t, b in enumerate(block):
            rows, columns = task.patches.rows(b), task.patches.columns(b)
            voters[t, rows] = False
            known = labels[t] >= 0
            y = labels[t][known].astype(np.int64)
            if y.size == 0:
                trained[t], voters[t] = False, False
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
                if proba is None:
                    proba = np.zeros((len(block), n_samples, n_classes), dtype=votes.dtype)
                proba[t, held_out] = votes
    if proba is None:
        return classes, trained
    # Minipatches with one class cast whole votes among the soft ones.
    hard = voters & (proba.sum(axis=2) == 0)
    proba[hard, classes[hard]] = 1
    return compact(proba, voters), trained


def cluster_patches(X: Any, task: Task, *, n_jobs: int | None, verbose: int) -> NDArray[np.int64]:
    """Cluster every minipatch: labels (B, n) as the clusterer names them."""
    plan = blocks(len(task.patches))
    parts = run_blocks(
        cluster_block,
        [(X, task, block) for block in plan],
        [len(block) for block in plan],
        n_jobs=n_jobs,
        verbose=verbose,
        description="cluster",
    )
    labels = np.empty((len(task.patches), task.patches.n_rows), dtype=np.int64)
    for block, part in zip(plan, parts, strict=True):
        labels[block.start : block.stop] = part
    return labels


def classify_patches(
    X: Any, task: Task, labels: NDArray[np.int32], *, n_jobs: int | None, verbose: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Train and predict every minipatch: all votes, and which minipatches were trained."""
    plan = blocks(len(task.patches), X.shape[0] * task.n_classes * 8)
    store = VoteStore(len(task.patches), X.shape[0], task.n_classes)
    trained = np.ones(len(task.patches), dtype=bool)
    parts = run_blocks(
        classify_block,
        [(X, task, block, labels[block.start : block.stop]) for block in plan],
        [len(block) for block in plan],
        n_jobs=n_jobs,
        verbose=verbose,
        description="classify",
    )
    for block, (votes, known) in zip(plan, parts, strict=True):
        store.put(block.start, votes)
        trained[block.start : block.stop] = known
    return store.votes, trained


def align_all(
    labels: NDArray[np.int64], patches: Minipatches, reference: NDArray[np.int32], threads: int
) -> NDArray[np.int32]:
    """Align the labels (B, n) of every minipatch to the reference (N,)."""
    offsets = np.arange(len(labels) + 1, dtype=np.int64) * patches.n_rows
    flat = _core.align_patches(labels.ravel(), patches.rows().ravel(), offsets, reference, threads)
    return flat.reshape(labels.shape)
