"""Fits minipatches in the core: the native counterpart of :mod:`clusterwhy._ensemble`.

The same two passes over the same minipatches. Blocks exist for the progress bar and to bound memory; threads
share a block, and the core looks for Ctrl-C.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from clusterwhy import _core
from clusterwhy._engine import native_data
from clusterwhy._parallel import blocks, on_cluster, run_blocks
from clusterwhy._patches import Minipatches
from clusterwhy._progress import SILENT, Progress
from clusterwhy._recognise import NativeMethod
from clusterwhy._tables import aligned, aligned_data

# Minipatches in a call here, a second or so of work, and in one that a cluster's workers share out.
BLOCK = 512
BLOCK_ON_CLUSTER = 64


@dataclass(frozen=True)
class Plan:
    """Which minipatches a call runs, as the core reads it."""

    n_rows: int
    n_columns: int
    seed: int
    features: NDArray[np.uint32] | None
    start: int
    stop: int


def cluster_plan(X: Any, method: NativeMethod, work: Plan, threads: int) -> NDArray[np.int64]:
    """Cluster the minipatches of a call: labels (b, n)."""
    with blame("clusterer", method):
        return _core.native_cluster(X, work, method.name, method.params, threads)


def classify_plan(
    X: Any,
    method: NativeMethod,
    work: tuple[Plan, NDArray[np.int32], int],
    threads: int,
    presorted: _core.Presorted | None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Train and predict the minipatches of a call, given with their aligned labels (b, n) and K.

    Returns the votes, (b, N) classes or (b, N, K) probabilities, and which minipatches were trained at all.
    """
    plan, labels, n_classes = work
    with blame("classifier", method):
        return _core.native_classify(X, plan, labels, n_classes, method.name, method.params, presorted, threads)


def cluster_on_worker(X: Any, method: NativeMethod, work: Plan) -> NDArray[np.int64]:
    """Run :func:`cluster_plan` on a worker of a cluster, which gives each of its threads a call of its own."""
    data, _ = resident(X).read(X)
    return cluster_plan(data, method, arrived(work), 1)


