"""What the maths promises: symmetries, and what one more minipatch may change."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from problems import LOSSES, POINTWISE, problems, squared

import clusterwhy as cw

# Sums of other orders round otherwise. Pairs of minipatches for the variance barrier follow their order, so
# it is off where that changes; Monte-Carlo errors from halves of the ensemble follow it too. Those of the
# margin take the slope of the best other class, of which there may be two but for rounding.
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
DRAWS = {"monte_carlo_errors_", "cluster_monte_carlo_errors_"}


def scores(problem, loss, **changes):
    state = {**vars(problem), **changes}
    return cw.loco_scores(
        state["predictions"],
        (state["rows"], state["columns"]),
        state["labels"],
        loss,
        n_features=state["n_features"],
        variance_barrier=0,
    )


def inverse(order):
    out = np.empty(len(order), dtype=int)
    out[order] = np.arange(len(order))
    return out


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems(kinds=("double", "hard")), seed=st.integers(0, 1000))
def test_permuting_observations(loss, problem, seed):
    order = np.random.default_rng(seed).permutation(len(problem.labels))
    plain = scores(problem, loss)
    moved = scores(
        problem,
        loss,
        predictions=problem.predictions[:, order],
        labels=problem.labels[order],
        rows=[inverse(order)[rows] for rows in problem.rows],
    )
    for name in ("sample_importances_", "loo_proba_"):
        if name in plain:
            # An observation's own figures do not know where it stands.
            assert np.array_equal(moved[name], plain[name][order], equal_nan=True)
    for name in set(plain) - {"sample_importances_", "loo_proba_"}:
        np.testing.assert_allclose(moved[name], plain[name], **CLOSE, err_msg=name)


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems(), seed=st.integers(0, 1000))
def test_permuting_features(loss, problem, seed):
    order = np.random.default_rng(seed).permutation(problem.n_features)
    plain = scores(problem, loss)
    moved = scores(problem, loss, columns=[inverse(order)[columns] for columns in problem.columns])
    for name in set(plain) - {"classes_", "loo_proba_", "loo_error_"}:
        # Each feature's figures are its own, to the bit.
        assert np.array_equal(moved[name], plain[name][..., order], equal_nan=True), name


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems(kinds=("double", "hard")), seed=st.integers(0, 1000))
def test_permuting_minipatches(loss, problem, seed):
    order = np.random.default_rng(seed).permutation(len(problem.rows))
    plain = scores(problem, loss)
    moved = scores(
        problem,
        loss,
        predictions=problem.predictions[order],
        rows=[problem.rows[b] for b in order],
        columns=[problem.columns[b] for b in order],
    )
    ordered = loss in ("zero_one", "ari", "margin") or callable(loss)
    for name in set(plain) - (DRAWS if ordered else set()):
        np.testing.assert_allclose(moved[name], plain[name], **CLOSE, err_msg=name)


@pytest.mark.parametrize("loss", ["hinge", "margin", "brier", "log", squared])
@given(problem=problems(kinds=("double", "hard")), seed=st.integers(0, 1000))
def test_permuting_classes(loss, problem, seed):
    names = np.random.default_rng(seed).permutation(problem.n_classes)
    renamed = np.where(problem.labels < 0, -1, names[np.maximum(problem.labels, 0)])
    # All classes must stay among the labels, so that hard votes and columns keep their meaning.
    assume(problem.predictions.ndim == 3 or problem.predictions.max() == problem.n_classes - 1)
    hard = problem.predictions.ndim == 2
    plain = scores(problem, loss)
    moved = scores(
        problem,
        loss,
        predictions=names[problem.predictions] if hard else problem.predictions[:, :, inverse(names)],
        labels=renamed,
    )
    if hard:
        assume(len(plain.classes_) == len(moved.classes_) == problem.n_classes)
    # Rows of clusters and columns of probabilities follow the names; all else stays.
    np.testing.assert_allclose(moved.cluster_importances_[names], plain.cluster_importances_, **CLOSE)
    np.testing.assert_allclose(moved.loo_proba_[:, names], plain.loo_proba_, **CLOSE)
    for name in ("feature_importances_", "sample_importances_", "standard_errors_", "loo_error_"):
        np.testing.assert_allclose(moved[name], plain[name], **CLOSE, err_msg=name)


@pytest.mark.parametrize("loss", LOSSES)
@given(problem=problems(kinds=("hard",)))
def test_names_in_the_same_order_change_nothing(loss, problem):
    values = np.array([3, 10, 11, 400, 10**12])
    plain = scores(problem, loss)
    named = scores(
        problem,
        loss,
        predictions=values[problem.predictions],
        labels=np.where(problem.labels < 0, -1, values[np.maximum(problem.labels, 0)]),
    )
    assert np.array_equal(named.classes_, values[plain.classes_])
    for name in set(plain) - {"classes_"}:
        assert np.array_equal(named[name], plain[name], equal_nan=True), name


@pytest.mark.parametrize("loss", POINTWISE)
@given(problem=problems())
def test_one_more_minipatch(loss, problem):
    """It cannot touch those it holds, and for the others adds only to what its absent features see.

    For an observation inside it, nothing may change, to the bit. For one outside, ``H`` changes, but
    ``H^-j`` of a feature that it holds does not: all these scores move together, by what ``H``'s loss moves.
    """
    assume(len(problem.rows) > 1)
    parts = {name: getattr(problem, name)[:-1] for name in ("predictions", "rows", "columns")}
    fewer = scores(problem, loss, **parts)
    more = scores(problem, loss)
    assume(len(more.classes_) == len(fewer.classes_))
    inside = problem.rows[-1]
    for name in ("sample_importances_", "loo_proba_"):
        assert np.array_equal(more[name][inside], fewer[name][inside], equal_nan=True), name
    held = problem.columns[-1]
    moves = (more.sample_importances_ - fewer.sample_importances_)[:, held]
    tolerance = problem.tolerance
    for row in moves:
        defined = row[~np.isnan(row)]
        if len(defined):
            np.testing.assert_allclose(defined, defined[0], rtol=tolerance, atol=tolerance)


@given(problem=problems(kinds=("double",)))
def test_a_minipatch_that_holds_everyone_changes_nothing(problem):
    everyone = np.arange(len(problem.labels))
    plain = cw.loco_scores(problem.predictions, problem.patches, problem.labels, n_features=problem.n_features)
    extra = np.concatenate([problem.predictions, problem.predictions[:1]])
    more = cw.loco_scores(
        extra,
        ([*problem.rows, everyone], [*problem.columns, [0]]),
        problem.labels,
        n_features=problem.n_features,
        variance_barrier=1e-4,
    )
    # The share of observations in a minipatch, and so the variance barrier, does change.
    for name in set(plain) - {"standard_errors_", "cluster_standard_errors_"}:
        np.testing.assert_allclose(more[name], plain[name], **CLOSE, err_msg=name)
