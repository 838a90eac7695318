"""Fits minipatches in the core: the native counterpart of :mod:`clusterwhy._ensemble`.

The same two passes over the same minipatches. Blocks exist for the progress bar and to bound memory; threads
share a block, and the core looks for Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._engine import native_data
from clusterwhy._parallel import BLOCK_BYTES, progress
from clusterwhy._patches import Minipatches
from clusterwhy._recognise import NativeMethod

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


@dataclass
class NativeEngine:
    """Runs minipatches in Rust, on threads of this process.

    Attributes
    ----------
    X : ndarray of shape (N, M)
    clusterer, classifier : NativeMethod
    threads : int
    verbose : int
        Whether to show progress bars.
    title : str
        What progress bars say before the name of the pass.
    """

    X: NDArray[Any]
    clusterer: NativeMethod
    classifier: NativeMethod
    threads: int = 1
    verbose: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        # Once for both passes, which would each copy data in another order than C.
        self.X = native_data(self.X)

    def cluster(self, patches: Minipatches, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """Cluster minipatches from `start` on; yields labels (b, n), block by block."""
        method = self.clusterer
        with self._progress(patches, start, "cluster") as advance:
            for plan in plans(patches, start=start):
                with blame("clusterer", method):
                    labels = _core.native_cluster(self.X, plan, method.name, method.params, self.threads)
                advance(plan.stop - plan.start)
                yield labels

    def classify(
        self, patches: Minipatches, labels: NDArray[np.int32], n_classes: int, start: int = 0
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.uint64]]]:
        """Train and predict minipatches from `start` on, whose aligned labels are given; yields blocks in order.

        Each is the votes, (b, N) classes or (b, N, K) probabilities, and bits of the observations that each
        minipatch votes on.
        """
        method = self.classifier
        presorted = _core.Presorted(self.X) if method.presorted else None
        with self._progress(patches, start, "classify") as advance:
            for plan in plans(patches, self.X.shape[0] * n_classes * 8, start):
                part = labels[plan.start - start : plan.stop - start]
                with blame("classifier", method):
                    votes, trained = _core.native_classify(
                        self.X, plan, part, n_classes, method.name, method.params, presorted, self.threads
                    )
                voters = patches.left_out(slice(plan.start, plan.stop))
                voters[~trained] = 0
                advance(plan.stop - plan.start)
                yield votes, voters

    def _progress(self, patches: Minipatches, start: int, name: str) -> AbstractContextManager[Any]:
        return progress(len(patches), self.title + name, self.verbose, start=start)


def plans(patches: Minipatches, bytes_per_patch: int = 0, start: int = 0) -> list[Plan]:
    """Cut the minipatches from `start` on into calls."""
    size = max(1, min(BLOCK, BLOCK_BYTES // max(1, bytes_per_patch)))
    features = None if patches.features is None else patches.features.astype(np.uint32)
    return [
        Plan(patches.n_rows, patches.n_columns, patches.seed, features, first, min(first + size, len(patches)))
        for first in range(start, len(patches), size)
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
