"""What goes in, in every container, and what comes out: the same numbers, tables, selections, copies."""

import copy
import os
import pickle
import subprocess
import sys

import anndata
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from spies import SpyClassifier, SpyClusterer, notes

import clusterwhy as cw
from clusterwhy import LOCOMP, LOCORampart, LOCOSplit, native
from clusterwhy._native_ensemble import NativeEngine

N, M = 72, 10
NAMES = [f"gene{j}" for j in range(M)]


def make_data():
    """Three groups; multiples of 1/16, so that float32 holds them and large shifts are exact."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(N, M)) + 4 * np.eye(3, M)[np.arange(N) % 3]
    X[np.abs(X) < 0.4] = 0
    return np.rint(X * 16) / 16


X = make_data()
MODELS = {
    "mp": LOCOMP(
        AgglomerativeClustering(3), GaussianNB(), n_patches=40, max_samples=0.4, max_features=0.4, random_state=0
    ),
    "rampart": LOCORampart(
        AgglomerativeClustering(3),
        n_features_to_select=3,
        n_patches=40,
        max_samples=0.4,
        max_features=0.4,
        random_state=0,
    ),
    "split": LOCOSplit(AgglomerativeClustering(3), DecisionTreeClassifier(), n_repeats=2, random_state=0),
}
SCORES = (
    "feature_importances_",
    "cluster_importances_",
    "sample_importances_",
    "standard_errors_",
    "cluster_standard_errors_",
    "monte_carlo_errors_",
    "labels_",
    "reference_labels_",
    "loo_proba_",
    "ranking_",
)


def assert_equal_scores(one, other):
    for name in SCORES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.fixture(scope="module")
def fitted():
    return {name: clone(model).fit(X) for name, model in MODELS.items()}


@pytest.fixture(scope="module")
def named():
    frame = pd.DataFrame(X, columns=NAMES)
    return {name: clone(model).fit(frame) for name, model in MODELS.items()}


# ------------------------------------------------------------------------------------------ containers


def memory_map(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    assert not mapped.flags.writeable
    return mapped


DENSE = {
    "list": lambda tmp_path: X.tolist(),
    "Fortran order": lambda tmp_path: np.asfortranarray(X),
    "strided": lambda tmp_path: np.repeat(X, 2, axis=1)[:, ::2],
    "read-only": lambda tmp_path: read_only(X),
    "memory map": memory_map,
    "pandas": lambda tmp_path: pd.DataFrame(X, columns=NAMES),
    "pandas, extension types": lambda tmp_path: pd.DataFrame(X, columns=NAMES).convert_dtypes(),
    "polars": lambda tmp_path: pl.DataFrame(X, schema=NAMES),
    "big endian": lambda tmp_path: X.astype(">f8"),
}


def read_only(array):
    out = array.copy()
    out.flags.writeable = False
    return out


@pytest.mark.parametrize("container", DENSE)
@pytest.mark.parametrize("name", MODELS)
def test_dense_containers(name, container, fitted, tmp_path):
    data = DENSE[container](tmp_path)
    model = clone(MODELS[name]).fit(data)
    assert_equal_scores(model, fitted[name])
    if container in ("pandas", "pandas, extension types", "polars"):
        assert model.feature_names_in_.tolist() == NAMES
    else:
        assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("name", MODELS)
def test_sparse_formats(name, fitted):
    # Labels are given: Ward takes minipatches, which are dense, and not all the data.
    model = clone(MODELS[name]).set_params(reference=fitted[name].reference_labels_)
    dense = clone(model).fit(X)
    for form in (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array, sp.lil_array, sp.dok_array):
        data = form(X)
        assert_equal_scores(clone(model).fit(data), dense)
        np.testing.assert_array_equal(data.toarray(), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "classifier",
    [
        DecisionTreeClassifier(),
        RandomForestClassifier(5),
        ExtraTreesClassifier(5),
        KNeighborsClassifier(3),
        NearestCentroid(),
    ],
    ids=repr,
)
def test_sparse_data_run_natively_to_the_same_bits(classifier, dtype):
    model = LOCOMP(native.KMeans(3), classifier, n_patches=60, max_samples=0.4, max_features=0.4, random_state=0)
    data = X.astype(dtype)
    dense = clone(model).set_params(reference=np.arange(N) % 3).fit(data)
    ragged = sp.csr_matrix(data)
    # Columns in reverse, and every value in two parts, of which one may be zero.
    half = ragged.copy()
    half.data = np.rint(half.data)
    parts = sp.hstack([half, ragged - half]).tocoo()
    order = np.lexsort((-parts.col, parts.row))
    columns = (parts.col[order] % M).astype(np.int32)
    ragged = sp.csr_matrix((parts.data[order], columns, np.searchsorted(parts.row[order], range(N + 1))), (N, M))
    before = ragged.copy()
    for form in (sp.csr_array(data), ragged):
        sparse = clone(model).set_params(reference=np.arange(N) % 3).fit(form)
        assert sparse.engine_ == dense.engine_ == "native"
        assert_equal_scores(sparse, dense)
        assert_equal_scores(clone(sparse).set_params(n_jobs=2).fit(form), dense)
    np.testing.assert_array_equal(ragged.indices, before.indices)
    np.testing.assert_array_equal(ragged.data, before.data)


def test_a_sparse_matrix_is_what_it_says_however_it_is_stored(tmp_path):
    data = sp.csr_matrix(np.rint(np.abs(X)))
    twice = np.repeat(data.indices, 2), 2 * data.indptr
    stored = {
        "in two parts": sp.csr_matrix((np.c_[data.data - 1, np.ones(data.nnz)].ravel(), *twice), shape=data.shape),
        "with zeros": sp.csr_matrix((np.c_[data.data, np.zeros(data.nnz)].ravel(), *twice), shape=data.shape),
        "with room": sp.csr_matrix(
            (np.r_[data.data, 7.0], np.r_[data.indices, 0].astype(np.int32), data.indptr), shape=data.shape
        ),
    }
    model = LOCOMP(KMeans(3, n_init=1), n_patches=60, random_state=0, checkpoint=tmp_path / "run")
    expected = clone(model).fit(data)
    for form in stored.values():
        before = form.copy()
        # To all the data's clusterer, and to the checkpoint, which knows the data by their hash.
        assert_equal_scores(clone(model).fit(form), expected)
        assert_equal_scores(clone(model).set_params(checkpoint=None).fit(form), expected)
        np.testing.assert_array_equal(form.data, before.data)
        np.testing.assert_array_equal(form.indices, before.indices)


def test_sparse_values_beyond_single_precision_are_named():
    data = sp.csr_array(X)
    data.data[5] = 1e39
    row, column = np.searchsorted(data.indptr, 5, "right") - 1, data.indices[5]
    model = LOCOMP(native.KMeans(3), n_patches=20, reference=np.arange(N) % 3)
    named = rf"1.000e39 \(observation {row}, feature {column}\), expected at most 3.4e38"
    with pytest.raises(ValueError, match=named):
        model.fit(data)


def test_sparse_matrices_with_wide_indices():
    data = sp.csr_array(X)
    data.indices, data.indptr = data.indices.astype(np.int64), data.indptr.astype(np.int64)
    model = clone(MODELS["mp"]).set_params(clusterer=KMeans(3, n_init=1))
    assert_equal_scores(clone(model).fit(data), clone(model).fit(sp.csr_array(X)))
    assert data.indices.dtype == np.int64


def test_sparse_data_are_densified_one_minipatch_at_a_time(tmp_path):
    class Dense(SpyClusterer):
        pass

    model = clone(MODELS["mp"]).set_params(reference="overlap")
    sparse, dense = clone(model).fit(sp.csr_array(X)), clone(model).fit(X)
    assert_equal_scores(sparse, dense)
    spied = clone(model).set_params(clusterer=Dense(str(tmp_path)), classifier=SpyClassifier(str(tmp_path)))
    spied.fit(sp.csr_array(X))
    # Clusterers see 29 of the observations, as dense arrays in C order, and predictions the 43 others.
    assert {tuple(line.split()[:4]) for line in notes(tmp_path)} == {
        ("cluster", "29", "float64", "C"),
        ("train", "29", "float64", "C"),
        ("predict", "43", "float64", "C"),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64, np.uint16, bool, np.float16])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_floats_keep_their_type(dtype, make, tmp_path):
    if make is sp.csr_array and dtype is np.float16:
        data = make(np.abs(X).astype(np.float32))
        dtype = np.float32
    else:
        data = make(np.abs(X).astype(dtype))
    spies = {"clusterer": SpyClusterer(str(tmp_path)), "classifier": SpyClassifier(str(tmp_path))}
    clone(MODELS["mp"]).set_params(**spies, reference=np.arange(N) % 2).fit(data)
    wanted = dtype if dtype in (np.float32, np.float64) else np.float64
    assert {line.split()[2] for line in notes(tmp_path)} == {np.dtype(wanted).name}


def test_integers_are_the_floats_that_they_equal():
    whole = np.rint(X * 4).astype(np.int16)
    for model in MODELS.values():
        assert_equal_scores(clone(model).fit(whole), clone(model).fit(whole.astype(float)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reference", ["full", "overlap"])
def test_a_large_shift_changes_no_score(name, reference):
    estimators = {
        # Both work on differences of coordinates, which the shift leaves exactly as they were.
        "clusterer": AgglomerativeClustering(3, linkage="average"),
        "classifier": KNeighborsClassifier(5, algorithm="kd_tree"),
        "reference": reference,
    }
    plain = clone(MODELS[name]).set_params(**estimators).fit(X)
    shifted = clone(MODELS[name]).set_params(**estimators).fit(X + 2.0**14)
    assert np.ptp(plain.feature_importances_) > 0
    assert_equal_scores(shifted, plain)


def test_the_data_are_not_changed():
    data, sparse = X.copy(), sp.csr_array(X)
    before = sparse.copy()
    for model in MODELS.values():
        clone(model).fit(data)
        clone(model).set_params(reference="overlap").fit(sparse)
    np.testing.assert_array_equal(data, X)
    np.testing.assert_array_equal(sparse.data, before.data)
    np.testing.assert_array_equal(sparse.indices, before.indices)


# ------------------------------------------------------------------------------------------ selection and output


@pytest.mark.parametrize("name", MODELS)
def test_selection(name, named):
    model = named[name]
    support = model.get_support()
    wanted = 3 if name == "rampart" else M // 2
    assert support.sum() == wanted
    assert sorted(model.ranking_) == list(range(1, M + 1))
    assert sorted(np.flatnonzero(support)) == sorted(np.argsort(model.ranking_)[:wanted])
    assert model.get_support(indices=True).tolist() == np.flatnonzero(support).tolist()
    kept = [NAMES[j] for j in np.flatnonzero(support)]
    assert model.get_feature_names_out().tolist() == kept
    frame = pd.DataFrame(X, columns=NAMES)
    np.testing.assert_array_equal(model.transform(frame), X[:, support])
    back = model.inverse_transform(X[:, support])
    np.testing.assert_array_equal(back[:, support], X[:, support])
    assert not back[:, ~support].any()


@pytest.mark.parametrize(("kind", "library"), [("pandas", pd), ("polars", pl)])
def test_set_output(kind, library):
    frame = pd.DataFrame(X, columns=NAMES)
    model = clone(MODELS["mp"]).set_output(transform=kind).fit(frame)
    out = model.transform(frame)
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == model.get_feature_names_out().tolist()
    np.testing.assert_array_equal(out.to_numpy(), X[:, model.get_support()])
    # The setting outlives a refit and a copy.
    assert isinstance(clone(model).fit_transform(frame), library.DataFrame)


@pytest.mark.parametrize(("wanted", "kept"), [(1, 1), (4, 4), (99, M), (0.3, 3), (1.0, M), (None, M // 2)])
def test_n_features_to_select(wanted, kept, fitted):
    model = copy.deepcopy(fitted["mp"]).set_params(n_features_to_select=wanted)
    assert model.get_support().sum() == kept


@pytest.mark.parametrize("name", MODELS)
def test_copies(name, named, tmp_path):
    model = named[name]
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(path)]
    copies.append(joblib.load(path, mmap_mode="r"))
    for other in copies:
        assert_equal_scores(other, model)
        pd.testing.assert_frame_equal(other.to_frame(), model.to_frame())
        np.testing.assert_array_equal(other.pvalues("holm", by_cluster=True), model.pvalues("holm", by_cluster=True))
        if name != "split":
            assert other.engine_ == model.engine_
            assert other.engine_.reason == model.engine_.reason
            np.testing.assert_array_equal(other.patches_.columns(), model.patches_.columns())
            one, two = (m.group_importance([[0], [1, 2]]) if name == "mp" else 0 for m in (other, model))
            np.testing.assert_array_equal(one, two)
    blank = clone(model)
    assert not [attribute for attribute in vars(blank) if attribute.endswith("_")]
    assert repr(blank.get_params()) == repr(model.get_params())


def test_patches_are_those_of_the_seed(fitted):
    patches, same = fitted["mp"].patches_, cw.minipatches(N, M, 40, 0.4, 0.4, seed=0)
    assert len(patches) == 40
    assert patches == same
    rows = patches.rows()
    assert rows.shape == (40, 29)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(patches.rows(5), rows[5])
    np.testing.assert_array_equal(patches.rows(-1), rows[39])
    np.testing.assert_array_equal(patches.columns(slice(2, 4)), [patches.columns(2), patches.columns(3)])
    assert len(list(patches)) == 40


# ------------------------------------------------------------------------------------------ questions


@pytest.mark.parametrize("name", MODELS)
def test_intervals_and_pvalues(name, fitted):
    model = fitted[name]
    for by_cluster, scores, errors in (
        (False, model.feature_importances_, model.standard_errors_),
        (True, model.cluster_importances_, model.cluster_standard_errors_),
    ):
        for level, reach in ((0.95, 1.959963984540054), (0.5, 0.6744897501960817)):
            bounds = model.confidence_interval(level, by_cluster=by_cluster)
            assert bounds.shape == (*scores.shape, 2)
            np.testing.assert_allclose(bounds[..., 0], scores - reach * errors, rtol=1e-12)
            np.testing.assert_allclose(bounds[..., 1], scores + reach * errors, rtol=1e-12)
        p = model.pvalues(by_cluster=by_cluster)
        assert p.shape == scores.shape
        spread = errors > 0
        np.testing.assert_allclose(p[spread], norm.sf(scores[spread] / errors[spread]), rtol=1e-12)
        m = p.size
        order = np.sort(p, axis=None)
        harmonic = (1 / np.arange(1, m + 1)).sum()
        for adjust, expected in {
            "bonferroni": np.minimum(order * m, 1),
            "holm": np.minimum(np.maximum.accumulate(order * np.arange(m, 0, -1)), 1),
            "bh": np.minimum.accumulate((order * m / np.arange(1, m + 1))[::-1])[::-1].clip(max=1),
            "by": np.minimum.accumulate((order * m * harmonic / np.arange(1, m + 1))[::-1])[::-1].clip(max=1),
        }.items():
            adjusted = model.pvalues(adjust, by_cluster=by_cluster)
            assert adjusted.shape == p.shape
            ordered = adjusted.ravel()[np.argsort(p, axis=None, kind="stable")]
            np.testing.assert_allclose(ordered, expected, rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_to_frame(name, named):
    model = named[name]
    frame = model.to_frame(level=0.9, adjust="holm")
    assert list(frame.columns) == [
        *("feature", "importance", "standard_error", "ci_low", "ci_high", "p_value", "p_adjusted"),
        *("monte_carlo_error", "rank"),
    ]
    assert frame["rank"].tolist() == list(range(1, M + 1))
    assert sorted(frame["feature"]) == sorted(NAMES)
    at = [NAMES.index(feature) for feature in frame["feature"]]
    # Tables include the Monte-Carlo error where it is known.
    known = not np.isnan(model.monte_carlo_errors_).all()
    bounds = model.confidence_interval(0.9, monte_carlo=known)
    for column, values in {
        "importance": model.feature_importances_,
        "standard_error": model.standard_errors_,
        "ci_low": bounds[:, 0],
        "ci_high": bounds[:, 1],
        "p_value": model.pvalues(monte_carlo=known),
        "p_adjusted": model.pvalues("holm", monte_carlo=known),
        "monte_carlo_error": model.monte_carlo_errors_,
    }.items():
        np.testing.assert_array_equal(frame[column], values[at])
    plain = model.to_frame(level=0.9, monte_carlo=False)
    np.testing.assert_array_equal(plain["ci_low"], model.confidence_interval(0.9)[at, 0])
    p_by_cluster = model.pvalues("bh", by_cluster=True, monte_carlo=hasattr(model, "cluster_monte_carlo_errors_"))
    by_cluster = model.to_frame(by_cluster=True)
    assert len(by_cluster) == len(model.classes_) * M
    assert by_cluster["cluster"].tolist() == np.repeat(model.classes_, M).tolist()
    for k, label in enumerate(model.classes_):
        rows = by_cluster[by_cluster["cluster"] == label]
        at = [NAMES.index(feature) for feature in rows["feature"]]
        # Later rounds of RAMPART, which are of another scale, come first.
        for _, of_round in rows.groupby(model._last_rounds()[at], sort=False):
            assert of_round["importance"].is_monotonic_decreasing
        assert (np.diff(model._last_rounds()[at]) <= 0).all()
        np.testing.assert_array_equal(rows["importance"], model.cluster_importances_[k, at])
        np.testing.assert_array_equal(rows["p_adjusted"], p_by_cluster[k, at])
        pd.testing.assert_frame_equal(model.to_frame(cluster=label), rows.reset_index(drop=True))
    with pytest.raises(ValueError, match=r"cluster must be one of classes_ \(.*\), got 99"):
        model.to_frame(cluster=99)
    with pytest.raises(ValueError, match=r"cluster must be one of classes_ \(.*\), got True"):
        model.to_frame(cluster=True)


def test_to_frame_without_names_or_standard_errors(fitted):
    assert sorted(fitted["mp"].to_frame()["feature"]) == sorted(f"x{j}" for j in range(M))
    frame = clone(MODELS["mp"]).set_params(loss="ari").fit(X).to_frame()
    assert list(frame.columns) == ["feature", "importance", "monte_carlo_error", "rank"]


def cells(**changes):
    return anndata.AnnData(X, **{"var": pd.DataFrame(index=NAMES), **changes})


@pytest.mark.parametrize("name", MODELS)
def test_to_anndata(name, named, tmp_path):
    model, adata = named[name], cells()
    known = not np.isnan(model.monte_carlo_errors_).all()
    assert model.to_anndata(adata, key_added="why") is adata
    for suffix, values in {
        "score": model.feature_importances_,
        "se": model.standard_errors_,
        "mc_se": model.monte_carlo_errors_,
        "pval": model.pvalues(monte_carlo=known),
        "pval_adj": model.pvalues("bh", monte_carlo=known),
        "rank": model.ranking_,
    }.items():
        np.testing.assert_array_equal(adata.var[f"why_{suffix}"], values)
    np.testing.assert_array_equal(adata.varm["why"], model.cluster_importances_.T)
    assert adata.obs["why"].tolist() == model.labels_.astype(str).tolist()
    assert adata.uns["why"]["method"] == type(model).__name__
    assert adata.uns["why"]["classes"].tolist() == model.classes_.astype(str).tolist()
    # What was written can be saved.
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(again.varm["why"], model.cluster_importances_.T)


def test_to_anndata_refuses_other_cells(named):
    model = named["mp"]
    with pytest.raises(ValueError, match="adata has 9 variables, but 10 features were fitted; pass the object"):
        model.to_anndata(cells()[:, :9].copy())
    with pytest.raises(ValueError, match="adata has 9 observations, but 72 were fitted"):
        model.to_anndata(cells()[:9].copy())
    with pytest.raises(ValueError, match="but they are in another order; pass adata"):
        model.to_anndata(cells()[:, ::-1].copy())
    others = [*model.feature_names_in_[1:], "another"]
    with pytest.raises(ValueError, match="as many variables as were fitted, 10, but only 9 of them were fitted"):
        model.to_anndata(cells(var=pd.DataFrame(index=others)))
    with pytest.raises(TypeError, match="key_added must be a string, got 3"):
        model.to_anndata(cells(), key_added=3)
    # Other names altogether are the caller's affair: symbols for identifiers.
    model.to_anndata(cells(var=pd.DataFrame(index=[f"ENSG{j}" for j in range(M)])))


def test_to_shap(named, monkeypatch):
    made = {}

    class Shap:
        @staticmethod
        def Explanation(**parts):
            made.update(parts)
            return "explanation"

    monkeypatch.setitem(sys.modules, "shap", Shap)
    model = named["split"]
    assert model.to_shap(X) == "explanation"
    np.testing.assert_array_equal(made["values"], np.nan_to_num(model.sample_importances_))
    np.testing.assert_array_equal(made["data"], X)
    assert made["feature_names"] == NAMES
    assert made["base_values"].tolist() == [model.loo_error_] * N


def test_names_and_positions_are_the_same_groups(named):
    model = named["mp"]
    scores, counts = model.group_importance({"a": ["gene0", 1], "b": [-1]}, return_counts=True)
    other = model.group_importance([["gene1", "gene0", 0], [np.int64(M - 1)]])
    np.testing.assert_array_equal(scores, other)
    held = np.zeros((40, M), dtype=bool)
    np.put_along_axis(held, model.patches_.columns(), True, axis=1)
    assert counts.tolist() == [(~held[:, :2].any(axis=1)).sum(), (~held[:, M - 1]).sum()]
    np.testing.assert_allclose(scores[1], model.feature_importances_[M - 1], rtol=1e-12)
    alone = model.feature_importances_
    np.testing.assert_allclose(
        model.interaction_importance([("gene0", 1)]), alone[0] + alone[1] - scores[0], rtol=1e-9, atol=1e-12
    )


# ------------------------------------------------------------------------------------------ memory

MEASURE = """
import resource, sys
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from clusterwhy import LOCOMP

