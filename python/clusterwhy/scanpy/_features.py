"""Chooses what is clustered and scored: genes from ``X``, ``raw`` or a layer, or an embedding's components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from clusterwhy._validation import MAX_DENSE_BYTES


@dataclass(frozen=True)
class Features:
    """Values (N, M), the names of their columns, and where they come from as scanpy records it."""

    values: Any
    names: list[str]
    source: dict[str, Any]

    @property
    def are_genes(self) -> bool:
        """Whether they are variables of the AnnData, not components of an embedding."""
        return "use_rep" not in self.source

    def of(self, cells: NDArray[np.bool_]) -> Any:
        """Return the values of some cells as a table, or sparse as they are; of all cells without a copy."""
        import pandas

        values = self.values if cells.all() else self.values[cells]
        return values if issparse(values) else pandas.DataFrame(values, columns=self.names, copy=False)

    @property
    def are_counts(self) -> bool:
        """Whether all values are whole numbers of at least 0, and not only 0 and 1; looks at some rows at a time."""
        matrix: Any = self.values
        values: Any = matrix.data if issparse(self.values) else matrix
        largest = 0
        for start in range(0, len(values), 4096):
            part = values[start : start + 4096]
            if (part < 0).any() or (part != np.rint(part)).any():
                return False
            largest = max(largest, part.max(initial=0))
        return bool(largest > 1)

    def sums(self, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the sum of each column over some cells."""
        some: Any = self.values[cells]
        if issparse(self.values):
            # SciPy adds float32 in float32, whatever dtype is asked for.
            return np.asarray(some.astype(np.float64).sum(axis=0)).ravel()
        found: NDArray[np.float64] = some.sum(axis=0, dtype=np.float64)
        return found


def choose_features(adata: Any, *, mask_var: Any, use_rep: Any, layer: Any, use_raw: Any) -> Features:
    """Read what the parameters ask for, in memory: dense, but for sparse values that are too many for it."""
    if getattr(adata, "isbacked", False):
        raise ValueError(
            "adata is backed by a file, and its values are needed in memory: pass adata.to_memory(), or, for some "
            "of the genes, adata[:, genes].to_memory()"
        )
    if use_raw is not None and not isinstance(use_raw, bool):
        raise TypeError(f"use_raw must be True, False or None, got {use_raw!r}")
    if use_rep is None:
        return _genes(adata, mask_var, layer, use_raw)
    if mask_var is not None or layer is not None or use_raw:
        raise ValueError(
            "use_rep explains the components of an embedding, and mask_var, layer and use_raw choose genes: pass "
            "one or the other"
        )
    return _components(adata, use_rep)


def _genes(adata: Any, mask_var: Any, layer: Any, use_raw: bool | None) -> Features:
    if not adata.var_names.is_unique:
        raise ValueError("adata.var_names must be unique: call adata.var_names_make_unique()")
    mask = _check_mask(adata, mask_var)
    names = adata.var_names[mask]
    if layer is not None:
        if use_raw:
            raise ValueError("layer and use_raw=True name two sources of values: pass one of them")
        if not isinstance(layer, str) or layer not in adata.layers:
            raise ValueError(f"layer must be one of adata.layers, {list(adata.layers)}, got {layer!r}")
        values, what = adata.layers[layer], f"adata.layers[{layer!r}]"
    else:
        use_raw = _check_raw(adata, names, use_raw)
        values, what = (adata.raw.X, "adata.raw.X") if use_raw else (adata.X, "adata.X")
    columns = adata.raw.var_names.get_indexer(names) if use_raw else np.flatnonzero(mask)
    if values is None:
        raise ValueError("adata has no X: name a layer, or use_raw=True")
    source = {"use_raw": bool(use_raw), "layer": layer}
    return Features(_read(values, columns, what), names.astype(str).tolist(), source)


def _check_raw(adata: Any, names: Any, use_raw: bool | None) -> bool:
    """Decide whether the genes are read from ``raw``: by default where it has them."""
    if use_raw is False or (use_raw is None and adata.raw is None):
        return False
    if adata.raw is None:
        raise ValueError("use_raw=True, but adata.raw is empty: use_raw=False reads adata.X")
    missing = names[~names.isin(adata.raw.var_names)]
    usable = missing.empty and bool(adata.raw.var_names.is_unique)
    if use_raw and not usable:
        wrong = (
            f"it lacks {len(missing)} genes such as {missing[0]!r}" if len(missing) else "its names are not unique"
        )
        raise ValueError(
            f"use_raw=True needs the variables of adata in adata.raw, but {wrong}; use_raw=False reads X"
        )
    return usable


def _check_mask(adata: Any, mask_var: Any) -> NDArray[np.bool_]:
    if mask_var is None:
        return np.ones(adata.n_vars, dtype=bool)
    if isinstance(mask_var, str):
        if mask_var not in adata.var:
            raise ValueError(
                f"mask_var must be a column of adata.var, {list(adata.var)}, or a mask, got {mask_var!r}"
            )
        what, values = f"adata.var[{mask_var!r}]", adata.var[mask_var]
    else:
        what, values = "mask_var", mask_var
    mask = np.asarray(values)
    if mask.dtype.kind == "O" and all(isinstance(value, (bool, np.bool_)) for value in mask):
        mask = mask.astype(bool)
    if mask.dtype != bool or mask.shape != (adata.n_vars,):
        raise ValueError(
            f"{what} must have True or False for each of the {adata.n_vars} variables, got shape {mask.shape} of "
            f"dtype {mask.dtype}"
        )
    if mask.sum() < 2:
        raise ValueError(f"{what} must keep at least 2 variables, got {mask.sum()}")
    return mask


def _components(adata: Any, use_rep: Any) -> Features:
    if not isinstance(use_rep, str) or use_rep not in adata.obsm:
        raise ValueError(f"use_rep must be one of adata.obsm, {list(adata.obsm)}, got {use_rep!r}")
    values = adata.obsm[use_rep]
    # As scanpy.get.obs_df names them.
    names = [f"{use_rep}-{name}" for name in getattr(values, "columns", range(values.shape[1]))]
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    values = _read(values, np.arange(values.shape[1]), f"adata.obsm[{use_rep!r}]")
    return Features(values, names, {"use_raw": False, "layer": None, "use_rep": use_rep})


def _read(values: Any, columns: NDArray[np.int64], what: str) -> Any:
    """Return columns of a matrix, float64 as such and all else as float32, dense where it fits.

    Dense minipatches are gathered faster, and a clusterer that gets all cells at once may take no others.
    """
    sparse = issparse(values)
    if not isinstance(values, np.ndarray) and not sparse:
        raise TypeError(
            f"{what} must be a NumPy array or a SciPy sparse matrix in memory, got {type(values).__name__}"
        )
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    if len(columns) != values.shape[1] or (columns != np.arange(len(columns))).any():
        values = values[:, columns]
    if not sparse:
        return np.asarray(values, dtype=dtype)
    size = values.shape[0] * values.shape[1] * np.dtype(dtype).itemsize
    values = values.astype(dtype, copy=False)
    return values.toarray() if size <= MAX_DENSE_BYTES else values.tocsr()
