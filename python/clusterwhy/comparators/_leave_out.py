"""What the LOCO scores of cluster quality share: they cluster again without each feature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._parallel import run_blocks

# Features whose clusterings are one task.
FEATURES = 8


def without_each(
    task: Callable[..., list[Any]], arguments: tuple[Any, ...], n_features: int, n_jobs: int | None, description: str
) -> list[Any]:
    """Run ``task(*arguments, left_out)``, which returns a result for each item of a list of features to leave out.

    Returns the results with all features (None was left out) and then without each.
    """
    left_out = [None, *range(n_features)]
    parts = [left_out[i : i + FEATURES] for i in range(0, len(left_out), FEATURES)]
    found = run_blocks(
        task,
        [(*arguments, part) for part in parts],
        [len(part) for part in parts],
        n_jobs=n_jobs,
        description=description,
    )
    return [result for results in found for result in results]


def columns_without(n_features: int, left_out: int | None) -> NDArray[np.int64]:
    """Return the positions of the features but one."""
    return np.delete(np.arange(n_features), [] if left_out is None else left_out)


def describe(left_out: int | None) -> str:
    """Say which features there are, for a message."""
    return "with all features" if left_out is None else f"without feature {left_out}"