N, M, K, B, soft = map(int, sys.argv[1:])


class Clusters(BaseEstimator):
    def fit_predict(self, X, y=None):
        return np.arange(len(X)) % K


class Hard(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.arange(len(X)) % len(self.classes_)


class Soft(Hard):
    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_), dtype=np.float32)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fit(X, n_patches):
    classifier = Soft() if soft else Hard()
    model = LOCOMP(Clusters(), classifier, n_patches=n_patches, max_samples=0.1, max_features=0.1, random_state=0)
    return model.set_params(reference=np.arange(len(X)) % K).fit(X)


fit(np.random.default_rng(0).normal(size=(200, 20)), 20)
X = np.random.default_rng(0).normal(size=(N, M))
before = peak()
fit(X, B)
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("n", "m", "k", "b", "soft"),
    [(4000, 400, 20, 250, 1), (4000, 20, 20, 1500, 0), (1500, 2500, 10, 60, 0)],
    ids=["probabilities", "votes", "features"],
)
def test_memory_is_what_the_docstring_says(n, m, k, b, soft):
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, (n, m, k, b, soft))],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert ran.returncode == 0, ran.stderr
    votes = 4 * b * n * k if soft else 2 * b * n
    scores = 2 * 8 * n * m
    masks = 2 * b * (n + m) / 8
    labels = 28 * b * n * 0.1
    block = 3 * 32 * n * (4 * k if soft else 2)
    assert int(ran.stdout) < votes + scores + masks + labels + block + 24 * 2**20
    # The table that is never made would not fit below that.
    if soft:
        assert votes + scores + masks + labels + block + 24 * 2**20 < 8 * n * m * k


