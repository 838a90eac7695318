"""Minipatch consensus clustering against a plain twin that shares nothing with it but the draws."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import cut_tree, fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import f_oneway
from sklearn.base import clone
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.pipeline import make_pipeline

import clusterwhy as cw
from clusterwhy.comparators import IMPACC, MPACC, MPCC

METHODS = (MPCC, MPACC, IMPACC)


def mixture(n=90, m=40, k=3, signal=4, apart=2.0, seed=0):
    """Clusters whose means are equally far apart along each of the first features, in an order of its own."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    X = rng.normal(size=(n, m))
    X[:, :signal] += apart * rng.permuted(np.tile(np.arange(k), (signal, 1)), axis=1).T[y]
    return X, y


class Twin:
    """The method as it is written down, with N x N arrays and p-values; the draws are the model's own."""

    def __init__(self, model, X):
        self.model = model
        self.Z = (X - X.mean(axis=0)) / X.std(axis=0)
        n, m = X.shape
        self.together, self.sampled = np.zeros((n, n)), np.zeros((n, n))
        self.support, self.held = np.zeros(m), np.zeros(m)
        self.w, self.v = np.full(n, 1 / n), np.full(m, 1 / m)
        burn_in = len(model.patches_) - model.n_iter_
        self.unseen, curve, stopped = 0, [], False
        for b, (rows, columns) in enumerate(model.patches_):
            assert not stopped
            if b >= burn_in:
                self.adapt(b - burn_in, rows, columns)
            self.add(rows, columns)
            if b >= burn_in:
                curve.append(np.quantile(self.confusion(), 0.9))
                # Moves count from the first minipatch on after which no observation is unseen.
                self.unseen = len(curve) - 1 if not np.diag(self.sampled).all() else self.unseen
                stopped = self.stands_still(curve)
        assert stopped or model.n_iter_ == model.max_iter
        self.curve = np.array(curve)
        tree = linkage(squareform(1 - self.consensus(), checks=False), "ward")
        self.labels = cut_tree(tree, model.n_clusters)[:, 0]

    def stands_still(self, curve):
        moved = np.abs(np.diff(curve[self.unseen :])) >= self.model.tol
        wanted = self.model.n_iter_no_change
        return wanted is not None and len(moved) >= wanted and not moved[-wanted:].any()

    def consensus(self):
        return np.divide(self.together, self.sampled, out=np.zeros_like(self.together), where=self.sampled > 0)

    def confusion(self):
        C = self.consensus()
        return (C * (1 - C)).mean(axis=1)

    def score(self):
        with np.errstate(invalid="ignore"):
            return self.support / self.held

    def add(self, rows, columns):
        patch = self.Z[np.ix_(rows, columns)]
        tree = linkage(patch, "ward")
        labels = fcluster(tree, np.quantile(tree[:, 2], self.model.cut_quantile), "distance")
        both = np.ix_(rows, rows)
        self.sampled[both] += 1
        self.together[both] += labels[:, None] == labels
        p = f_oneway(*(patch[labels == k] for k in np.unique(labels))).pvalue
        self.held[columns] += 1
        self.support[columns[p <= np.quantile(p, self.model.support_fraction)]] += 1

    def adapt(self, t, rows, columns):
        """Update the weights, and see that the draw took from the high sets what it should."""
        model = self.model
        pi = 0.5 + 0.5 * t / model.max_iter
        if hasattr(model, "sample_weights_"):
            u = self.confusion() / np.diag(self.sampled)
            if u.sum() > 0:
                self.w = model.alpha * self.w + (1 - model.alpha) * u / u.sum()
            self.check(rows, np.flatnonzero(self.w >= np.quantile(self.w, model.sample_quantile)), pi)
        if hasattr(model, "feature_weights_"):
            self.v = model.alpha * self.v + (1 - model.alpha) * self.score()
            bound = self.v.mean() + model.feature_deviations * self.v.std(ddof=1)
            self.check(columns, np.flatnonzero(self.v >= bound), pi)

    @staticmethod
    def check(drawn, high, pi):
        assert np.isin(drawn, high).sum() == min(len(drawn), np.ceil(pi * len(high)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "params",
    [
        {"max_features": 0.25},
        {"max_samples": 41, "max_features": 7, "cut_quantile": 0.8, "support_fraction": 0.3},
        {"tol": 5e-4, "n_iter_no_change": 3, "max_features": 10},
    ],
)
def test_it_is_what_is_written_down(method, params):
    X, _ = mixture()
    model = method(n_clusters=3, max_iter=60, random_state=5, **params).fit(X)
    twin = Twin(model, X)
    np.testing.assert_array_equal(model.consensus_, twin.consensus())
    np.testing.assert_allclose(model.confusion_, twin.confusion(), rtol=0, atol=1e-11)
    np.testing.assert_allclose(model.confusion_curve_, twin.curve, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(model.feature_importances_, twin.score())
    assert adjusted_rand_score(model.labels_, twin.labels) == 1
    if method is not MPCC:
        np.testing.assert_allclose(model.sample_weights_, twin.w, rtol=1e-9)
    if method is IMPACC:
        np.testing.assert_allclose(model.feature_weights_, twin.v, rtol=1e-12)
    assert (model.n_iter_ < 60) == ("tol" in params)


def test_adaptive_weights_of_other_parameters():
    X, _ = mixture(seed=1)
    params = {"alpha": 0.9, "sample_quantile": 0.7, "feature_deviations": 0.3, "burn_in": 1}
    model = IMPACC(n_clusters=3, max_iter=40, max_features=0.2, random_state=0, **params).fit(X)
    twin = Twin(model, X)
    np.testing.assert_allclose(model.sample_weights_, twin.w, rtol=1e-9)
    np.testing.assert_allclose(model.feature_weights_, twin.v, rtol=1e-12)
    assert len(model.patches_) == 5 + model.n_iter_


@pytest.mark.parametrize("seed", range(3))
def test_easy_mixtures_and_their_features(seed):
    X, y = mixture(240, 200, signal=10, apart=4.0, seed=seed)
    model = IMPACC(n_clusters=3, random_state=seed).fit(X)
    assert adjusted_rand_score(y, model.labels_) >= 0.99
    assert (model.ranking_[:10] <= 10).sum() >= 8
    assert np.array_equal(model.transform(X), X[:, model.ranking_ <= 100])
    # Important features are drawn more often than the others.
    held = np.bincount(model.patches_.columns().ravel(), minlength=200)
    assert np.median(held[:10]) > 2 * np.median(held[10:])


def test_without_noise_all_three_find_the_clusters():
    X, y = mixture(120, 6, signal=6, apart=5.0)
    for method in METHODS:
        model = method(n_clusters=3, max_features=0.5, n_iter_no_change=None, random_state=0)
        assert adjusted_rand_score(y, model.fit_predict(X)) >= 0.99


def test_the_partitions_show_everything():
    X, _ = mixture(50, 23)
    model = IMPACC(n_clusters=3, max_iter=1, max_samples=0.3, max_features=0.4, burn_in=2, random_state=0).fit(X)
    assert len(model.patches_) == 2 * 4 + 1
    rows, columns = model.patches_.rows(slice(0, 8)), model.patches_.columns(slice(0, 8))
    assert rows.shape == (8, 15)
    assert columns.shape == (8, 10)
    for b in (0, 4):
        assert set(rows[b : b + 4].ravel()) == set(range(50))
    for b in (0, 3):
        assert set(columns[b : b + 3].ravel()) == set(range(23))


def test_minipatches_can_be_asked_for():
    X, _ = mixture()
    uniform = MPCC(max_iter=60, random_state=3).fit(X)
    assert uniform.patches_ == cw.minipatches(*X.shape, uniform.n_iter_, 0.25, 5, seed=3)
    adaptive = pickle.loads(pickle.dumps(IMPACC(max_iter=20, random_state=3).fit(X))).patches_
    rows, columns = zip(*adaptive, strict=True)
    assert len(rows) == len(adaptive)
    left_out, held = adaptive.left_out(), adaptive.held()
    for b in range(len(adaptive)):
        assert rows[b].dtype == np.int64
        assert (np.diff(rows[b]) > 0).all()
        bits = np.unpackbits(left_out[b].view(np.uint8), bitorder="little")[: len(X)]
        assert np.array_equal(np.flatnonzero(bits == 0), rows[b])
        bits = np.unpackbits(held[b].view(np.uint8), bitorder="little")[: X.shape[1]]
        assert np.array_equal(np.flatnonzero(bits), columns[b])


@pytest.mark.parametrize("method", METHODS)
def test_seeds_and_scales(method):
    X, _ = mixture()
    model = method(max_iter=30, random_state=1)
    first = clone(model).fit(X)
    # Powers of two change no digit, and a change of scale nothing.
    again = clone(model).fit(np.asfortranarray(X * 2.0 ** np.arange(-20, 20)))
    other = clone(model).set_params(random_state=2).fit(X)
    for name in ("labels_", "consensus_", "feature_importances_", "confusion_curve_"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.consensus_, other.consensus_)


def test_when_it_stops():
    X, _ = mixture()
    assert IMPACC(max_iter=30, tol=1.0, random_state=0).fit(X).n_iter_ == 6
    model = MPCC(max_iter=60, tol=1.0, random_state=0).fit(X)
    last_seen = max(np.flatnonzero((model.patches_.rows() == i).any(axis=1))[0] for i in range(len(X)))
    assert model.n_iter_ == max(1, last_seen) + 5
    assert MPCC(max_iter=30, tol=1.0, n_iter_no_change=None, random_state=0).fit(X).n_iter_ == 30
    assert MPCC(max_iter=30, tol=0.0, random_state=0).fit(X).n_iter_ == 30


def test_constants_gain_no_support_and_the_unseen_have_no_score():
    X, _ = mixture(m=12)
    X[:, 3], X[:, 5] = 0.1, 1e30
    model = MPCC(max_iter=40, max_features=0.5, random_state=0).fit(X)
    assert (model.feature_importances_[[3, 5]] == 0).all()
    constant = IMPACC(max_iter=10, max_features=0.5, random_state=0).fit(np.full((20, 5), 0.1))
    assert (constant.feature_importances_ == 0).all()
    assert (constant.confusion_ == 0).all()
    with pytest.warns(UserWarning, match="observations were in no minipatch") as caught:
        model = MPCC(max_iter=2, max_features=3, random_state=0).fit(X)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="max_features=0.08 of 12 features makes minipatches of one feature"):
        assert (MPCC(max_features=0.08, random_state=0).fit(X).feature_importances_[6:] == 1).all()
    held = np.unique(model.patches_.columns())
    assert np.isnan(np.delete(model.feature_importances_, held)).all()
    assert np.isfinite(model.feature_importances_[held]).all()
    assert set(model.ranking_[held]) == set(range(1, len(held) + 1))
    seen = np.unique(model.patches_.rows())
    assert np.array_equal(np.diag(model.consensus_) == 1, np.isin(np.arange(90), seen))


@pytest.mark.parametrize(("m", "wanted"), [(2, 1), (4, 2), (9, 5), (10, 5), (50, 5), (51, 6), (200, 20)])
def test_minipatches_have_a_tenth_of_the_features_but_not_too_few(m, wanted):
    X = np.random.default_rng(0).normal(size=(30, m))
    assert MPACC(max_iter=2, max_samples=20, random_state=0).fit(X).patches_.columns().shape[1] == wanted


@pytest.mark.parametrize(("m", "k"), [(6, 2), (10, 3), (15, 3), (20, 4)])
def test_few_features_are_told_apart(m, k):
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(150, m))
        X[:, :k] += (2 * rng.normal(size=(3, k)))[np.arange(150) % 3]
        scores = IMPACC(n_clusters=3, random_state=seed).fit(X).feature_importances_
        found.append(roc_auc_score(np.arange(m) < k, scores))
    # Of a tenth of them, one or two, it is 0.5 to 0.7.
    assert np.mean(found) > 0.75


