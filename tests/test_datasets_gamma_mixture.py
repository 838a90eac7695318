"""The gamma mixture fits by EM what scipy's gamma density says."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, gammaln, logsumexp, polygamma
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator

from clusterwhy import _core
from clusterwhy.datasets import GammaMixture, make_gamma_mixture


@pytest.fixture(scope="module")
def two_gammas():
    rng = np.random.RandomState(0)
    shapes, scales = np.array([[2.0, 5.0], [8.0, 1.5]]), np.array([[1.0, 0.2], [1.0, 3.0]])
    y = np.repeat([0, 1], [6000, 3000])
    return rng.gamma(shapes[y], scales[y]), y, shapes, scales


def test_scikit_learn_checks():
    results = check_estimator(GammaMixture(), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped", "xfail"}


def plain_em(X, responsibilities, n_iter):
    """EM by the formulas, with SciPy's special functions; shapes have one more observation, spread as the sample."""
    spread = np.log(X.mean(axis=0)) - np.log(X).mean(axis=0)
    for _ in range(n_iter):
        mass = responsibilities.sum(axis=0)[:, None]
        means = responsibilities.T @ X / mass
        gaps = np.log(means) - responsibilities.T @ np.log(X) / mass
        gaps = (mass * gaps + spread) / (mass + 1)
        shapes = 0.5 / gaps
        for _ in range(60):
            slopes = shapes**2 * (1 / shapes - polygamma(1, shapes))
            shapes = 1 / (1 / shapes + (np.log(shapes) - digamma(shapes) - gaps) / slopes)
        scales = means / shapes
        terms = stats.gamma.logpdf(X[:, None, :], shapes, scale=scales).sum(axis=2) + np.log(mass[:, 0] / len(X))
        norms = logsumexp(terms, axis=1, keepdims=True)
        responsibilities = np.exp(terms - norms)
    bound = (norms.sum() + prior(X, shapes)) / len(X)
    return bound, mass[:, 0] / len(X), shapes, scales


def prior(X, shapes):
    """The prior's log-density of the shapes."""
    spread = np.log(X.mean(axis=0)) - np.log(X).mean(axis=0)
    return (shapes * (np.log(shapes) - 1 - spread) - gammaln(shapes)).sum()


def test_the_end_is_a_fixed_point_of_plain_em():
    X, _, _ = make_gamma_mixture(400, 3, n_noise=3, separation=1.0, random_state=2)
    start = (np.arange(400) % 3).astype(np.int32)
    fitted = _core.native_fit_gamma_mixture(X, start, 3, 10_000, 1e-12)
    assert fitted["converged"]
    terms = stats.gamma.logpdf(X[:, None, :], fitted["shapes"], scale=fitted["scales"]).sum(axis=2)
    terms += np.log(fitted["weights"])
    responsibilities = np.exp(terms - logsumexp(terms, axis=1, keepdims=True))
    bound, weights, shapes, scales = plain_em(X, responsibilities, 1)
    np.testing.assert_allclose(fitted["lower_bound"], bound, atol=1e-10)
    np.testing.assert_allclose(fitted["weights"], weights, rtol=1e-3)
    np.testing.assert_allclose(fitted["shapes"], shapes, rtol=1e-3)
    np.testing.assert_allclose(fitted["scales"], scales, rtol=1e-3)


@pytest.mark.parametrize(("n_features", "ratio"), [(2, 1e3), (4, 1e4), (1, 100)])
def test_clusters_of_very_different_sizes_are_told_apart(n_features, ratio):
    y = np.repeat([0, 1, 2], 70)
    X = np.random.default_rng(0).gamma(5, size=(210, n_features)) * (ratio**y)[:, None]
    model = GammaMixture(3, n_init=5, random_state=0).fit(X)
    assert adjusted_rand_score(y, model.labels_) == 1


def test_an_extreme_row_does_not_merge_the_others():
    y = np.repeat([0, 1, 2], 70)
    X = np.random.default_rng(1).gamma(3, size=(210, 4)) * (4.0**y)[:, None]
    X[0] *= 1e5
    model = GammaMixture(4, n_init=10, random_state=0).fit(X)
    assert adjusted_rand_score(y[1:], model.labels_[1:]) > 0.85


def test_no_component_has_the_unbounded_density_of_a_single_observation():
    # Far more components than there are groups, of 20 observations each on average.
    X, _, _ = make_gamma_mixture(200, 2, n_noise=30, random_state=0)
    smallest = []
    for seed in range(10):
        model = GammaMixture(10, n_init=1, random_state=seed).fit(X)
        smallest.append(np.bincount(model.labels_, minlength=10).min())
        assert model.shapes_.max() < 1e4
    assert min(smallest) <= 2


