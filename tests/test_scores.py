"""Importances of features, clusters and observations, and their errors, against the plain reference."""

import numpy as np
import pytest
import reference
from hypothesis import given
from problems import KINDS, LOSSES, POINTWISE, assert_close, make_problem, problems, squared, worst

import clusterwhy as cw
from clusterwhy import _scores
from clusterwhy._votes import Ensemble


def both(problem, loss, **options):
    got = cw.loco_scores(problem.predictions, problem.patches, problem.labels, loss, n_features=problem.n_features)
    expected = reference.scores(problem.votes, problem.voters, problem.held, problem.labels, loss)
    return got, expected


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems())
def test_scores_are_the_formulas(loss, problem):
    got, expected = both(problem, loss)
    assert_close(got, expected, problem.tolerance)


# Sizes on either side of the kernels' blocks: 64 minipatches or lanes, 16 observations, 512 features, 64 bits.
CROSSING = [
    (33, 5, 64, 3),
    (17, 6, 65, 3),
    (3, 4, 129, 7),
    (65, 64, 20, 2),
    (5, 511, 9, 2),
    (5, 512, 9, 2),
    (5, 513, 70, 3),
    (2, 1100, 9, 1),
    (5, 3, 20, 64),
    (5, 3, 70, 65),
    (3, 3, 12, 130),
    (130, 1, 3, 1),
    (1, 1, 1, 1),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", CROSSING, ids=str)
def test_scores_across_the_blocks(size, kind, loss):
    problem = make_problem(sum(size), *size, kind)
    got, expected = both(problem, loss)
    assert_close(got, expected, problem.tolerance)


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems())
def test_a_feature_in_no_minipatch_scores_exactly_zero(loss, problem):
    problem.columns = [np.setdiff1d(c, [0]) for c in problem.columns]
    got, _ = both(problem, loss)
    if np.isnan(got.loo_proba_[problem.labels >= 0]).all():
        # Nothing votes at all.
        assert np.isnan(got.feature_importances_).all()
        return
    assert got.feature_importances_[0] == 0
    if "sample_importances_" in got:
        assert (np.nan_to_num(got.sample_importances_[:, 0]) == 0).all()


@pytest.mark.parametrize("loss", POINTWISE)
@given(problem=problems())
def test_rows_without_votes_are_not_scored(loss, problem):
    got, _ = both(problem, loss)
    for j in range(problem.n_features):
        eligible = problem.voters & ~problem.held[:, [j]]
        undefined = ~eligible.any(axis=0) | (problem.labels < 0)
        assert np.array_equal(np.isnan(got.sample_importances_[:, j]), undefined)
    defined = ~np.isnan(got.sample_importances_)
    assert np.isfinite(got.sample_importances_[defined]).all()


@pytest.mark.parametrize("kind", ["double", "single"])
@pytest.mark.parametrize("loss", POINTWISE)
def test_no_vote_is_not_rounded_into_one(loss, kind):
    # Feature 1 is in every minipatch; over many tiles the two sums that leave nothing differ by rounding.
    problem = make_problem(3, 10, 4, 300, 4, kind)
    got, _ = both(problem, loss)
    assert np.isnan(got.sample_importances_[:, 1]).all()
    assert np.isnan(got.feature_importances_[1])


@pytest.mark.parametrize("kind", ["double", "single"])
def test_a_class_without_votes_is_not_rounded_into_some(kind):
    # Those without feature 0 never vote for class 0; those with it do, in fractions that round.
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1, 1], size=(200, 6))
    columns = [[0, 1] if b % 2 else [1] for b in range(200)]
    proba[::2, :, 0] = 0
    proba[::2] /= proba[::2].sum(axis=2, keepdims=True)
    proba = proba.astype(np.float32 if kind == "single" else np.float64)
    rows, labels = [[b % 6] for b in range(200)], np.zeros(6, dtype=int)
    got = cw.loco_scores(proba, (rows, columns), labels, "log")
    lost = -np.log(2.0**-52) + np.log(got.loo_proba_[:, 0])
    np.testing.assert_allclose(got.sample_importances_[:, 0], lost, rtol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems(kinds=("hard",)))
def test_one_hot_votes_are_hard_votes(loss, problem):
    hard, _ = both(problem, loss)
    for dtype in (np.float32, np.float64):
        soft = cw.loco_scores(
            problem.votes.astype(dtype), problem.patches, problem.labels, loss, n_features=problem.n_features
        )
        # Whole numbers add up without rounding, so the bits are the same.
        for name in set(hard) - {"monte_carlo_errors_", "cluster_monte_carlo_errors_", "classes_"}:
            assert np.array_equal(soft[name], hard[name], equal_nan=True), name


@given(problem=problems(kinds=("double", "hard")))
def test_votes_lose_no_mass(problem):
    got, _ = both(problem, "brier")
    sums = got.loo_proba_.sum(axis=1)
    np.testing.assert_allclose(sums[~np.isnan(sums)], 1, rtol=1e-12)
    assert np.array_equal(np.isnan(sums), ~problem.voters.any(axis=0))


