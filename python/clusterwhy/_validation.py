"""Checks of parameters and labels. Each says what was got, what was expected and what to do."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import cpu_count, effective_n_jobs
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from clusterwhy._tables import canonical, check_size_of_values, is_constant, read_table
from clusterwhy._warnings import warn_user

NOISE = -1
# Sparse values are made dense up to this size: the scores of as many features take up to four times as much again.
MAX_DENSE_BYTES = 2**31


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


# The core counts in 32 bits.
MAX_COUNT = 2**32 - 1


def check_count(value: Any, name: str, minimum: int = 1, maximum: int = MAX_COUNT) -> int:
    """Return `value` as an int from `minimum` to `maximum`."""
    if not _is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    if value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value}")
    return int(value)


def check_verbose(verbose: Any) -> int:
    """Return `verbose` as an int; True and False are 1 and 0."""
    if isinstance(verbose, (bool, np.bool_)):
        return int(verbose)
    return check_count(verbose, "verbose", minimum=0)


def check_flag(value: Any, name: str) -> bool:
    """Return True or False as such."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")
    return bool(value)


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


def _real(value: Any, name: str) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    return float(value)


def check_proportion(value: Any, name: str) -> float:
    """Return `value` as a float strictly between 0 and 1."""
    if not 0 < _real(value, name) < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}")
    return float(value)


def check_nonnegative(value: Any, name: str) -> float:
    """Return `value` as a finite float of at least 0."""
    if not 0 <= _real(value, name) < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return float(value)


def check_positive(value: Any, name: str) -> float:
    """Return `value` as a finite float above 0."""
    if not 0 < _real(value, name) < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value}")
    return float(value)


def check_option(value: Any, name: str, options: Sequence[str | None]) -> Any:
    """Return `value` if it is one of the named options, of which None may be one."""
    # An array would be compared with each.
    if not (value is None or isinstance(value, str)) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def check_path(value: Any, name: str) -> None:
    """Refuse what is neither None nor the name of a file."""
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be None or a path, got {value!r} of type {type(value).__name__}")
    if value == "":
        raise ValueError(f"{name} must be None or a path, got an empty string ('.' is the current directory)")


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


def as_random_state(random_state: Any) -> np.random.RandomState:
    """Return what scikit-learn draws from; it takes all that its ``check_random_state`` does, and a Generator."""
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, dtype=np.uint32))
    found: np.random.RandomState = check_random_state(random_state)
    return found


def n_threads(n_jobs: int | None) -> int:
    """Threads for the compiled core: `n_jobs` by joblib's rules (None is 1 unless a context says otherwise)."""
    if n_jobs is not None and not _is_integer(n_jobs):
        raise TypeError(f"n_jobs must be None or an integer, got {n_jobs!r}")
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0: use 1 for one worker, -1 for one on every core")
    # Threads far beyond the cores only cost their start; the results are the same bits.
    return max(1, min(int(effective_n_jobs(n_jobs)), 4 * int(cpu_count())))


def label_array(labels: Any, n_expected: int | None, what: str) -> NDArray[Any]:
    """Return labels as an array of int64 (negative for noise), bool or strings, one for each observation."""
    if labels is None:
        raise ValueError(f"{what} must be an array of labels, got None")
    if np.ma.is_masked(labels):
        raise ValueError(f"{what} must not be masked; use -1 for noise, or choose the observations before")
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise ValueError(f"{what} must be a flat list of labels, got lists of different lengths") from error
    shape = "(n,)" if n_expected is None else f"({n_expected},)"
    if array.ndim != 1 or n_expected not in (None, len(array)):
        raise ValueError(f"{what} must have one label per observation, shape {shape}, got shape {array.shape}")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "backslashreplace")
    if array.dtype.kind == "O":
        array = _plain(array, what)
    if array.dtype.kind in "fc":
        whole = np.isfinite(array) & (array == np.rint(array.real)) & (abs(array) < 2.0**63)
        if not whole.all():
            wrong = array[~whole][0]
            hint = "; use -1 for noise" if np.isnan(wrong) else ""
            raise ValueError(
                f"{what} must be whole numbers (negative for noise) or strings, got {wrong.item()!r} "
                f"for observation {np.flatnonzero(~whole)[0]}{hint}"
            )
        array = array.real
    elif array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{what} must be below 2**63, got {array.max()}; number the clusters from 0")
    if array.dtype.kind in "iuf":
        return array.astype(np.int64, copy=False)
    if array.dtype.kind in "bU":
        return array
    raise ValueError(f"{what} must be integers (negative for noise) or strings, got dtype {array.dtype}")


def missing_labels(array: NDArray[Any]) -> list[int]:
    """List the observations without a label."""
    # pandas has missing values of its own; only they have no truth value, and only NaN differs from itself.
    return [i for i, v in enumerate(array) if v is None or type(v).__name__ in ("NAType", "NaTType") or v != v]


