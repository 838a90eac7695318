"""Genes of an AnnData, ranked in scanpy's form: what is written, what scanpy reads, what is refused."""

import subprocess
import sys
import warnings

import anndata
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse
from sklearn.cluster import DBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier

import clusterwhy as cw

matplotlib.use("Agg")

N, M, K = 90, 24, 3
NAMES = ["T/a", "10", "2"]
KEY = "rank_genes_loco"
TABLES = ("names", "scores", "logfoldchanges", "pvals", "pvals_adj")
rank = cw.scanpy.rank_genes_loco
FEW = {"n_patches": 400, "max_samples": 0.4, "max_features": 0.4}

pytestmark = [
    # Of scanpy and anndata, about themselves and each other.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def expression():
    """Counts of three kinds of cells, each with four genes of its own, as logarithms."""
    rng = np.random.default_rng(0)
    kind = np.arange(N) % K
    rate = np.full((N, M), 0.7)
    for k in range(K):
        rate[np.ix_(kind == k, range(4 * k, 4 * k + 4))] = 12
    return np.log1p(rng.poisson(rate)).astype(np.float32), kind


X, KIND = expression()


def cells(values=X, **changes):
    adata = anndata.AnnData(values.copy() if hasattr(values, "copy") else values)
    adata.var_names = [f"g{j}" for j in range(M)]
    adata.obs["group"] = pd.Categorical.from_codes(KIND, categories=NAMES)
    adata.obs["number"] = KIND
    adata.obs["word"] = np.array(["c10", "c9", "c2"])[KIND]
    adata.var["some"] = np.arange(M) < 16
    adata.obsm["X_pca"] = X[:, :6] - X.mean()
    adata.layers["double"] = 2 * X
    for name, value in changes.items():
        setattr(adata, name, value)
    return adata


@pytest.fixture(scope="module")
def ranked():
    adata = cells()
    assert rank(adata, "group", **FEW) is None
    return adata


@pytest.fixture(scope="module")
def loco():
    labels = np.array(NAMES)[KIND]
    return cw.LOCOMP(reference=labels, random_state=0, **FEW).fit(pd.DataFrame(X, columns=cells().var_names))


def fields(adata, key=KEY):
    """Everything in ``uns``, as plain comparable objects."""
    return {name: pd.DataFrame(adata.uns[key][name]) for name in TABLES}


def same(one, other, key=KEY):
    for name, frame in fields(one, key).items():
        pd.testing.assert_frame_equal(frame, fields(other, key)[name])
    columns = [name for name in one.var if name.startswith(key)]
    pd.testing.assert_frame_equal(one.var[columns], other.var[columns])


# ---------------------------------------------------------------------- what is written


def test_tables_are_the_scores_of_the_estimator(ranked, loco):
    p = loco.pvalues(by_cluster=True, monte_carlo=True)
    adjusted = loco.pvalues("bh", by_cluster=True, monte_carlo=True)
    found = fields(ranked)
    assert list(found["names"]) == NAMES
    genes = ranked.var_names
    for name in NAMES:
        k = loco.classes_.tolist().index(name)
        order = np.argsort(-loco.cluster_importances_[k], kind="stable")
        assert found["names"][name].tolist() == genes[order].tolist()
        np.testing.assert_array_equal(found["scores"][name], loco.cluster_importances_[k, order].astype(np.float32))
        np.testing.assert_array_equal(found["pvals"][name], p[k, order])
        np.testing.assert_array_equal(found["pvals_adj"][name], adjusted[k, order])
    assert found["scores"].dtypes.unique().tolist() == [np.float32]
    assert found["pvals"].dtypes.unique().tolist() == [np.float64]


def test_own_genes_come_first(ranked):
    for k, name in enumerate(NAMES):
        top = ranked.uns[KEY]["names"][name][:3]
        assert set(top) <= {f"g{j}" for j in range(4 * K)}
        fold = dict(zip(ranked.uns[KEY]["names"][name], ranked.uns[KEY]["logfoldchanges"][name], strict=True))
        assert min(fold[f"g{j}"] for j in range(4 * k, 4 * k + 4)) > 2


def test_global_scores_and_cells(ranked, loco):
    for suffix, values in {
        "score": loco.feature_importances_,
        "se": loco.standard_errors_,
        "mc_se": loco.monte_carlo_errors_,
        "pval": loco.pvalues(monte_carlo=True),
        "pval_adj": loco.pvalues("bh", monte_carlo=True),
        "rank": loco.ranking_,
    }.items():
        np.testing.assert_array_equal(ranked.var[f"{KEY}_{suffix}"], values)
    order = [loco.classes_.tolist().index(name) for name in ranked.uns[KEY]["classes"]]
    np.testing.assert_array_equal(ranked.varm[KEY], loco.cluster_importances_[order].T)
    assert ranked.obs[KEY].tolist() == loco.labels_.tolist()
    assert ranked.obs[KEY].cat.categories.tolist() == NAMES
    np.testing.assert_array_equal(ranked.obs[f"{KEY}_stability"], loco.label_stability_)
    assert ranked.uns[KEY]["loo_error"] == loco.loo_error_


def test_params(ranked):
    params = ranked.uns[KEY]["params"]
    expected = {"groupby": "group", "reference": "rest", "use_raw": False, "layer": None, "n_patches": 400}
    assert {name: params[name] for name in expected} == expected
    assert params["method"] == "LOCOMP"
    assert params["corr_method"] == "benjamini-hochberg"
    # What None stood for.
    assert params["clusterer"] == f"AgglomerativeClustering(n_clusters={len(NAMES)})"
    assert params["classifier"] == "DecisionTreeClassifier()"
    adata = cells()
    rank(adata, "group", clusterer=KMeans(3), classifier=KNeighborsClassifier(3), **FEW)
    assert adata.uns[KEY]["params"]["clusterer"] == "KMeans(n_clusters=3)"
    assert adata.uns[KEY]["params"]["classifier"] == "KNeighborsClassifier(n_neighbors=3)"


def test_labels_that_no_fit_wrote_are_not_overwritten():
    adata = cells()
    model = cw.LOCOMP(KMeans(3, n_init=1), n_patches=60, random_state=0).fit(X)
    # As scanpy leaves them.
    adata.uns["group"] = {"params": {"resolution": 1.0}}
    before = adata.obs.copy()
    with pytest.raises(ValueError, match=r"would overwrite adata\.obs"):
        model.to_anndata(adata, key_added="group")
    pd.testing.assert_frame_equal(adata.obs, before)
    assert not adata.var.columns.str.startswith("group").any()
    # Nor loadings, or what else another tool keeps under the name.
    adata.varm["PCs"], adata.uns["pca"] = np.ones((adata.n_vars, 2)), {"variance": np.ones(2)}
    for key, part in {"PCs": "varm", "pca": "uns"}.items():
        with pytest.raises(ValueError, match=rf"would overwrite adata\.{part}\['{key}'\]"):
            model.to_anndata(adata, key_added=key)
    assert adata.varm["PCs"].shape == (adata.n_vars, 2)
    assert list(adata.uns["pca"]) == ["variance"]
    for _ in range(2):
        model.to_anndata(adata, key_added="own")
    top = cw.LOCORampart(KMeans(3, n_init=1), n_features_to_select=8, n_patches=60, random_state=0).fit(X)
    top.to_anndata(adata, key_added="own")
    assert adata.uns["own"]["n_patches"] == [turn["n_patches"] for turn in top.rounds_]


def test_a_growing_ensemble(ranked):
    """As precise as is asked for, within the most that is asked for; and it is written how many that took."""
    adata = cells()
    sizes = {**FEW, "n_patches": "auto", "max_patches": 400}
    with pytest.warns(ConvergenceWarning, match="after 400 minipatches"):
        rank(adata, "group", tol=0, **sizes)
    assert (adata.uns[KEY]["params"]["n_patches"], adata.uns[KEY]["n_patches"]) == ("auto", 400)
    assert adata.var[f"{KEY}_score"].equals(ranked.var[f"{KEY}_score"])
    rank(adata, "group", tol=9, **{**sizes, "max_patches": 5000})
    assert adata.uns[KEY]["n_patches"] < 1000


@pytest.mark.parametrize("base", [None, 2.0])
@pytest.mark.parametrize("source", [{}, {"use_raw": False}, {"use_raw": True}, {"layer": "double", "use_raw": False}])
def test_fold_changes_are_scanpys(source, base):
    adata = cells()
    adata.raw = cells(3 * X)
    adata.uns["log1p"] = {"base": base}
    adata.obs.loc[adata.obs_names[:4], "group"] = np.nan
    rank(adata, "group", **source, **FEW)
    sc.tl.rank_genes_groups(adata, "group", **source)
    mine, theirs = (sc.get.rank_genes_groups_df(adata, None, key=key) for key in (KEY, "rank_genes_groups"))
    both = mine.merge(theirs, on=["group", "names"])
    assert len(both) == K * M
    np.testing.assert_allclose(both["logfoldchanges_x"], both["logfoldchanges_y"], rtol=1e-5, atol=1e-6)
    assert adata.uns[KEY]["params"]["use_raw"] == adata.uns["rank_genes_groups"]["params"]["use_raw"]


def test_fold_changes_of_values_that_are_no_logarithms():
    adata = cells(X - 2)
    rank(adata, "group", **FEW)
    assert np.isnan(pd.DataFrame(adata.uns[KEY]["logfoldchanges"]).to_numpy()).any()
    assert not np.isnan(pd.DataFrame(adata.uns[KEY]["scores"]).to_numpy()).any()


def test_some_groups_and_some_genes(ranked):
    adata = cells()
    rank(adata, "group", groups=["2", "T/a"], n_genes=5, **FEW)
    for name, frame in fields(adata).items():
        pd.testing.assert_frame_equal(frame, fields(ranked)[name][["T/a", "2"]].head(5))
    pd.testing.assert_series_equal(adata.var[f"{KEY}_pval"], ranked.var[f"{KEY}_pval"])
    assert adata.varm[KEY].shape == (M, K)


def test_more_genes_than_there_are(ranked):
    adata = cells()
    rank(adata, "group", n_genes=1000, **FEW)
    same(adata, ranked)


def test_bonferroni():
    adata = cells()
    rank(adata, "group", corr_method="bonferroni", **FEW)
    found = fields(adata)
    np.testing.assert_allclose(found["pvals_adj"], np.minimum(found["pvals"] * K * M, 1), rtol=1e-12)


@pytest.mark.parametrize("mask", ["some", np.arange(M) < 16, (np.arange(M) < 16).tolist()])
def test_some_genes_only(mask):
    adata, part = cells(), cells()[:, :16].copy()
    rank(adata, "group", mask_var=mask, **FEW)
    rank(part, "group", **FEW)
    for name, frame in fields(part).items():
        pd.testing.assert_frame_equal(fields(adata)[name], frame)
    np.testing.assert_array_equal(adata.varm[KEY][:16], part.varm[KEY])
    assert np.isnan(adata.varm[KEY][16:]).all()
    np.testing.assert_array_equal(adata.var[f"{KEY}_rank"][:16], part.var[f"{KEY}_rank"])
    assert adata.var[f"{KEY}_score"][16:].isna().all()


# ---------------------------------------------------------------------- where values come from


def other(values, names=None):
    """Cells with other values and more genes in ``raw``, the genes that are shared in another order."""
    raw = anndata.AnnData(np.hstack([np.zeros((N, 1), np.float32), values[:, ::-1]]))
    raw.var_names = ["extra", *(names or [f"g{j}" for j in range(M)][::-1])]
    return raw


def test_raw_is_read_where_it_has_the_genes():
    expected = cells()
    rank(expected, "group", **FEW)
    for use_raw in (None, True):
        adata = cells(np.ones_like(X))
        adata.raw = other(X)
        rank(adata, "group", use_raw=use_raw, **FEW)
        same(adata, expected)
        assert adata.uns[KEY]["params"]["use_raw"] is True
    adata = cells()
    adata.raw = other(np.ones_like(X))
    rank(adata, "group", use_raw=False, **FEW)
    same(adata, expected)
    adata = cells()
    adata.raw = other(X, names=[f"h{j}" for j in range(M)])
    rank(adata, "group", **FEW)
    same(adata, expected)
    assert adata.uns[KEY]["params"]["use_raw"] is False
    with pytest.raises(ValueError, match="it lacks 24 genes such as 'g0'; use_raw=False reads X"):
        rank(adata, "group", use_raw=True, **FEW)


def test_a_layer_is_read_before_raw():
    adata, expected = cells(np.ones_like(X)), cells()
    adata.raw = other(np.ones_like(X))
    adata.layers["double"] = X
    rank(adata, "group", layer="double", **FEW)
    rank(expected, "group", **FEW)
    same(adata, expected)
    assert adata.uns[KEY]["params"]["layer"] == "double"


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix])
def test_sparse_is_dense(form, ranked):
    adata = cells(form(X))
    rank(adata, "group", **FEW)
    same(adata, ranked)
    assert sparse.issparse(adata.X)
    rank(adata, "group", mask_var="some", key_added="some", **FEW)
    assert adata.uns["some"]["params"]["engine"] == "native"


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8])
def test_other_dtypes(dtype):
    counts = np.rint(np.expm1(X)).astype(dtype)
    adata, expected = cells(counts), cells(counts.astype(np.float64 if dtype == np.float64 else np.float32))
    rank(adata, "group", **FEW)
    rank(expected, "group", **FEW)
    same(adata, expected)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array])
