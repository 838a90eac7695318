"""The native engine against scikit-learn's objects on the same minipatches.

Deterministic methods agree exactly; random ones in distribution: their difference is compared with the
scatter between minipatches, or with what two seeds of scikit-learn differ by.
"""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy import native
from clusterwhy._ensemble import SklearnEngine
from clusterwhy._native_ensemble import NativeEngine
from clusterwhy._recognise import recognise_classifier, recognise_clusterer
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._votes import one_hot
from clusterwhy.datasets import GammaMixture, load_cells, make_gamma_mixture


@pytest.fixture(autouse=True)
def _one_thread():
    """Small problems are slower with the inner threads of scikit-learn's libraries."""
    with single_threaded_libraries():
        yield


# Standard errors that two means of equal distributions may differ by.
FAR = 4


@cache
def data(name):
    rng = np.random.default_rng(0)
    if name == "cells":
        return load_cells().data
    if name == "digits":
        return load_digits().data[:600]
    if name == "random":
        return rng.normal(size=(120, 30))
    if name == "integers":
        return rng.integers(0, 4, size=(80, 8)).astype(float)
    return np.repeat(rng.normal(size=(30, 8)), 3, axis=0).astype(np.float32)


# Name, observations and features of a minipatch, minipatches, numbers of clusters.
PROBLEMS = [
    ("cells", 294, 199, 8, (2, 10)),
    ("digits", 200, 20, 12, (2, 10)),
    ("random", 60, 10, 40, (2, 7)),
    ("random", 2, 3, 15, (1, 2)),
    ("random", 3, 1, 15, (1, 2, 3)),
    ("random", 5, 2, 15, (2, 5)),
    ("integers", 40, 4, 40, (2, 5)),
    ("duplicates", 45, 4, 40, (2, 5)),
]