def _plain(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Turn an object array of integers or of strings into a plain one."""
    missing = missing_labels(array)
    if missing:
        raise ValueError(
            f"{what} must not contain missing values, got {array[missing[0]]!r} for observation {missing[0]}; "
            "leave such observations out, or number the labels, with -1 for noise (as in "
            "pandas.Categorical(labels).codes)"
        )
    kinds = {type(value) for value in array}
    if all(issubclass(kind, str) for kind in kinds):
        return array.astype(str)
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return array.astype(bool)
    if all(_is_integer(value) for value in array):
        try:
            return array.astype(np.int64)
        except OverflowError as error:
            raise ValueError(f"{what} must be below 2**63; number the clusters from 0") from error
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise ValueError(f"{what} must be all integers or all strings, got {names}")


def check_cluster_labels(labels: Any, n_expected: int | None, what: str) -> NDArray[np.int64]:
    """Check what a clusterer returned: one whole number per observation, negative for noise."""
    array = label_array(labels, n_expected, what)
    if array.dtype.kind == "U":
        raise ValueError(
            f"{what} must be whole numbers (-1 for noise), got dtype {array.dtype} with values such as "
            f"{array[:3].tolist()}; number the clusters, as sklearn.preprocessing.LabelEncoder does"
        )
    return array.astype(np.int64, copy=False)


def encode_reference(
    reference: Any, n_samples: int | None, what: str = "reference labels"
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Turn labels of any kind into codes ``0..K-1`` (-1 for noise) and the values they stand for."""
    array = label_array(reference, n_samples, what)
    if array.size == 0:
        raise ValueError(f"{what} must not be empty")
    noise = array < 0 if array.dtype.kind == "i" else np.zeros(len(array), dtype=bool)
    classes, codes = np.unique(array[~noise], return_inverse=True)
    if len(classes) == 0:
        raise ValueError(
            f"the {what} must name at least one cluster to explain, got noise (-1) alone; a clusterer that finds "
            "none may need other parameters (eps, min_samples, min_cluster_size)"
        )
    out = np.full(len(array), NOISE, dtype=np.int32)
    out[~noise] = codes
    return out, classes


def warn_nothing_to_explain(X: Any, classes: NDArray[Any]) -> bool:
    """Warn when the data or the clusters have nothing to tell apart; return whether it was so."""
    if is_constant(X):
        warn_user(
            "all observations are the same: no feature varies, so that there are no clusters, and the scores mean "
            "nothing; check how the data were read, filtered and scaled"
        )
        return True
    warn_one_cluster(classes)
    return len(classes) == 1


def warn_one_cluster(classes: NDArray[Any]) -> None:
    """Warn when there is nothing to tell apart."""
    if len(classes) == 1:
        warn_user(
            f"there is only one cluster (label {classes[0].item()!r}): no feature can tell clusters apart, and the "
            "scores mean nothing; ask the clusterer for 2 or more, or give labels of 2 or more (negative ones are "
            "noise)"
        )


def check_data(estimator: Any, X: Any, *, allow_nan: bool, minimum: int, accept_sparse: bool = True) -> Any:
    """Return the data as a float32 or float64 array or CSR matrix, and set ``n_features_in_`` and names."""
    if hasattr(X, "obs_names") and hasattr(X, "var_names"):
        raise TypeError(
            f"X must be a table of numbers, got {type(X).__name__}: pass adata.to_df() (or adata.X), and give the "
            "fitted estimator's to_anndata the object itself"
        )
    columns = getattr(X, "columns", None)
    X = read_table(
        estimator,
        X,
        accept_sparse="csr" if accept_sparse else False,
        ensure_all_finite="allow-nan" if allow_nan else True,
        ensure_min_samples=minimum,
        ensure_min_features=2,
    )
    check_size_of_values(X, columns)
    return canonical(_narrow_indices(X)) if issparse(X) else X


def _narrow_indices(X: Any) -> Any:
    """Return a CSR matrix with 32-bit indices where they suffice: many clusterers take no others."""
    if X.indices.dtype == np.int32 == X.indptr.dtype or max(X.nnz, *X.shape) > np.iinfo(np.int32).max:
        return X
    return type(X)((X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), shape=X.shape)


def decode_labels(codes: NDArray[np.int32], classes: NDArray[Any]) -> NDArray[Any]:
    """Turn codes back into label values; noise is -1."""
    if (codes >= 0).all():
        return np.asarray(classes[codes])
    # Only integer labels have noise, so the values are integers here.
    signed = classes.astype(np.int64)
    return np.where(codes < 0, np.int64(NOISE), signed[np.maximum(codes, 0)])
