"""Spreads blocks of work over joblib's workers, whatever they are.

The backend is the user's: ``with joblib.parallel_config(backend="dask")`` decides where blocks run. Tasks are
module-level functions, data are direct arguments (so that they are memory-mapped, or found where
:func:`data_on_workers` left them), what differs between blocks is small, and blocks do not depend on the number of
workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from joblib import parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed

from clusterwhy._progress import SILENT, Progress

# Minipatches in a block: long enough that handing one out costs nothing beside it, short enough to watch.
BLOCK = 32
# Bytes of votes that a block may hold.
BLOCK_BYTES = 2**28


def blocks(
    n_patches: int, bytes_per_patch: int = 0, start: int = 0, most: int | None = None, least: int = 1
) -> list[range]:
    """Cut ``start..n_patches`` into blocks of at most `BLOCK_BYTES`, but of `least` to `most` minipatches."""
    size = max(least, min(most or BLOCK, BLOCK_BYTES // max(1, bytes_per_patch)))
    return [range(first, min(first + size, n_patches)) for first in range(start, n_patches, size)]


def on_cluster() -> bool:
    """Whether joblib's backend is a cluster, whose workers share no memory with this process."""
    return type(get_active_backend()[0]).__name__ == "DaskDistributedBackend"


@contextmanager
def data_on_workers(X: Any) -> Iterator[None]:
    """Leave the data on every worker of a cluster for all the blocks that run inside.

    joblib would send them anew for each pass, and to one worker, with which they were lost. Other backends share
    memory.
    """
    backend, _ = get_active_backend()
    if not on_cluster() or id(X) in backend.data_futures:
        yield
        return
    kept = {"client": backend.client, "wait_for_workers_timeout": backend.wait_for_workers_timeout}
    with parallel_config(backend="dask", scatter=[X], **kept, **backend.submit_kwargs):
        yield


def preferred_workers(estimator: Any) -> str | None:
    """Return what joblib should prefer for fits of an estimator: threads where they run outside Python."""
    return "threads" if type(estimator).__module__.startswith("clusterwhy.native") else None


def run_blocks(
    task: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    sizes: Sequence[int],
    *,
    n_jobs: int | None,
    description: str,
    progress: Progress = SILENT,
    unit: str = "patch",
    start: int = 0,
    prefer: str | None = None,
) -> Iterator[Any]:
    """Run ``task(*args)`` for each of `arguments` and yield the results in order.

    Results are yielded as they come where the backend can do that, else all at the end. The progress counts
    `sizes` in `unit`, from `start`. Where the user has not chosen a backend, `prefer` does: see
    :func:`preferred_workers`.
    """
    parallel = Parallel(n_jobs=n_jobs, prefer=prefer, return_as="list")
    if getattr(parallel._backend, "supports_return_generator", False):
        parallel = Parallel(n_jobs=n_jobs, prefer=prefer, return_as="generator")
    calls = (delayed(task)(*args) for args in arguments)
    with progress.steps(description, len(sizes), start + sum(sizes), unit=unit, start=start) as step:
        results = iter(parallel(calls))
        for size in sizes:
            with step(size):
                result = next(results)
            yield result