def both_clusterings(X, patches, clusterer):
    ours = np.concatenate(list(NativeEngine(X, recognise_clusterer(clusterer), None).cluster(patches)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = np.concatenate(list(SklearnEngine(X, clusterer, None, n_jobs=1).cluster(patches)))
    return ours, theirs


@pytest.mark.parametrize("linkage", ["ward", "complete", "average", "single"])
@pytest.mark.parametrize(("name", "rows", "columns", "n_patches", "ks"), PROBLEMS)
def test_linkage_gives_the_same_partitions(linkage, name, rows, columns, n_patches, ks):
    X = data(name)
    patches = cw.minipatches(*X.shape, n_patches, rows, columns, seed=1)
    for k in ks:
        for ours, theirs in zip(
            *both_clusterings(X, patches, AgglomerativeClustering(k, linkage=linkage)), strict=True
        ):
            assert len(set(zip(ours.tolist(), theirs.tolist(), strict=True))) == k
            assert len(set(ours.tolist())) == len(set(theirs.tolist())) == k


def both_votes(X, patches, labels, n_classes, classifier):
    """Probabilities (votes, K) of the left-out observations by both engines."""
    left_out = np.ones((len(patches), len(X)), dtype=bool)
    np.put_along_axis(left_out, patches.rows(), False, axis=1)
    method = recognise_classifier(classifier, patches.n_columns)
    ours = NativeEngine(X, None, method).classify(patches, labels, n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = list(SklearnEngine(X, None, classifier, n_jobs=1).classify(patches, labels, n_classes))
    soft = [
        np.concatenate([votes if votes.ndim == 3 else one_hot(votes, n_classes, np.float64) for votes, _ in blocks])
        for blocks in (ours, theirs)
    ]
    return [votes[left_out] for votes in soft]


DETERMINISTIC = [
    (KNeighborsClassifier(1), 0),
    (KNeighborsClassifier(2), 0),
    # scikit-learn rounds the distances of single-precision data to single precision.
    (KNeighborsClassifier(2, weights="distance"), 1e-6),
    (NearestCentroid(metric="manhattan"), 0),
    (NearestCentroid(), 1e-9),
]
# With as many classes as rows, scikit-learn's probabilities are not numbers.
COMPARED = [(*case, *problem) for case in DETERMINISTIC for problem in PROBLEMS if problem[1] > 5 or case[1] != 1e-9]


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")
@pytest.mark.parametrize(("classifier", "tolerance", "name", "rows", "columns", "n_patches", "ks"), COMPARED)
def test_neighbours_and_centroids_give_the_same_probabilities(
    classifier, tolerance, name, rows, columns, n_patches, ks
):
    X, k = data(name), max(ks)
    if name == "cells" and type(classifier) is NearestCentroid:
        # A gene that is constant within classes, but for the rounding of their means, is scaled up by 1e8; then
        # scikit-learn's distances (from squared norms) are rounding and nothing else.
        X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape).astype(X.dtype)
    patches = cw.minipatches(*X.shape, n_patches, rows, columns, seed=1)
    reference = AgglomerativeClustering(k).fit_predict(X).astype(np.int32)
    labels = np.ascontiguousarray(reference[patches.rows()])
    ours, theirs = both_votes(X, patches, labels, k, classifier)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# Not neighbours among integers: at equal distances, which scikit-learn takes is open.
SAME = [
    ("cells", KNeighborsClassifier(5)),
    ("random", KNeighborsClassifier(5)),
    ("cells", NearestCentroid(metric="manhattan")),
    ("random", NearestCentroid()),
    ("integers", NearestCentroid(metric="manhattan")),
]


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")
@pytest.mark.parametrize(("name", "classifier"), SAME, ids=repr)
def test_deterministic_methods_give_the_same_importances(name, classifier):
    X = data(name)
    fits = [
        cw.LOCOMP(AgglomerativeClustering(4), classifier, n_patches=60, engine=engine, random_state=3).fit(X)
        for engine in ("native", "sklearn")
    ]
    ours, theirs = fits
    assert np.array_equal(ours.patches_.rows(), theirs.patches_.rows())
    assert np.array_equal(ours.patches_.columns(), theirs.patches_.columns())
    assert np.array_equal(ours.reference_labels_, theirs.reference_labels_)
    assert np.array_equal(ours.labels_, theirs.labels_)
    for attribute in ("feature_importances_", "cluster_importances_", "sample_importances_", "monte_carlo_errors_"):
        ours_, theirs_ = getattr(ours, attribute), getattr(theirs, attribute)
        np.testing.assert_allclose(ours_, theirs_, rtol=0, atol=1e-12, err_msg=attribute)


@pytest.mark.parametrize("clusterer", [KMeans(4), SpectralClustering(4)], ids=repr)
def test_both_engines_have_the_same_minipatches_and_reference(clusterer):
    X, _ = make_blobs(60, n_features=6, centers=4, random_state=0)
    fits = [
        cw.LOCOMP(clusterer, n_patches=20, max_samples=0.5, max_features=0.5, engine=engine, random_state=7).fit(X)
        for engine in ("native", "sklearn")
    ]
    assert np.array_equal(fits[0].patches_.rows(), fits[1].patches_.rows())
    assert np.array_equal(fits[0].reference_labels_, fits[1].reference_labels_)


def agree(ours, theirs):
    """Whether paired figures have the same mean, as far as their number can tell."""
    difference = np.subtract(ours, theirs, dtype=float)
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return abs(difference.mean()) <= FAR * error + 1e-9 * np.abs(theirs).mean()


def parts(name, rows, columns, n_patches):
    X = data(name)
    patches = cw.minipatches(*X.shape, n_patches, rows, columns, seed=2)
    return [(np.ascontiguousarray(X[np.ix_(i, j)]), i, j) for i, j in patches]


@pytest.mark.parametrize("init", ["k-means++", "random"])
@pytest.mark.parametrize(("name", "rows", "columns"), [("cells", 200, 150), ("digits", 200, 20), ("random", 60, 10)])
def test_kmeans_inertia_and_turns(init, name, rows, columns):
    inertia, turns = [], []
    for seed, (part, _, _) in enumerate(parts(name, rows, columns, 60)):
        options = {"init": init, "n_init": 1, "random_state": seed}
        fits = [kind(8, **options).fit(part) for kind in (native.KMeans, KMeans)]
        inertia.append([fit.inertia_ for fit in fits])
        turns.append([fit.n_iter_ for fit in fits])
    assert agree(*np.transpose(inertia))
    assert agree(*np.transpose(turns))


@pytest.mark.parametrize("affinity", ["nearest_neighbors", "rbf"])
def test_spectral_agrees_as_two_seeds_of_scikit_learn_do(affinity):
    options = {"affinity": affinity, "n_neighbors": 8, "gamma": 1e-3}
    between, within = [], []
    for seed, (part, _, _) in enumerate(parts("digits", 120, 32, 10)):
        with warnings.catch_warnings():
            # The graph of neighbours need not be connected.
            warnings.simplefilter("ignore")
            ours = native.Spectral(6, random_state=seed, **options).fit_predict(part)
            first, second = (
                SpectralClustering(6, random_state=seed + shift, **options).fit_predict(part) for shift in (0, 1000)
            )
        between.append(adjusted_rand_score(ours, first))
        within.append(adjusted_rand_score(first, second))
    assert np.mean(between) > 0.8
    assert agree(between, within) or np.mean(between) > np.mean(within)


TREES = [
    (native.DecisionTree, DecisionTreeClassifier, {}),
    (native.DecisionTree, DecisionTreeClassifier, {"criterion": "entropy"}),
    (native.DecisionTree, DecisionTreeClassifier, {"splitter": "random", "max_features": "sqrt"}),
    (native.DecisionTree, DecisionTreeClassifier, {"max_depth": 4, "min_samples_leaf": 3}),
    (native.RandomForest, RandomForestClassifier, {"n_estimators": 10}),
    (native.RandomForest, RandomForestClassifier, {"n_estimators": 10, "bootstrap": False, "criterion": "entropy"}),
    (native.ExtraTrees, ExtraTreesClassifier, {"n_estimators": 10}),
]


@pytest.mark.parametrize("shift", [0.0, -30.0])
def test_gamma_mixtures_reach_the_same_clusters(shift):
    # Groups so far apart that every start of k-means is the same one, from which EM is deterministic.
    X, _, _ = make_gamma_mixture(240, 3, n_noise=6, separation=6.0, random_state=0)
    X += shift
    patches = cw.minipatches(*X.shape, 25, 90, 9, seed=2)
    clusterer = GammaMixture(3, n_init=4, max_iter=40)
    found = [adjusted_rand_score(*pair) for pair in zip(*both_clusterings(X, patches, clusterer), strict=True)]
    assert min(found) > 0.9, found
    assert np.mean(np.array(found) == 1) >= 0.8, found


@pytest.mark.parametrize(("ours", "theirs", "options"), TREES, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize(("name", "rows", "columns"), [("cells", 200, 60), ("digits", 200, 20)])
def test_trees_are_as_deep_as_large_and_as_right(ours, theirs, options, name, rows, columns):
    X = data(name)
    y = AgglomerativeClustering(6).fit_predict(X)
    figures = []
    for seed, (part, i, j) in enumerate(parts(name, rows, columns, 25)):
        rest = np.setdiff1d(np.arange(len(X)), i)
        mine = ours(random_state=seed, **options).fit(part, y[i])
        other = theirs(random_state=seed, **options).fit(part, y[i])
        held_out = np.ascontiguousarray(X[np.ix_(rest, j)])
        grown = other.estimators_ if hasattr(other, "estimators_") else [other]
        figures.append(
            [
                (len(mine._trees["feature"]), sum(tree.tree_.node_count for tree in grown)),
                (mean_depth(mine._trees), np.mean([tree.get_depth() for tree in grown])),
                (mine.score(held_out, y[rest]), other.score(held_out, y[rest])),
            ]
        )
    for name, column in zip(("nodes", "depth", "accuracy"), np.transpose(figures, (1, 2, 0)), strict=True):
        assert agree(*column), name


def mean_depth(trees):
    depths = []
    for start, stop in zip(trees["offsets"][:-1], trees["offsets"][1:], strict=True):
        depth = np.zeros(stop - start, dtype=int)
        for node in range(stop - start):
            for children in (trees["children_left"], trees["children_right"]):
                child = children[start + node]
                if child > 0:
                    depth[child] = depth[node] + 1
        depths.append(depth.max())
    return np.mean(depths)


PAIRS = [
    ("cells", AgglomerativeClustering(10), DecisionTreeClassifier(), 60),
    ("digits", AgglomerativeClustering(10), RandomForestClassifier(10), 60),
    ("digits", AgglomerativeClustering(10), ExtraTreesClassifier(10), 60),
    ("digits", KMeans(10), DecisionTreeClassifier(), 120),
    ("digits", SpectralClustering(6, affinity="nearest_neighbors"), DecisionTreeClassifier(), 40),
]


@pytest.mark.parametrize(("name", "clusterer", "classifier", "n_patches"), PAIRS, ids=repr)
def test_importances_agree_as_two_seeds_of_scikit_learn_do(name, clusterer, classifier, n_patches):
    X = data(name)
    reference = AgglomerativeClustering(10 if name == "cells" else clusterer.n_clusters).fit_predict(X)

    def importances(engine, seed):
        loco = cw.LOCOMP(
            clusterer, classifier, n_patches=n_patches, max_samples=0.3, reference=reference, engine=engine,
            random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loco.fit(X).feature_importances_

    native_0, sklearn_0, sklearn_1 = importances("native", 0), importances("sklearn", 0), importances("sklearn", 1)
    assert spearmanr(native_0, sklearn_0)[0] >= spearmanr(sklearn_0, sklearn_1)[0]
