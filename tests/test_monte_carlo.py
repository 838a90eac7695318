"""Monte-Carlo errors: what they say against what other seeds do."""

import warnings

import numpy as np
import pytest

import clusterwhy as cw

SEEDS, PATCHES = 40, 100
SMOOTH, JUMPY = ("hinge", "margin", "brier", "log"), ("zero_one", "ari")


def centroid_votes(X, truth, rows, columns):
    """Soft votes of a minipatch: which mean of its classes is near."""
    means = np.array([X[np.ix_(rows[truth[rows] == c], columns)].mean(axis=0) for c in range(3)])
    closeness = -((X[:, None, columns] - means) ** 2).sum(axis=2)
    votes = np.exp(closeness - closeness.max(axis=1, keepdims=True))
    return votes / votes.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def ensembles():
    """Votes of 40 ensembles on the same data, scored against the same labels; feature 0 matters most."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 16)
    X = rng.normal(size=(48, 6))
    X[:, 0] += 2.0 * truth
    X[:, 1] += 1.5 * (truth == 1)
    out = []
    for seed in range(SEEDS):
        patches = cw.minipatches(48, 6, PATCHES, 0.4, 2, seed)
        out.append((patches, np.array([centroid_votes(X, truth, *patch) for patch in patches])))
    return truth, out


@pytest.mark.parametrize("loss", SMOOTH + JUMPY)
def test_errors_are_the_spread_over_seeds(ensembles, loss):
    truth, drawn = ensembles
    found = [cw.loco_scores(votes, patches, truth, loss) for patches, votes in drawn]
    spread = np.std([f.feature_importances_ for f in found], axis=0, ddof=1)
    claimed = np.mean([f.monte_carlo_errors_ for f in found], axis=0)
    # Forty seeds leave each spread uncertain by a ninth, and six features share the draws.
    overall = np.sqrt(np.mean(claimed**2) / np.mean(spread**2))
    assert 0.8 < overall < 1.25, overall
    assert (np.abs(np.log(claimed / spread)) < np.log(1.45)).all(), claimed / spread


@pytest.mark.parametrize("loss", SMOOTH)
def test_errors_fall_with_the_root_of_the_number(ensembles, loss):
    truth, drawn = ensembles
    few = np.mean([cw.loco_scores(v, p, truth, loss).monte_carlo_errors_ for p, v in drawn[:10]])
    rows = np.concatenate([p.rows() for p, _ in drawn[:10]])
    columns = np.concatenate([p.columns() for p, _ in drawn[:10]])
    votes = np.concatenate([v for _, v in drawn[:10]])
    many = cw.loco_scores(votes, (rows, columns), truth, loss).monte_carlo_errors_.mean()
    assert 0.8 < many / few * np.sqrt(10) < 1.25


@pytest.mark.parametrize("loss", SMOOTH + JUMPY)
def test_minipatches_that_never_vote_do_not_count(ensembles, loss):
    truth, [(patches, votes), *_] = ensembles
    plain = cw.loco_scores(votes, (patches.rows(), patches.columns()), truth, loss)
    everyone = [np.arange(48)] * PATCHES
    padded = cw.loco_scores(
        np.concatenate([votes, votes]),
        ([*patches.rows(), *everyone], [*patches.columns(), *patches.columns()]),
        truth,
        loss,
    )
    if loss in SMOOTH:
        np.testing.assert_allclose(padded.monte_carlo_errors_, plain.monte_carlo_errors_, rtol=1e-10)
    np.testing.assert_allclose(padded.feature_importances_, plain.feature_importances_, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:no minipatch", "ignore:.* left out by no minipatch")
@pytest.mark.parametrize(("loss", "fewest"), [("hinge", 3), ("log", 3), ("ari", 16), ("zero_one", 16)])
def test_too_few_minipatches_say_nothing_of_another_draw(ensembles, loss, fewest):
    truth, [(patches, votes), *_] = ensembles
    for count in (1, 2, fewest - 1, fewest):
        drawn = patches.rows()[:count], patches.columns()[:count]
        found = cw.loco_scores(votes[:count], drawn, truth, loss).monte_carlo_errors_
        # Features that no minipatch leaves out, or all do, have no scores at all.
        assert np.isnan(found).all() == (count < fewest), (count, found)


@pytest.mark.parametrize("loss", [lambda y, p: float((1 - p[np.arange(len(y)), y]).mean()), "ari", "hinge"])
def test_halves_without_a_vote_tell_nothing(loss):
    rng = np.random.default_rng(0)
    truth = np.arange(20) % 2
    rows = [np.arange(20)] * 13 + [np.arange(10)] * 3
    columns = [[b % 4] for b in range(16)]
    votes = rng.dirichlet([1, 1], size=(16, 20))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*are left out by no minipatch")
        warnings.filterwarnings("ignore", message="no minipatch without them")
        found = cw.loco_scores(votes, (rows, columns), truth, loss)
    assert found.monte_carlo_errors_.shape == (4,)
    if loss != "hinge":
        assert np.isnan(found.monte_carlo_errors_).all()


@pytest.mark.parametrize("loss", SMOOTH + JUMPY[:1])
def test_a_cluster_of_nobody_has_no_error(ensembles, loss):
    truth, drawn = ensembles
    patches, votes = drawn[0]
    found = cw.loco_scores(votes, patches, np.where(truth == 1, -1, truth), loss)
    assert np.isnan(found.cluster_monte_carlo_errors_[1]).all()
    assert np.isfinite(found.cluster_monte_carlo_errors_[[0, 2]]).all()
    assert np.isfinite(found.monte_carlo_errors_).all()
