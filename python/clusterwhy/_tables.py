"""Reads tables of numbers, whatever holds them, and says what is wrong with the others."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

FLOATS = [np.float64, np.float32]
# The squares of larger values are not finite, or not their sums over many observations and features.
MAX_SIZE = 1e150
RESCALE = "divide the features by a constant, or standardize them"


def read_table(estimator: Any, X: Any, y: Any = "no_validation", **checks: Any) -> Any:
    """Read data as scikit-learn's ``validate_data`` does, float32 or float64 kept as such, and with our messages.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``, or with ``reset=False`` is asked for them.
    X, y
        Data and, where there are any, the classes to learn.
    **checks
        As ``validate_data`` takes them.

    Returns
    -------
    The data, or the data and `y`.
    """
    if hasattr(X, "collect") and hasattr(X, "lazy"):
        raise TypeError(
            f"X must be a table of numbers, got a {type(X).__name__}, which has none yet: pass X.collect()"
        )
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"X must not be masked, got {np.ma.getmaskarray(X).sum()} masked values: fill them in, or leave their "
            "observations or features out (X.filled(np.nan) makes them missing values)"
        )
    if issparse(X):
        _check_places(cast(Any, X))
    columns: Any = getattr(X, "columns", None)
    if columns is not None:
        _check_names(columns)
    if _columns_of_dates(X, columns):
        raise _not_numbers(TypeError, "got dates or times", X, columns)
    checks = {"dtype": FLOATS, **checks}
    try:
        found = validate_data(estimator, X, y, **checks)
    except (ValueError, TypeError) as error:
        if str(error).startswith("Input X contains"):
            raise _unusable_values(error, estimator, X, columns, checks.get("ensure_all_finite", True)) from None
        if issparse(X) or _converts_to_float(X):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise _not_numbers(kind, str(error), X, columns) from error
    unseen = columns is not None and checks.get("reset", True) and not hasattr(estimator, "feature_names_in_")
    if unseen and all(type(name) is str for name in columns):
        # A frame whose names this version of scikit-learn does not see: polars is younger than the oldest.
        estimator.feature_names_in_ = np.asarray(columns, dtype=object)
    return (aligned_data(found[0]), *found[1:]) if isinstance(found, tuple) else aligned_data(found)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array, itself where it can be, whose numbers begin where the core and compiled code read them.

    What a memory map shows, and what arrives over a network, may begin at any byte.
    """
    return np.require(array, requirements=["ALIGNED"])


def aligned_data(X: Any) -> Any:
    """Return data, sparse or not, as :func:`aligned` returns arrays: the same object where nothing was copied."""
    if not issparse(X):
        return aligned(X)
    X = cast(Any, X)
    parts = (X.data, X.indices, X.indptr)
    found = tuple(map(aligned, parts))
    if all(part is was for part, was in zip(found, parts, strict=True)):
        return X
    return type(X)(found, shape=X.shape)


def _check_places(X: Any) -> None:
    """Refuse a sparse matrix whose values have no place in it: SciPy would read or write elsewhere."""
    if X.format not in ("csr", "csc"):
        return
    rows, columns = X.shape if X.format == "csr" else X.shape[::-1]
    starts, places = X.indptr, X.indices
    sound = len(starts) == rows + 1 and starts[0] == 0 and starts[-1] <= min(len(places), len(X.data))
    sound = sound and bool((np.diff(starts) >= 0).all())
    if not sound:
        raise ValueError(f"X is no valid {X.format} matrix: indptr must rise from 0 to the number of values")
    if len(places) and (places.min() < 0 or places.max() >= columns):
        raise ValueError(
            f"X is no valid {X.format} matrix: its indices must be from 0 to {columns - 1}, got {places.min()} to "
            f"{places.max()}"
        )


def canonical(X: Any) -> Any:
    """Return a CSR matrix with one value a place, in order, and no zeros; a copy where that changes anything.

    scikit-learn's clusterers may read others wrongly, and the same data should have the same hash.
    """
    if X.has_canonical_format and (X.data != 0).all() and len(X.data) == X.nnz:
        return X
    X = X.copy()
    X.sum_duplicates()
    X.eliminate_zeros()
    return X


def largest_size(X: Any) -> float:
    """Return the largest absolute value among numbers, missing ones aside; NaN where there is none."""
    values = cast(Any, X).data if issparse(X) else X
    if values.size == 0:
        return float("nan")
    return float(max(np.fmax.reduce(values, axis=None), -np.fmin.reduce(values, axis=None)))


def check_size_of_values(X: Any, columns: Any = None) -> None:
    """Refuse finite values whose squares, and so distances and variances, are beyond double precision.

    Parameters
    ----------
    X : ndarray or CSR matrix
        Numbers; those in single precision are never too large.
    columns : sequence, optional
        What to call the features.
    """
    if X.dtype != np.float64 or not MAX_SIZE < largest_size(X) < np.inf:
        return
    found = np.unique((abs(X) > MAX_SIZE).nonzero()[1])
    names = _shown_columns(found.tolist() if columns is None else [columns[j] for j in found])
    raise ValueError(
        f"X has values as large as {largest_size(X):.3g} ({names}), expected at most {MAX_SIZE:.0e}: the squares of "
        f"larger ones, and so distances and variances, are beyond double precision; {RESCALE}"
    )


