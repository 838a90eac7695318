"""Fits an ensemble of minipatches in the core: the native counterpart of :mod:`clusterwhy._ensemble`.

The same two passes over the same minipatches. Blocks exist for the progress bar and to bound memory; threads
share a block, and the core looks for Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._engine import native_data
from clusterwhy._parallel import BLOCK_BYTES, progress
from clusterwhy._patches import Minipatches
from clusterwhy._recognise import NativeMethod
from clusterwhy._votes import VoteStore

# Minipatches in a call: a second or so of work.
BLOCK = 512


@dataclass(frozen=True)
class Plan:
    """Which minipatches a call runs, as the core reads it."""

    n_rows: int
    n_columns: int
    seed: int
    features: NDArray[np.uint32] | None
    start: int
    stop: int


def plans(patches: Minipatches, bytes_per_patch: int = 0) -> list[Plan]:
    """Cut the minipatches into calls."""
    size = max(1, min(BLOCK, BLOCK_BYTES // max(1, bytes_per_patch)))
    features = None if patches.features is None else patches.features.astype(np.uint32)
    return [
        Plan(patches.n_rows, patches.n_columns, patches.seed, features, start, min(start + size, len(patches)))
        for start in range(0, len(patches), size)
    ]


@contextmanager
def blame(role: str, method: NativeMethod) -> Iterator[None]:
    """Say whose method the core could not run, and what may help."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"the {role} {method.estimator} failed in Rust: {error}; larger minipatches (max_samples), fewer "
            "clusters or fewer neighbours may help"
        ) from None


def cluster_natively(
    X: Any, patches: Minipatches, method: NativeMethod, *, threads: int, verbose: int
) -> Iterator[NDArray[np.int64]]:
    """Cluster every minipatch; yields labels (b, n), block by block."""
    data = native_data(X)
    with progress(len(patches), "cluster", verbose) as advance:
        for plan in plans(patches):
            with blame("clusterer", method):
                labels = _core.native_cluster(data, plan, method.name, method.params, threads)
            yield labels
            advance(plan.stop - plan.start)


def classify_natively(
    X: Any,
    patches: Minipatches,
    labels: NDArray[np.int32],
    n_classes: int,
    method: NativeMethod,
    *,
    threads: int,
    verbose: int,
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Train and predict every minipatch: all votes, and bits of the observations that each votes on."""
    data = native_data(X)
    presorted = _core.Presorted(data) if method.presorted else None
    store = VoteStore(len(patches), X.shape[0], n_classes)
    trained = np.ones(len(patches), dtype=bool)
    with progress(len(patches), "classify", verbose) as advance, blame("classifier", method):
        for plan in plans(patches, X.shape[0] * n_classes * 8):
            rows = slice(plan.start, plan.stop)
            votes, known = _core.native_classify(
                data, plan, labels[rows], n_classes, method.name, method.params, presorted, threads
            )
            store.put(plan.start, votes)
            trained[rows] = known
            advance(plan.stop - plan.start)
    voters = patches.masks()[0]
    voters[~trained] = 0
    return store.votes, voters
