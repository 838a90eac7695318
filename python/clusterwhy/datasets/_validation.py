"""Checks that the simulators share, and the types of their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from clusterwhy._validation import check_count, check_nonnegative, check_positive

RandomStateLike: TypeAlias = int | np.random.RandomState | np.random.Generator | None
Simulation: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def as_fraction(value: Any, name: str) -> float:
    """Return `value` as a float in [0, 1]."""
    number = check_nonnegative(value, name)
    if number > 1:
        raise ValueError(f"{name} must be at most 1, got {value}")
    return number


def as_interval(value: Any, name: str) -> tuple[float, float]:
    """Return `value` as a pair 0 < low <= high."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
        raise ValueError(f"{name} must be a pair (low, high), got {value!r}.")
    low, high = check_positive(value[0], f"{name}[0]"), check_positive(value[1], f"{name}[1]")
    if low > high:
        raise ValueError(f"{name} must be a pair (low, high) with low <= high, got {value!r}.")
    return low, high


def cluster_sizes(n_samples: Any, n_clusters: int) -> npt.NDArray[np.int64]:
    """Observations of each cluster: an int is shared out evenly, the first clusters take the rest."""
    if isinstance(n_samples, Sequence | np.ndarray) and not isinstance(n_samples, str):
        sizes = [check_count(size, f"n_samples[{k}]", minimum=1) for k, size in enumerate(n_samples)]
        if len(sizes) != n_clusters:
            raise ValueError(
                f"n_samples gives the sizes of {len(sizes)} clusters, but there are {n_clusters}: "
                f"pass {n_clusters} sizes, or one int for all observations together."
            )
        return np.array(sizes, dtype=np.int64)
    total = check_count(n_samples, "n_samples", minimum=n_clusters)
    sizes_ = np.full(n_clusters, total // n_clusters, dtype=np.int64)
    sizes_[: total % n_clusters] += 1
    return sizes_