class InPlace(KMeans):
    """Centres the caller's own data, as a clusterer that nobody has seen may."""

    def fit(self, X, y=None, sample_weight=None):
        X -= X.mean(axis=0)
        return super().fit(X)


@pytest.mark.parametrize(
    "make", [InPlace, lambda k, **kwargs: make_pipeline(StandardScaler(copy=False), KMeans(k, **kwargs))]
)
@pytest.mark.parametrize("model", [*MODELS.values(), cw.comparators.PermutationImportance(random_state=0)], ids=repr)
def test_estimators_that_work_in_place_leave_the_data_alone(make, model):
    given, other = X + 100.0, X + 100.0
    other.flags.writeable = False
    found = clone(model).set_params(clusterer=make(3, n_init=1, random_state=0)).fit(given)
    np.testing.assert_array_equal(given, other)
    whole = make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0))
    if make is not InPlace:
        expected = clone(model).set_params(clusterer=whole).fit(other)
        np.testing.assert_array_equal(found.feature_importances_, expected.feature_importances_)


@pytest.mark.parametrize("model", [*MODELS.values(), cw.comparators.PermutationImportance(random_state=0)], ids=repr)
def test_estimators_that_work_in_place_get_a_copy_of_data_that_they_may_not_write_to(model):
    given = X + 100.0
    given.flags.writeable = False
    kmeans = KMeans(3, n_init=1, random_state=0, copy_x=False)
    found = clone(model).set_params(clusterer=kmeans).fit(given)
    assert np.isfinite(found.feature_importances_).all()
    np.testing.assert_array_equal(given, X + 100.0)


