"""Checks of parameters and labels. Each says what was got, what was expected and what to do."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

NOISE = -1


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def check_count(value: Any, name: str, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`."""
    if not _is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def check_patch_size(value: Any, total: int, name: str, unit: str) -> int:
    """Resolve a fraction (rounded up) or a count to a number of observations or features."""
    if _is_integer(value):
        if not 1 <= value <= total:
            raise ValueError(
                f"{name} must be from 1 to the {total} {unit} of the data when it is an integer, got {value}; "
                "pass a float for a fraction"
            )
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)):
        if not 0 < float(value) <= 1:
            raise ValueError(
                f"{name} must be above 0 and at most 1 when it is a fraction, got {value}; "
                f"pass an integer for a number of {unit}"
            )
        return min(total, math.ceil(float(value) * total))
    raise TypeError(
        f"{name} must be a fraction (float) or a number of {unit} (int), got {value!r} of type {type(value).__name__}"
    )


def check_proportion(value: Any, name: str) -> float:
    """Return `value` as a float strictly between 0 and 1."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not 0 < float(value) < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}")
    return float(value)


def check_nonnegative(value: Any, name: str) -> float:
    """Return `value` as a finite float of at least 0."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return float(value)


def check_option(value: Any, name: str, options: tuple[str, ...]) -> str:
    """Return `value` if it is one of the named options."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def check_seed(seed: Any) -> int:
    """Return `seed` as an int of 64 bits."""
    if not _is_integer(seed):
        raise TypeError(f"seed must be an integer, got {seed!r} of type {type(seed).__name__}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, got {seed}")
    return int(seed)


def seed_from_random_state(random_state: Any) -> int:
    """Turn scikit-learn's ``random_state`` into one seed.

    An int is the seed itself; None draws one from the operating system; a generator is asked for one.
    NumPy's global generator is never used.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**63, dtype=np.int64))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63))
    if _is_integer(random_state):
        if not 0 <= random_state < 2**64:
            raise ValueError(f"random_state must be from 0 to 2**64 - 1, got {random_state}")
        return int(random_state)
    raise ValueError(
        "random_state must be None, an integer, a numpy.random.RandomState or a numpy.random.Generator, "
        f"got {random_state!r}"
    )


def n_threads(n_jobs: int | None) -> int:
    """Threads for the compiled core: `n_jobs` by joblib's rules (None is 1 unless a context says otherwise)."""
    if n_jobs is not None and not _is_integer(n_jobs):
        raise TypeError(f"n_jobs must be None or an integer, got {n_jobs!r}")
    return max(1, int(effective_n_jobs(n_jobs)))


def check_cluster_labels(labels: Any, n_expected: int, what: str) -> NDArray[np.int64]:
    """Check what a clusterer returned: one whole number per observation, negative for noise."""
    array = np.asarray(labels)
    if array.ndim != 1 or len(array) != n_expected:
        raise ValueError(
            f"{what} must give one label per observation, shape ({n_expected},), got shape {array.shape}"
        )
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        return array.astype(np.int64)
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    raise ValueError(
        f"{what} must give whole numbers as labels (-1 for noise), got dtype {array.dtype} "
        f"with values such as {array[:3].tolist()}"
    )


def encode_reference(reference: Any, n_samples: int) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Turn labels of any kind into codes ``0..K-1`` (-1 for noise) and the values they stand for."""
    array = np.asarray(reference)
    if array.ndim != 1 or len(array) != n_samples:
        raise ValueError(
            f"reference labels must have one entry per observation, shape ({n_samples},), got shape {array.shape}"
        )
    if array.dtype.kind == "O":
        if any(value is None or value != value for value in array):
            raise ValueError("reference labels must not contain missing values; use -1 for noise")
        kinds = {type(value) for value in array}
        if kinds and all(issubclass(kind, str) for kind in kinds):
            array = array.astype(str)
        elif all(_is_integer(value) for value in array):
            array = array.astype(np.int64)
        else:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(f"reference labels must be all integers or all strings, got {names}")
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
            raise ValueError(
                "reference labels must be whole numbers or strings, got "
                f"{array[~np.isfinite(array) | (array != np.rint(array))][0]!r}"
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "iubUS":
        raise ValueError(f"reference labels must be integers or strings, got dtype {array.dtype}")
    noise = array < 0 if array.dtype.kind == "i" else np.zeros(n_samples, dtype=bool)
    classes, codes = np.unique(array[~noise], return_inverse=True)
    if len(classes) == 0:
        raise ValueError("the reference labels are all noise (-1): there is no cluster to explain")
    out = np.full(n_samples, NOISE, dtype=np.int32)
    out[~noise] = codes
    return out, classes


def decode_labels(codes: NDArray[np.int32], classes: NDArray[Any]) -> NDArray[Any]:
    """Turn codes back into label values; noise is -1."""
    if (codes >= 0).all():
        return np.asarray(classes[codes])
    # Only integer labels have noise, so the values are integers here.
    signed = classes.astype(np.int64)
    return np.where(codes < 0, np.int64(NOISE), signed[np.maximum(codes, 0)])
