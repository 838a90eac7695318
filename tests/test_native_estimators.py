"""The native methods alone: scikit-learn's contract, their attributes, and what they refuse."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestCentroid
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from clusterwhy import LOCOMP, _core, native
from clusterwhy._recognise import NotNativeError, recognise_classifier, recognise_clusterer
from clusterwhy.comparators import FuzzyCMeans
from clusterwhy.datasets import GammaMixture

CLUSTERERS = [
    native.Ward(),
    native.Linkage(linkage="complete"),
    native.Linkage(linkage="average"),
    native.Linkage(linkage="single"),
    native.KMeans(3, random_state=0),
    native.KMeans(3, init="random", random_state=0),
    native.Spectral(3, random_state=0),
    native.Spectral(3, affinity="nearest_neighbors", n_neighbors=5, random_state=0),
]
CLASSIFIERS = [
    native.DecisionTree(random_state=0),
    native.DecisionTree(criterion="entropy", splitter="random", random_state=0),
    native.RandomForest(5, random_state=0),
    native.ExtraTrees(5, random_state=0),
    native.KNeighbors(3),
    native.KNeighbors(3, weights="distance"),
    native.NearestCentroid(),
    native.NearestCentroid(metric="manhattan"),
]
IRIS, KIND = load_iris(return_X_y=True)


CONTRACT = parametrize_with_checks(CLUSTERERS + CLASSIFIERS).mark
# This one skips itself unless SciPy was imported with an environment variable that changes all of it.
CHECKS = [
    (estimator, check) for estimator, check in CONTRACT.args[1] if "array_api" not in CONTRACT.kwargs["ids"](check)
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=CONTRACT.kwargs["ids"])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def fitted_arrays(estimator):
    arrays = {}
    for name in ("labels_", "cluster_centers_", "feature_importances_"):
        if hasattr(estimator, name):
            arrays[name] = getattr(estimator, name)
    if hasattr(estimator, "predict_proba"):
        arrays["proba"] = estimator.predict_proba(IRIS)
    return arrays


@pytest.mark.parametrize("estimator", CLUSTERERS + CLASSIFIERS, ids=repr)
def test_pickles_and_repeats(estimator):
    first = clone(estimator).fit(IRIS, KIND)
    second = clone(estimator).fit(np.asfortranarray(IRIS), KIND)
    copy = pickle.loads(pickle.dumps(first))
    for name, value in fitted_arrays(first).items():
        assert np.array_equal(value, fitted_arrays(second)[name]), name
        assert np.array_equal(value, fitted_arrays(copy)[name]), name


@pytest.mark.parametrize("estimator", CLUSTERERS + CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_same_bits_for_every_instruction_set(estimator, level, monkeypatch):
    X = np.random.default_rng(0).normal(size=(150, 33))
    first, single = (clone(estimator).fit(data, KIND) for data in (X, X.astype(np.float32)))
    proba, single_proba = (
        fit.predict_proba(data) if hasattr(fit, "predict_proba") else None
        for fit, data in ((first, X), (single, X.astype(np.float32)))
    )
    monkeypatch.setenv("CLUSTERWHY_SIMD", level)
    again, single_again = (clone(estimator).fit(data, KIND) for data in (X, X.astype(np.float32)))
    if hasattr(first, "labels_"):
        assert np.array_equal(first.labels_, again.labels_)
        assert np.array_equal(single.labels_, single_again.labels_)
    if hasattr(first, "predict_proba"):
        assert np.array_equal(proba, again.predict_proba(X))
        assert np.array_equal(single_proba, single_again.predict_proba(X.astype(np.float32)))


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("names", [["setosa", "versicolor", "virginica"], [-7, 3, 10**12]])
def test_classes_of_any_kind(estimator, names):
    y = np.array(names)[KIND]
    fitted = clone(estimator).fit(IRIS, y)
    assert fitted.classes_.tolist() == names
    assert fitted.score(IRIS, y) > 0.9
    if hasattr(fitted, "predict_proba"):
        proba = fitted.predict_proba(IRIS)
        assert proba.shape == (150, 3)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        if not isinstance(fitted, native.NearestCentroid):
            assert np.array_equal(fitted.predict(IRIS), fitted.classes_[proba.argmax(axis=1)])


def test_kmeans_predicts_far_from_zero():
    far = IRIS + 1e9
    kmeans = native.KMeans(3, random_state=0).fit(far)
    np.testing.assert_array_equal(kmeans.predict(far), kmeans.labels_)
    distances = np.sqrt(((far[0] - kmeans.cluster_centers_) ** 2).sum(axis=1))
    np.testing.assert_allclose(kmeans.transform(far)[0], distances, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kmeans_attributes(dtype):
    X = IRIS.astype(dtype)
    kmeans = native.KMeans(3, n_init=3, random_state=1).fit(X)
    assert kmeans.cluster_centers_.dtype == dtype
    assert 1 <= kmeans.n_iter_ <= kmeans.max_iter
    assert np.array_equal(kmeans.predict(X), kmeans.labels_)
    distances = kmeans.transform(X)
    assert distances.shape == (150, 3)
    assert kmeans.inertia_ == pytest.approx((distances.min(axis=1).astype(float) ** 2).sum(), rel=1e-4)
    for label in range(3):
        np.testing.assert_allclose(
            kmeans.cluster_centers_[label], X[kmeans.labels_ == label].mean(axis=0, dtype=float), rtol=1e-5
        )
    assert kmeans.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    assert kmeans.score(X) == pytest.approx(-kmeans.inertia_, rel=1e-4)
    assert kmeans.score(X[:7]) == pytest.approx(-(distances[:7].min(axis=1).astype(float) ** 2).sum())


def test_tree_arrays_are_scikit_learns():
    # No ties: continuous features, one informative at a time.
    X = np.random.default_rng(3).normal(size=(200, 4))
    y = (X[:, 1] + X[:, 2] > 0.3).astype(int)
    ours = native.DecisionTree(max_depth=3, random_state=0).fit(X, y)
    theirs = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    for name in ("feature", "children_left", "children_right", "n_node_samples", "weighted_n_node_samples"):
        assert np.array_equal(ours.tree_[name], getattr(theirs.tree_, name)), name
    for name in ("threshold", "impurity"):
        np.testing.assert_allclose(ours.tree_[name], getattr(theirs.tree_, name), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ours.tree_["value"], theirs.tree_.value[:, 0])
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_)
    assert (ours.get_depth(), ours.get_n_leaves()) == (theirs.get_depth(), theirs.get_n_leaves())
    assert np.array_equal(ours.predict_proba(X), theirs.predict_proba(X))


@pytest.mark.parametrize("forest", [native.RandomForest, native.ExtraTrees])
def test_forest_is_the_mean_of_its_trees(forest):
    fitted = forest(7, random_state=0).fit(IRIS, KIND)
    trees, proba = fitted.trees_, np.zeros((150, 3))
    assert len(trees["offsets"]) == 8
    for start, stop in zip(trees["offsets"][:-1], trees["offsets"][1:], strict=True):
        one = {name: array[start:stop] for name, array in trees.items()}
        proba += _core.native_descend(IRIS, {**one, "offsets": np.array([0, stop - start])}, 2) / 7
    np.testing.assert_allclose(fitted.predict_proba(IRIS), proba)
    assert fitted.feature_importances_.sum() == pytest.approx(1)
    assert fitted.feature_importances_.argmax() in (2, 3)


def test_constant_data_and_one_class():
    X = np.ones((6, 2))
    assert native.Ward(2).fit_predict(X).max() == 1
    assert native.KMeans(1).fit(X).inertia_ == 0
    for estimator in CLASSIFIERS:
        fitted = clone(estimator).fit(X, ["only"] * 6)
        assert fitted.predict(X).tolist() == ["only"] * 6
    tree = native.DecisionTree().fit(X, [0, 1] * 3)
    assert tree.feature_importances_.tolist() == [0, 0]
    assert tree.predict_proba(X[:1]).tolist() == [[0.5, 0.5]]


def test_fewer_clusters_than_asked_for_are_told():
    X = np.repeat([[0.0, 1.0], [8.0, 9.0]], 15, axis=0)
    with pytest.warns(ConvergenceWarning, match="2 clusters found, and n_clusters=3"):
        assert len(np.unique(native.KMeans(3).fit_predict(X))) == 2


REFUSED = [
    (native.Ward(0), r"Ward\(n_clusters=0\).*integer of at least 1"),
    (native.Ward(7), "n_clusters=7 is more than there are observations, n_samples=6"),
    (native.Linkage(linkage="median"), r"linkage='median'.*'ward' or 'complete' or 'average' or 'single'"),
    (native.KMeans(init=np.zeros((8, 2))), "initial centres"),
    (native.KMeans(2, tol=-1), "finite number of at least 0"),
    (native.Spectral(2, affinity="nearest_neighbors"), "n_neighbors=10 is more than"),
    (native.DecisionTree(max_features=3), "an integer from 1 to the 2 features"),
    (native.DecisionTree(criterion="mse"), "criterion='mse'"),
    (native.RandomForest(0), "n_estimators=0"),
    (native.KNeighbors(9), "n_neighbors=9 is more than there are training rows, n_samples=6"),
    (native.KNeighbors(weights=len), "weights"),
    (native.NearestCentroid(metric="cosine"), "'euclidean' or 'manhattan'"),
    (native.DecisionTree(random_state="x"), "random_state"),
]


@pytest.mark.parametrize(("estimator", "message"), REFUSED, ids=[repr(estimator) for estimator, _ in REFUSED])
def test_refusals_say_what_is_expected(estimator, message):
    X = np.arange(12.0).reshape(6, 2)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, [0, 1] * 3)


def test_an_ensemble_refuses_them_in_the_same_words():
    for estimator in (native.KMeans(0), LOCOMP(native.KMeans(0))):
        with pytest.raises(ValueError, match=re.escape("KMeans(n_clusters=0) is not valid: expected an integer")):
            estimator.fit(IRIS)


def test_unfitted():
    with pytest.raises(NotFittedError):
        native.DecisionTree().predict(IRIS)
    with pytest.raises(NotFittedError):
        native.KMeans().transform(IRIS)
    for forest in (native.DecisionTree(), native.RandomForest()):
        with pytest.raises(NotFittedError, match=f"{type(forest).__name__} instance is not fitted yet"):
            forest.feature_importances_.sum()
    with pytest.raises(ValueError, match=r"n_init='often'.*is not valid: expected 'auto' or an integer"):
        native.KMeans(n_init="often").fit(IRIS)
    assert not hasattr(native.NearestCentroid(metric="manhattan"), "predict_proba")


def test_trees_from_elsewhere_are_checked():
    trees = native.DecisionTree(random_state=0).fit(IRIS, KIND)._trees
    for name, value in [("children_left", 0), ("children_right", 10**6), ("feature", 4)]:
        wrong = {**trees, name: np.where(trees["children_left"] < 0, trees[name], value).astype(trees[name].dtype)}
        with pytest.raises(ValueError, match="a node of the trees is 0"):
            _core.native_descend(IRIS, wrong, 1)
    with pytest.raises(ValueError, match="nodes"):
        _core.native_descend(IRIS, {**trees, "threshold": trees["threshold"][1:].copy()}, 1)
    with pytest.raises(TypeError, match="without the array value"):
        _core.native_descend(IRIS, {}, 1)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_nearest_centroid_is_scikit_learns(metric):
    ours, theirs = (
        kind(metric=metric).fit(IRIS[::2], KIND[::2]) for kind in (native.NearestCentroid, NearestCentroid)
    )
    assert np.array_equal(ours.predict(IRIS), theirs.predict(IRIS))
    if metric == "euclidean":
        np.testing.assert_allclose(ours.predict_proba(IRIS), theirs.predict_proba(IRIS), rtol=0, atol=1e-12)


def test_ward_is_scikit_learns():
    ours, theirs = native.Ward(5).fit_predict(IRIS), AgglomerativeClustering(5).fit_predict(IRIS)
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == 5


FITS_TABLES = [
    *(native.KMeans(2), native.Ward(), native.Linkage(), native.Spectral(2, affinity="rbf")),
    *(native.DecisionTree(), native.RandomForest(3), native.KNeighbors(1), native.NearestCentroid()),
    *(FuzzyCMeans(2), GammaMixture(2)),
]


@pytest.mark.parametrize("estimator", FITS_TABLES, ids=lambda estimator: type(estimator).__name__)
def test_missing_values_and_dates_are_refused_with_advice_that_fits(estimator):
    frame = pd.DataFrame(IRIS[:20], columns=list("abcd"))
    y = [0, 1] * 10
    missing = frame.mask(np.arange(80).reshape(20, 4) == 6)
    with pytest.raises(
        ValueError, match=r"NaN(?s:.*)fill them in, as sklearn.impute does, .* \(column 'c'\)$"
    ) as error:
        clone(estimator).fit(missing, y)
    assert "HistGradientBoosting" not in str(error.value)
    with pytest.raises(TypeError, match=r"got dates or times; .* \(column 'when'\)$"):
        clone(estimator).fit(frame.assign(when=pd.date_range("2020", periods=20)), y)


@pytest.mark.parametrize(
    "model", [native.KNeighbors(3), native.KNeighbors(3, weights="distance"), native.NearestCentroid()]
)
def test_values_whose_squares_are_not_finite_are_refused(model):
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = X[:, 0] > 0
    with pytest.raises(ValueError, match=r"X has values as large as .*e\+160 .*, expected at most 1e\+150"):
        model.fit(X * 1e160, y)
    with pytest.raises(ValueError, match=r"expected at most 1e\+150"):
        model.fit(X, y).predict(X * 1e160)


@pytest.mark.parametrize("linkage", ["ward", "complete", "average", "single"])
def test_merges_of_distances_beyond_all_numbers_end(linkage):
    X = np.repeat([[-5e153], [0.0], [5e153]], 20, axis=0)
    with pytest.raises(ValueError, match=r"X has values as large as 5e\+153 .*expected at most 1e\+150"):
        native.Linkage(2, linkage=linkage).fit(X)
    # The core by itself takes them for what they are, and comes to an end.
    params = {"n_clusters": 2, "linkage": linkage}
    labels = _core.native_fit_clusters(X, "agglomerative", params, 0)["labels"]
    assert set(labels) == {0, 1}


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("power", range(-90, 41, 5))
def test_neighbours_do_not_depend_on_the_unit(power, weights):
    rng = np.random.default_rng(0)
    X, queries, y = rng.normal(size=(200, 3)), rng.normal(size=(300, 3)), rng.integers(0, 3, 200)
    expected = native.KNeighbors(5, weights=weights).fit(X, y).predict_proba(queries)
    unit = 2.0**power
    found = native.KNeighbors(5, weights=weights).fit(X * unit, y).predict_proba(queries * unit)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_spectral_clusters_of_repeated_rows():
    rng = np.random.default_rng(0)
    X = np.repeat([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [300, 200, 100], axis=0)
    order = rng.permutation(len(X))
    expected = np.repeat([0, 1, 2], [300, 200, 100])[order]
    for n_clusters in (2, 3):
        found = native.Spectral(n_clusters, gamma=0.05, random_state=0).fit(X[order]).labels_
        theirs = SpectralClustering(n_clusters, gamma=0.05, random_state=0).fit(X[order]).labels_
        assert adjusted_rand_score(found, theirs) == 1
    assert adjusted_rand_score(found, expected) == 1


@pytest.mark.parametrize(
    "estimator",
    [
        AgglomerativeClustering(2**63),
        KMeans(2, max_iter=2**64),
        DecisionTreeClassifier(max_depth=2**64),
    ],
    ids=str,
)
def test_what_the_core_cannot_take_goes_to_the_estimator(estimator):
    clusters = hasattr(estimator, "fit_predict")
    with pytest.raises(NotNativeError, match="has no native form"):
        recognise_clusterer(estimator) if clusters else recognise_classifier(estimator, 10)
    with pytest.raises(ValueError, match="The 'max_features' parameter of DecisionTreeClassifier must be an int"):
        recognise_classifier(DecisionTreeClassifier(max_features=np.array(["sqrt", "log2"])), 10)
