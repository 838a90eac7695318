"""Cluster LOCO of the genes of an AnnData, written as scanpy writes markers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._anndata import (
    check_anndata,
    check_free,
    check_key,
    clear_scores,
    feature_columns,
    label_column,
    stored_params,
)
from clusterwhy._loco_mp import LOCOMP
from clusterwhy._scores import Loss
from clusterwhy._validation import check_count, check_option

from ._features import Features, choose_features
from ._groups import check_groups, log_fold_changes, read_groups
from ._records import ranked_records

# scanpy's names of the corrections, and ours.
CORRECTIONS = {"benjamini-hochberg": "bh", "bonferroni": "bonferroni"}


def rank_genes_loco(
    adata: Any,
    groupby: str | None = None,
    *,
    clusterer: Any = None,
    classifier: Any = None,
    mask_var: Any = None,
    use_rep: str | None = None,
    layer: str | None = None,
    use_raw: bool | None = None,
    groups: Any = "all",
    n_genes: int | None = None,
    n_patches: int | str = 1000,
    tol: float = 0.05,
    max_patches: int = 50_000,
    max_seconds: float | None = None,
    max_samples: float = 0.2,
    max_features: float = 0.2,
    loss: Loss = "hinge",
    engine: str = "auto",
    corr_method: str = "benjamini-hochberg",
    key_added: str = "rank_genes_loco",
    copy: bool = False,
    n_jobs: int | None = None,
    random_state: Any = 0,
    verbose: int = 0,
) -> Any:
    """Rank the genes that drive a clustering of cells, for each cluster and as a whole.

    Cluster LOCO-MP (:class:`clusterwhy.LOCOMP`) of the cells of an AnnData. Where a test of differential expression
    asks how the means of given groups differ, this asks which genes help to find the groups again, given that other
    genes may stand in for them. Results have the form of :func:`scanpy.tl.rank_genes_groups`, so that scanpy's
    tables, filters and plots read them: ``sc.get.rank_genes_groups_df(adata, None, key="rank_genes_loco")``,
    ``sc.pl.rank_genes_groups_dotplot(adata, key="rank_genes_loco")``.

    Parameters
    ----------
    adata : anndata.AnnData
        N cells; in memory, not backed by a file. A view becomes an actual AnnData, as with scanpy.
    groupby : str, default=None
        Column of ``adata.obs`` with the labels to explain: categories or strings, from Leiden, Louvain or by
        hand. Cells without a label are left out. None explains what `clusterer` finds in all the cells.
    clusterer : estimator, default=None
        Clusters the minipatches, whose clusters the labels then name: what is explained is their consensus. Choose
        one that can find the groups; a warning says when it does not. None is Ward clustering into as many
        clusters as there are groups (2 without `groupby`), which runs in Rust; :class:`Leiden` clusters as
        ``scanpy.tl.leiden`` does.
    classifier : estimator, default=None
        As in :class:`~clusterwhy.LOCOMP`: None is a decision tree.
    mask_var : str or array-like of bool of shape (n_vars,), default=None
        The genes to cluster and score: a column of ``adata.var`` such as ``"highly_variable"``, or a mask; None
        is all of ``adata.var``.
    use_rep : str, default=None
        Key of ``adata.obsm``: cluster and score the components of an embedding in place of genes. To explain
        genes by a clustering that is made in principal components, give a clusterer that computes them
        (:class:`Leiden`, or a Pipeline with PCA) and leave this None.
    layer : str, default=None
        Key of ``adata.layers`` to take values from.
    use_raw : bool, default=None
        Take values from ``adata.raw``, for the variables of ``adata``. None does so, as scanpy does, where there
        is a ``raw`` that has them and no `layer` is named.
    groups : "all" or list of str, default="all"
        The groups of `groupby` that are reported. All are explained, and p-values are corrected for all, whichever
        are reported.
    n_genes : int, default=None
        Genes that are reported for each group; None is all of them.
    n_patches, tol, max_patches, max_seconds, max_samples, max_features, loss, engine, n_jobs, verbose
        As in :class:`~clusterwhy.LOCOMP`. The loss ``"ari"`` has no scores of clusters and is refused.
    corr_method : {"benjamini-hochberg", "bonferroni"}, default="benjamini-hochberg"
        Correction behind ``pvals_adj``, across genes and groups together.
    key_added : str, default="rank_genes_loco"
        Name of everything that is written.
    copy : bool, default=False
        Write to a copy of `adata` and return it.
    random_state : int, RandomState, Generator or None, default=0
        As in :class:`~clusterwhy.LOCOMP`; fixed by default, as in scanpy.

    Returns
    -------
    anndata.AnnData or None
        None, unless `copy`. Written to `adata`, in the last step, when all has succeeded:

        ``uns[key]["names"]``, ``["scores"]``, ``["logfoldchanges"]``, ``["pvals"]``, ``["pvals_adj"]``
            Record arrays with a field for each group, in the order of the categories, sorted by score. Scores
            are the clusters' LOCO scores. P-values are one-sided and include the Monte-Carlo error of finitely
            many minipatches. Fold changes are scanpy's (log2, from means of log1p-transformed values, groups by
            `groupby`, cells without a label among the others), NaN where values are not of that kind, which a
            warning says of counts. A group that the consensus lost, which a warning names, has no field.
        ``uns[key]["params"]``
            ``groupby`` (or `key_added`), ``reference`` ("rest"), ``method`` ("LOCOMP"), ``use_raw``, ``layer``,
            ``corr_method`` and the parameters of the fit, default estimators included.
        ``uns[key]["classes"]``, ``["loo_error"]``, ``["n_patches"]``
            The groups, the mean loss of the leave-one-out votes, and the number of minipatches.
        ``obs[key]``, ``obs[f"{key}_stability"]``
            The consensus label of each cell (the categories of `groupby` that occur, as strings), and the share of
            the minipatches with the cell that gave it this label. Missing for cells without a label.
        ``var[f"{key}_score"]``, ``_se``, ``_mc_se``, ``_pval``, ``_pval_adj``, ``_rank``
            Each gene's score for the clustering as a whole, its standard error and Monte-Carlo error, p-values
            (corrected by Benjamini-Hochberg) and rank; missing for genes that `mask_var` leaves out.
        ``varm[key]``
            The clusters' scores (n_vars, K), columns in the order of ``uns[key]["classes"]``.

        With `use_rep`, names are such as ``"X_pca-0"`` (as ``scanpy.get.obs_df`` has them), fold changes are NaN, and
        the scores for the whole go to the table ``uns[key]["components"]``, not to ``var`` and ``varm``.
        ``sc.pl.rank_genes_groups`` and ``sc.get.rank_genes_groups_df`` read them; plots of expression cannot.

    Raises
    ------
    TypeError, ValueError
        For parameters that cannot be, data that are backed by a file, labels that are not categories or strings,
        and, without `groupby`, a clusterer that does not take all cells sparse where they are too many to be made
        dense.

    See Also
    --------
    clusterwhy.LOCOMP : The estimator behind it, with sets of genes, interactions and scores of each cell.
    Leiden : Clusters minipatches as scanpy clusters cells.

    Notes
    -----
    Scores explain the consensus clustering, conditional on its labels; p-values do not include the uncertainty of the
    labels. Values are read as float64 if they are, else as float32. Sparse ones are made dense where that takes
    2.1 GB at most (500,000 cells by 1000 genes), which is faster; larger ones stay sparse, and a minipatch at a
    time is dense, for the same scores. Memory: as :class:`~clusterwhy.LOCOMP` takes without scores of single cells.

    References
    ----------
    .. [1] He and Allen, "Cluster LOCO: Feature Importance for Interpreting Clusters", arXiv 2606.14592.
    .. [2] Wolf, Angerer and Theis, "SCANPY: large-scale single-cell gene expression data analysis", Genome
       Biology 19, 15 (2018).

    Examples
    --------
    >>> import clusterwhy as cw
    >>> import scanpy as sc
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> cw.scanpy.rank_genes_loco(adata, "louvain", n_patches=300)
    >>> table = sc.get.rank_genes_groups_df(adata, None, key="rank_genes_loco")
    >>> table.columns.tolist()
    ['group', 'names', 'scores', 'logfoldchanges', 'pvals', 'pvals_adj']
    """
    check_anndata(adata)
    key = check_key(key_added)
    check_option(corr_method, "corr_method", tuple(CORRECTIONS))
    if isinstance(loss, str) and loss == "ari":
        raise ValueError("loss='ari' is one figure for all clusters together: use 'hinge' to rank genes for each")
    if n_genes is not None:
        n_genes = check_count(n_genes, "n_genes")
    if groupby == key:
        raise ValueError(f"key_added={key!r} would overwrite the labels in adata.obs[{key!r}]: choose another name")
    check_free(adata, key)
    labels = None if groupby is None else read_groups(adata, groupby)
    wanted = check_groups(groups, labels)
    features = choose_features(adata, mask_var=mask_var, use_rep=use_rep, layer=layer, use_raw=use_raw)

    labelled = np.ones(adata.n_obs, dtype=bool) if labels is None else np.asarray(labels.codes >= 0)
    loco = LOCOMP(
        clusterer,
        classifier,
        n_patches=n_patches,
        tol=tol,
        max_patches=max_patches,
        max_seconds=max_seconds,
        max_samples=max_samples,
        max_features=max_features,
        loss=loss,
        reference="full" if labels is None else np.asarray(labels[labelled]).astype(str),
        engine=engine,
        # Nothing that is written comes from them.
        store_sample_importances=False,
        n_jobs=n_jobs,
        random_state=random_state,
        verbose=verbose,
    )
    loco.fit(features.of(labelled))
    # Sparse data have no names of their own.
    loco.feature_names_in_ = np.asarray(features.names, dtype=object)

    names = np.asarray(loco.classes_ if labels is None else labels.categories).astype(str)
    consensus = _over_all_cells(label_column(loco.labels_, names), labelled)
    reported = [name for name in names if (wanted is None or name in wanted) and (consensus == name).any()]
    if not reported:
        raise ValueError(f"the consensus of the minipatches keeps none of the groups {wanted}: there is no score")
    members = (consensus if labels is None else labels).set_categories(names)
    tables = ranked_records(
        loco.to_frame(by_cluster=True, adjust=CORRECTIONS[corr_method]),
        log_fold_changes(features, members, adata.uns.get("log1p", {}).get("base")),
        reported,
        n_genes,
    )
    params = stored_params(loco._params_used()) | {
        "engine": str(loco.engine_),
        "groupby": key if labels is None else groupby,
        "reference": "rest",
        "method": type(loco).__name__,
        "corr_method": corr_method,
    }

    adata = adata.copy() if copy else adata
    clear_scores(adata, key)
    adata.uns[key] = {
        "params": params | features.source,
        **tables,
        "classes": names,
        "loo_error": float(loco.loo_error_),
        "n_patches": loco.n_patches_,
    }
    _write_features(adata, key, loco, features, names)
    if labels is not None and not hasattr(adata.obs[groupby], "cat"):
        # As scanpy does: its plots take categories only.
        adata.obs[groupby] = labels
    adata.obs[key] = consensus
    stability = np.full(adata.n_obs, np.nan)
    stability[labelled] = loco.label_stability_
    adata.obs[f"{key}_stability"] = stability
    return adata if copy else None


def _over_all_cells(column: Any, labelled: NDArray[np.bool_]) -> Any:
    """Spread a categorical of the labelled cells over all; the others have no value."""
    codes = np.full(len(labelled), -1)
    codes[labelled] = column.codes
    return type(column).from_codes(codes, dtype=column.dtype)


def _write_features(adata: Any, key: str, loco: LOCOMP, features: Features, names: NDArray[np.str_]) -> None:
    """Write the scores of the features: genes into ``var`` and ``varm``, components into a table of their own."""
    import pandas

    scores = pandas.DataFrame(feature_columns(loco), index=features.names)
    if not features.are_genes:
        adata.uns[key]["components"] = scores
        return
    for name, column in scores.reindex(adata.var_names).items():
        adata.var[f"{key}_{name}"] = column
    by_group = pandas.DataFrame(loco.cluster_importances_.T, index=features.names, columns=loco.classes_.astype(str))
    adata.varm[key] = by_group.reindex(index=adata.var_names, columns=names).to_numpy()
