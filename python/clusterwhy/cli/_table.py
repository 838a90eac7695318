"""The table that is explained, as every format of file is read into it."""

from __future__ import annotations

import re
import warnings
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._importances import import_extra
from clusterwhy._tables import shown
from clusterwhy._validation import label_array
from clusterwhy.cli._errors import UsageError

# What pandas and polars call the names of the rows that they wrote to a file.
ROW_NAMES = re.compile(r"Unnamed: 0(\.\d+)*|__index_level_0__")
# What stands for a value that is missing, as pandas reads text.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


@dataclass
class Table:
    """A table: a frame, array or CSR matrix of shape (N, M).

    Attributes
    ----------
    X : table
        The numbers; a frame where the features have names and the data are dense.
    names : list of str or None
        Names of the features.
    rows : ndarray of shape (N,)
        Names of the observations, or their positions.
    labels : array of shape (N,) or None
        Labels to explain, checked by :func:`clusterwhy.cli._data.settle_labels`.
    """

    X: Any
    names: list[str] | None
    rows: NDArray[Any]
    labels: NDArray[Any] | None


def check_labels_file(path: str) -> None:
    """Refuse labels that are nowhere."""
    if not Path(path).is_file():
        raise UsageError(f"--labels {path} is neither a column of the data nor a file")


def from_frame(frame: Any, options: Namespace) -> Table:
    """Take the names of the rows, the labels and what is to be left out from the columns of a frame."""
    rows, named = frame.index.to_numpy(), not (frame.index == np.arange(len(frame))).all()
    for name in [name for name in frame.columns if ROW_NAMES.fullmatch(str(name))]:
        column = frame.pop(name).to_numpy()
        rows = rows if named else column
    labels = None
    if options.labels in frame.columns:
        labels = frame.pop(options.labels).to_numpy()
    elif options.labels is not None:
        # Before a column that they were meant to be is refused for its text.
        check_labels_file(options.labels)
    unknown = [name for name in options.drop if name not in frame.columns]
    if options.labels in unknown and labels is not None:
        raise UsageError(f"--drop {options.labels}: these are the labels, which are no feature: leave --drop out")
    if unknown:
        raise UsageError(f"--drop {unknown[0]}: there is no such column; there are {shown(frame.columns)}")
    frame = frame.drop(columns=options.drop)
    text = [name for name, column in frame.items() if column.dtype.kind not in "biuf"]
    if text:
        hint = "leave such columns out (--drop), or explain one (--labels)"
        if any(DECIMAL_COMMA.fullmatch(str(value)) for value in frame[text].iloc[0]):
            hint = "is the comma their decimal point (--decimal ,)?"
        raise UsageError(f"not numbers: {shown(text)}; {hint}")
    return Table(frame, list(frame.columns), rows, labels)


def warn_duplicates(names: Any, pattern: str) -> None:
    """Warn of columns of the same name, of which the later ones have been renamed by a pattern."""
    found, counts = np.unique(np.asarray(names, dtype=str), return_counts=True)
    twice = found[counts > 1]
    if len(twice):
        warnings.warn(
            f"more than one column is called {shown(twice)}: the later ones are named such as "
            f"{pattern.format(twice[0], 1)}",
            UserWarning,
            stacklevel=2,
        )


def check_matrix(array: Any) -> Any:
    """Refuse what is not a matrix."""
    if array.ndim != 2:
        raise UsageError(f"the data must be a matrix of observations by features, got shape {array.shape}")
    return array


def with_names(X: Any, names: list[str] | None) -> Any:
    """Give dense data the names of their features."""
    if names is None or not isinstance(X, np.ndarray):
        return X
    if len(names) != X.shape[1]:
        raise UsageError(f"feature_names has {len(names)} names for {X.shape[1]} features")
    return import_extra("pandas", "cli", "named features").DataFrame(X, columns=names)


def as_labels(values: Any, n_samples: int, what: str) -> NDArray[Any]:
    """Return labels as whole numbers where all of them are written as such, else as strings."""
    array = np.asarray(values)
    if array.dtype.kind in "OUS" and all(isinstance(value, str) for value in array):
        array = array.astype(str)
        texts = array
        if np.char.endswith(array, ".0").all():
            # As pandas writes whole numbers of which some are missing.
            texts = np.array([text[:-2] for text in array])
        try:
            numbers = texts.astype(np.int64)
        except (ValueError, OverflowError):
            numbers = None
        # Python reads 2_0 as 20 and 01 as 1, which may be other labels.
        if numbers is not None and (numbers.astype(str) == texts).all():
            array = numbers
    return label_array(array, n_samples, what)
