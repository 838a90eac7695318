"""Loader of 700 blood cells with known types."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from clusterwhy._importances import import_extra

_DESCRIPTION = """700 peripheral blood mononuclear cells, 765 genes
-----------------------------------------------
A subsample of the 68,000 cells of Zheng et al. (2017), as scanpy bundles it (``pbmc68k_reduced``):
genes selected, normalised, log-transformed and scaled to unit variance. The types ("bulk labels") come from
the correlation with purified populations, not from a clustering.

G. X. Y. Zheng et al., "Massively parallel digital transcriptional profiling of single cells", Nature
Communications 8, 14049 (2017).
"""


def load_cells() -> Any:
    """Load 700 blood cells x 765 genes with their ten cell types, from the copy that scanpy bundles.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        ``data``
            ndarray of shape (700, 765), float32: scaled expression.
        ``target``
            ndarray of shape (700,), int64: index into ``target_names``.
        ``target_names``
            ndarray of shape (10,), str: cell types, in alphabetical order.
        ``feature_names``
            ndarray of shape (765,), str: gene symbols.
        ``sample_names``
            ndarray of shape (700,), str: cell barcodes.
        ``DESCR``
            str: what the data are and where they come from.

    Raises
    ------
    ImportError
        If scanpy is not installed. Nothing is downloaded.

    Examples
    --------
    >>> from clusterwhy.datasets import load_cells
    >>> cells = load_cells()
    >>> cells.data.shape
    (700, 765)
    """
    scanpy = import_extra("scanpy", "scanpy", "load_cells")
    with warnings.catch_warnings():
        # The file is older than anndata's current format; that does not concern who loads it.
        warnings.simplefilter("ignore")
        adata = scanpy.datasets.pbmc68k_reduced()
    names = np.array(sorted(map(str, adata.obs["bulk_labels"].unique())))
    return Bunch(
        data=np.ascontiguousarray(adata.X, dtype=np.float32),
        target=np.searchsorted(names, adata.obs["bulk_labels"].astype(str).to_numpy(dtype=str)).astype(np.int64),
        target_names=names,
        feature_names=adata.var_names.to_numpy(dtype=str),
        sample_names=adata.obs_names.to_numpy(dtype=str),
        DESCR=_DESCRIPTION,
    )
