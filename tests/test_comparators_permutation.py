"""Permutation importance against predictions of whole permuted copies of the data, one at a time."""

import pickle

import joblib
import numpy as np
import pytest
from estimators import ShallowTree
from sklearn.cluster import DBSCAN, AgglomerativeClustering, BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterwhy import _core, native
from clusterwhy.comparators import FuzzyCMeans, PermutationImportance
from clusterwhy.comparators._relabel import Forest, NearestCenter, Predictor, SumOfTerms, make_relabeller
from clusterwhy.datasets import GammaMixture

N, M = 90, 5


def blobs(dtype=np.float64, spread=3.0):
    X, _ = make_blobs(N, n_features=M, centers=3, cluster_std=spread, random_state=1)
    return (X * [1, 1, 1, 0.3, 0.1]).astype(dtype)


def naive(predict, X, codes, n_repeats, seed):
    """Rates (N, M) and the rates of each permutation (R, M)."""
    known = codes >= 0
    before = predict(X)
    samples, repeats = np.zeros((len(X), X.shape[1])), np.zeros((n_repeats, X.shape[1]))
    for j in range(X.shape[1]):
        orders = _core.permutations(len(X), n_repeats, seed, j, j + 1)[0]
        for r, order in enumerate(orders):
            permuted = X.copy()
            permuted[:, j] = X[order, j]
            changed = predict(permuted) != before
            samples[:, j] += changed / n_repeats
            repeats[r, j] = changed[known].mean()
    samples[~known] = np.nan
    return samples, repeats


def check(model, predict, X, seed=3):
    codes = np.searchsorted(model.classes_, model.labels_)
    codes = np.where(np.isin(model.labels_, model.classes_), codes, -1)
    samples, repeats = naive(predict, X, codes, model.n_repeats, seed)
    np.testing.assert_allclose(model.sample_importances_, samples, atol=1e-12)
    np.testing.assert_allclose(model.feature_importances_, np.nanmean(samples, axis=0), atol=1e-12)
    for k in range(len(model.classes_)):
        of_cluster = samples[codes == k]
        np.testing.assert_allclose(model.cluster_importances_[k], of_cluster.mean(axis=0), atol=1e-12)
        errors = of_cluster.std(axis=0, ddof=1) / np.sqrt(len(of_cluster))
        np.testing.assert_allclose(model.cluster_standard_errors_[k], errors, atol=1e-12)
    drawn = repeats.std(axis=0, ddof=1) / np.sqrt(model.n_repeats)
    np.testing.assert_allclose(model.monte_carlo_errors_, drawn, atol=1e-12)


CLUSTERERS = {
    "kmeans": KMeans(3, n_init=1, random_state=0),
    "minibatch": MiniBatchKMeans(4, n_init=1, random_state=0),
    "native": native.KMeans(3, random_state=0),
    "fuzzy": FuzzyCMeans(3, random_state=0),
    "bisecting": BisectingKMeans(4, random_state=0),
    "mixture": GaussianMixture(3, random_state=0),
    "diagonal": GaussianMixture(3, covariance_type="diag", random_state=0),
    "spherical": GaussianMixture(3, covariance_type="spherical", random_state=0),
    "gamma": GammaMixture(3, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CLUSTERERS)
def test_it_is_the_rate_at_which_the_clusterers_own_predictions_change(name, dtype):
    X = blobs(dtype)
    model = PermutationImportance(CLUSTERERS[name], n_repeats=4, random_state=3).fit(X)
    fitted = CLUSTERERS[name].fit(X)
    check(model, fitted.predict, X)
    assert model.feature_importances_.max() > 0.1


@pytest.mark.parametrize(
    "classifier",
    [
        KNeighborsClassifier(3),
        NearestCentroid(),
        NearestCentroid(metric="manhattan"),
        NearestCentroid(shrink_threshold=0.5),
        NearestCentroid(priors="empirical"),
        GaussianNB(),
        ShallowTree(),
        native.DecisionTree(max_depth=3, random_state=0),
        native.RandomForest(7, random_state=0),
        native.ExtraTrees(7, max_depth=3, random_state=0),
    ],
    ids=repr,
)
def test_labels_go_to_a_classifier(classifier):
    X = blobs(spread=2.0)
    clusterer = DBSCAN(eps=3.0, min_samples=4)
    labels = clusterer.fit_predict(X)
    assert (labels == -1).any()
    assert labels.max() >= 1
    model = PermutationImportance(clusterer, classifier, n_repeats=3, random_state=3).fit(X)
    given = PermutationImportance(reference=labels, classifier=classifier, n_repeats=3, random_state=3).fit(X)
    fitted = classifier.fit(X[labels >= 0], labels[labels >= 0])
    check(model, fitted.predict, X)
    np.testing.assert_array_equal(model.sample_importances_, given.sample_importances_)


def test_each_estimator_takes_its_fastest_way():
    X = blobs()
    y = np.arange(N) % 3
    kinds = {
        NearestCenter: [
            *(CLUSTERERS[name] for name in ("kmeans", "minibatch", "native", "fuzzy")),
            NearestCentroid(),
        ],
        SumOfTerms: [GaussianNB(), *(CLUSTERERS[name] for name in ("diagonal", "spherical", "gamma"))],
        Forest: [native.RandomForest(3), native.ExtraTrees(3), native.DecisionTree()],
        Predictor: [CLUSTERERS["pipeline"], NearestCentroid(priors="empirical"), KNeighborsClassifier()],
    }
    for kind, estimators in kinds.items():
        for estimator in estimators:
            relabeller = make_relabeller(estimator.fit(X, y), X)
            assert type(relabeller) is kind
            # Workers may be other processes.
            orders = _core.permutations(N, 2, 0, 0, M)
            there = pickle.loads(pickle.dumps(relabeller)).changes(X, range(M), orders)
            for here, far in zip(relabeller.changes(X, range(M), orders), there, strict=True):
                np.testing.assert_array_equal(here, far)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "classifier",
    [
        native.DecisionTree(max_depth=4, random_state=0),
        native.RandomForest(2, max_features=None, max_depth=3, random_state=0),
        native.RandomForest(6, min_samples_leaf=4, random_state=0),
        native.ExtraTrees(4, random_state=0),
    ],
    ids=repr,
)
def test_trees_say_what_predictions_of_permuted_copies_say(classifier, dtype):
    # Few values and few trees of impure leaves: votes are tied, and values at a threshold.
    rng = np.random.default_rng(0)
    X = (rng.integers(0, 4, size=(300, 6)) / 3).astype(dtype)
    y = (X[:, 0] + X[:, 1] + rng.integers(0, 2, size=300)).astype(int)
    fitted = classifier.fit(X, y)
    orders = _core.permutations(300, 5, 0, 0, 6)
    ways = make_relabeller(fitted, X), Predictor(fitted, X)
    fast, slow = (list(way.changes(X, range(6), orders)) for way in ways)
    np.testing.assert_array_equal(fast, slow)
    assert np.any(slow)
    # A block of features is part of all of them.
    np.testing.assert_array_equal(list(ways[0].changes(X, range(2, 5), orders[2:5])), slow[2:5])