def test_what_is_too_much_to_make_dense_stays_sparse(form, ranked, monkeypatch):
    monkeypatch.setattr("clusterwhy.scanpy._features.MAX_DENSE_BYTES", 4 * N * M - 1)
    adata = cells(form(X))
    rank(adata, "group", **FEW)
    same(adata, ranked)
    # Minipatches are dense, whoever clusters them.
    rank(adata, "group", clusterer=cw.scanpy.Leiden(n_neighbors=5), key_added="leiden", **FEW)
    assert adata.uns["leiden"]["params"]["engine"] == "sklearn"
    with pytest.raises(TypeError, match="clusterer"):
        rank(adata, key_added="all", **FEW)
    rank(adata, clusterer=KMeans(3, n_init=1), key_added="all", **FEW)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_counts_have_no_fold_changes(form):
    adata = cells(form(np.rint(np.expm1(X))))
    with pytest.warns(UserWarning, match=r"the values are counts, of which there are no fold changes .*sc.pp.log1p"):
        rank(adata, "group", **FEW)
    for name in NAMES:
        assert np.isnan(adata.uns[KEY]["logfoldchanges"][name]).all()


def test_nothing_of_an_earlier_run_is_left_under_the_key():
    adata, fresh = cells(), cells()
    rank(adata, "group", **FEW)
    rank(adata, "group", use_rep="X_pca", **FEW)
    rank(fresh, "group", use_rep="X_pca", **FEW)
    same(adata, fresh)
    assert not [name for name in (*adata.var, *adata.varm) if name.startswith(KEY)]
    cw.LOCOMP(KMeans(3, n_init=1), n_patches=60, random_state=0).fit(X).to_anndata(adata, key_added="loco")
    cw.LOCOMP(KMeans(3, n_init=1), n_patches=60, loss="ari", random_state=0).fit(X).to_anndata(
        adata, key_added="loco"
    )
    assert "loco_score" in adata.var
    assert "loco_pval" not in adata.var
    assert "loco" not in adata.varm