@pytest.mark.parametrize("n_components", [1, 3, 9])
@pytest.mark.parametrize("n_samples", [101, 250])
@pytest.mark.parametrize("n_iter", [1, 2])
def test_first_and_last_turns_are_those_of_plain_em(n_components, n_samples, n_iter):
    X, _, _ = make_gamma_mixture(n_samples, 3, n_noise=3, random_state=n_iter)
    start = (np.arange(n_samples) % n_components).astype(np.int32)
    fitted = _core.native_fit_gamma_mixture(X, start, n_components, n_iter, -np.inf)
    bound, weights, shapes, scales = plain_em(X, np.eye(n_components)[start], n_iter)
    assert (fitted["n_iter"], fitted["converged"]) == (n_iter, False)
    np.testing.assert_allclose(fitted["lower_bound"], bound, rtol=1e-9)
    np.testing.assert_allclose(fitted["weights"], weights, rtol=1e-7)
    np.testing.assert_allclose(fitted["shapes"], shapes, rtol=1e-7)
    np.testing.assert_allclose(fitted["scales"], scales, rtol=1e-7)


def test_the_order_in_memory_does_not_matter(two_gammas):
    X = two_gammas[0][::20]
    expected = GammaMixture(3, random_state=0).fit(X)
    for ordered in (np.asfortranarray(X), np.column_stack([X, X])[:, [2, 1]], X[::-1][::-1]):
        found = GammaMixture(3, random_state=0).fit(ordered)
        np.testing.assert_array_equal(found.shapes_, expected.shapes_)
        np.testing.assert_array_equal(found.labels_, expected.labels_)
    with pytest.raises(TypeError, match="C-contiguous"):
        _core.native_fit_gamma_mixture(np.asfortranarray(X), np.zeros(len(X), dtype=np.int32), 1, 1, 0.0)


