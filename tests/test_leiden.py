"""The Leiden clusterer, against scanpy's own."""

import random
import sys

import anndata
import igraph
import numpy as np
import pytest
import scanpy as sc
from joblib import Parallel, delayed, parallel_config
from scipy.optimize import brentq
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

import clusterwhy as cw
from clusterwhy.scanpy import Leiden
from clusterwhy.scanpy._leiden import neighbor_graph

X, KIND = make_blobs(120, n_features=12, centers=4, cluster_std=3.0, random_state=0)
X = X.astype(np.float32)


@pytest.mark.parametrize("n_neighbors", [2, 5, 15])
def test_the_graph_is_scanpys(n_neighbors):
    adata = anndata.AnnData(X)
    sc.pp.neighbors(adata, n_neighbors=n_neighbors, use_rep="X")
    expected = adata.obsp["connectivities"].toarray()
    found = neighbor_graph(X, n_neighbors).toarray()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_array_equal(found, found.T)


def test_the_graph_is_the_formulas():
    n, k = len(X), 10
    weights = np.zeros((n, n))
    for i in range(n):
        distances = np.linalg.norm(X.astype(float) - X[i].astype(float), axis=1)
        others = np.argsort(distances)[1:k]
        excess = distances[others] - distances[others].min()
        sigma = brentq(lambda s, excess=excess: np.exp(-excess / s).sum() - np.log2(k), 1e-3, 1e3, xtol=1e-13)
        weights[i, others] = np.exp(-excess / sigma)
    expected = weights + weights.T - weights * weights.T
    np.testing.assert_allclose(neighbor_graph(X.astype(float), k).toarray(), expected, atol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_clusters_are_scanpys():
    adata = anndata.AnnData(X)
    sc.pp.pca(adata, n_comps=8)
    sc.pp.neighbors(adata, use_rep="X_pca")
    sc.tl.leiden(adata, flavor="igraph", n_iterations=-1, directed=False, resolution=0.5)
    found = Leiden(0.5, n_pcs=8, n_iterations=-1, random_state=0).fit_predict(X)
    assert adjusted_rand_score(adata.obs["leiden"], found) > 0.95


def test_more_resolution_is_more_clusters():
    counts = [len(set(Leiden(r, random_state=0).fit_predict(X))) for r in (0.01, 0.5, 3.0)]
    assert counts[0] < counts[1] < counts[2]


def test_one_seed_one_result():
    first = Leiden(3.0, random_state=5).fit(X).labels_
    np.testing.assert_array_equal(Leiden(3.0, random_state=5).fit(X).labels_, first)
    with parallel_config(backend="threading"):
        many = Parallel(n_jobs=4)(delayed(Leiden(3.0, random_state=5).fit_predict)(X) for _ in range(8))
    for labels in many:
        np.testing.assert_array_equal(labels, first)


def test_no_generator_of_others_is_touched():
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].copy()
    Leiden().fit(X)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    # igraph draws from Python's generator again.
    igraph.Graph.Erdos_Renyi(20, 0.5)
    assert random.getstate() != before[0]


@pytest.mark.parametrize("n_pcs", [0, 50])
@pytest.mark.parametrize("data", [X[:3], np.ones((6, 4)), np.repeat(X[:4], 5, axis=0), X[:, :1]])
def test_small_and_equal_cells(data, n_pcs):
    labels = Leiden(n_pcs=n_pcs, random_state=0).fit_predict(data)
    assert labels.shape == (len(data),)
    assert labels.min() == 0


def test_genes_of_louvains_clusters():
    adata = anndata.AnnData(X)
    adata.obs["kind"] = KIND.astype(str)
    cw.scanpy.rank_genes_loco(
        adata, "kind", clusterer=Leiden(0.5, n_pcs=4), n_patches=20, max_samples=0.5, max_features=0.7, n_jobs=1
    )
    assert adata.uns["rank_genes_loco"]["names"].dtype.names == ("0", "1", "2", "3")
    assert adjusted_rand_score(adata.obs["rank_genes_loco"], KIND) > 0.9
    assert adata.uns["rank_genes_loco"]["params"]["engine"] == "sklearn"


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"resolution": -1}, ValueError, "resolution must be finite and at least 0"),
        ({"resolution": "high"}, TypeError, "resolution must be a number"),
        ({"n_neighbors": 1}, ValueError, "n_neighbors must be at least 2, got 1"),
        ({"n_pcs": None}, TypeError, "n_pcs must be an integer"),
        ({"n_iterations": 0}, ValueError, "n_iterations must be"),
        ({"random_state": -4}, ValueError, "random_state must be from 0"),
    ],
)
def test_refused(params, error, message):
    with pytest.raises(error, match=message):
        Leiden(**params).fit(X)


def test_igraph_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(ImportError, match=r'Leiden needs igraph: pip install "clusterwhy\[scanpy\]"'):
        Leiden().fit(X)
