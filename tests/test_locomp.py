"""LOCO-MP from data to scores, against the plain reference with the same estimators and minipatches."""

import warnings

import numpy as np
import pytest
import reference
from estimators import CLASSIFIERS, density, ward
from problems import assert_close
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.utils import get_tags

import clusterwhy as cw

LOSSES = ("hinge", "margin", "brier", "log", "zero_one", "ari")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(60, 6))
    X[:20, :2] += 3
    X[20:40, 1:3] -= 3
    return X


def unambiguous(labels, targets):
    """The oracle's alignment; where several are best, the library's choice, if it is one of them."""
    optima = reference.all_alignments(labels, targets)
    if len(optima) == 1:
        return optima[0]
    chosen = cw.align_labels(labels, targets)
    assert any(np.array_equal(chosen, one) for one in optima)
    return chosen


def codes_of(fitted, labels):
    return np.where(labels == -1, -1, np.searchsorted(fitted.classes_, labels))


def check(X, clusterer, classifier, **options):
    options = {"n_patches": 40, "max_features": 3, "random_state": 5, **options}
    fitted = cw.LOCOMP(clusterer(), classifier(), **options).fit(X)
    codes = codes_of(fitted, fitted.reference_labels_)
    patches = list(fitted.patches_)
    expected = reference.locomp(X, patches, clusterer, classifier, codes, fitted.loss, align=unambiguous)
    assert np.array_equal(codes_of(fitted, fitted.labels_), expected.pop("consensus"))
    assert_close(vars(fitted), {name: s for name, s in expected.items() if name.endswith("_")}, 1e-9)
    return fitted


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_reference_from_all_data(data, classifier, loss):
    fitted = check(data, ward, CLASSIFIERS[classifier], loss=loss, max_samples=0.4)
    full = ward().fit_predict(data)
    assert np.array_equal(fitted.reference_labels_, full)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_reference_from_overlaps(data, classifier):
    fitted = check(data, ward, CLASSIFIERS[classifier], reference="overlap", max_samples=0.4)
    # The planted clusters are found without clustering all the data.
    truth = np.repeat([0, 1, 2], 20)
    assert (cw.align_labels(fitted.reference_labels_, truth) == truth).mean() > 0.9


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("kind", ["integers with noise", "strings", "fewer", "more"])
def test_reference_given(data, classifier, kind):
    labels = np.repeat([10, 20, 30], 20)
    if kind == "integers with noise":
        labels[::7] = -1
    if kind == "strings":
        labels = np.array(["b", "a", "c"])[labels // 10 - 1]
    if kind == "fewer":
        labels = np.where(labels == 30, 20, labels)
    if kind == "more":
        labels[::3] += 5
    fitted = check(data, ward, CLASSIFIERS[classifier], reference=labels, max_samples=0.4)
    assert np.array_equal(fitted.reference_labels_, labels)
    assert fitted.classes_.tolist() == sorted(set(labels.tolist()) - {-1})


def test_reference_from_a_clusterer_of_its_own(data):
    own = KMeans(3, n_init=2, random_state=1)
    fitted = check(data, ward, CLASSIFIERS["neighbours"], reference=own, max_samples=0.4)
    assert np.array_equal(fitted.reference_labels_, own.fit_predict(data))
    assert not hasattr(clone(fitted).reference, "labels_")


def test_the_clusterer_of_the_reference_clusters_minipatches_too_where_there_is_no_other(data):
    options = {"n_patches": 20, "max_features": 3, "random_state": 0}
    one = cw.LOCOMP(reference=ward(), **options).fit(data)
    two = cw.LOCOMP(ward(), **options).fit(data)
    np.testing.assert_array_equal(one.feature_importances_, two.feature_importances_)


@pytest.mark.parametrize("method", [cw.LOCOMP, cw.LOCOSplit])
def test_a_clusterer_as_reference_is_as_good_as_its_labels(data, method):
    starts = KMeans(5, n_init=20, random_state=3)
    options = {"random_state": 0} | ({} if method is cw.LOCOSplit else {"n_patches": 20, "max_features": 3})
    labels = starts.fit_predict(data)
    found = method(KMeans(5, n_init=1), reference=starts, **options).fit(data)
    given = method(KMeans(5, n_init=1), reference=labels, **options).fit(data)
    np.testing.assert_array_equal(found.reference_labels_, labels)
    np.testing.assert_array_equal(found.feature_importances_, given.feature_importances_)


def test_a_clusterer_as_reference_sees_the_survivors_of_each_round(data):
    starts = KMeans(5, n_init=20, random_state=3)
    options = {"n_features_to_select": 3, "n_patches": 20, "random_state": 0}
    found = cw.LOCORampart(KMeans(5, n_init=1), reference=starts, **options).fit(data)
    survivors = np.flatnonzero(found.ranking_ <= 3)
    labels = cw.align_labels(starts.fit_predict(data[:, survivors]), starts.fit_predict(data))
    np.testing.assert_array_equal(found.reference_labels_, labels)


def test_the_parameters_of_a_reference_are_part_of_what_an_ensemble_is(data, tmp_path):
    model = cw.LOCOMP(
        ward(), n_patches=10, max_features=3, reference=KMeans(3, n_init=2), random_state=0, warm_start=True
    ).fit(data)
    assert model.set_params(n_patches=15).fit(data).n_patches_ == 15
    with pytest.raises(ValueError, match="reference__n_init was 2, and is now 4"):
        model.set_params(n_patches=20, reference__n_init=4).fit(data)
    kept = cw.LOCOMP(
        ward(), n_patches=10, max_features=3, reference=KMeans(3, n_init=2), random_state=0, checkpoint=tmp_path / "c"
    ).fit(data)
    again = clone(kept).fit(data)
    np.testing.assert_array_equal(again.feature_importances_, kept.feature_importances_)
    with pytest.raises(ValueError, match="reference__n_init was 2, and is now 4"):
        kept.set_params(reference__n_init=4).fit(data)


def test_sparse_data_need_a_reference_that_takes_them(data):
    options = {"n_patches": 10, "max_features": 3, "random_state": 0}
    X = csr_matrix(data)
    fitted = cw.LOCOMP(ward(), reference=KMeans(3, n_init=1), **options).fit(X)
    assert get_tags(fitted).input_tags.sparse
    assert not get_tags(cw.LOCOMP(KMeans(3), reference=ward())).input_tags.sparse
    with pytest.raises(TypeError, match="for the reference"):
        cw.LOCOMP(KMeans(3), reference=ward(), **options).fit(X)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("given", [False, True])
def test_noise_and_any_number_of_clusters(data, loss, given):
    # Density clustering finds another number of clusters in each minipatch, and noise in all.
    reference_labels = np.repeat([0, 1, 2], 20) if given else "full"
    fitted = check(data, density, CLASSIFIERS["neighbours"], loss=loss, reference=reference_labels, max_samples=0.7)
    sizes = {len(set(density().fit_predict(data[np.ix_(r, c)])) - {-1}) for r, c in fitted.patches_}
    assert len(sizes) > 1


@pytest.mark.filterwarnings("ignore:no minipatch without them:UserWarning")
@pytest.mark.parametrize("loss", ["hinge", "zero_one"])
def test_minipatches_that_are_all_noise_do_not_vote(loss):
    # Where the scattered feature is in, nothing is dense.
    rng = np.random.default_rng(0)
    X = np.column_stack([np.repeat([0.0, 5.0], 20), rng.normal(size=40) / 10, rng.normal(size=40) * 1e3])
    labels = np.repeat([0, 1], 20)
    fitted = check(
        X, density, CLASSIFIERS["neighbours"], reference=labels, loss=loss, max_samples=0.5, max_features=1
    )
    # As if it were in no minipatch at all.
    assert fitted.feature_importances_[2] == 0
    assert np.isnan(fitted.monte_carlo_errors_[2])


class Undecided(ClassifierMixin, BaseEstimator):
    """Gives no class any probability where it does not know, as neighbours within a radius may."""

    def fit(self, X, y):
        self.classes_, self.mean_ = np.unique(y), X.mean()
        return self

    def predict_proba(self, X):
        known = (X[:, 0] > self.mean_).astype(float)
        out = np.zeros((len(X), len(self.classes_)))
        out[:, 0] = known * 0.75
        out[:, 1] = known * 0.25
        return out

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def test_a_row_without_probabilities_is_an_abstention(data):
    fitted = check(data, ward, Undecided, max_samples=0.4)
    sums = fitted.loo_proba_.sum(axis=1)
    assert np.allclose(sums[~np.isnan(sums)], 1)


@pytest.mark.parametrize("n_clusters", [6, 10])
def test_labels_that_have_nothing_to_do_with_the_data_are_said_to(n_clusters):
    # The consensus is drawn towards any reference; predictions of what was left out are not.
    X, y = make_blobs(150, 12, centers=3, random_state=0)
    model = cw.LOCOMP(AgglomerativeClustering(n_clusters), n_patches=1000, max_features=0.4, random_state=0)
    labels = np.random.default_rng(0).integers(0, 3, 150)
    with pytest.warns(UserWarning, match="hardly better than by chance"):
        model.set_params(reference=labels).fit(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*by chance")
        model.set_params(reference=y).fit(X)


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
@pytest.mark.parametrize("kind", [cw.LOCOMP, cw.LOCORampart, cw.LOCOSplit])
def test_any_labels_of_noise_are_said_to_have_nothing_to_do_with_it(kind, n_clusters):
    # Few features are cut alike in every part of the data, so that the consensus itself is predicted well.
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(400, 4)), rng.integers(0, n_clusters, 400)
    sizes = {} if kind is cw.LOCOSplit else {"n_patches": 200, "max_features": 2, "n_features_to_select": 2}
    model = kind(AgglomerativeClustering(n_clusters), reference=labels, random_state=0, **sizes)
    with pytest.warns(
        UserWarning, match="labels of left-out observations are predicted hardly better than"
    ) as caught:
        model.fit(X)
    assert all(warning.filename == __file__ for warning in caught)
    # Where no labels were given, there are none to check.
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*reference labels")
        clone(model).set_params(reference="full").fit(X)
    # Labels that are clusters, and of the same data, raise no such doubt.
    X[np.arange(400), labels % 4] += 8
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*by chance")
        model.fit(X)
        model.set_params(reference="full").fit(X)
    with pytest.warns(UserWarning, match="labels of left-out .*Check that the labels"):
        model.set_params(reference=rng.permutation(labels)).fit(X)


def test_few_observations_are_no_reason_to_doubt_labels_that_are_predicted_well():
    from clusterwhy._chance import predicted_share

    labels = np.array([0, 0, 0, 0, 1])
    assert predicted_share(np.eye(2)[labels], labels)[1]
    share = "60% of 5 observations right, 44% by chance"
    assert predicted_share(np.eye(2)[[0, 1, 0, 1, 1]], labels) == (share, False)
