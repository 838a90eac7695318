"""Columns that carry no cluster structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: Degrees of freedom of the Student t noise: heavy tails, finite kurtosis.
STUDENT_DF = 5

_Draw = Callable[[np.random.RandomState, int], npt.NDArray[np.float64]]

#: Each kind is drawn with a population standard deviation of 1. All are centred at 0, except that
#: "gamma" (shape 1, scale 1) stays positive, so that gamma noise beside gamma signal is positive data.
_UNIT_DRAWS: dict[str, _Draw] = {
    "gaussian": lambda rng, n: rng.standard_normal(n),
    "gamma": lambda rng, n: rng.standard_gamma(1.0, n),
    "student_t": lambda rng, n: rng.standard_t(STUDENT_DF, n) / np.sqrt(STUDENT_DF / (STUDENT_DF - 2)),
    "uniform": lambda rng, n: rng.uniform(-np.sqrt(3), np.sqrt(3), n),
    "triangular": lambda rng, n: rng.triangular(-np.sqrt(6), 0.0, np.sqrt(6), n),
    "laplace": lambda rng, n: rng.laplace(0.0, 1 / np.sqrt(2), n),
}

#: What "mixed" stands for: the six distributions, in turn.
MIXED_KINDS = tuple(_UNIT_DRAWS)
NOISE_KINDS = (*MIXED_KINDS, "permuted")


def noise_kinds(noise: Any) -> tuple[str, ...]:
    """Return the kinds that `noise` names, which the noise columns take in turn."""
    if isinstance(noise, str):
        kinds: tuple[Any, ...] = MIXED_KINDS if noise == "mixed" else (noise,)
    elif isinstance(noise, Sequence):
        kinds = tuple(noise)
    else:
        raise TypeError(f"noise must be a kind or a sequence of kinds, got {type(noise).__name__}.")
    unknown = [kind for kind in kinds if kind not in NOISE_KINDS]
    if unknown or not kinds:
        raise ValueError(f"noise must be 'mixed' or name kinds among {', '.join(NOISE_KINDS)}, got {noise!r}.")
    return kinds


def noise_block(
    signal: npt.NDArray[np.float64],
    n_noise: int,
    kinds: Sequence[str],
    scale: float,
    rng: np.random.RandomState,
) -> npt.NDArray[np.float64]:
    """Return `n_noise` columns, column j of kind ``kinds[j % len(kinds)]``.

    Columns are drawn one after another, so that a longer block starts with the shorter one. The t-th
    permuted column is a copy of signal column ``t % n_signal`` with its rows in random order; it keeps
    that column's own scale.
    """
    n_samples, n_signal = signal.shape
    block = np.empty((n_samples, n_noise))
    n_permuted = 0
    for j in range(n_noise):
        kind = kinds[j % len(kinds)]
        if kind == "permuted":
            block[:, j] = rng.permutation(signal[:, n_permuted % n_signal])
            n_permuted += 1
        else:
            block[:, j] = scale * _UNIT_DRAWS[kind](rng, n_samples)
    return block