def test_ctrl_c_ends_a_long_fit():
    code = """
import _thread, threading, time
import numpy as np
from clusterwhy import _core
X = np.random.default_rng(0).gamma(2.0, size=(2000, 100))
start = (np.arange(2000) % 7).astype(np.int32)
threading.Timer(0.5, _thread.interrupt_main).start()
began = time.monotonic()
try:
    _core.native_fit_gamma_mixture(X, start, 7, 10**9, -np.inf)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 30)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == ["interrupted", "True"], ran.stdout + ran.stderr


def test_a_single_component_is_the_maximum_likelihood_fit():
    x = np.random.RandomState(1).gamma(3.0, 2.0, size=(500, 1))
    model = GammaMixture(1, random_state=0).fit(x)
    shape, _, scale = stats.gamma.fit(x[:, 0], floc=0)
    np.testing.assert_allclose([model.shapes_[0, 0], model.scales_[0, 0]], [shape, scale], rtol=1e-4)
    # The prior's observation is as spread as the sample, and changes nothing but the bound.
    bound = stats.gamma(shape, scale=scale).logpdf(x).mean() + prior(x, shape) / len(x)
    np.testing.assert_allclose(model.lower_bound_, bound)


def test_parameters_are_recovered(two_gammas):
    X, y, shapes, scales = two_gammas
    model = GammaMixture(2, random_state=0).fit(X)
    order = np.argsort(-model.weights_)
    np.testing.assert_allclose(model.weights_[order], [2 / 3, 1 / 3], atol=0.02)
    np.testing.assert_allclose(model.shapes_[order], shapes, rtol=0.1)
    np.testing.assert_allclose(model.scales_[order], scales, rtol=0.1)
    assert adjusted_rand_score(y, model.labels_) > 0.85
    assert model.converged_
    assert (model.shift_ == 0).all()


def test_probabilities_agree_with_scipy(two_gammas):
    X = two_gammas[0][::50]
    model = GammaMixture(3, random_state=0).fit(X)
    densities = np.array(
        [
            w * np.prod(stats.gamma(a, scale=s).pdf(X), axis=1)
            for w, a, s in zip(model.weights_, model.shapes_, model.scales_, strict=True)
        ]
    ).T
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba, densities / densities.sum(axis=1, keepdims=True), atol=1e-8)
    bound = np.log(densities.sum(axis=1)).sum() + prior(X, model.shapes_)
    np.testing.assert_allclose(model.lower_bound_, bound / len(X), rtol=1e-8)
    np.testing.assert_array_equal(model.predict(X), proba.argmax(axis=1))
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_likelihood_never_falls(two_gammas):
    X = two_gammas[0][::20]
    bounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for n in range(1, 15):
            bounds.append(GammaMixture(4, max_iter=n, tol=0, n_init=1, random_state=3).fit(X).lower_bound_)
    assert (np.diff(bounds) >= -1e-10).all()
    best_of_many = GammaMixture(4, n_init=6, random_state=3).fit(X).lower_bound_
    assert best_of_many >= GammaMixture(4, n_init=1, random_state=3).fit(X).lower_bound_


def test_reproducible_and_cloneable(two_gammas):
    X = two_gammas[0][::20]
    model = GammaMixture(3, random_state=4)
    np.testing.assert_array_equal(model.fit(X).shapes_, clone(model).fit(X).shapes_)
    assert model.get_params() == {
        "n_components": 3,
        "max_iter": 200,
        "tol": 1e-4,
        "n_init": 3,
        "random_state": 4,
    }


def test_units_do_not_matter(two_gammas):
    X = two_gammas[0][::20]
    units = np.array([1e-4, 1e5])
    a, b = GammaMixture(2, random_state=0).fit(X), GammaMixture(2, random_state=0).fit(X * units)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_allclose(a.shapes_, b.shapes_, rtol=1e-5)
    np.testing.assert_allclose(a.scales_ * units, b.scales_, rtol=1e-5)


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e153, 1e300])
@pytest.mark.parametrize("origin", [0.0, 3.0])
def test_units_as_far_as_numbers_go(two_gammas, unit, origin):
    X = two_gammas[0][::20] - origin
    expected = GammaMixture(2, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = GammaMixture(2, random_state=0).fit(X * unit)
    assert (found.labels_ == expected.labels_).mean() > 0.99
    assert np.isfinite(found.predict_proba(X * unit)).all()
    np.testing.assert_allclose(found.lower_bound_, expected.lower_bound_ - 2 * np.log(unit), rtol=1e-3)


def test_values_that_are_not_positive_are_shifted():
    rng = np.random.RandomState(0)
    X = np.vstack([rng.normal(-3, 1, (200, 2)), rng.normal(3, 1, (200, 2))])
    X = np.column_stack([X, rng.gamma(2.0, size=400), rng.poisson(2.0, size=400)])
    model = GammaMixture(2, random_state=0).fit(X)
    spread = X.std(axis=0)
    np.testing.assert_allclose((X.min(axis=0) - model.shift_)[[0, 1, 3]], 0.1 * spread[[0, 1, 3]])
    assert model.shift_[2] == 0
    assert adjusted_rand_score(np.repeat([0, 1], 200), model.labels_) > 0.95
    # Below the smallest value seen, a new value counts as that one.
    lowest = X.min(axis=0)[None, :]
    np.testing.assert_allclose(model.predict_proba(lowest - 100), model.predict_proba(lowest))


def test_constant_and_nearly_constant_features_do_no_harm(two_gammas):
    X, y, _, _ = two_gammas
    X, y = X[::30], y[::30]
    for constant in (0.0, 5.0, -2.0):
        wide = np.column_stack([X, np.full(len(X), constant)])
        labels = GammaMixture(2, random_state=0).fit_predict(wide)
        np.testing.assert_array_equal(labels, GammaMixture(2, random_state=0).fit_predict(X))


def test_more_components_than_distinct_points():
    X = np.repeat([[1.0, 2.0], [5.0, 6.0]], 10, axis=0)
    model = GammaMixture(4, random_state=0).fit(X)
    for parameter in (model.predict_proba(X), model.weights_, model.shapes_, model.scales_):
        assert np.isfinite(parameter).all()
    assert model.labels_[0] != model.labels_[-1]


def test_simulated_gamma_clusters_are_found():
    X, y, _ = make_gamma_mixture(900, 3, n_noise=0, separation=2.5, random_state=1)
    assert adjusted_rand_score(y, GammaMixture(3, random_state=0).fit_predict(X)) > 0.9


def test_a_fit_that_stops_early_says_so(two_gammas):
    with pytest.warns(ConvergenceWarning, match="did not converge in max_iter=1 iterations"):
        model = GammaMixture(3, max_iter=1, random_state=0).fit(two_gammas[0][::50])
    assert not model.converged_
    assert model.n_iter_ == 1


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components must be at least 1"),
        ({"n_components": 2.0}, TypeError, "n_components must be an integer"),
        ({"n_components": 6}, ValueError, "n_samples=5 must be at least n_components=6"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"n_init": 0}, ValueError, "n_init must be at least 1"),
        ({"tol": -1.0}, ValueError, "tol must be finite and at least 0"),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        GammaMixture(**parameters).fit(np.arange(10.0).reshape(5, 2) + 1)


def test_bad_data_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        GammaMixture().fit([[1.0], [np.nan], [2.0]])
    with pytest.raises(NotFittedError):
        GammaMixture().predict([[1.0]])


@pytest.mark.parametrize("constant", [-0.6138, -1e-3, -7.3, 0.0, 2.7])
def test_a_constant_feature_changes_nothing(two_gammas, constant):
    X, y, *_ = two_gammas
    X, y = X[::20], y[::20]
    expected = GammaMixture(2, random_state=0).fit(X)
    wider = np.column_stack([X, np.full(len(X), constant)])
    found = GammaMixture(2, random_state=0).fit(wider)
    assert np.isfinite(found.lower_bound_)
    assert adjusted_rand_score(expected.labels_, found.labels_) == 1
    params = {"n_components": 2, "max_iter": 200, "tol": 1e-3, "n_init": 1}
    labels = _core.native_fit_clusters(wider, "gamma_mixture", params, 0)["labels"]
    assert adjusted_rand_score(y, labels) > 0.5
