"""The metrics agree with hand-computed values and with naive versions of themselves."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from clusterwhy.metrics import (
    baselines,
    diversity,
    faithfulness,
    feature_flipping_auc,
    feature_generalizability,
    generalizability_error,
    matched_accuracy,
    rank_stability,
    top_k_hits,
    uniqueness,
)
from clusterwhy.metrics._kde import leave_one_out_bandwidth

nan = np.nan


# --- top-k hits


@pytest.mark.parametrize(
    ("importances", "signal", "k", "hits"),
    [
        ([4, 3, 2, 1], [0, 1], None, 1.0),
        ([4, 3, 2, 1], [2, 3], None, 0.0),
        ([4, 3, 2, 1], [0, 3], None, 0.5),
        ([4, 3, 2, 1], [3, 0], 1, 1.0),
        ([4, 3, 2, 1], [0, 1], 4, 0.5),
        ([4, 3, 2, 1], [False, True, False, False], None, 0.0),
        ([-4, -3, -2, -1], [3], None, 1.0),
        ([0, 0, 0, 0], [0, 1], None, 0.5),
        ([1, 0, 0, 0], [0, 1], None, (1 + 1 / 3) / 2),
        ([nan, 3, 2, 1], [0, 1], None, 0.5),
        ([nan, nan, nan, 1], [0, 3], None, 0.5),
        ([nan, nan, nan, nan], [0, 3], None, 0.0),
        ([np.inf, -np.inf, 0.0], [1], None, 0.0),
    ],
)
def test_top_k_hits_by_hand(importances, signal, k, hits):
    assert top_k_hits(importances, signal, k) == pytest.approx(hits)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, nan]), min_size=2, max_size=6), st.data())
def test_top_k_hits_is_the_mean_over_all_ways_to_break_ties(importances, data):
    scores = np.array(importances)
    signal = data.draw(st.sets(st.integers(0, scores.size - 1), min_size=1))
    k = data.draw(st.integers(1, scores.size))
    hits = []
    for order in permutations(range(scores.size)):
        ranked = sorted((j for j in order if not np.isnan(scores[j])), key=lambda j: -scores[j])
        hits.append(len(set(ranked[:k]) & signal) / k)
    assert top_k_hits(scores, sorted(signal), k) == pytest.approx(np.mean(hits))


@pytest.mark.parametrize(
    ("importances", "signal", "k", "message"),
    [
        ([], [0], None, "importances must not be empty"),
        ([[1, 2]], [0], None, r"importances must have 1 dimension\(s\), got shape \(1, 2\)"),
        (["a", "b"], [0], None, "importances must be an array of numbers"),
        ([1, 2], [], None, "signal must name at least one feature"),
        ([1, 2], [2], None, "signal must hold indices from 0 to 1"),
        ([1, 2], [-1], None, "signal must hold indices from 0 to 1"),
        ([1, 2], [0, 0], None, "names a feature twice"),
        ([1, 2], [0.0], None, "signal must hold integer indices"),
        ([1, 2], [True], None, "mask of 1 features, but importances has 2"),
        ([1, 2], [False, False], None, "mask is False throughout"),
        ([1, 2], [0], 0, "k must be at least 1, got 0"),
        ([1, 2], [0], 3, "k must be at most 2, got 3"),
        ([1, 2], [0], 1.0, "k must be an integer"),
    ],
)
def test_top_k_hits_refuses(importances, signal, k, message):
    with pytest.raises((ValueError, TypeError), match=message):
        top_k_hits(importances, signal, k)


# --- diversity


@pytest.mark.parametrize(
    ("importances", "top_k", "value"),
    [
        ([[1, 0], [0, 1]], None, 1.0),
        ([[1, 0], [1, 0]], None, 0.0),
        ([[1, 2, 0], [0, 1, 3]], None, 1 - 1 / 3),
        ([[1, 0, 0], [1, 1, 0], [0, 0, 1]], None, 1 - (1 / 2 + 0 + 0) / 3),
        ([[True, False], [True, True]], None, 0.5),
        ([[0, 0], [0, 0]], None, 0.0),
        ([[0, 0], [1, 0]], None, 1.0),
        ([[-5, 1], [-5, 1]], None, 0.0),
        ([[nan, 1], [1, nan]], None, 1.0),
        ([[3, 2, 1], [1, 2, 3]], 1, 1.0),
        ([[3, 2, 1], [1, 2, 3]], 2, 1 - 1 / 3),
        ([[3, nan, nan], [3, 2, nan]], 2, 0.5),
        ([[1, 1, 1], [1, 1, 1]], 2, 0.0),
    ],
)
def test_diversity_by_hand(importances, top_k, value):
    assert diversity(importances, top_k=top_k) == pytest.approx(value)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 5), st.integers(1, 6), st.integers(0, 10_000))
def test_diversity_agrees_with_sets(n_clusters, n_features, seed):
    scores = np.random.RandomState(seed).randint(-2, 3, size=(n_clusters, n_features))
    sets = [{j for j in range(n_features) if row[j] > 0} for row in scores]
    jaccard = [len(a & b) / len(a | b) if a | b else 1.0 for a, b in combinations(sets, 2)]
    assert diversity(scores) == pytest.approx(1 - sum(jaccard) / len(jaccard))
    assert diversity(scores[::-1]) == pytest.approx(diversity(scores))


def test_diversity_refuses():
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        diversity([[1, 2]])
    with pytest.raises(ValueError, match=r"2 dimension\(s\)"):
        diversity([1, 2])
    with pytest.raises(ValueError, match="top_k must be at most 2, got 3"):
        diversity([[1, 2], [2, 1]], top_k=3)


# --- faithfulness


@pytest.fixture
def linear():
    X = np.random.RandomState(0).normal(size=(30, 5))
    weights = np.array([3.0, -1.0, 0.5, 2.0, 0.0])
    return X, weights, lambda Z: -float(((X - Z) @ weights).var())


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("baseline", ["mean", "zero", np.arange(5.0)])
def test_single_removals_agree_with_a_loop(linear, baseline, method):
    X, _, performance = linear
    importances = np.array([1.0, 0.4, 0.1, 2.0, 0.3])
    values = {"mean": X.mean(axis=0), "zero": np.zeros(5)}.get(
        baseline if isinstance(baseline, str) else "", baseline
    )
    losses = []
    for j in range(5):
        Z = X.copy()
        Z[:, j] = values[j]
        losses.append(performance(X) - performance(Z))
    expected = getattr(stats, {"pearson": "pearsonr", "spearman": "spearmanr"}[method])(importances, losses)[0]
    before = X.copy()
    got = faithfulness(importances, X, performance, baseline=baseline, method=method)
    assert got == pytest.approx(expected)
    np.testing.assert_array_equal(X, before)


def test_cumulative_removals_agree_with_a_loop(linear):
    X, _, performance = linear
    importances = np.array([1.0, 0.4, nan, 2.0, 0.3])
    Z, left, removed = X.copy(), [], []
    for j in (3, 0, 1, 4):
        Z[:, j] = X[:, j].mean()
        left.append(performance(Z))
        removed.append(importances[j])
    expected = stats.pearsonr(removed, left)[0]
    assert faithfulness(importances, X, performance, removal="cumulative") == pytest.approx(expected)


def test_the_true_losses_are_faithful_and_their_negatives_are_not(linear):
    X, weights, performance = linear
    losses = weights**2 * X.var(axis=0)
    assert faithfulness(losses, X, performance) == pytest.approx(1.0)
    assert faithfulness(-losses, X, performance) == pytest.approx(-1.0)
    assert faithfulness(losses * 1e-300, X, performance) == pytest.approx(1.0)
    assert faithfulness(np.where(weights == 3.0, nan, losses), X, performance) == pytest.approx(1.0)


def test_performance_may_scribble_on_what_it_gets(linear):
    X, _, performance = linear

    def scribble(Z):
        value = performance(Z)
        Z[:] = 0
        return value

    for removal in ("single", "cumulative"):
        a, b = (faithfulness([1, 2, 3, 4, 5], X, f, removal=removal) for f in (performance, scribble))
        assert a == b


@pytest.mark.parametrize("importances", [[1.0] * 5, [nan, nan, nan, nan, 1.0]])
def test_faithfulness_of_equal_importances_is_not_defined(linear, importances):
    X, _, performance = linear
    with pytest.warns(UndefinedMetricWarning, match="faithfulness is not defined"):
        assert np.isnan(faithfulness(importances, X, performance))
    with pytest.warns(UndefinedMetricWarning, match="faithfulness is not defined"):
        assert np.isnan(faithfulness(np.arange(5), X, lambda Z: 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"importances": [1, 2]}, r"X must have shape \(n_samples, 2\)"),
        ({"removal": "both"}, "removal must be one of 'single', 'cumulative'"),
        ({"method": "kendall"}, "method must be one of"),
        ({"baseline": "median"}, "baseline must be one of"),
        ({"baseline": [1.0]}, "baseline has 1 values, but X has 5 features"),
        ({"performance": lambda Z: nan}, "performance must return a finite number"),
    ],
)
def test_faithfulness_refuses(linear, arguments, message):
    X, _, performance = linear
    arguments = {"importances": np.arange(5), "X": X, "performance": performance, **arguments}
    with pytest.raises(ValueError, match=message):
        faithfulness(**arguments)


# --- uniqueness


def naive_uniqueness(Z, X, r, reduction):
    per_sample = []
    for i in range(len(X)):
        others = []
        for m in range(len(X)):
            distance = np.sqrt(sum((X[i] - X[m]) ** 2))
            if m != i and distance > 0:
                change = [0.0 if np.isnan(a - b) else a - b for a, b in zip(Z[i], Z[m], strict=True)]
                others.append((distance, np.sqrt(np.square(change).sum()) / distance))
        nearest = [ratio for _, ratio in sorted(others)[:r]]
        if nearest:
            per_sample.append(np.mean(nearest) if reduction == "mean" else min(nearest))
    return np.mean(per_sample)


@pytest.mark.parametrize("reduction", ["mean", "min"])
@pytest.mark.parametrize("r", [1, 2, 5, 14])
def test_uniqueness_agrees_with_loops(r, reduction):
    rng = np.random.RandomState(r)
    X, Z = rng.normal(size=(15, 3)), rng.normal(size=(15, 4))
    Z[2, 1] = nan
    expected = naive_uniqueness(Z, X, r, reduction)
    assert uniqueness(Z, X, n_neighbors=r, reduction=reduction) == pytest.approx(expected)


def test_uniqueness_skips_repeated_observations():
    rng = np.random.RandomState(0)
    # Explanations are repeated too: repeated neighbours tie, and either may be taken.
    X, Z = (np.repeat(rng.normal(size=(6, m)), [4, 1, 1, 2, 1, 1], axis=0) for m in (2, 3))
    assert uniqueness(Z, X) == pytest.approx(naive_uniqueness(Z, X, 2, "mean"))
    with pytest.warns(UndefinedMetricWarning, match="all observations are equal"):
        assert np.isnan(uniqueness(Z, np.ones((10, 2))))


def test_uniqueness_of_one_global_explanation_is_zero():
    assert uniqueness(np.ones((8, 3)), np.random.RandomState(0).normal(size=(8, 2))) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.ones((3, 2))}, "explains 4 observations, but X has 3"),
        ({"X": np.full((4, 2), nan)}, "X must be finite"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1"),
        ({"n_neighbors": 4}, "n_neighbors must be at most 3"),
        ({"reduction": "max"}, "reduction must be one of"),
        ({"sample_importances": [1, 2, 3, 4]}, r"2 dimension\(s\)"),
        ({"sample_importances": [[1]], "X": [[1]]}, "needs at least 2, got 1"),
    ],
)
def test_uniqueness_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        uniqueness(**{"sample_importances": np.ones((4, 2)), "X": np.eye(4), **arguments})


# --- matched accuracy


@pytest.mark.parametrize(
    ("truth", "labels", "accuracy"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], 1.0),
        (["a", "a", "b", "b"], [0, 0, 0, 1], 0.75),
        ([0, 0, 1, 1], ["x", "y", "y", "y"], 0.75),
        ([0, 0, 1, 1], [0, 1, 2, 3], 0.5),
        ([0, 1, 2, 3], [0, 0, 0, 0], 0.25),
        ([0, 0, 1, 1], [-1, -1, 0, 0], 0.5),
        ([0, 0, 1, 1], [-1, -1, -1, -1], 0.0),
        # The best matching overall is not the largest cell first.
        ([0] * 5 + [1] * 4 + [0] * 4, [0] * 9 + [1] * 4, 8 / 13),
    ],
)
def test_matched_accuracy_by_hand(truth, labels, accuracy):
    assert matched_accuracy(truth, labels) == pytest.approx(accuracy)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 25), st.integers(0, 10_000))
def test_matched_accuracy_agrees_with_all_permutations(n_classes, n_clusters, n, seed):
    rng = np.random.RandomState(seed)
    truth, labels = rng.randint(n_classes, size=n), rng.randint(n_clusters, size=n)
    names = list(range(max(n_classes, n_clusters)))
    best = max(
        np.mean([order[label] == t for label, t in zip(labels, truth, strict=True)]) for order in permutations(names)
    )
    assert matched_accuracy(truth, labels) == pytest.approx(best)


def test_matched_accuracy_refuses():
    with pytest.raises(ValueError, match="y_true has 2 observations, but labels has 3"):
        matched_accuracy([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="labels must be a non-empty array of one dimension"):
        matched_accuracy([0, 1], [[0, 1]])
    with pytest.raises(ValueError, match="y_true must be a non-empty array"):
        matched_accuracy([], [])


# --- rank stability


def test_rank_stability_agrees_with_scipy():
    runs = np.random.RandomState(0).randint(0, 12, size=(4, 15)).astype(float)
    got = rank_stability(list(runs), top_k=5)
    pairs = list(combinations(runs, 2))
    assert got["spearman"] == pytest.approx(np.mean([stats.spearmanr(a, b)[0] for a, b in pairs]))
    assert got["pearson"] == pytest.approx(np.mean([stats.pearsonr(a, b)[0] for a, b in pairs]))
    tops = [set(sorted(range(15), key=lambda j: -run[j])[:5]) for run in runs]
    overlap = np.mean([len(a & b) / 5 for a, b in combinations(tops, 2)])
    assert got["top_k_overlap"] == pytest.approx(overlap)
    assert rank_stability(runs, top_k=5) == got


def test_rank_stability_with_nan_and_constants():
    got = rank_stability([[1, 2, 3, nan], [1, 2, 3, 0], [5, 5, 5, 5]], top_k=2)
    assert got["spearman"] == pytest.approx(1)
    assert got["pearson"] == pytest.approx(1)
    assert got["top_k_overlap"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    got = rank_stability([[1, 1], [1, 1]], top_k=1)
    assert np.isnan(got["spearman"])
    assert np.isnan(got["pearson"])
    assert got["top_k_overlap"] == 1
    assert rank_stability([[1, nan, nan], [1, nan, 2]], top_k=3)["top_k_overlap"] == pytest.approx(1 / 3)


def test_rank_stability_refuses():
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        rank_stability([[1, 2]], top_k=1)
    with pytest.raises(ValueError, match=r"got lengths \[2, 3\]"):
        rank_stability([[1, 2], [1, 2, 3]], top_k=1)
    with pytest.raises(ValueError, match="top_k must be at most 2, got 10"):
        rank_stability([[1, 2], [2, 1]])
    with pytest.raises(ValueError, match=r"importances_list\[1\] must have 1 dimension"):
        rank_stability([[1, 2], [[2, 1]]], top_k=1)


# --- generalizability of features


def test_feature_generalizability_is_cross_validation_on_the_selected_columns():
    X, y = load_iris(return_X_y=True)
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    expected = cross_val_score(make_pipeline(StandardScaler(), SVC()), X[:, [1, 3]], y, cv=folds).mean()
    for importances, top_k in (([-1, 0.5, 0, 2], None), ([-1, 0.5, nan, 2], 2), ([0, 1, nan, 1], None)):
        assert feature_generalizability(importances, X, y, top_k=top_k, cv=4, random_state=3) == pytest.approx(
            expected
        )
    tree = DecisionTreeClassifier(random_state=0)
    expected = cross_val_score(tree, X[:, [3]], y, cv=folds).mean()
    got = feature_generalizability([0, 1, 0, 2], X, y, top_k=1, cv=4, classifier=tree, random_state=3)
    assert got == pytest.approx(expected)
    assert not hasattr(tree, "tree_")


def test_feature_generalizability_with_a_mask_for_each_observation():
    X, y = load_iris(return_X_y=True)
    scores = np.random.RandomState(0).normal(size=X.shape)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), SVC())
    expected = cross_val_score(model, X * (scores > 0), y, cv=folds).mean()
    assert feature_generalizability(scores, X, y, random_state=0) == pytest.approx(expected)
    top = scores >= np.sort(scores, axis=1)[:, [-2]]
    expected = cross_val_score(model, X * top, y, cv=folds).mean()
    assert feature_generalizability(scores, X, y, top_k=2, random_state=0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"importances": [1, 2]}, r"importances of shape \(2,\) do not fit X of shape \(12, 3\)"),
        ({"importances": np.ones((4, 3))}, r"importances of shape \(4, 3\) do not fit"),
        ({"importances": [0, -1, nan]}, "no feature is selected"),
        ({"labels": [0, 1]}, "X has 12 observations, but labels has 2"),
        ({"labels": [1] * 12}, "at least 2 different labels"),
        ({"top_k": 4}, "top_k must be at most 3"),
        ({"cv": 1}, "cv must be at least 2"),
        ({"labels": [2] + [0, 1] * 5 + [0]}, "each label must have at least 2 observations.* but 2 has 1"),
        ({"labels": [None] + ["a", "b"] * 5 + ["a"]}, "labels must be there for every observation, got None for 0"),
        ({"cv": 9}, "n_splits=9"),
    ],
)
def test_feature_generalizability_refuses(arguments, message):
    X = np.random.RandomState(0).normal(size=(12, 3))
    arguments = {"importances": [1, 2, 3], "X": X, "labels": [0, 1] * 6, **arguments}
    with pytest.raises(ValueError, match=message):
        feature_generalizability(**arguments)


@pytest.mark.parametrize("dtype", [np.int64, float, object])
def test_noise_is_noise_whatever_the_dtype(dtype):
    truth = ["a", "a", "b", "b", "b", "b"]
    assert matched_accuracy(truth, np.array([0, 0, -1, -1, -2, 1], dtype=dtype)) == 0.5


def test_feature_generalizability_takes_classifiers_alone():
    with pytest.raises(TypeError, match="classifier must be a classifier, got KMeans"):
        feature_generalizability([1, 2], np.eye(6)[:, :2], [0, 1] * 3, classifier=KMeans(2))


@pytest.mark.parametrize(
    "ask",
    [
        lambda X: generalizability_error(KMeans(2), X),
        lambda X: feature_generalizability([1, 2, 3], X, [0, 1] * 6),
        lambda X: faithfulness([1, 2, 3], X, np.sum),
        lambda X: uniqueness(np.ones((12, 3)), X),
    ],
)
def test_sparse_data_are_refused_as_such(ask):
    with pytest.raises(TypeError, match=r"X must be dense, got a sparse csr_array; pass X.toarray\(\)"):
        ask(csr_array(np.ones((12, 3))))


@pytest.mark.parametrize(
    ("performance", "error", "message"),
    [
        (3, TypeError, "performance must be a function of the data, got 3"),
        (lambda X: X, ValueError, r"performance must return a number, got float64 of shape \(5, 3\)"),
        (lambda X: None, ValueError, "performance must return a number, got object"),
    ],
)
def test_faithfulness_wants_a_number_for_the_data(performance, error, message):
    with pytest.raises(error, match=message):
        faithfulness([1, 2, 3], np.ones((5, 3)), performance)


# --- generalizability of a clustering


class Halves(ClusterMixin, BaseEstimator):
    """Labels by the sign of the first column, named as asked; -1 where the second column is above a bound."""

    def __init__(self, names=(0, 1), bound=np.inf):
        self.names = names
        self.bound = bound

    def fit(self, X, y=None):
        self.labels_ = np.where(X[:, 0] > 0, self.names[1], self.names[0])
        self.labels_[X[:, 1] > self.bound] = -1
        return self


@pytest.fixture
def plane():
    return np.random.RandomState(0).normal(size=(80, 2))


@pytest.mark.parametrize("loss", ["zero_one", "hinge", "ari"])
def test_generalizability_error_agrees_with_its_definition(loss):
    X, _ = make_blobs(120, centers=4, cluster_std=3.0, random_state=0)
    clusterer, classifier = KMeans(3, n_init=2, random_state=0), KNeighborsClassifier(5)
    errors = []
    rng = np.random.RandomState(7)
    for _ in range(3):
        train, calibration = train_test_split(X, test_size=0.4, random_state=rng.randint(np.iinfo(np.int32).max))
        z_train, z = clusterer.fit_predict(train), clusterer.fit_predict(calibration)
        classifier.fit(train, z_train)
        predicted, proba = classifier.predict(calibration), classifier.predict_proba(calibration)
        if loss == "ari":
            errors.append(-adjusted_rand_score(z, predicted))
            continue
        best = max(permutations(range(3)), key=lambda names: np.mean(np.array(names)[z] == predicted))
        renamed = np.array(best)[z]
        own = proba[np.arange(len(z)), renamed]
        errors.append(np.mean(renamed != predicted) if loss == "zero_one" else np.mean(1 - own))
    got = generalizability_error(
        clusterer, X, classifier=classifier, loss=loss, calibration_size=0.4, n_repeats=3, random_state=7
    )
    assert got == pytest.approx(np.mean(errors))


def test_a_clustering_that_generalizes_and_one_that_does_not(plane):
    X, _ = make_blobs(150, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    right = generalizability_error(KMeans(3), X, random_state=0)
    wrong = generalizability_error(KMeans(6), X, random_state=0)
    assert right == 0
    assert wrong > 0.1
    tree = DecisionTreeClassifier()
    assert generalizability_error(KMeans(3), X, loss="ari", classifier=tree, random_state=0) == -1
    assert generalizability_error(KMeans(3), X, loss="hinge", classifier=tree, random_state=0) == 0


def test_names_of_labels_do_not_matter(plane):
    tree = DecisionTreeClassifier(random_state=0)
    errors = {
        names: [
            generalizability_error(Halves(names), plane, classifier=tree, loss=loss, random_state=1)
            for loss in ("zero_one", "hinge", "ari")
        ]
        for names in ((0, 1), (1, 0), (7, 3))
    }
    assert errors[0, 1] == errors[1, 0] == errors[7, 3]


def test_noise_takes_no_part(plane):
    tree = DecisionTreeClassifier(random_state=0)
    plane[:, 1] = np.abs(plane[:, 1])
    error = generalizability_error(Halves(bound=1.0), plane, classifier=tree, random_state=1)
    assert error < 0.1
    with pytest.raises(ValueError, match="nothing but noise in the training part of 40"):
        generalizability_error(Halves(bound=-1.0), plane, random_state=0)
    blobs, _ = make_blobs(120, centers=[[0, 0], [9, 9]], random_state=0)
    assert generalizability_error(DBSCAN(eps=1.5), blobs, random_state=0) == 0


def test_seeds_reach_nested_estimators_and_nothing_is_changed(plane):
    clusterer = make_pipeline(PCA(1, svd_solver="randomized"), KMeans(3, n_init=1))
    forest = RandomForestClassifier(5)
    first, again = (
        generalizability_error(clusterer, plane, classifier=forest, n_repeats=2, random_state=3) for _ in range(2)
    )
    assert first == again
    assert clusterer[-1].random_state is None
    assert not hasattr(clusterer[-1], "labels_")
    assert not hasattr(forest, "estimators_")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"clusterer": SVC()}, TypeError, r"clusterer must be a clusterer, got SVC\(\)"),
        ({"loss": "brier"}, ValueError, "loss must be one of"),
        ({"loss": "hinge", "classifier": LinearSVC()}, ValueError, "needs predict_proba, which LinearSVC"),
        ({"calibration_size": 1.0}, ValueError, "calibration_size must lie between 0 and 1"),
        ({"calibration_size": "half"}, ValueError, "calibration_size must lie between 0 and 1"),
        ({"n_repeats": 0}, ValueError, "n_repeats must be at least 1"),
        ({"X": np.ones((3, 2))}, ValueError, "n_samples >= 4"),
        ({"X": np.ones(9)}, ValueError, "n_samples >= 4"),
    ],
)
def test_generalizability_error_refuses(plane, arguments, error, message):
    with pytest.raises(error, match=message):
        generalizability_error(**{"clusterer": KMeans(2), "X": plane, **arguments})


def test_scores_with_names_are_matched_by_them():
    """As they come from to_frame, the best first."""
    rng = np.random.default_rng(0)
    runs = rng.normal(size=(3, 8))
    names = [f"f{j}" for j in range(8)]
    series = [pd.Series(run, index=names).sort_values(ascending=False) for run in runs]
    assert rank_stability(series, 3) == pytest.approx(rank_stability(runs, 3), abs=1e-12)
    X = rng.normal(size=(30, 8))
    frame = pd.DataFrame(X, columns=names)
    weights = rng.uniform(size=8)
    for data, scores in ((frame, series[0]), (X, pd.Series(runs[0]).sort_values())):
        performance = lambda Z: float((Z[:, :] ** 2).mean(axis=0) @ weights)  # noqa: E731
        assert faithfulness(scores, data, performance) == faithfulness(runs[0], X, performance)
        y = np.arange(30) % 2
        for metric in (feature_generalizability, feature_flipping_auc):
            target = y if metric is feature_generalizability else lambda Z: Z[:, 0] > 0
            assert metric(scores, data, target, random_state=0) == metric(runs[0], X, target, random_state=0)
    with pytest.raises(
        ValueError, match=r"importances_list\[1\] must name the same features, f\d, .* each once, got"
    ):
        rank_stability([series[0], series[1].rename({"f3": "g"})])
    with pytest.raises(ValueError, match=r"importances_list\[1\] does not name its features"):
        rank_stability([series[0], runs[1]])
    with pytest.raises(ValueError, match="importances must name the same features"):
        faithfulness(series[0].rename({"f3": "g"}), frame, lambda Z: 1.0)


def test_baselines_with_names_are_matched_by_them():
    X = np.random.default_rng(0).normal(size=(40, 3))
    frame = pd.DataFrame(X, columns=[*"abc"])
    base = pd.Series([5.0, 0.0, 1.0], index=[*"abc"])
    other = base[["c", "b", "a"]]
    performance = lambda Z: float(-((Z - X) ** 2).sum())  # noqa: E731
    one, same = (faithfulness([1, 0.5, 0], frame, performance, baseline=b) for b in (base.to_numpy(), other))
    assert one == same
    np.testing.assert_array_equal(
        baselines.squared_difference(frame, other), baselines.squared_difference(X, base.to_numpy())
    )
    with pytest.raises(ValueError, match="baseline must name the same features, a, b, c, each once, got"):
        faithfulness([1, 0.5, 0], frame, performance, baseline=base.rename({"a": "z"}))
    with pytest.raises(ValueError, match=r"X must be finite"):
        baselines.squared_difference(np.where(X > 2, np.nan, X))


@pytest.mark.parametrize("shift", [1e7, 1e9])
def test_distances_do_not_depend_on_where_the_data_are(shift):
    # Multiples of 1/256, which the shift leaves as they are.
    X = np.rint(256 * np.random.default_rng(0).normal(size=(60, 20))) / 256
    explanations = np.random.default_rng(1).normal(size=X.shape)
    assert uniqueness(explanations, X + shift, n_neighbors=3) == pytest.approx(
        uniqueness(explanations, X, n_neighbors=3), rel=1e-9
    )
    assert leave_one_out_bandwidth(X + shift) == pytest.approx(leave_one_out_bandwidth(X), rel=1e-9)
    near, far = (
        baselines.prediction_difference(Z, lambda Z: Z[:, 0] - Z[0, 0], random_state=0) for Z in (X, X + shift)
    )
    np.testing.assert_allclose(far, near, atol=1e-6 * shift / 1e7)


def test_a_bandwidth_of_repeated_observations_is_not_that_of_rounding():
    D = np.random.default_rng(0).integers(0, 3, (300, 3)).astype(float)
    D = (D - D.mean(axis=0)) / D.std(axis=0)
    distinct = np.unique(D, axis=0)
    least = min(np.linalg.norm(a - b) for a, b in combinations(distinct, 2))
    assert leave_one_out_bandwidth(D) == pytest.approx(least / 10 / np.sqrt(3), rel=0.2)


def test_noise_takes_no_part_in_what_is_predicted():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, -1], 30)
    X = rng.normal(size=(90, 3))
    X[:60, 0] += 9 * y[:60]
    assert feature_generalizability([1, 0, 0], X, y, random_state=np.random.default_rng(0)) > 0.95
    predict = lambda Z: (Z[:, 0] > 4.5).astype(int)  # noqa: E731
    with_noise = feature_flipping_auc([1, 0, 0], X, predict, labels=y, bandwidth=0.3, random_state=0)
    assert with_noise > 0.8
    for metric in (feature_generalizability, lambda s, X, y: feature_flipping_auc(s, X, predict, labels=y)):
        with pytest.raises(ValueError, match="noise"):
            metric([1, 0, 0], X, np.full(90, -1))
    with pytest.raises(ValueError, match="labels must be there for every observation"):
        feature_flipping_auc([1, 0, 0], X, predict, labels=np.where(y < 0, np.nan, y))
    with pytest.raises(ValueError, match="must not be masked"):
        matched_accuracy([0, 1, 1], np.ma.array([0, 1, 0], mask=[0, 0, 1]))


def test_a_sorted_series_of_positions_keeps_its_features():
    scores = pd.Series([0.1, 0.9, 0.2, 0.8])
    for order in (scores, scores.sort_values(), scores.sort_values(ascending=False)):
        assert top_k_hits(order, [0, 2]) == 0
        assert top_k_hits(order, [1, 3]) == 1
    assert top_k_hits(scores.set_axis([*"abcd"]), [1, 3]) == 1


class FirstColumn:
    """Clusters, and has no parameters that can be asked for."""

    def fit_predict(self, X):
        return (X[:, 0] > np.median(X[:, 0])).astype(int)


class FirstColumnInTwoSteps(FirstColumn):
    fit_predict = property()

    def fit(self, X):
        self.labels_ = (X[:, 0] > np.median(X[:, 0])).astype(int)
        return self


def test_any_clusterer_generalizes_or_not():
    X = np.random.default_rng(0).normal(size=(80, 2)) + 9 * np.outer(np.arange(80) % 2, [1, 0])
    found = {generalizability_error(kind(), X, random_state=0) for kind in (FirstColumn, FirstColumnInTwoSteps)}
    assert found == {generalizability_error(KMeans(2, n_init=1), X, random_state=0)}

    class Probabilities(ClassifierMixin, BaseEstimator):
        """Has no ``predict``."""

        def fit(self, X, y):
            self.tree_ = DecisionTreeClassifier(random_state=0).fit(X, y)
            self.classes_ = self.tree_.classes_
            return self

        def predict_proba(self, X):
            return self.tree_.predict_proba(X)

    for loss in ("zero_one", "hinge", "ari"):
        one, other = (
            generalizability_error(KMeans(2, n_init=1), X[:, ::-1], classifier=c, loss=loss, random_state=0)
            for c in (Probabilities(), DecisionTreeClassifier(random_state=0))
        )
        assert one == other
    for arguments, message in {
        (FirstColumn, None): "clusterer must be an instance, got the class FirstColumn",
        (FirstColumn(), KMeans(2)): "classifier must be a classifier, got KMeans",
        (FirstColumn(), "tree"): "classifier must have fit, and predict",
    }.items():
        with pytest.raises(TypeError, match=message):
            generalizability_error(arguments[0], X, classifier=arguments[1])
