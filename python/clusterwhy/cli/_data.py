"""Reads what the options name: a table, and labels to explain."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler

from clusterwhy._validation import label_array
from clusterwhy.cli._errors import UsageError
from clusterwhy.cli._readers import READERS
from clusterwhy.cli._table import Table, as_labels

# Options that mean nothing for other formats.
OPTIONS = {
    "sep": ("csv", "tsv"),
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
        data.labels = read_labels(options.labels, len(data.rows))
    if options.standardize:
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


def read_labels(path: str, n_samples: int) -> NDArray[Any]:
    """Read labels from a file of one label a line, or .npy."""
    if not Path(path).is_file():
        raise UsageError(f"--labels {path} is neither a column of the data nor a file")
    if path.endswith(".npy"):
        return label_array(np.load(path, allow_pickle=False), n_samples, f"the labels in {path}")
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    return as_labels([line.strip() for line in lines if line.strip()], n_samples, f"the labels in {path}")