def test_draws_larger_than_the_high_set_and_the_others():
    X, _ = mixture(20, 6)
    for max_samples in (3, 0.9, 1.0):
        model = IMPACC(max_iter=15, max_samples=max_samples, max_features=0.99, random_state=0).fit(X)
        assert np.isfinite(model.consensus_).all()
        assert (np.diff(model.patches_.rows(), axis=1) > 0).all()


@pytest.mark.parametrize(
    ("params", "k"),
    [
        ({}, 2),
        ({"n_clusters": 4}, 4),
        ({"clusterer": KMeans(3)}, 3),
        ({"clusterer": make_pipeline(PCA(2), AgglomerativeClustering(5))}, 5),
        ({"clusterer": KMeans(3), "n_clusters": 4}, 4),
    ],
)
def test_where_the_number_of_clusters_comes_from(params, k):
    X, _ = mixture()
    model = IMPACC(max_iter=10, random_state=0, **params).fit(X)
    assert model.classes_.tolist() == list(range(k))
    assert model.labels_.dtype == np.int64
    assert model.reference_labels_ is model.labels_


def test_what_it_does_not_define_is_said():
    X, _ = mixture(m=5)
    X = pd.DataFrame(X, columns=list("abcde"))
    model = IMPACC(max_iter=10, max_features=0.5, random_state=0).fit(X)
    for name in ("cluster_importances_", "sample_importances_", "standard_errors_"):
        with pytest.raises(ValueError, match=f"{name} is not defined for IMPACC"):
            getattr(model, name)
    for name in ("sample_weights_", "feature_weights_"):
        assert not hasattr(MPCC(max_features=0.5, random_state=0).fit(X), name)
    with pytest.raises(ValueError, match="has no p-values"):
        model.pvalues()
    assert list(model.to_frame().columns) == ["feature", "importance", "rank"]
    assert model.to_frame()["feature"][0] == X.columns[model.ranking_ == 1][0]
    with pytest.warns(UserWarning, match="only one cluster") as caught:
        IMPACC(n_clusters=1, max_iter=10, max_features=0.5, random_state=0).fit(X)
    assert caught[0].filename == __file__