def classify_on_worker(
    X: Any, method: NativeMethod, work: tuple[Plan, NDArray[np.int32], int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Run :func:`classify_plan` on a worker of a cluster."""
    with blame("classifier", method):
        data, presorted = resident(X).read(X, method)
    plan, labels, n_classes = work
    return classify_plan(data, method, (arrived(plan), aligned(labels), n_classes), 1, presorted)


def arrived(plan: Plan) -> Plan:
    """Return a plan that came over the network as the core reads it."""
    return plan if plan.features is None else replace(plan, features=aligned(plan.features))


def presort(X: Any, method: NativeMethod, threads: int = 1) -> _core.Presorted | None:
    """Sort the features of all the data where the method reads them so; sparse data are sorted part by part."""
    return _core.Presorted(X, threads) if method.presorted and not issparse(X) else None


@dataclass
class NativeEngine:
    """Runs minipatches in Rust: on threads of this process, or on the workers of joblib's cluster.

    Attributes
    ----------
    X : {ndarray, CSR matrix} of shape (N, M)
    clusterer, classifier : NativeMethod
    threads : int
    """

    X: Any
    clusterer: NativeMethod
    classifier: NativeMethod
    threads: int = 1

    def __post_init__(self) -> None:
        # Once for both passes, which would each copy data in another order than C.
        self.X = native_data(self.X)

    def cluster(
        self, patches: Minipatches, start: int = 0, progress: Progress = SILENT
    ) -> Iterator[NDArray[np.int64]]:
        """Cluster minipatches from `start` on; yields labels (b, n), block by block."""
        # Labels come as int32, go out as int64, and meet their int64 rows.
        calls = plans(patches, 20 * patches.n_rows, start, 2 * self.threads)
        if on_cluster():
            return self._share_out(cluster_on_worker, self.clusterer, calls, calls, "cluster", progress)
        return self._run(
            lambda call: cluster_plan(self.X, self.clusterer, call, self.threads), calls, calls, "cluster", progress
        )

    def classify(
        self,
        patches: Minipatches,
        labels: NDArray[np.int32],
        n_classes: int,
        start: int = 0,
        progress: Progress = SILENT,
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.uint64]]]:
        """Train and predict minipatches from `start` on, whose aligned labels are given; yields blocks in order.

        Each is the votes, (b, N) classes or (b, N, K) probabilities, and bits of the observations that each
        minipatch votes on.
        """
        method, X = self.classifier, self.X
        calls = plans(patches, X.shape[0] * n_classes * 8, start, 2 * self.threads)
        if method.presorted and patches.features is not None and not (issparse(X) or on_cluster()):
            # What no minipatch may hold need not be sorted.
            X, calls = np.ascontiguousarray(X[:, patches.features]), [replace(call, features=None) for call in calls]
        work = [(call, labels[call.start - start : call.stop - start], n_classes) for call in calls]
        if on_cluster():
            found = self._share_out(classify_on_worker, method, calls, work, "classify", progress)
        else:
            with blame("classifier", method):
                presorted = presort(X, method, self.threads)
            found = self._run(
                lambda one: classify_plan(X, method, one, self.threads, presorted),
                calls,
                work,
                "classify",
                progress,
            )
        for call, (votes, trained) in zip(calls, found, strict=True):
            voters = patches.left_out(slice(call.start, call.stop))
            voters[~trained] = 0
            yield votes, voters

    def _run(
        self, task: Callable[[Any], Any], calls: list[Plan], work: list[Any], name: str, progress: Progress
    ) -> Iterator[Any]:
        """Run calls one after the other, each on all threads."""
        start, stop = (calls[0].start, calls[-1].stop) if calls else (0, 0)
        with progress.steps(name, len(calls), stop, start=start) as step:
            for call, one in zip(calls, work, strict=True):
                with step(call.stop - call.start):
                    block = task(one)
                yield block

    def _share_out(
        self,
        task: Callable[..., Any],
        method: NativeMethod,
        calls: list[Plan],
        work: list[Any],
        name: str,
        progress: Progress,
    ) -> Iterator[Any]:
        """Run calls on the workers of a cluster."""
        return run_blocks(
            task,
            [(self.X, method, one) for one in work],
            [call.stop - call.start for call in calls],
            n_jobs=None,
            description=name,
            progress=progress,
            start=calls[0].start if calls else 0,
        )


def plans(patches: Minipatches, bytes_per_patch: int, start: int, least: int) -> list[Plan]:
    """Cut the minipatches from `start` on into calls; here of `least`, that no thread waits for another long."""
    features = None if patches.features is None else patches.features.astype(np.uint32)
    most, least = (BLOCK_ON_CLUSTER, 1) if on_cluster() else (BLOCK, least)
    return [
        Plan(patches.n_rows, patches.n_columns, patches.seed, features, block.start, block.stop)
        for block in blocks(len(patches), bytes_per_patch, start, most, least)
    ]


class Resident:
    """The data that live on a worker of a cluster, as the core takes them; what that needs is made once."""

    def __init__(self, X: Any) -> None:
        self._lock = threading.Lock()
        data = aligned_data(X)
        # Not the data themselves, which this is not to keep alive.
        self._copy = None if data is X else data
        self._presorted: _core.Presorted | None = None

    def read(self, X: Any, method: NativeMethod | None = None) -> tuple[Any, _core.Presorted | None]:
        """Return the data, and presorted where a method reads them so."""
        data = X if self._copy is None else self._copy
        with self._lock:
            if method is not None and self._presorted is None:
                self._presorted = presort(data, method)
        return data, self._presorted


_lock = threading.Lock()
_residents: dict[int, tuple[weakref.ref[Any], Resident]] = {}


def resident(X: Any) -> Resident:
    """Find what is known of a worker's data, for as long as they live there."""
    key = id(X)
    with _lock:
        if key not in _residents or _residents[key][0]() is not X:
            _residents[key] = weakref.ref(X, lambda _: _residents.pop(key, None)), Resident(X)
        return _residents[key][1]


@contextmanager
def blame(role: str, method: NativeMethod) -> Iterator[None]:
    """Say whose method the core could not run, and what may help."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"the {role} {method.estimator} failed in Rust: {error}; if the minipatch is too small, make it larger "
            "(max_samples), or take fewer clusters or neighbours"
        ) from None
