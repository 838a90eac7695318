"""RAMPART's halving and ranking, replayed from its rounds' own scores."""

import numpy as np
import pytest
import reference
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB

import clusterwhy as cw


def make(n_features):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(60, n_features))
    X[:20, :2] += 3
    X[20:40, 1:3] -= 3
    return X


def fit(n_features, k, **options):
    options = {"n_patches": 30, "max_samples": 0.4, "max_features": 0.3, "random_state": 0, **options}
    return cw.LOCORampart(KMeans(3), GaussianNB(), n_features_to_select=k, **options).fit(make(n_features))


@pytest.mark.filterwarnings("ignore:no minipatch without them:UserWarning")
@pytest.mark.parametrize("reference_form", ["full", "overlap", "given"])
@pytest.mark.parametrize(("n_features", "k"), [(16, 4), (11, 3), (9, 1), (7, 6), (5, 5), (2, 1), (13, 20)])
def test_ranking_is_the_halving(n_features, k, reference_form):
    form = np.repeat([0, 1, 2], 20) if reference_form == "given" else reference_form
    fitted = fit(n_features, k, reference=form)
    ranking, history = reference.halving(lambda turn, active: fitted.rounds_[turn]["importances"], k, n_features)
    assert [r["features"].tolist() for r in fitted.rounds_] == history
    assert fitted.ranking_.tolist() == ranking.tolist()
    assert sorted(fitted.ranking_) == list(range(1, n_features + 1))
    assert fitted.get_support().sum() == min(k, n_features)


def test_the_first_round_is_locomp():
    X, options = make(12), {"n_patches": 30, "max_samples": 0.4, "max_features": 0.3, "random_state": 0}
    rampart = cw.LOCORampart(KMeans(3), GaussianNB(), n_features_to_select=3, **options).fit(X)
    locomp = cw.LOCOMP(KMeans(3), GaussianNB(), **options).fit(X)
    assert np.array_equal(rampart.rounds_[0]["importances"], locomp.feature_importances_)


def test_scores_are_those_of_the_last_round_of_each_feature():
    fitted = fit(16, 4)
    expected = np.full(16, np.nan)
    for turn in fitted.rounds_:
        expected[turn["features"]] = turn["importances"]
    assert np.array_equal(fitted.feature_importances_, expected)
    means = [np.mean(c[~np.isnan(c)]) for c in fitted.sample_importances_.T]
    np.testing.assert_allclose(means, expected, rtol=1e-9, atol=1e-12)


def test_later_rounds_draw_from_the_survivors_alone():
    fitted = fit(16, 4)
    assert set(fitted.patches_.columns().ravel()) <= set(fitted.rounds_[-1]["features"].tolist())


def test_the_budget_grows():
    fitted = fit(16, 4, patch_growth=2.0)
    assert [r["n_patches"] for r in fitted.rounds_] == [30, 60, 120]


@pytest.mark.parametrize("max_features", [0.75, 0.85, 7])
def test_large_minipatches_do_not_fill_late_rounds(max_features):
    fitted = fit(8, 2, max_features=max_features)
    assert [len(r["features"]) for r in fitted.rounds_] == [8, 4, 2]
    assert fitted.patches_.n_columns == 1


def test_a_reference_that_collapses_in_a_later_round_is_told():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 12)) + np.repeat([0, 4, 8], 20)[:, None]

    class OneLater(ClusterMixin, BaseEstimator):
        def fit_predict(self, X, y=None):
            return np.repeat([0, 1, 2], 20) if X.shape[1] == 12 else np.zeros(60, dtype=int)

    model = cw.LOCORampart(KMeans(3), n_patches=30, n_features_to_select=4, reference=OneLater(), random_state=0)
    with pytest.warns(UserWarning, match="a single cluster on the 6 features of a later round"):
        model.fit(X)


def test_a_clusterer_that_has_nothing_to_do_with_the_clusters_is_told():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 12)) + np.repeat([0, 4, 8], 30)[:, None]

    class Random(ClusterMixin, BaseEstimator):
        def fit_predict(self, X, y=None):
            return np.random.default_rng(0).integers(0, 3, len(X))

    for method, options in ((cw.LOCOMP, {"n_patches": 100}), (cw.LOCOSplit, {})):
        with pytest.warns(UserWarning, match="hardly better than by chance"):
            method(KMeans(3), reference=Random(), random_state=0, **options).fit(X)