def test_fortran_order_and_the_data_are_left_alone(ranked):
    adata = cells()
    adata.X = np.asfortranarray(X)
    before = adata.X.copy()
    rank(adata, "group", **FEW)
    same(adata, ranked)
    np.testing.assert_array_equal(adata.X, before)


def test_view(ranked):
    whole = cells()
    view = whole[:, :]
    assert view.is_view
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anndata.ImplicitModificationWarning)
        rank(view, "group", **FEW)
    assert not view.is_view
    same(view, ranked)
    assert KEY not in whole.uns
    assert KEY not in whole.obs


def test_view_of_some_cells_and_genes():
    view, part = cells()[10:, :20], cells()[10:, :20].copy()
    rank(part, "group", **FEW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anndata.ImplicitModificationWarning)
        rank(view, "group", **FEW)
    same(view, part)


def test_backed_data_are_refused(tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    adata = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"backed by a file.* pass adata\.to_memory\(\)"):
        rank(adata, "group", **FEW)
    adata.file.close()


def test_copy(ranked):
    adata = cells()
    written = rank(adata, "group", copy=True, **FEW)
    assert KEY not in adata.uns
    assert not any(name.startswith(KEY) for name in [*adata.obs, *adata.var, *adata.varm])
    same(written, ranked)


def test_components_of_an_embedding():
    adata = cells()
    rank(adata, "group", use_rep="X_pca", n_patches=60, max_samples=0.4, max_features=0.5)
    result = adata.uns[KEY]
    names = [f"X_pca-{j}" for j in range(6)]
    assert sorted(result["names"]["2"]) == names
    assert result["components"].index.tolist() == names
    assert result["components"].columns.tolist() == ["score", "se", "mc_se", "pval", "pval_adj", "rank"]
    assert result["params"]["use_rep"] == "X_pca"
    assert not any(name.startswith(KEY) for name in [*adata.var, *adata.varm])
    table = sc.get.rank_genes_groups_df(adata, None, key=KEY)
    assert table["logfoldchanges"].isna().all()
    # scanpy knows the components by these names.
    sc.get.obs_df(adata, obsm_keys=[("X_pca", int(name.split("-")[1])) for name in names])
    adata.obsm["frame"] = pd.DataFrame(X[:, :3], columns=["u", "v", "w"], index=adata.obs_names)
    rank(adata, "group", use_rep="frame", n_patches=60, max_samples=0.4, max_features=0.5)
    assert adata.uns[KEY]["components"].index.tolist() == ["frame-u", "frame-v", "frame-w"]