def test_orders_for_trees_are_checked():
    X = blobs()
    trees = native.RandomForest(3, random_state=0).fit(X, np.arange(N) % 3).trees_
    orders = _core.permutations(N, 2, 0, 0, M)
    assert _core.native_relabel(X, trees, 0, orders, 2).shape == (N, M, 2)
    assert _core.native_relabel(X, trees, M, orders[:0], 1).shape == (N, 0, 2)
    for wrong, first, message in [
        (orders, 1, "the range of features is 1 to 6"),
        (orders[:, :, 1:].copy(), 0, "the array of orders has 89 columns, expected 90"),
        (orders - 1, 0, "a row of the orders is -1, expected 0 to 89"),
        (orders + 1, 0, "a row of the orders is 90, expected 0 to 89"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.native_relabel(X, trees, first, wrong, 1)
    with pytest.raises(TypeError):
        _core.native_relabel(X, trees, 0, orders.astype(np.int32), 1)
    with pytest.raises(TypeError, match="C-contiguous"):
        _core.native_relabel(X, trees, 0, np.asfortranarray(orders), 1)
    with pytest.raises(ValueError, match="a node of the trees"):
        _core.native_relabel(X, {**trees, "feature": trees["feature"] + M}, 0, orders, 1)


def test_a_block_of_copies_does_not_depend_on_memory(monkeypatch):
    X = blobs()
    model = PermutationImportance(CLUSTERERS["mixture"], random_state=0)
    expected = model.fit(X).sample_importances_
    for size in (X.nbytes // 10, 3 * X.nbytes):
        monkeypatch.setattr("clusterwhy.comparators._relabel.COPY_BYTES", size)
        np.testing.assert_array_equal(model.fit(X).sample_importances_, expected)


@pytest.mark.parametrize("clusterer", [CLUSTERERS["kmeans"], CLUSTERERS["mixture"], AgglomerativeClustering(3)])
def test_workers_change_no_bit(clusterer):
    X = np.hstack([blobs(), np.random.default_rng(0).normal(size=(N, 40))])
    one = PermutationImportance(clusterer, random_state=0, n_repeats=2).fit(X)
    with joblib.parallel_config("threading"):
        two = PermutationImportance(clusterer, random_state=0, n_repeats=2, n_jobs=2).fit(X)
    np.testing.assert_array_equal(one.sample_importances_, two.sample_importances_)
    np.testing.assert_array_equal(one.monte_carlo_errors_, two.monte_carlo_errors_)


def test_every_feature_has_permutations_of_its_own_and_they_are_uniform():
    orders = _core.permutations(5, 4000, 0, 0, 3)
    assert (np.sort(orders, axis=-1) == np.arange(5)).all()
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[1], _core.permutations(5, 4000, 0, 1, 2)[0])
    # Where each element comes: 4000 / 5 times in each place, within five standard deviations.
    counts = np.array([[(orders[0][:, place] == i).sum() for i in range(5)] for place in range(5)])
    assert abs(counts - 800).max() < 5 * np.sqrt(4000 * 0.2 * 0.8)


def test_laws():
    X = blobs()
    constant = np.hstack([X, np.full((N, 1), 7.0)])
    model = PermutationImportance(CLUSTERERS["kmeans"], random_state=0).fit(constant)
    assert model.feature_importances_[-1] == 0
    assert ((model.sample_importances_ >= 0) & (model.sample_importances_ <= 1)).all()
    # A far origin and another scale change nothing.
    moved = PermutationImportance(CLUSTERERS["kmeans"], random_state=0).fit(constant * 4 + 2.0**20)
    np.testing.assert_array_equal(model.sample_importances_, moved.sample_importances_)


def test_a_single_repeat_has_no_monte_carlo_error():
    model = PermutationImportance(CLUSTERERS["kmeans"], n_repeats=1, random_state=0).fit(blobs())
    assert np.isnan(model.monte_carlo_errors_).all()
    assert "monte_carlo_error" in model.to_frame().columns
    with pytest.raises(ValueError, match="has no p-values"):
        model.pvalues()