def test_rampart_copies_data_in_another_order_once(monkeypatch):
    seen = []
    original = NativeEngine.cluster

    def cluster(self, *arguments):
        seen.append(self.X)
        return original(self, *arguments)

    monkeypatch.setattr(NativeEngine, "cluster", cluster)
    wide = np.asfortranarray(np.tile(X, 3))
    model = cw.LOCORampart(KMeans(3, n_init=1), n_features_to_select=3, n_patches=40, max_samples=0.4, random_state=0)
    found = model.fit(wide)
    assert len(seen) == len(found.rounds_) > 2
    assert all(data is seen[0] for data in seen)
    expected = clone(model).fit(np.ascontiguousarray(wide))
    np.testing.assert_array_equal(found.ranking_, expected.ranking_)


def test_labels_of_bytes_and_of_booleans_in_objects_are_labels():
    names = np.array([b"x", b"y", b"z"])[np.arange(len(X)) % 3]
    model = cw.LOCOMP(KMeans(3, n_init=1), n_patches=20, random_state=0, reference=names)
    assert set(model.fit(X).classes_.tolist()) == {"x", "y", "z"}
    halves = np.array([True, False], dtype=object)[np.arange(len(X)) % 2]
    model = cw.LOCOMP(KMeans(2, n_init=1), n_patches=20, random_state=0, reference=halves)
    assert set(model.fit(X).classes_.tolist()) == {True, False}


