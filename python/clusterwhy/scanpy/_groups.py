"""The groups of cells that are explained, and how much more they express of each gene."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from clusterwhy._warnings import warn_user

from ._features import Features


def read_groups(adata: Any, groupby: Any) -> Any:
    """Return the labels of the cells as a categorical of at least two categories, all of which occur.

    Strings are sorted as people sort them (2 before 10), as AnnData does; missing values belong to no group.
    """
    import pandas

    if not isinstance(groupby, str) or groupby not in adata.obs:
        raise ValueError(f"groupby must be a column of adata.obs, {list(adata.obs)}, or None, got {groupby!r}")
    column = adata.obs[groupby]
    if isinstance(column.dtype, pandas.CategoricalDtype):
        labels = column.cat.remove_unused_categories().array
    elif pandas.api.types.infer_dtype(column, skipna=True) == "string":
        # Comes with anndata, which sorts categories with it.
        from natsort import natsorted

        labels = pandas.Categorical(column, categories=natsorted(column.dropna().unique()))
    else:
        raise ValueError(
            f"groupby must name categories or strings, but adata.obs[{groupby!r}] has dtype {column.dtype}: "
            f'convert it, as in adata.obs[{groupby!r}] = adata.obs[{groupby!r}].astype(str).astype("category")'
        )
    if len(labels.categories) < 2:
        raise ValueError(
            f"groupby must name 2 groups or more, but adata.obs[{groupby!r}] has {list(labels.categories)}"
        )
    names = [str(name) for name in labels.categories]
    if len(set(names)) < len(names):
        raise ValueError(
            f"the groups of adata.obs[{groupby!r}] must differ as strings, got {list(labels.categories)}"
        )
    return labels.rename_categories(names)


def check_groups(groups: Any, labels: Any) -> list[str] | None:
    """Return the groups to be reported; None is all of them."""
    if isinstance(groups, str) and groups == "all":
        return None
    if isinstance(groups, (str, bytes)) or not isinstance(groups, Iterable):
        raise TypeError(f"groups must be 'all' or a list of groups, got {groups!r}")
    if labels is None:
        raise ValueError("groups are those of groupby: without it, all that are found are reported (groups='all')")
    wanted, names = [str(group) for group in groups], list(labels.categories)
    unknown = [group for group in wanted if group not in names]
    if unknown or not wanted:
        raise ValueError(f"groups must be some of {names}, got {unknown or wanted}")
    return wanted


def log_fold_changes(features: Features, members: Any, base: float | None) -> Any:
    """Return log2 fold changes of each group over all other cells, as scanpy computes them.

    From the means of log1p-transformed values: ``log2((expm1(group) + 1e-9) / (expm1(others) + 1e-9))``.

    Parameters
    ----------
    features : Features
        What is not genes has no fold changes.
    members : pandas.Categorical
        The group of each cell. A cell without one is among the others of every group.
    base : float or None
        Base of the logarithm that the values are in; None is e.

    Returns
    -------
    pandas.DataFrame
        A row for each group, a column for each feature. NaN for what is not genes, for counts, and where a mean is so
        negative that it cannot be one of log-transformed values.
    """
    import pandas

    names, codes = members.categories, members.codes
    out = np.full((len(names), len(features.names)), np.nan)
    counts = features.are_genes and features.are_counts
    if counts:
        warn_user(
            "the values are counts, of which there are no fold changes (they are NaN), and whose distances are those "
            "of a few genes: use sc.pp.normalize_total and sc.pp.log1p, or name a layer of such values"
        )
    if features.are_genes and not counts:
        parts = [codes == code for code in range(-1, len(names))]
        sizes = np.array([part.sum() for part in parts])
        sums = np.stack([features.sums(part) for part in parts])
        unlog = np.log(base) if base is not None else 1.0
        with np.errstate(all="ignore"):
            for group in range(len(names)):
                own = group + 1
                inside = sums[own] / sizes[own]
                # Summed without the group, not subtracted from the total: exactly 0 where no other cell has any.
                outside = np.delete(sums, own, axis=0).sum(axis=0) / np.delete(sizes, own).sum()
                out[group] = np.log2((np.expm1(inside * unlog) + 1e-9) / (np.expm1(outside * unlog) + 1e-9))
    return pandas.DataFrame(out, index=names, columns=features.names)