# ---------------------------------------------------------------------- labels


def test_cells_without_a_label_are_left_out(tmp_path):
    adata = cells()
    adata.obs.loc[adata.obs_names[::7], "group"] = np.nan
    known = adata.obs["group"].notna().to_numpy()
    part = adata[known].copy()
    rank(adata, "group", **FEW)
    rank(part, "group", **FEW)
    for name in ("names", "scores", "pvals"):
        pd.testing.assert_frame_equal(fields(adata)[name], fields(part)[name])
    assert adata.obs[KEY][known].tolist() == part.obs[KEY].tolist()
    assert adata.obs[KEY][~known].isna().all()
    assert adata.obs[f"{KEY}_stability"].isna().tolist() == (~known).tolist()
    adata.write_h5ad(tmp_path / "cells.h5ad")


def test_unused_categories_are_no_groups(ranked):
    adata = cells()
    adata.obs["group"] = adata.obs["group"].cat.add_categories(["empty"])
    rank(adata, "group", **FEW)
    same(adata, ranked)
    assert "empty" in adata.obs["group"].cat.categories


def test_strings_become_categories_as_people_sort_them():
    adata = cells()
    rank(adata, "word", **FEW)
    assert adata.uns[KEY]["names"].dtype.names == ("c2", "c9", "c10")
    assert adata.obs["word"].cat.categories.tolist() == ["c2", "c9", "c10"]
    theirs = cells()
    sc.tl.rank_genes_groups(theirs, "word")
    pd.testing.assert_series_equal(adata.obs["word"], theirs.obs["word"])


