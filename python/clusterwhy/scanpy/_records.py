"""The tables of markers as scanpy keeps them: record arrays with a field for each group."""

from __future__ import annotations

from typing import Any

# As scanpy stores them.
DTYPES = {"names": "O", "scores": "f4", "logfoldchanges": "f4", "pvals": "f8", "pvals_adj": "f8"}


def ranked_records(table: Any, folds: Any, groups: list[str], n_genes: int | None) -> dict[str, Any]:
    """Turn scores into record arrays, sorted for each group on its own.

    Parameters
    ----------
    table : pandas.DataFrame
        ``to_frame(by_cluster=True)``: sorted by score within a cluster.
    folds : pandas.DataFrame
        Log fold changes: a row for each group, a column for each gene.
    groups : list of str
        The fields, in order.
    n_genes : int or None
        Genes of each group; None is all.

    Returns
    -------
    dict of numpy.recarray
        ``names``, ``scores``, ``logfoldchanges``, ``pvals``, ``pvals_adj``.
    """
    import pandas

    clusters = table["cluster"].astype(str)
    tops = {group: table[clusters == group].head(n_genes or len(table)) for group in groups}
    columns = {
        "names": {group: top["feature"].to_numpy() for group, top in tops.items()},
        "scores": {group: top["importance"].to_numpy() for group, top in tops.items()},
        "logfoldchanges": {group: folds.loc[group, top["feature"]].to_numpy() for group, top in tops.items()},
        "pvals": {group: top["p_value"].to_numpy() for group, top in tops.items()},
        "pvals_adj": {group: top["p_adjusted"].to_numpy() for group, top in tops.items()},
    }
    return {
        name: pandas.DataFrame(column).to_records(index=False, column_dtypes=DTYPES[name])
        for name, column in columns.items()
    }
