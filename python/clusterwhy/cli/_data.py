"""Reads what the options name: a table, and labels to explain."""

from __future__ import annotations

import io
import sys
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler

from clusterwhy._importances import import_extra
from clusterwhy._tables import check_size_of_values
from clusterwhy._validation import MAX_DENSE_BYTES
from clusterwhy.cli._errors import UsageError, say
from clusterwhy.cli._readers import READERS
from clusterwhy.cli._table import MISSING, Table, as_labels, check_labels_file, with_names

# Options that mean nothing for other formats.
OPTIONS = {
    "sep": ("csv", "tsv"),
    "decimal": ("csv", "tsv"),
    "encoding": ("csv", "tsv"),
    "no_header": ("csv", "tsv"),
    "drop": ("csv", "tsv", "parquet"),
    "key": ("npz",),
    "layer": ("h5ad",),
}


def read_data(options: Namespace) -> Table:
    """Read the file that the options name."""
    kind = options.input_format or guess_format(options.data)
    for name, kinds in OPTIONS.items():
        if getattr(options, name) and kind not in kinds:
            raise UsageError(f"--{name.replace('_', '-')} is for {', '.join(kinds)}, not for {kind}")
    source: Any = options.data
    if source == "-":
        if kind == "h5ad":
            raise UsageError("an .h5ad file cannot come through a pipe: save it first")
        source = io.BytesIO(sys.stdin.buffer.read())
    else:
        with open(source, "rb"):
            # What cannot be opened is told apart from what cannot be understood.
            pass
    data = READERS[kind](source, options)
    if options.labels is not None and data.labels is None:
        data.labels = read_labels(options.labels)
    if data.labels is not None:
        settle_labels(data, f"the labels in {options.labels}")
    if issparse(data.X):
        make_dense(data, options)
    if options.standardize:
        columns = getattr(data.X, "columns", None)
        check_size_of_values(data.X if columns is None else data.X.to_numpy(), columns)
        scaler = StandardScaler(with_mean=not issparse(data.X))
        if hasattr(data.X, "columns"):
            scaler.set_output(transform="pandas")
        data.X = scaler.fit_transform(data.X)
    return data


def guess_format(path: str) -> str:
    """Tell the format from the name of a file."""
    if path == "-":
        return "csv"
    suffixes = [suffix.lstrip(".").lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in ("gz", "bz2", "xz", "zst"):
        suffixes.pop()
    kind = {"txt": "tsv", "tab": "tsv", "pq": "parquet"}.get(suffixes[-1], suffixes[-1]) if suffixes else ""
    if kind not in READERS:
        raise UsageError(f"{path}: the format is not known: name it with --input-format, one of {', '.join(READERS)}")
    return kind


def read_labels(path: str) -> NDArray[Any]:
    """Read labels from a file of one label a line, or .npy."""
    check_labels_file(path)
    if path.endswith(".npy"):
        return np.asarray(np.load(path, allow_pickle=False))
    lines = Path(path).read_text(encoding="utf-8-sig").rstrip().split("\n")
    return np.array([line.strip() for line in lines])


def settle_labels(data: Table, what: str) -> None:
    """Check the labels; observations that have none are left out."""
    pandas = import_extra("pandas", "cli", "labels")
    labels = np.asarray(data.labels)
    if labels.shape == data.rows.shape:
        there = ~(pandas.isna(labels) | np.isin(labels.astype(str), MISSING))
        if not there.any():
            raise ValueError(f"{what}: no observation has one")
        if not there.all():
            left_out = f"{(~there).sum()} of {len(there)} observations"
            warnings.warn(f"{what}: {left_out} have none, and are left out", UserWarning, stacklevel=2)
            labels, data.X, data.rows = labels[there], data.X[there], data.rows[there]
    data.labels = as_labels(labels, len(data.rows), what)


def make_dense(data: Table, options: Namespace) -> None:
    """Make a sparse matrix dense where it fits: most clusterers take no others, and need all the data once."""
    size = data.X.shape[0] * data.X.shape[1] * max(4, data.X.dtype.itemsize)
    if size > MAX_DENSE_BYTES:
        note = f"the sparse matrix stays sparse, since it takes {size / 1e9:.1f} GB when dense"
    else:
        note = f"the sparse matrix is made dense ({size / 1e6:.1f} MB)"
        data.X = with_names(data.X.toarray(), data.names)
    if not options.quiet:
        say(f"note: {note}")
