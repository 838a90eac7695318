"""Reads the formats of files, each into a table."""

from __future__ import annotations

import io
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.sparse import load_npz

from clusterwhy._importances import default_names, import_extra
from clusterwhy._tables import shown
from clusterwhy.cli._errors import UsageError, describe
from clusterwhy.cli._table import ROW_NAMES, Table, check_matrix, from_frame, warn_duplicates, with_names


@contextmanager
def reading(options: Namespace, kind: str) -> Iterator[None]:
    """Say which file it is that a library cannot read."""
    try:
        yield
    except Exception as error:
        hint = "; is it another encoding (--encoding utf-16 or latin-1)?" if isinstance(error, UnicodeError) else ""
        raise ValueError(f"{options.data} cannot be read as {kind}: {describe(error)}{hint}") from error


def read_csv(source: Any, options: Namespace) -> Table:
    """Read comma-separated text."""
    return read_text(source, options, ",")


def read_tsv(source: Any, options: Namespace) -> Table:
    """Read tab-separated text."""
    return read_text(source, options, "\t")


def read_text(source: Any, options: Namespace, sep: str) -> Table:
    """Read text, every number to the last bit."""
    pandas = import_extra("pandas", "cli", "reading text")
    # Named by the user, both may be commas: numbers in quotes can be read all the same.
    sep = options.sep or (";" if sep == options.decimal else sep)
    text: dict[str, Any] = {"sep": sep, "decimal": options.decimal or ".", "encoding": options.encoding}
    # A blank after a separator is of neither names nor values.
    text["skipinitialspace"] = True
    with reading(options, "text"):
        as_written = {"header": None, "dtype": str, "keep_default_na": False}
        header = pandas.read_csv(source, **text, **as_written, nrows=1)
        first = None if options.no_header else 0
        # Labels stay as they are written: 01 may be another one than 1.
        labels = options.labels
        if options.no_header:
            labels = {name: j for j, name in enumerate(default_names(header.shape[1]))}.get(labels)
        kinds = {} if labels is None else {labels: str}
        parsed = {"header": first, "float_precision": "round_trip", "dtype": kinds}
        frame = pandas.read_csv(rewound(source), **text, **parsed)
        if not isinstance(frame.index, pandas.RangeIndex) and frame.iloc[:, -1].isna().all():
            lines = pandas.read_csv(rewound(source), **text, **as_written, skiprows=1)
            if (lines.iloc[:, -1] == "").all():
                # They end in a separator, unlike the first, and have no names of rows before them.
                frame = pandas.read_csv(rewound(source), **text, **parsed, index_col=False)
        if first == 0 and header.iloc[0, 0] == "" and frame.shape[1] > 1:
            # A column without a name before the others, however pandas calls it, has the names of the rows.
            frame = frame.set_index(frame.columns[0])
    if options.no_header:
        frame.columns = default_names(frame.shape[1])
    elif not has_names([name for name in frame.columns if not ROW_NAMES.fullmatch(name)]):
        raise UsageError(
            f"the first line of {options.data} has numbers in place of names: is it an observation (--no-header)?"
        )
    else:
        warn_duplicates([name for name in header.iloc[0] if name], "{}.{}")
    if frame.shape[1] == 1:
        raise UsageError(
            f"{options.data} has one column, {str(frame.columns[0])[:40]!r}: {suggest(header.iloc[0, 0])}"
        )
    if frame.index.nlevels > 1:
        extra = frame.index.nlevels
        if any(other in "".join(header.iloc[0]) for other in ";\t|"):
            raise UsageError(f"{options.data}: {suggest(''.join(header.iloc[0]))}")
        raise ValueError(f"{options.data} has {extra} values more in a line than names in the first: name them all")
    if frame.empty:
        raise ValueError(f"{options.data} has names of columns, and no observation below them")
    return from_frame(frame, options)


def rewound(source: Any) -> Any:
    """Return a source to be read once more from its beginning."""
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return source