class FitLabels(BaseEstimator):
    """Clusters as the simplest clusterer of the contract does."""

    def fit(self, X, y=None):
        self.labels_ = KMeans(3, n_init=1, random_state=0).fit_predict(X)
        return self


@pytest.mark.parametrize("model", [*MODELS.values(), cw.comparators.PermutationImportance(random_state=0)], ids=repr)
def test_a_pipeline_clusters_as_its_last_step_does(model):
    bare = clone(model).set_params(clusterer=FitLabels()).fit(X)
    for pipeline in (make_pipeline(FitLabels()), make_pipeline("passthrough", make_pipeline(FitLabels()))):
        found = clone(model).set_params(clusterer=pipeline).fit(X)
        np.testing.assert_array_equal(found.feature_importances_, bare.feature_importances_)


class AsTheyCame(ClassifierMixin, BaseEstimator):
    """Has its classes in the order in which it met them."""

    def fit(self, X, y):
        self.bayes_ = GaussianNB().fit(X, y)
        self.classes_ = pd.unique(np.asarray(y))
        return self

    def predict_proba(self, X):
        return self.bayes_.predict_proba(X)[:, self.classes_]


@pytest.mark.parametrize("model", MODELS.values(), ids=repr)
def test_classes_say_which_column_is_whose(model):
    expected = clone(model).set_params(classifier=GaussianNB()).fit(X)
    found = clone(model).set_params(classifier=AsTheyCame()).fit(X)
    np.testing.assert_array_equal(found.feature_importances_, expected.feature_importances_)
    assert found.loo_error_ == expected.loo_error_


