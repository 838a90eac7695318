"""Reads tables of numbers from files."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import load_npz
from sklearn.preprocessing import StandardScaler

from clusterwhy._importances import default_names, import_extra
from clusterwhy._validation import label_array
from clusterwhy.cli._errors import UsageError, describe

# What pandas and polars call the names of the rows that they wrote to a file.
ROW_NAMES = ("Unnamed: 0", "__index_level_0__")
# Options that mean nothing for other formats.
OPTIONS = {
    "sep": ("csv", "tsv"),
    "no_header": ("csv", "tsv"),
    "drop": ("csv", "tsv", "parquet"),
    "key": ("npz",),
    "layer": ("h5ad",),
}


@dataclass
class Data:
    """A table: a frame, array or CSR matrix of shape (N, M).

    Attributes
    ----------
    X : table
        The numbers; a frame where the features have names and the data are dense.
    names : list of str or None
        Names of the features.
    rows : ndarray of shape (N,)
        Names of the observations, or their positions.
    labels : ndarray of shape (N,) or None
        Labels to explain.
    """

    X: Any
    names: list[str] | None
    rows: NDArray[Any]
    labels: NDArray[Any] | None


def read_data(options: Namespace) -> Data:
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
        scaler = StandardScaler(with_mean=isinstance(data.X, np.ndarray) or hasattr(data.X, "columns"))
        if hasattr(data.X, "columns"):
            scaler.set_output(transform="pandas")
        data.X = scaler.fit_transform(data.X)
    return data


@contextmanager
def reading(options: Namespace, kind: str) -> Iterator[None]:
    """Say which file it is that a library cannot read."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{options.data} cannot be read as {kind}: {describe(error)}") from error


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


def as_labels(values: Any, n_samples: int, what: str) -> NDArray[Any]:
    """Return labels as whole numbers where all of them are, else as strings."""
    array = np.asarray(values)
    if array.dtype.kind in "OUS" and all(isinstance(value, str) for value in array):
        try:
            array = array.astype(np.int64)
        except ValueError:
            array = array.astype(str)
    return label_array(array, n_samples, what)


# ------------------------------------------------------------------ formats


def read_csv(source: Any, options: Namespace) -> Data:
    """Read comma-separated text."""
    return read_text(source, options, ",")


def read_tsv(source: Any, options: Namespace) -> Data:
    """Read tab-separated text."""
    return read_text(source, options, "\t")


def read_text(source: Any, options: Namespace, sep: str) -> Data:
    """Read text, every number to the last bit."""
    pandas = import_extra("pandas", '"clusterwhy[cli]"', "reading text")
    header = None if options.no_header else 0
    with reading(options, "text"):
        frame = pandas.read_csv(source, sep=options.sep or sep, header=header, float_precision="round_trip")
    if options.no_header:
        frame.columns = default_names(frame.shape[1])
    elif 2 * sum(map(is_number, frame.columns)) > frame.shape[1] and not numbered(frame.columns):
        raise UsageError(
            f"the first line of {options.data} has numbers in place of names: is it an observation (--no-header)?"
        )
    if frame.shape[1] == 1:
        raise UsageError(f"{options.data} has one column, {frame.columns[0][:40]!r}: name its separator with --sep")
    return from_frame(frame, options)


def is_number(text: Any) -> bool:
    """Whether a name is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def numbered(names: Any) -> bool:
    """Whether columns are named 0, 1, 2, ..., as pandas writes them."""
    return list(names) == [str(j) for j in range(len(names))]


def read_parquet(source: Any, options: Namespace) -> Data:
    """Read Parquet."""
    polars = import_extra("polars", '"clusterwhy[cli]"', "reading Parquet")
    pandas = import_extra("pandas", '"clusterwhy[cli]"', "reading Parquet")
    with reading(options, "Parquet"):
        table = polars.read_parquet(source)
    return from_frame(pandas.DataFrame({name: table[name].to_numpy() for name in table.columns}), options)


def from_frame(frame: Any, options: Namespace) -> Data:
    """Take the names of the rows, the labels and what is to be left out from the columns of a frame."""
    rows = frame.index.to_numpy()
    for name in ROW_NAMES:
        if name in frame.columns:
            rows = frame.pop(name).to_numpy()
    labels = None
    if options.labels in frame.columns:
        labels = as_labels(frame.pop(options.labels), len(frame), f"the labels in column {options.labels!r}")
    unknown = [name for name in options.drop if name not in frame.columns]
    if unknown:
        raise UsageError(f"--drop {unknown[0]}: there is no such column; there are {shown(frame.columns)}")
    frame = frame.drop(columns=options.drop)
    text = [name for name, column in frame.items() if column.dtype.kind not in "biuf"]
    if text:
        raise UsageError(f"not numbers: {shown(text)}; leave such columns out (--drop), or explain one (--labels)")
    return Data(frame, list(frame.columns), rows, labels)


def shown(names: Any) -> str:
    """List some names."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(str, list(names)[:5])) + rest


def read_npy(source: Any, options: Namespace) -> Data:
    """Read one array of NumPy."""
    with reading(options, ".npy"):
        X = np.load(source, mmap_mode=None if isinstance(source, io.BytesIO) else "r", allow_pickle=False)
    return Data(check_matrix(X), None, np.arange(len(X)), None)


def read_npz(source: Any, options: Namespace) -> Data:
    """Read an array of several, or a sparse matrix that SciPy saved."""
    with reading(options, ".npz"), np.load(source, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if {"format", "shape", "data"} <= set(arrays):
        if isinstance(source, io.BytesIO):
            source.seek(0)
        with reading(options, ".npz"):
            sparse: Any = load_npz(source)
        return Data(sparse.tocsr(), None, np.arange(sparse.shape[0]), None)
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    key = options.key or ("X" if "X" in matrices else matrices[0] if len(matrices) == 1 else None)
    if key not in arrays:
        raise UsageError(f"{options.data} has the arrays {', '.join(arrays)}: name one with --key")
    X = check_matrix(arrays[key])
    names = [str(name) for name in arrays["feature_names"]] if "feature_names" in arrays else None
    labels = None
    if options.labels in arrays:
        labels = as_labels(arrays[options.labels], len(X), f"the labels in {options.labels!r}")
    return Data(with_names(X, names), names, np.arange(len(X)), labels)


def read_h5ad(source: Any, options: Namespace) -> Data:
    """Read annotated data: observations by variables."""
    anndata = import_extra("anndata", '"clusterwhy[scanpy]"', "reading .h5ad")
    with reading(options, ".h5ad"):
        adata = anndata.read_h5ad(source)
    if options.layer is not None and options.layer not in adata.layers:
        raise UsageError(f"--layer {options.layer}: there is no such layer; there are {shown(list(adata.layers))}")
    X = adata.X if options.layer is None else adata.layers[options.layer]
    adata.var_names_make_unique()
    names = [str(name) for name in adata.var_names]
    labels = None
    if options.labels in adata.obs.columns:
        labels = as_labels(adata.obs[options.labels], adata.n_obs, f"the labels in obs[{options.labels!r}]")
    return Data(with_names(X, names), names, adata.obs_names.to_numpy(), labels)


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
    return import_extra("pandas", '"clusterwhy[cli]"', "named features").DataFrame(X, columns=names)


READERS: dict[str, Callable[[Any, Namespace], Data]] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "parquet": read_parquet,
    "npy": read_npy,
    "npz": read_npz,
    "h5ad": read_h5ad,
}