def test_categories_of_numbers_are_named_by_strings():
    adata = cells()
    adata.obs["group"] = pd.Categorical(KIND)
    rank(adata, "group", groups=[0, 2], **FEW)
    assert adata.uns[KEY]["names"].dtype.names == ("0", "2")
    assert adata.obs["group"].cat.categories.tolist() == [0, 1, 2]


def test_without_labels_the_clusterers_own_are_explained():
    adata = cells()
    rank(adata, clusterer=KMeans(3, random_state=0), **FEW)
    loco = cw.LOCOMP(KMeans(3, random_state=0), random_state=0, **FEW).fit(X)
    assert adata.obs[KEY].tolist() == loco.labels_.astype(str).tolist()
    assert adata.uns[KEY]["params"]["groupby"] == KEY
    np.testing.assert_array_equal(adata.varm[KEY], loco.cluster_importances_.T)
    sc.tl.rank_genes_groups(adata, KEY)
    both = [sc.get.rank_genes_groups_df(adata, "1", key=key).set_index("names") for key in (KEY, "rank_genes_groups")]
    np.testing.assert_allclose(*(frame["logfoldchanges"].sort_index() for frame in both), rtol=1e-5, atol=1e-6)


def test_noise_is_a_label_but_no_group():
    adata = cells()
    values = adata.X.copy()
    values[:3] += 40
    adata.X = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rank(adata, clusterer=DBSCAN(eps=3.6, min_samples=3), n_patches=60, max_samples=0.7, max_features=0.7)
    assert set(adata.obs[KEY][:3]) == {"-1"}
    assert "-1" not in adata.uns[KEY]["names"].dtype.names


