"""Checks that the simulators share, and the types of their arguments."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

RandomStateLike: TypeAlias = int | np.random.RandomState | None
Simulation: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def as_count(value: Any, name: str, *, minimum: int) -> int:
    """Return `value` as an int, or say why it is not a count of at least `minimum`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}.")
    return int(value)


def as_number(value: Any, name: str) -> float:
    """Return `value` as a finite float, or say why it is not one."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}.")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}.")
    return number


def as_positive(value: Any, name: str, *, zero: bool = False) -> float:
    """Return `value` as a finite float above zero, or at least zero if `zero`."""
    number = as_number(value, name)
    if number < 0 or (number == 0 and not zero):
        raise ValueError(f"{name} must be {'at least' if zero else 'above'} 0, got {value}.")
    return number


def as_fraction(value: Any, name: str) -> float:
    """Return `value` as a float in [0, 1]."""
    number = as_number(value, name)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}.")
    return number


def as_interval(value: Any, name: str) -> tuple[float, float]:
    """Return `value` as a pair 0 < low <= high."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
        raise ValueError(f"{name} must be a pair (low, high), got {value!r}.")
    low, high = as_positive(value[0], f"{name}[0]"), as_positive(value[1], f"{name}[1]")
    if low > high:
        raise ValueError(f"{name} must be a pair (low, high) with low <= high, got {value!r}.")
    return low, high


def as_choice(value: Any, name: str, choices: Sequence[str | None]) -> Any:
    """Return `value` if it is one of `choices`."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
    return value


def cluster_sizes(n_samples: Any, n_clusters: int) -> npt.NDArray[np.int64]:
    """Observations of each cluster: an int is shared out evenly, the first clusters take the rest."""
    if isinstance(n_samples, Sequence | np.ndarray) and not isinstance(n_samples, str):
        sizes = [as_count(size, f"n_samples[{k}]", minimum=1) for k, size in enumerate(n_samples)]
        if len(sizes) != n_clusters:
            raise ValueError(
                f"n_samples gives the sizes of {len(sizes)} clusters, but there are {n_clusters}: "
                f"pass {n_clusters} sizes, or one int for all observations together."
            )
        return np.array(sizes, dtype=np.int64)
    total = as_count(n_samples, "n_samples", minimum=n_clusters)
    sizes_ = np.full(n_clusters, total // n_clusters, dtype=np.int64)
    sizes_[: total % n_clusters] += 1
    return sizes_