@given(problem=problems())
def test_entries_of_observations_inside_are_not_used(problem):
    got, _ = both(problem, "margin")
    problem.predictions[~problem.voters] = 0 if problem.predictions.ndim == 2 else np.nan
    again, _ = both(problem, "margin")
    for name in got:
        assert np.array_equal(got[name], again[name], equal_nan=True), name


def test_masks_and_minipatches_are_the_same_as_indices():
    patches = cw.minipatches(30, 7, 20, 0.3, 3, seed=4)
    predictions = np.random.default_rng(0).integers(0, 3, size=(20, 30))
    labels = np.arange(30) % 3
    forms = [
        patches,
        (patches.rows(), patches.columns()),
        ([patches.rows(b) for b in range(20)], [list(patches.columns(b)) for b in range(20)]),
    ]
    held, inside = np.zeros((20, 7), dtype=bool), np.zeros((20, 30), dtype=bool)
    for b, (rows, columns) in enumerate(patches):
        inside[b, rows], held[b, columns] = True, True
    forms.append((inside, held))
    first, *others = [cw.loco_scores(predictions, form, labels, n_features=7) for form in forms]
    for other in others:
        for name in first:
            np.testing.assert_allclose(other[name], first[name], rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("loss", ["hinge", "zero_one", "ari", squared, worst])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_same_bits_without_those_of_observations(kind, loss, monkeypatch):
    problem = make_problem(5, 40, 150, 60, 3, kind)
    votes = problem.predictions.astype(np.uint16) if kind == "hard" else problem.predictions
    ensemble = Ensemble(votes, _scores.pack_bits(problem.voters), _scores.pack_bits(problem.held), 150, 3, 0.4)
    labels = problem.labels.astype(np.int32)

    def scores(keep_samples):
        return _scores.score_ensemble(ensemble, labels, loss, barrier=0.1, threads=1, keep_samples=keep_samples)

    # A word of features at a time: 64, 64 and 22.
    monkeypatch.setattr(_scores, "SAMPLE_BYTES", 1)
    kept, found = scores(True), scores(False)
    assert kept.keys() - found.keys() == ({"sample_importances_"} if "standard_errors_" in kept else set())
    for name, value in found.items():
        assert np.asarray(value).tobytes() == np.asarray(kept[name]).tobytes(), name


def test_scores_of_observations_need_not_be_kept():
    X = np.random.default_rng(0).normal(size=(60, 9))
    kept, found = (
        cw.LOCOMP(n_patches=60, store_sample_importances=store, random_state=0).fit(X) for store in (True, False)
    )
    with pytest.raises(ValueError, match="sample_importances_ is not defined for store_sample_importances=False"):
        _ = found.sample_importances_
    assert kept.sample_importances_.shape == X.shape
    np.testing.assert_array_equal(found.cluster_standard_errors_, kept.cluster_standard_errors_)
    np.testing.assert_array_equal(found.pvalues(), kept.pvalues())


def test_what_no_minipatch_scores_is_told():
    rng = np.random.default_rng(0)
    rows = np.array([np.r_[0, rng.choice(np.arange(1, 12), 4, replace=False)] for _ in range(30)])
    columns = np.array([np.r_[2, rng.choice([0, 1, 3], 1)] for _ in range(30)])
    votes = np.full((30, 12, 2), 0.5)
    with (
        pytest.warns(UserWarning, match=r"score 1 features \(2\): their scores are NaN"),
        pytest.warns(UserWarning, match=r"1 observations \(0\) are left out by no minipatch"),
    ):
        found = cw.loco_scores(votes, (rows, columns), np.arange(12) % 2)
    assert np.isnan(found.feature_importances_).tolist() == [False, False, True, False]


@pytest.mark.parametrize("loss", ["log", lambda y, p: -np.log(np.maximum(p[np.arange(len(y)), y], 1e-300))])
@pytest.mark.parametrize("n_patches", [60, 3000])
def test_small_votes_keep_their_digits_in_a_logarithm(loss, n_patches):
    """Minipatches with the one feature that counts are sure of the label; the others next to never think of it."""
    small = 1e-13
    holds = np.arange(n_patches) % 5 == 0
    proba = np.where(holds, 1.0, small)[:, None]
    predictions = np.stack([proba, 1 - proba], axis=2)
    columns = np.stack([holds, ~holds], axis=1)
    voting = (np.zeros((n_patches, 1), dtype=bool), columns)
    found = cw.loco_scores(predictions, voting, [0], loss)
    expected = np.log(predictions[:, 0, 0].mean() / small)
    np.testing.assert_allclose(found.sample_importances_[0, 0], expected, rtol=1e-12)


def test_no_minipatches_are_refused():
    patches = cw.Minipatches(40, 5, 0, 12, 2, 0)
    for shape in ((0, 40), (0, 40, 2)):
        with pytest.raises(ValueError, match="patches has no minipatches, expected at least one"):
            cw.loco_scores(np.zeros(shape), patches, np.arange(40) % 2)