REFUSED = [
    ({"clusterer": KMeans}, TypeError, "must be an instance"),
    ({"clusterer": 3}, TypeError, "clusterer must have fit_predict"),
    ({"clusterer": DBSCAN()}, ValueError, "DBSCAN does not say one; pass n_clusters"),
    ({"clusterer": AgglomerativeClustering(None, distance_threshold=1.0)}, ValueError, "pass n_clusters"),
    ({"n_clusters": 0}, ValueError, "n_clusters must be at least 1, got 0"),
    ({"n_clusters": 2.0}, TypeError, "n_clusters must be an integer"),
    ({"n_clusters": 21}, ValueError, "n_clusters=21 is more than there are observations, n_samples=20"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    (
        {"max_iter": 65_536, "max_features": 0.1},
        ValueError,
        "the number of minipatches is 65566, expected at most 65535",
    ),
    ({"max_samples": 2}, ValueError, "fewer than 3 have no clusters to tell apart"),
    ({"max_samples": 0.1}, ValueError, "max_samples=0.1 of 20 observations makes minipatches of 2"),
    ({"max_samples": 21}, ValueError, "max_samples must be from 1 to the 20 observations"),
    ({"max_features": 0.0}, ValueError, "max_features must be above 0"),
    ({"cut_quantile": 1.0}, ValueError, "cut_quantile must lie strictly between 0 and 1"),
    ({"support_fraction": "5%"}, TypeError, "support_fraction must be a number"),
    ({"burn_in": 0}, ValueError, "burn_in must be at least 1"),
    ({"alpha": 0.0}, ValueError, "alpha must lie strictly between 0 and 1"),
    ({"sample_quantile": -1}, ValueError, "sample_quantile must lie"),
    ({"feature_deviations": np.nan}, ValueError, "feature_deviations must be finite"),
    ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1"),
    ({"tol": -1.0}, ValueError, "tol must be finite and at least 0"),
    ({"n_features_to_select": 0}, ValueError, "n_features_to_select must be at least 1"),
    ({"random_state": "x"}, ValueError, "random_state must be None"),
]


@pytest.mark.parametrize(("params", "error", "message"), REFUSED, ids=[str(params) for params, _, _ in REFUSED])
def test_refusals_say_what_is_expected(params, error, message):
    X, _ = mixture(20, 20)
    model = IMPACC(random_state=0, max_iter=10).fit(X)
    before = model.labels_
    with pytest.raises(error, match=message):
        model.set_params(**params).fit(X)
    assert model.labels_ is before


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[0.0, np.nan]] * 20), "NaN"),
        (np.zeros((20, 1)), "minimum of 2"),
        (np.zeros(20), "Expected 2D array"),
        (np.outer(np.linspace(-1, 1, 20), [1.0, 1e200]), r"X has values as large as 1e\+200 \(column 1\)"),
    ],
)
def test_data_that_it_cannot_take(X, message):
    with pytest.raises(ValueError, match=message):
        IMPACC().fit(X)