def test_a_split_may_be_clustered_by_columns_that_a_pipeline_picks():
    """The clusterer is given all of them."""
    picks = make_pipeline(ColumnTransformer([("two", "passthrough", [0, 2])]), KMeans(3, n_init=1, random_state=0))
    found = cw.LOCOSplit(picks, random_state=0).fit(X)
    assert set(np.argsort(found.feature_importances_)[-2:]) == {0, 2}


@pytest.mark.parametrize("engine", ["native", "sklearn"])
def test_numbers_may_begin_at_any_byte(engine, fitted):
    def shifted(array):
        memory = np.zeros(array.nbytes + 3, dtype=np.uint8)
        out = memory[3:].view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)
        out[...] = array
        assert not out.flags.aligned
        return out

    model = LOCOMP(AgglomerativeClustering(3), n_patches=40, engine=engine, random_state=0)
    expected = clone(model).fit(X)
    np.testing.assert_array_equal(clone(model).fit(shifted(X)).feature_importances_, expected.feature_importances_)
    if engine == "native":
        matrix = sp.csr_matrix(X)
        matrix.data = shifted(matrix.data)
        again = LOCOMP(KMeans(3), n_patches=40, random_state=0)
        np.testing.assert_array_equal(
            clone(again).fit(matrix).feature_importances_, clone(again).fit(X).feature_importances_
        )
    votes = np.random.default_rng(0).dirichlet([1, 1], size=(40, N))
    patches, labels = cw.minipatches(N, M, 40, 0.4, 0.4, 0), np.arange(N) % 2
    scores = [cw.loco_scores(v, patches, labels).feature_importances_ for v in (votes, shifted(votes))]
    np.testing.assert_array_equal(*scores)
    plain = native.DecisionTree(random_state=0).fit(X, labels)
    np.testing.assert_array_equal(plain.predict(shifted(X)), plain.predict(X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1e-7, 1e-10])
def test_features_too_small_for_trees_are_named(scale, dtype):
    small = X.astype(dtype)
    small[:, 4] *= scale
    clusterer = make_pipeline(StandardScaler(), AgglomerativeClustering(3))
    models = (
        LOCOMP(clusterer, n_patches=40, random_state=0),
        LOCOSplit(clusterer, random_state=0),
        cw.comparators.PermutationImportance(clusterer, random_state=0),
    )
    for model in models:
        with pytest.warns(UserWarning, match=r"'x4' differ by less than 3e-05, and \w+ takes values within 1e-07"):
            model.fit(small)
