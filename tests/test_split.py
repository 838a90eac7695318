"""LOCO-Split against the plain reference, on the splits that it drew."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import reference
from estimators import CLASSIFIERS, density, ward
from problems import squared, worst
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.tree import DecisionTreeClassifier
from test_locomp import codes_of, unambiguous

import clusterwhy as cw

LOSSES = ("hinge", "margin", "brier", "log", "zero_one", "ari", squared, worst)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(90, 5))
    X[:30, :2] += 3
    X[30:60, 1:3] -= 3
    return X


def check(X, clusterer, classifier, **options):
    fitted = cw.LOCOSplit(clusterer(), CLASSIFIERS[classifier](), random_state=2, **options).fit(X)
    codes = codes_of(fitted, fitted.reference_labels_)
    importances, error, samples, _ = reference.loco_split(
        X, fitted.splits_, clusterer, CLASSIFIERS[classifier], codes, fitted.loss, align=unambiguous
    )
    np.testing.assert_allclose(fitted.feature_importances_, importances, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fitted.loo_error_, error, rtol=1e-9)
    if "sample_importances_" in vars(fitted):
        stack = np.array(samples)
        seen = ~np.isnan(stack[:, :, 0])
        mean = np.nansum(stack, axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)[:, None]
        np.testing.assert_allclose(fitted.sample_importances_, mean, rtol=1e-9, atol=1e-9)
    return fitted


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_one_split(data, classifier, loss):
    check(data, ward, classifier, loss=loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_splits_with_noise(data, loss):
    fitted = check(data, density, "neighbours", loss=loss, n_repeats=2)
    assert any((density().fit_predict(data[c]) == -1).any() for _, c in fitted.splits_)


@pytest.mark.parametrize("loss", LOSSES)
def test_sets_and_pairs_are_left_out_of_the_classifiers(data, loss):
    fitted = check(data, ward, "neighbours", loss=loss, n_repeats=2)
    sets = [[1, 3], [0, 2, 4], [2]]
    expected = reference.loco_split(
        data,
        fitted.splits_,
        ward,
        CLASSIFIERS["neighbours"],
        codes_of(fitted, fitted.reference_labels_),
        loss,
        align=unambiguous,
        sets=sets,
    )[0]
    np.testing.assert_allclose(fitted.group_importance(sets), expected, rtol=1e-9, atol=1e-9)
    alone = fitted.feature_importances_
    pairs = fitted.interaction_importance({"a pair": (3, 1)})
    np.testing.assert_allclose(pairs, alone[1] + alone[3] - expected[0], rtol=1e-9, atol=1e-9)
    assert fitted.group_importance({}).shape == fitted.interaction_importance([]).shape == (0,)


def test_a_set_of_one_is_its_feature_and_sets_do_not_depend_on_each_other(data):
    frame = pd.DataFrame(data, columns=list("abcde"))
    fitted = cw.LOCOSplit(ward(), n_repeats=2, random_state=0).fit(frame)
    np.testing.assert_array_equal(fitted.group_importance([[j] for j in "abcde"]), fitted.feature_importances_)
    two = fitted.group_importance({"block": ["b", "a"], "other": [2, 3]})
    np.testing.assert_array_equal(fitted.group_importance([[0, 1]]), two[:1])
    again = pickle.loads(pickle.dumps(fitted)).set_params(n_jobs=2)
    np.testing.assert_array_equal(again.group_importance([["c", "d"]]), two[1:])
    with pytest.raises(ValueError, match="group 'all' is all 5 features: without them there is nothing to predict"):
        fitted.group_importance({"all": list("abcde")})


def test_sets_are_left_out_of_the_classifiers_and_the_data_that_were_fitted(data):
    X = data.copy()
    fitted = cw.LOCOSplit(ward(), DecisionTreeClassifier(), random_state=0).fit(X)
    before = fitted.group_importance([[0, 1]])
    fitted.set_params(classifier__max_depth=1)
    np.testing.assert_array_equal(fitted.group_importance([[0, 1]]), before)
    X[0, 0] += 1
    with pytest.raises(ValueError, match="the data have changed since the fit: fit again, or to a copy"):
        fitted.group_importance([[0, 1]])


def test_a_cluster_that_no_calibration_part_has_is_told(data):
    z = np.repeat(["a", "b", "c"], 30)
    z[0] = "d"
    with pytest.warns(UserWarning, match="no observation keeps the label 'd' in a calibration part, so that its sc"):
        fitted = cw.LOCOSplit(KMeans(3), DecisionTreeClassifier(), reference=z, random_state=1).fit(data)
    assert np.isnan(fitted.cluster_importances_[fitted.classes_ == "d"]).all()


def test_a_label_that_only_others_are_given_is_told():
    X, z = make_blobs(200, 6, centers=3, random_state=4)
    z[:2] = 3
    model = cw.LOCOSplit(KMeans(4, n_init=10), DecisionTreeClassifier(), reference=z, n_folds=5, random_state=0)
    with pytest.warns(
        UserWarning, match="label 3 in a calibration part, and its scores are of others that are given"
    ):
        model.fit(X)
    assert (model.labels_ == 3).any()
    assert not (model.labels_[:2] == 3).any()


@pytest.mark.parametrize("options", [{"n_repeats": 3}, {"n_folds": 4}, {"n_folds": 3, "n_repeats": 2}])
def test_repeats_and_folds_average(data, options):
    fitted = check(data, ward, "tree", **options)
    assert len(fitted.splits_) == options.get("n_repeats", 1) * options.get("n_folds", 1)
    for train, calibration in fitted.splits_:
        assert np.array_equal(np.sort(np.concatenate([train, calibration])), np.arange(90))


def test_errors_of_one_split(data):
    fitted = check(data, ward, "neighbours", loss="brier")
    rows = ~np.isnan(fitted.sample_importances_[:, 0])
    samples = fitted.sample_importances_[rows]
    errors = reference.standard_errors(samples, np.full(rows.sum(), np.nan), 0, 0)
    np.testing.assert_allclose(fitted.standard_errors_, errors, rtol=1e-9)
    of = [fitted.labels_[rows] == label for label in fitted.classes_]
    np.testing.assert_allclose(
        fitted.cluster_importances_, [reference.column_means(samples[c]) for c in of], rtol=1e-9, atol=1e-12
    )


def test_a_single_split_has_no_overlaps_to_doubt():
    X, _ = make_blobs(120, n_features=4, centers=3, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*keeps the label")
        cw.LOCOSplit(KMeans(3, n_init=1), reference="overlap", random_state=0).fit(X)


@pytest.mark.parametrize(
    "options",
    [{}, {"calibration_size": 0.6}, {"n_folds": 3}, {"n_folds": 2, "n_repeats": 2}, {"n_repeats": 2}],
    ids=str,
)
def test_overlaps_are_those_of_the_parts_to_train_on(options):
    X, y = make_blobs(61, n_features=4, centers=3, random_state=0)
    found = cw.LOCOSplit(KMeans(3, n_init=1), reference="overlap", random_state=0, **options).fit(X)
    assert adjusted_rand_score(y[found.labels_ >= 0], found.labels_[found.labels_ >= 0]) == 1
    trained = np.unique(np.concatenate([train for train, _ in found.splits_]))
    np.testing.assert_array_equal(np.flatnonzero(found.reference_labels_ >= 0), trained)


def test_a_loss_is_tried_on_labels_that_there_are():
    X, _ = make_blobs(61, n_features=4, centers=3, random_state=0)
    loss = lambda y, p: float(1 - p[np.arange(len(y)), y].mean())  # noqa: E731
    found = cw.LOCOSplit(KMeans(3, n_init=1), loss=loss, reference="overlap", random_state=0).fit(X)
    assert np.isfinite(found.feature_importances_).all()


def test_noise_alone_to_train_on_is_not_a_matter_of_overlaps():
    X, _ = make_blobs(60, n_features=4, centers=3, random_state=0)
    split = cw.LOCOSplit(KMeans(3, n_init=1), random_state=0).fit(X).splits_[0]
    labels = np.arange(60) % 3
    labels[split[0]] = -1
    with pytest.raises(ValueError, match="training part of split 0 is all noise"):
        cw.LOCOSplit(KMeans(3, n_init=1), reference=labels, random_state=0).fit(X)


def test_two_folds_share_nothing_that_names_their_clusters():
    X, _ = make_blobs(60, n_features=4, centers=3, random_state=0)
    with pytest.raises(ValueError, match=r"shares no labelled observation with the others, .* n_folds of 3 or more"):
        cw.LOCOSplit(KMeans(3, n_init=1), reference="overlap", n_folds=2, random_state=0).fit(X)