def is_constant(X: Any) -> bool:
    """Whether all observations are the same; stops looking at the first that differs."""
    if issparse(X):
        matrix = cast(Any, X)
        return bool(np.array_equal(matrix.max(axis=0).toarray(), matrix.min(axis=0).toarray()))
    return all((row == X[0]).all() for row in X)


def _check_names(columns: Any) -> None:
    """Refuse names of several levels, and names that stand for several features."""
    levels = [name for name in columns if isinstance(name, tuple)]
    if levels:
        raise TypeError(
            f"features must have one name each, got tuples such as {levels[0]!r}; join the levels, as in "
            "X.columns = ['_'.join(map(str, name)) for name in X.columns], or pass the values without names"
        )
    names, counts = np.unique(np.asarray(columns, dtype=object).astype(str), return_counts=True)
    if (counts > 1).any():
        twice = ", ".join(map(repr, names[counts > 1][:5].tolist()))
        raise ValueError(
            f"feature names must be unique, got {twice} more than once; rename the columns (AnnData: "
            "var_names_make_unique), or pass the values without names"
        )


def _columns_of_dates(X: Any, columns: Any) -> bool:
    """Whether any of the data are dates or times, which NumPy would count in nanoseconds without a word."""
    types: list[Any] = [getattr(X, "dtype", None)]
    if columns is not None:
        # Not column by column, of which pandas would keep every one.
        types = list(X.dtypes) if hasattr(X, "dtypes") else [X[name].dtype for name in columns]
    # NumPy's and pandas' types have a kind; those of polars say it themselves.
    return any(
        getattr(found, "kind", None) in ("m", "M") or (hasattr(found, "is_temporal") and found.is_temporal())
        for found in types
    )


def _not_numbers(kind: type[Exception], cause: str, X: Any, columns: Any) -> Exception:
    """Say what is not a number, and in which columns."""
    found = [] if columns is None else [name for name in columns if not _converts_to_float(X[name])]
    where = f" ({_shown_columns(found)})" if found else ""
    return kind(
        f"X must be a table of numbers: {cause}; encode text, dates and categories as numbers, or leave them "
        f"out{where}"
    )


def _unusable_values(error: Exception, estimator: Any, X: Any, columns: Any, allowed: Any) -> ValueError:
    """Say in which columns the missing or infinite values are that were refused."""
    array = check_array(X, accept_sparse="csr", ensure_all_finite=False)
    where = cast(Any, array).tocoo() if issparse(array) else None
    values = array if where is None else where.data
    unusable = np.isinf(values) if allowed == "allow-nan" else ~np.isfinite(values)
    found = np.flatnonzero(unusable.any(axis=0)) if where is None else np.unique(where.col[unusable])
    names = _shown_columns(found.tolist() if columns is None else [columns[j] for j in found])
    first = str(error).split("\n")[0].rstrip(".")
    if "NaN" in first:
        refusing = ", ".join(estimator._refusing_nan()) if hasattr(estimator, "_refusing_nan") else ""
        where_not = f" where its estimators do not (here {refusing})" if refusing else ""
        first += (
            f".\n{type(estimator).__name__} does not accept missing values{where_not}: fill them in, as "
            "sklearn.impute does, or leave their observations or features out"
        )
    return ValueError(f"{first} ({names})")


def shown(names: Any) -> str:
    """List the first few names, and say how many more there are."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(str, list(names)[:5])) + rest


def _shown_columns(columns: list[Any]) -> str:
    names = shown([repr(column) for column in columns])
    return f"column {names}" if len(columns) == 1 else f"columns {names}"


def _converts_to_float(X: Any) -> bool:
    try:
        array: NDArray[Any] = np.asarray(X)
        if array.dtype.kind == "O":
            array.astype(np.float64)
        return bool(array.dtype.kind in "biufcO")
    except (ValueError, TypeError):
        return False


def axis_names(values: Any, axis: int) -> list[Any] | None:
    """Return the names that a pandas series or frame has along an axis; None for other arrays and mere numbers."""
    if not hasattr(values, "iloc"):
        return None
    names = list(values.axes[axis])
    return None if names == list(range(len(names))) else names


def of_features(importances: Any, name: str, features: list[Any], *, named: bool) -> Any:
    """Return scores of which a pandas object names the features in the order of `features`; others as they are.

    Parameters
    ----------
    importances : array-like of shape (M,) or (N, M)
    name : str
        What messages call them.
    features : list of length M
    named : bool
        Whether `features` are names and no mere positions, so that scores of other names are refused.
    """
    found = axis_names(importances, -1)
    if found is None or found == features:
        return importances
    places = {feature: place for place, feature in enumerate(found)}
    if len(places) == len(found) == len(features) and all(feature in places for feature in features):
        return np.asarray(importances)[..., [places[feature] for feature in features]]
    if named:
        raise ValueError(
            f"{name} must name the same features, {shown(features)}, each once, got {shown(found)}; without names "
            "(to_numpy) they are taken in their order."
        )
    return importances


def in_columns_of(X: Any, importances: Any, name: str) -> Any:
    """Return scores in the order of the columns of `X`, where both name the features; others as they are."""
    names = axis_names(X, 1) if np.ndim(X) == 2 else None
    features = list(range(np.shape(X)[-1])) if names is None else names
    return of_features(importances, name, features, named=names is not None)
