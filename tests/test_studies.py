"""Small versions of the studies in benches/: planted features, the moons, coverage, false positives."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy.datasets import make_gaussian_mixture, make_interlaced_moons
from clusterwhy.metrics import top_k_hits

N_SIGNAL = 10
BENCHES = Path(__file__).parent.parent / "benches"


@pytest.mark.parametrize("method", ["mp", "rampart"])
def test_planted_features_are_found(method):
    hits = []
    for seed in range(3):
        X, _, signal = make_gaussian_mixture(700, 7, n_noise=40, random_state=seed)
        if method == "mp":
            fitted = cw.LOCOMP(KMeans(7), n_patches=1500, random_state=seed).fit(X)
            order = fitted.feature_importances_
        else:
            fitted = cw.LOCORampart(KMeans(7), n_patches=500, random_state=seed).fit(X)
            order = -fitted.ranking_
        hits.append(top_k_hits(order, signal))
    assert np.mean(hits) >= 0.95, hits


def test_moons_rank_signal_before_noise():
    X, _, _ = make_interlaced_moons(1200, reading="figure", random_state=0)
    with warnings.catch_warnings():
        # Well separated clusters have a disconnected neighbour graph: that is the point.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        split = cw.LOCOSplit(
            SpectralClustering(3, affinity="nearest_neighbors"),
            RandomForestClassifier(30),
            n_repeats=3,
            random_state=0,
        ).fit(X)
    scores = split.feature_importances_
    assert scores[0] > scores[1] > scores[2] > scores[3:].max(), scores


@pytest.fixture(scope="module")
def replicates():
    """Scores of LOCO-MP with few minipatches on fresh data sets from one mixture of three."""
    n, sets = 200, 40
    X, y, _ = make_gaussian_mixture(n * sets, 3, n_noise=20, random_state=0)
    fits = []
    for i in range(sets):
        part = slice(i * n, (i + 1) * n)
        fits.append(cw.LOCOMP(KMeans(3), n_patches=150, reference=y[part], random_state=i).fit(X[part]))
    return fits


def test_scores_of_a_linear_loss_balance(replicates):
    # A minipatch without a feature holds another one in its place: scores are relative to the average feature.
    for fitted in replicates[:5]:
        scores = fitted.feature_importances_
        assert abs(scores.sum()) < 0.05 * np.abs(scores).sum()


def coverage(fits, **options):
    target = np.mean([f.feature_importances_ for f in fits], axis=0)
    bounds = np.array([f.confidence_interval(0.95, **options) for f in fits])
    return ((bounds[..., 0] <= target) & (target <= bounds[..., 1])).mean()


def test_intervals_cover_with_the_monte_carlo_error(replicates):
    assert 0.91 < coverage(replicates, monte_carlo=True) < 0.99
    # With so few minipatches the standard error is the smaller part of the error.
    assert coverage(replicates) < 0.8


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_null_features_are_rarely_significant_with_the_monte_carlo_error(replicates, level):
    p = np.array([f.pvalues(monte_carlo=True) for f in replicates])[:, N_SIGNAL:]
    assert (p < level).mean() <= level
    assert p.size == 800


def test_null_features_are_often_significant_without_it_when_minipatches_are_few(replicates):
    p = np.array([f.pvalues() for f in replicates])[:, N_SIGNAL:]
    assert (p < 0.05).mean() > 0.05


def test_holm_guards_the_family(replicates):
    p = np.array([f.pvalues("holm", monte_carlo=True) for f in replicates])[:, N_SIGNAL:]
    assert (p.min(axis=1) < 0.05).mean() <= 0.05


@pytest.mark.parametrize("loss", ["hinge", "brier"])
def test_monte_carlo_errors_are_the_spread_between_seeds(loss):
    X, _, _ = make_gaussian_mixture(200, 3, n_noise=20, random_state=0)
    fits = [
        cw.LOCOMP(KMeans(3, n_init=10), DecisionTreeClassifier(), n_patches=200, loss=loss, random_state=seed).fit(X)
        for seed in range(20)
    ]
    spread = np.std([f.feature_importances_ for f in fits], axis=0, ddof=1)
    claimed = np.array([f.monte_carlo_errors_ for f in fits])
    assert 0.8 < np.sqrt((claimed**2).mean() / (spread**2).mean()) < 1.25


def test_monte_carlo_option_adds_the_variances(replicates):
    fitted = replicates[0]
    half = np.diff(fitted.confidence_interval(monte_carlo=True), axis=1)[:, 0] / 2
    se, mc = fitted.standard_errors_, fitted.monte_carlo_errors_
    np.testing.assert_allclose(half, 1.959963984540054 * np.sqrt(se**2 + mc**2), rtol=1e-9)
    positive = fitted.feature_importances_ > 0
    assert (fitted.pvalues(monte_carlo=True) >= fitted.pvalues())[positive].all()


def test_monte_carlo_errors_of_clusters_are_the_spread_between_seeds():
    X, y, _ = make_gaussian_mixture(200, 3, n_noise=20, random_state=0)
    fits = [cw.LOCOMP(KMeans(3), reference=y, n_patches=150, random_state=seed).fit(X) for seed in range(30)]
    found = np.var([f.cluster_importances_ for f in fits], axis=0, ddof=1)
    claimed = np.mean([f.cluster_monte_carlo_errors_**2 for f in fits], axis=0)
    assert 0.8 < np.sqrt(claimed.mean() / found.mean()) < 1.25
    wide = np.diff(fits[0].confidence_interval(by_cluster=True, monte_carlo=True), axis=2)
    assert (wide > np.diff(fits[0].confidence_interval(by_cluster=True), axis=2)).all()


def test_one_split_has_no_monte_carlo_error():
    X = np.random.default_rng(0).normal(size=(40, 3))
    split = cw.LOCOSplit(KMeans(2, n_init=1), DecisionTreeClassifier(), random_state=0).fit(X)
    with pytest.raises(ValueError, match="raise n_repeats, n_folds or n_patches"):
        split.pvalues(monte_carlo=True)


def test_the_study_of_choices_runs(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHES))
    import ensemble_choices as study

    options = SimpleNamespace(samples=70, noise=4, seconds=0.01)
    monkeypatch.setattr(study, "MOST", 60)
    rows = list(study.simulated("gaussian", "easy", ("tree", 0.4, 0.4), 0, options))
    assert [row["loss"] for row in rows] == list(study.LOSSES)
    assert all(0 <= row["top10_hits"] <= 1 and np.isfinite(row["separation"]) for row in rows)