def test_a_lost_group_is_not_reported():
    adata = cells()
    adata.obs["group"] = adata.obs["group"].cat.add_categories(["single"])
    adata.obs.loc[adata.obs_names[5], "group"] = "single"
    with pytest.warns(UserWarning, match="no observation keeps the label 'single'"):
        rank(adata, "group", clusterer=KMeans(3), **FEW)
    assert adata.uns[KEY]["names"].dtype.names == tuple(NAMES)
    assert adata.uns[KEY]["classes"].tolist() == [*NAMES, "single"]
    assert np.isnan(adata.varm[KEY][:, 3]).all()
    sc.pl.rank_genes_groups(adata, key=KEY, show=False)
    plt.close("all")
    with (
        pytest.warns(UserWarning, match="no observation keeps"),
        pytest.raises(ValueError, match=r"keeps none of the groups \['single'\]"),
    ):
        rank(adata, "group", clusterer=KMeans(3), groups=["single"], **FEW)


def test_default_clusterer_finds_as_many_clusters_as_groups(ranked):
    adata = cells()
    rank(adata, "group", clusterer=cw.native.Ward(n_clusters=3), **FEW)
    same(adata, ranked)


def test_one_seed_for_any_number_of_threads(ranked):
    adata = cells()
    rank(adata, "group", n_jobs=2, random_state=0, **FEW)
    same(adata, ranked)
    rank(adata, "group", random_state=1, **FEW)
    assert not adata.var[f"{KEY}_score"].equals(ranked.var[f"{KEY}_score"])


# ---------------------------------------------------------------------- scanpy and files


@pytest.fixture
def drawn(ranked):
    yield ranked.copy()
    plt.close("all")


@pytest.mark.parametrize("kind", ["dotplot", "heatmap", "matrixplot", "stacked_violin", "tracksplot"])
def test_scanpy_draws_expression(kind, drawn):
    assert getattr(sc.pl, f"rank_genes_groups_{kind}")(drawn, key=KEY, n_genes=2, show=False, dendrogram=False)
    shown = set()
    for axis in plt.gcf().axes:
        shown |= {axis.get_ylabel(), *(label.get_text() for label in axis.get_xticklabels())}
    assert {name for group in NAMES for name in drawn.uns[KEY]["names"][group][:2]} <= shown


@pytest.mark.parametrize("values", ["scores", "logfoldchanges", "pvals_adj", "log10_pvals"])
def test_scanpy_draws_what_was_written(values, drawn):
    for plot in (sc.pl.rank_genes_groups_dotplot, sc.pl.rank_genes_groups_matrixplot):
        assert plot(drawn, key=KEY, n_genes=2, values_to_plot=values, show=False, dendrogram=False)


def test_scanpy_draws_the_ranking(drawn):
    sc.pl.rank_genes_groups(drawn, key=KEY, n_genes=4, show=False)
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == [f"{name} vs. rest" for name in NAMES]
    assert {text.get_text() for text in axes[0].texts} == set(drawn.uns[KEY]["names"]["T/a"][:4])
    sc.pl.rank_genes_groups_violin(drawn, key=KEY, groups=["2"], n_genes=2, show=False)


