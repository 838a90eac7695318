"""Intervals, p-values, corrections and the variance barrier."""

import warnings

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from problems import problems
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB

import clusterwhy as cw
from clusterwhy._inference import adjust_pvalues

CORRECTIONS = ("bonferroni", "holm", "bh", "by")


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 6))
    X[:20, 0] += 5
    X[20:40, 1] -= 5
    return cw.LOCOMP(KMeans(3), GaussianNB(), n_patches=80, max_features=2, random_state=0).fit(X)


def test_intervals_are_normal(fitted):
    expected = reference.intervals(fitted.feature_importances_, fitted.standard_errors_, 0.9)
    np.testing.assert_allclose(fitted.confidence_interval(0.9), expected, rtol=1e-12)
    by_cluster = fitted.confidence_interval(by_cluster=True)
    for c in range(3):
        expected = reference.intervals(fitted.cluster_importances_[c], fitted.cluster_standard_errors_[c], 0.95)
        np.testing.assert_allclose(by_cluster[c], expected, rtol=1e-12)


def test_pvalues_are_one_sided(fitted):
    expected = reference.pvalues(fitted.feature_importances_, fitted.standard_errors_, fitted.sample_importances_)
    np.testing.assert_allclose(fitted.pvalues(), expected, rtol=1e-9, atol=1e-13)
    assert (fitted.pvalues() < 0.5).tolist() == (fitted.feature_importances_ > 0).tolist()


@pytest.mark.parametrize("method", CORRECTIONS)
def test_cluster_pvalues_are_corrected_together(fitted, method):
    raw = np.concatenate(
        [
            reference.pvalues(
                fitted.cluster_importances_[c],
                fitted.cluster_standard_errors_[c],
                fitted.sample_importances_[fitted.labels_ == label],
            )
            for c, label in enumerate(fitted.classes_)
        ]
    )
    got = fitted.pvalues(method, by_cluster=True)
    np.testing.assert_allclose(got.ravel(), reference.adjust(raw, method), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("method", CORRECTIONS)
@given(p=st.lists(st.one_of(st.floats(0, 1), st.just(np.nan), st.sampled_from([0.0, 0.01, 1.0])), max_size=30))
def test_corrections_are_their_definitions(method, p):
    p = np.array(p, dtype=float)
    np.testing.assert_allclose(adjust_pvalues(p, method), reference.adjust(p, method), rtol=1e-12)


@given(problem=problems(), barrier=st.sampled_from([0.0, 1e-4, 0.5]))
def test_the_variance_barrier_is_added_to_the_spread(problem, barrier):
    def errors(value):
        return cw.loco_scores(
            problem.predictions,
            problem.patches,
            problem.labels,
            n_features=problem.n_features,
            variance_barrier=value,
        )

    got = errors(barrier)
    expected = reference.scores(problem.votes, problem.voters, problem.held, problem.labels, "hinge", barrier=barrier)
    for name in ("standard_errors_", "cluster_standard_errors_"):
        np.testing.assert_allclose(got[name], expected[name], rtol=problem.tolerance, atol=problem.tolerance)
        assert (np.nan_to_num(got[name] - errors(0.0)[name]) >= 0).all()


@pytest.mark.filterwarnings("ignore:2 observations:UserWarning")
def test_no_spread_is_no_evidence():
    # Feature 1 is in no minipatch: its scores are all exactly 0, whatever the barrier.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    X[:20] += 3
    fitted = cw.LOCOMP(KMeans(2), GaussianNB(), n_patches=3, max_features=1, variance_barrier=0, random_state=0).fit(
        X
    )
    unused = np.setdiff1d(np.arange(4), fitted.patches_.columns())
    assert unused.size
    assert (fitted.feature_importances_[unused] == 0).all()
    assert (fitted.standard_errors_[unused] == 0).all()
    assert (fitted.pvalues()[unused] == 1).all()


class Same(ClassifierMixin, BaseEstimator):
    """Gives every observation the same probabilities."""

    def __init__(self, dtype=None):
        self.dtype = dtype

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        share = np.arange(1, len(self.classes_) + 1) / np.arange(1, len(self.classes_) + 1).sum()
        return np.tile(share.astype(self.dtype), (len(X), 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_that_do_not_vary_are_not_significant_in_either_precision(dtype):
    X = np.random.default_rng(1).normal(size=(80, 6))
    model = cw.LOCOMP(KMeans(2, n_init=1), Same(dtype), n_patches=500, max_features=2, random_state=0)
    with pytest.warns(UserWarning, match="by chance"):
        model.fit(X)
    assert np.abs(model.sample_importances_).max() < 1e-6
    for by_cluster in (False, True):
        assert (model.pvalues(by_cluster=by_cluster) == 1).all()
        assert (model.pvalues("holm", by_cluster=by_cluster, monte_carlo=True) == 1).all()


@pytest.mark.parametrize("unit", [1e-14, 1e14])
@pytest.mark.parametrize(
    "model",
    [
        cw.LOCOMP(KMeans(3), GaussianNB(), n_patches=80, max_features=2, variance_barrier=0.0, random_state=0),
        cw.LOCOSplit(KMeans(3), GaussianNB(), random_state=0),
    ],
    ids=repr,
)
def test_pvalues_do_not_depend_on_the_unit_of_a_loss(model, unit):
    X = np.random.default_rng(0).normal(size=(60, 6))
    X[:20, 0] += 5
    # Features that nothing depends on.
    X[:, 4:] = 0
    losses = [lambda y, p, u=u: u * (1 - p[np.arange(len(y)), y]) for u in (1.0, unit)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, found = (clone(model).set_params(loss=loss).fit(X).pvalues() for loss in losses)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-30)
    assert expected[0] < 1e-3