def suggest(line: str) -> str:
    """Say what may separate the columns of a line."""
    if line.startswith("#"):
        return "leave comments above the names of the columns out"
    for sep, option in {";": "';'", "\t": "'\\t'", "|": "'|'", ",": ",", " ": "' '"}.items():
        if sep in line:
            return f"are they separated otherwise (--sep {option})?"
    return "there must be two features or more (--sep says what separates columns)"


def has_names(header: list[str]) -> bool:
    """Whether a first line has names: not mostly numbers, unless they number the columns, as pandas does."""
    return 2 * sum(map(is_number, header)) <= len(header) or header == [str(j) for j in range(len(header))]


def is_number(text: str) -> bool:
    """Whether a name is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_parquet(source: Any, options: Namespace) -> Table:
    """Read Parquet."""
    polars = import_extra("polars", "cli", "reading Parquet")
    pandas = import_extra("pandas", "cli", "reading Parquet")
    with reading(options, "Parquet"):
        table = polars.read_parquet(source, glob=False)
    return from_frame(pandas.DataFrame({name: table[name].to_numpy() for name in table.columns}), options)


def read_npy(source: Any, options: Namespace) -> Table:
    """Read one array of NumPy."""
    with reading(options, ".npy"):
        X = np.load(source, mmap_mode=None if isinstance(source, io.BytesIO) else "r", allow_pickle=False)
        if not isinstance(X, np.ndarray):
            raise ValueError("it holds several arrays (--input-format npz)")
    return Table(check_matrix(X), None, np.arange(len(X)), None)


def read_npz(source: Any, options: Namespace) -> Table:
    """Read an array of several, or a sparse matrix that SciPy saved."""
    with reading(options, ".npz"), np.load(source, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if {"format", "shape", "data"} <= set(arrays):
        if options.key is not None:
            raise UsageError(f"{options.data} is one sparse matrix: --key names one of several arrays")
        if isinstance(source, io.BytesIO):
            source.seek(0)
        with reading(options, ".npz"):
            sparse: Any = load_npz(source)
        return Table(sparse.tocsr(), None, np.arange(sparse.shape[0]), None)
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    key = options.key or ("X" if "X" in matrices else matrices[0] if len(matrices) == 1 else None)
    if key not in arrays:
        remedy = "name one with --key" if matrices else "none has rows and columns"
        raise UsageError(f"{options.data} has the arrays {', '.join(arrays)}: {remedy}")
    X = check_matrix(arrays[key])
    names = None
    if "feature_names" in arrays:
        found = arrays["feature_names"]
        text = np.char.decode(found, "utf-8", "backslashreplace") if found.dtype.kind == "S" else found
        names = text.astype(str).tolist()
    labels = None
    if options.labels in arrays:
        labels = arrays[options.labels]
    return Table(with_names(X, names), names, np.arange(len(X)), labels)


def read_h5ad(source: Any, options: Namespace) -> Table:
    """Read annotated data: observations by variables."""
    anndata = import_extra("anndata", "scanpy", "reading .h5ad")
    with reading(options, ".h5ad"), warnings.catch_warnings():
        # What it says of names that occur twice, it says without naming them.
        warnings.filterwarnings("ignore", message=r".*names are not unique")
        adata = anndata.read_h5ad(source)
    if options.layer is not None and options.layer not in adata.layers:
        there = f"there are {shown(list(adata.layers))}" if len(adata.layers) else "the file has none"
        raise UsageError(f"--layer {options.layer}: there is no such layer; {there}")
    X = adata.X if options.layer is None else adata.layers[options.layer]
    if X is None:
        there = f"there are {shown(list(adata.layers))}" if len(adata.layers) else "and it has no layers"
        raise UsageError(f"{options.data} has no X: name a layer (--layer); {there}")
    warn_duplicates(adata.var_names, "{}-{}")
    adata.var_names_make_unique()
    names = [str(name) for name in adata.var_names]
    labels = None
    if options.labels in adata.obs.columns:
        labels = adata.obs[options.labels].to_numpy()
    return Table(with_names(X, names), names, adata.obs_names.to_numpy(), labels)


READERS: dict[str, Callable[[Any, Namespace], Table]] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "parquet": read_parquet,
    "npy": read_npy,
    "npz": read_npz,
    "h5ad": read_h5ad,
}