def test_scanpy_filters(drawn):
    sc.tl.filter_rank_genes_groups(drawn, key=KEY, key_added="kept", min_fold_change=2, max_out_group_fraction=0.9)
    for k, name in enumerate(NAMES):
        kept = [gene for gene in drawn.uns["kept"]["names"][name] if isinstance(gene, str)]
        assert set(kept) == {f"g{j}" for j in range(4 * k, 4 * k + 4)}


def test_scanpy_tabulates(ranked):
    table = sc.get.rank_genes_groups_df(ranked, None, key=KEY)
    assert table.columns.tolist() == ["group", "names", "scores", "logfoldchanges", "pvals", "pvals_adj"]
    assert len(table) == K * M
    few = sc.get.rank_genes_groups_df(ranked, "2", key=KEY, pval_cutoff=0.5, log2fc_min=0)
    assert 0 < len(few) < M


def test_files_keep_everything(ranked, tmp_path):
    adata = ranked.copy()
    rank(adata, "group", use_rep="X_pca", key_added="pcs", n_patches=60, max_samples=0.4, max_features=0.5)
    rank(adata, clusterer=KMeans(3), classifier=KNeighborsClassifier(3), key_added="own", random_state=None, **FEW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adata.write_h5ad(tmp_path / "cells.h5ad")
        again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    for key in (KEY, "pcs", "own"):
        same(again, adata, key)
        # What has no value need not come back: layer is None.
        params = {name: value for name, value in adata.uns[key]["params"].items() if value is not None}
        assert {name: again.uns[key]["params"][name] for name in params} == params
        assert again.uns[key]["classes"].tolist() == adata.uns[key]["classes"].tolist()
        assert again.uns[key]["loo_error"] == adata.uns[key]["loo_error"]
        pd.testing.assert_series_equal(again.obs[key], adata.obs[key])
    pd.testing.assert_frame_equal(again.uns["pcs"]["components"], adata.uns["pcs"]["components"])
    np.testing.assert_array_equal(again.varm[KEY], adata.varm[KEY])
    pd.testing.assert_frame_equal(*(sc.get.rank_genes_groups_df(either, None, key=KEY) for either in (again, adata)))
    sc.pl.rank_genes_groups_dotplot(again, key=KEY, n_genes=2, show=False, dendrogram=False)
    plt.close("all")


def test_estimators_write_files_too(loco, tmp_path):
    adata = cells()
    loco.to_anndata(adata)
    params = adata.uns["loco"]["params"]
    assert params["n_patches"] == 400
    assert "None" not in params.values()
    assert "reference" not in params
    np.testing.assert_array_equal(adata.obs["loco_stability"], loco.label_stability_)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert anndata.read_h5ad(tmp_path / "cells.h5ad").uns["loco"]["params"] == params
    cw.LOCOMP(KMeans(12, random_state=0), n_patches=60, max_samples=0.6, random_state=0).fit(X).to_anndata(adata)
    assert adata.obs["loco"].cat.categories.tolist() == [str(k) for k in range(12)]


# ---------------------------------------------------------------------- what is refused

REFUSED = {
    "no AnnData": (lambda a: rank(X, "group"), TypeError, "adata must be an anndata.AnnData, got ndarray"),
    "key": (lambda a: rank(a, "group", key_added=3), TypeError, "key_added must be a string, got 3"),
    "taken key": (
        lambda a: rank(a, "group", key_added="word"),
        ValueError,
        r"key_added='word' would overwrite adata.obs\['word'\]: choose another name",
    ),
    "own key": (lambda a: rank(a, "group", key_added="group"), ValueError, "would overwrite the labels"),
    "groupby": (lambda a: rank(a, "leiden"), ValueError, r"column of adata.obs, \['group', 'number', 'word'\]"),
    "numbers": (
        lambda a: rank(a, "number"),
        ValueError,
        r"has dtype int64: convert it, as in .*astype\(\"category\"\)",
    ),
    "one group": (lambda a: rank(a, "one"), ValueError, r"2 groups or more, but adata.obs\['one'\] has \['only'\]"),
    "no group": (lambda a: rank(a, "none"), ValueError, "2 groups or more"),
    "same names": (lambda a: rank(a, "alike"), ValueError, "must differ as strings"),
    "groups": (
        lambda a: rank(a, "group", groups=["2", "B"]),
        ValueError,
        r"some of \['T/a', '10', '2'\], got \['B'\]",
    ),
    "group": (lambda a: rank(a, "group", groups="2"), TypeError, "'all' or a list of groups, got '2'"),
    "no groups": (lambda a: rank(a, "group", groups=[]), ValueError, "groups must be some of"),
    "groups of none": (lambda a: rank(a, groups=["0"]), ValueError, "groups are those of groupby"),
    "n_genes": (lambda a: rank(a, "group", n_genes=0), ValueError, "n_genes must be at least 1, got 0"),
    "corr_method": (lambda a: rank(a, "group", corr_method="bh"), ValueError, "corr_method must be one of 'benj"),
    "ari": (lambda a: rank(a, "group", loss="ari"), ValueError, "one figure for all clusters together"),
    "n_patches": (lambda a: rank(a, "group", n_patches=0), ValueError, "n_patches must be at least 1"),
    "mask column": (
        lambda a: rank(a, "group", mask_var="hv"),
        ValueError,
        r"column of adata.var, \['some'\], or a mask",
    ),
    "mask length": (lambda a: rank(a, "group", mask_var=[True] * 3), ValueError, r"24 variables, got shape \(3,\)"),
    "mask of indices": (lambda a: rank(a, "group", mask_var=range(M)), ValueError, "of dtype int64"),
    "mask of one": (
        lambda a: rank(a, "group", mask_var=np.arange(M) == 3),
        ValueError,
        "at least 2 variables, got 1",
    ),
    "layer": (lambda a: rank(a, "group", layer="raw"), ValueError, r"adata.layers, \['double'\], got 'raw'"),
    "no raw": (lambda a: rank(a, "group", use_raw=True), ValueError, "adata.raw is empty"),
    "raw and layer": (lambda a: rank(a, "group", layer="double", use_raw=True), ValueError, "two sources of values"),
    "use_raw": (lambda a: rank(a, "group", use_raw="yes"), TypeError, "True, False or None, got 'yes'"),
    "use_rep": (lambda a: rank(a, "group", use_rep="X_umap"), ValueError, r"adata.obsm, \['X_pca'\], got 'X_umap'"),
    "rep and layer": (
        lambda a: rank(a, "group", use_rep="X_pca", layer="double"),
        ValueError,
        "pass one or the other",
    ),
    "clusterer": (lambda a: rank(a, "group", clusterer="leiden"), TypeError, "clusterer must have fit_predict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    action, error, message = REFUSED[case]
    adata = cells()
    extra = {"one": "only", "none": np.nan, "alike": pd.Categorical([1, "1", "2"] * (N // 3))}
    if case in ("one group", "no group", "same names"):
        for name, values in extra.items():
            adata.obs[name] = values
        adata.obs["none"] = adata.obs["none"].astype("category")
    before = set(adata.obs), set(adata.var), set(adata.uns), set(adata.varm)
    with pytest.raises(error, match=message):
        action(adata)
    assert before == (set(adata.obs), set(adata.var), set(adata.uns), set(adata.varm))


def test_refused_values():
    adata = cells()
    adata.var_names = ["g0"] * M
    with pytest.raises(ValueError, match=r"must be unique: call adata\.var_names_make_unique\(\)"):
        rank(adata, "group")
    values = X.copy()
    values[3, 3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        rank(cells(values), "group")
    empty = anndata.AnnData(obs=cells().obs, var=cells().var)
    with pytest.raises(ValueError, match="adata has no X"):
        rank(empty, "group")


def test_a_failure_writes_nothing():
    adata = cells()

    class Failing(KMeans):
        def fit_predict(self, X, y=None, sample_weight=None):
            raise RuntimeError("no")

    with pytest.raises(ValueError, match="the clusterer Failing failed"):
        rank(adata, "word", clusterer=Failing(3))
    assert adata.uns == {}
    assert adata.obs["word"].dtype == cells().obs["word"].dtype


def test_imports_need_neither_scanpy_nor_anndata():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['scanpy', 'anndata', 'igraph', 'pandas', 'natsort'])); "
        "import clusterwhy as cw; cw.scanpy.rank_genes_loco; cw.scanpy.Leiden"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
