"""Spreads blocks of work over joblib's workers, whatever they are, and shows progress.

The backend is the user's: ``with joblib.parallel_config(backend="dask")`` decides where blocks run. Tasks are
module-level functions, data are direct arguments (so that they are memory-mapped or scattered once), and
blocks do not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

# Minipatches in a block: long enough that handing one out costs nothing beside it, short enough to watch.
BLOCK = 32
# Bytes of votes that a block may hold.
BLOCK_BYTES = 2**28


def blocks(n_patches: int, bytes_per_patch: int = 0) -> list[range]:
    """Cut ``0..n_patches`` into blocks that depend on the data's size alone."""
    size = max(1, min(BLOCK, BLOCK_BYTES // max(1, bytes_per_patch)))
    return [range(start, min(start + size, n_patches)) for start in range(0, n_patches, size)]


@contextmanager
def progress(total: int, description: str, verbose: int, unit: str = "patch") -> Iterator[Callable[[int], Any]]:
    """Show a progress bar when `verbose`; yields the function that moves it on."""
    with tqdm(total=total, desc=description, unit=unit, disable=not verbose, leave=True) as bar:
        yield bar.update


def run_blocks(
    task: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    sizes: Sequence[int],
    *,
    n_jobs: int | None,
    verbose: int,
    description: str,
) -> Iterator[Any]:
    """Run ``task(*args)`` for each of `arguments` and yield the results in order.

    Results are yielded as they come where the backend can do that, else all at the end.
    """
    parallel = Parallel(n_jobs=n_jobs, return_as="list")
    if getattr(parallel._backend, "supports_return_generator", False):
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    calls = (delayed(task)(*args) for args in arguments)
    with progress(sum(sizes), description, verbose) as advance:
        for size, result in zip(sizes, parallel(calls), strict=True):
            advance(size)
            yield result
