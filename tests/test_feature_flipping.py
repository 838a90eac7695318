"""The feature-flipping AUC, its density, and the attributions that explanations are compared with."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine, make_blobs
from sklearn.preprocessing import StandardScaler

from clusterwhy.comparators import NEON
from clusterwhy.metrics import baselines, feature_flipping_auc
from clusterwhy.metrics._kde import draw_kernels, leave_one_out_bandwidth


def sign_of_first(X):
    return X[:, 0] > 0


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).normal(size=(40, 3)) + np.array([0.5, 0.0, 0.0])


def naive_auc(importances, X, predict, bandwidth, n_draws, rng):
    """Algorithm 1, one observation at a time; the draws are those of the real one, in its order."""
    n, m = X.shape
    own = predict(X)
    curve = np.zeros(m + 1)
    for step in range(m + 1):
        aims = rng.random((n_draws, n))
        for draw in range(n_draws):
            noise = rng.standard_normal((n, m))
            for i in range(n):
                there = sorted(range(m), key=lambda j, i=i: (-importances[i, j], j))[:step]
                weights = np.exp([-((X[i, there] - x[there]) ** 2).sum() / (2 * bandwidth**2) for x in X])
                shares = np.cumsum(weights) / weights.sum()
                z = X[np.searchsorted(shares, aims[draw, i])] + bandwidth * noise[i]
                z[there] = X[i, there]
                curve[step] += predict(z[None])[0] == own[i]
    curve /= n * n_draws
    return (curve[:-1] + curve[1:]).sum() / (2 * m)


def test_it_is_the_algorithm(data):
    importances = np.random.default_rng(1).normal(size=data.shape).round(0)
    found = feature_flipping_auc(importances, data, sign_of_first, bandwidth=0.4, n_draws=2, random_state=3)
    expected = naive_auc(importances, data, sign_of_first, 0.4, 2, np.random.default_rng(3))
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_feature_that_decides_should_come_first(data):
    def auc(importances):
        return feature_flipping_auc(importances, data, sign_of_first, n_draws=20, random_state=0)

    first, middle, last = auc([3, 2, 1]), auc([2, 3, 1]), auc([1, 2, 3])
    assert first > middle + 0.1 > last + 0.2
    # From the share that is in the cluster anyway to all, by one trapezoid; then all.
    anyway = (sign_of_first(data).mean() ** 2 + (~sign_of_first(data)).mean() ** 2 + 1) / 2
    assert first == pytest.approx((anyway + 2) / 3, abs=0.02)
    assert auc([1, np.nan, np.nan]) == first == auc(np.tile([3, 2, 1], (40, 1)))


def test_labels_are_what_is_returned_to(data):
    never = feature_flipping_auc([1, 1, 1], data, sign_of_first, labels=np.full(40, 7), random_state=0)
    always = feature_flipping_auc([1, 1, 1], data, lambda Z: np.zeros(len(Z)), random_state=0)
    assert (never, always) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"importances": [1, 2]}, r"importances must have shape \(40, 3\) to match X, or \(3,\), got \(2,\)"),
        ({"X": np.full((40, 3), np.inf)}, "X must be finite"),
        ({"X": np.ones((40, 3))}, "at least two different observations"),
        ({"bandwidth": 0}, "bandwidth must be None or a finite number above 0, got 0"),
        ({"bandwidth": "scott"}, "bandwidth must be None or a finite number above 0, got 'scott'"),
        ({"n_draws": 0}, "n_draws must be at least 1"),
        ({"labels": [0, 1]}, r"labels must have shape \(40,\)"),
        ({"predict": lambda Z: 0}, r"predict must return one label per observation, shape \(40,\), got \(\)"),
    ],
)
def test_what_it_cannot_take(data, params, message):
    with pytest.raises(ValueError, match=message):
        feature_flipping_auc(**{"importances": [1, 2, 3], "X": data, "predict": sign_of_first} | params)


def test_the_bandwidth_is_the_likeliest(data):
    def likelihood(width):
        total = 0.0
        for i, x in enumerate(data):
            rest = np.delete(data, i, axis=0)
            kernels = np.exp(-((rest - x) ** 2).sum(axis=1) / (2 * width**2)) / width**3
            total += np.log(kernels.mean())
        return total

    found = leave_one_out_bandwidth(data)
    tried = np.geomspace(0.05, 3, 200)
    assert likelihood(found) >= max(likelihood(width) for width in tried) - 1e-9


def test_kernels_are_drawn_by_weight():
    log_weights = np.log(np.array([[0.2, 1e-300, 0.8], [0.5, 0.5, 1e-300]])) - 1000
    drawn = draw_kernels(log_weights, 20_000, np.random.default_rng(0))
    shares = [np.bincount(column, minlength=3) / 20_000 for column in drawn.T]
    np.testing.assert_allclose(shares, [[0.2, 0, 0.8], [0.5, 0.5, 0]], atol=0.01)


# ---------------------------------------------------------------------- attributions


def linear_evidence(X):
    return X @ np.array([2.0, 0.0, -1.0]) + 1.0


def test_attributions_of_a_linear_evidence(data):
    weights, mean = np.array([2.0, 0.0, -1.0]), data.mean(axis=0)

    def gradient(X):
        return np.tile(weights, (len(X), 1))

    np.testing.assert_allclose(baselines.squared_difference(data), (data - mean) ** 2)
    np.testing.assert_allclose(baselines.squared_difference(data, [1, 1, 1]), (data - 1) ** 2)
    np.testing.assert_allclose(baselines.squared_gradient(data, gradient), np.tile(weights**2, (40, 1)))
    np.testing.assert_allclose(baselines.integrated_gradients(data, gradient), (data - mean) * weights)
    zero = baselines.prediction_difference(data, linear_evidence, imputation="zero")
    np.testing.assert_allclose(zero, data * weights, atol=1e-12)
    drawn = baselines.prediction_difference(data, linear_evidence, random_state=0)
    assert (drawn[:, 1] == 0).all()
    assert not (drawn[:, 0] == 0).any()
    removed = baselines.dimension_removal(
        data, linear_evidence, lambda X, j: np.delete(X, j, axis=1) @ np.delete(weights, j) + 1.0
    )
    np.testing.assert_allclose(removed, data * weights, atol=1e-12)
    random = baselines.random_attribution(data, 0)
    assert random.shape == data.shape
    assert len(np.unique(random)) == random.size


def test_imputed_features_follow_the_others():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    X = np.column_stack([x, x + 0.01 * rng.normal(size=300)])
    change = baselines.prediction_difference(X, lambda Z: Z[:, 0], bandwidth=0.05, random_state=0)
    assert np.abs(change[:, 0]).mean() < 0.2
    assert (change[:, 1] == 0).all()


def test_integrated_gradients_sum_to_the_rise_of_the_evidence():
    X, _ = make_blobs(50, n_features=4, centers=3, random_state=0)

    def cubic(Z):
        return (Z**3).sum(axis=1)

    found = baselines.integrated_gradients(X, lambda Z: 3 * Z**2, n_steps=1000)
    np.testing.assert_allclose(found.sum(axis=1), cubic(X) - cubic(X.mean(axis=0)[None]), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: baselines.squared_difference([[1.0, 2.0]], [1.0]), "baseline has 1 values, but X has 2 features"),
        (lambda: baselines.prediction_difference([[1.0]], len, imputation="mean"), "imputation must be one of"),
        (lambda: baselines.integrated_gradients([[1.0]], len, n_steps=0), "n_steps must be at least 1"),
    ],
)
def test_what_attributions_cannot_take(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_neon_is_ahead_of_the_others_on_wine():
    X = StandardScaler().fit_transform(load_wine().data)
    model = NEON(KMeans(6, n_init=3, random_state=0)).fit(X)

    def auc(importances):
        return 100 * feature_flipping_auc(importances, X, model.predict, n_draws=5, random_state=0)

    neon, random = auc(model.sample_importances_), auc(baselines.random_attribution(X, 0))
    assert 7.4 < neon - random < 10.9
    assert neon > auc(baselines.squared_difference(X))


def test_noise_that_is_predicted_takes_no_part(data):
    predict = lambda Z: np.where(Z[:, 0] > 1, -1, Z[:, 1] > 0)  # noqa: E731
    scores = [1.0, 3.0, 2.0]
    assert feature_flipping_auc(scores, data, predict, random_state=0) == feature_flipping_auc(
        scores, data, predict, labels=predict(data), random_state=0
    )
    with pytest.raises(ValueError, match="predict must name at least one cluster"):
        feature_flipping_auc(scores, data, lambda Z: np.full(len(Z), -1))


def test_attributions_take_decisions_and_refuse_other_shapes(data):
    own = sign_of_first(data)
    decided = baselines.prediction_difference(data, lambda Z: sign_of_first(Z) == own, random_state=0)
    np.testing.assert_array_equal(
        decided, baselines.prediction_difference(data, lambda Z: (sign_of_first(Z) == own) * 1.0, random_state=0)
    )
    without = baselines.dimension_removal(data, lambda Z: Z[:, 0] > 0, lambda Z, j: Z[:, j] > 5)
    np.testing.assert_array_equal(without, np.repeat((data[:, :1] > 0) * 1.0, 3, axis=1) - (data > 5))
    hole = np.where(np.arange(40)[:, None] == 3, np.nan, data)
    for call, message in (
        (lambda: baselines.dimension_removal(data, lambda Z: Z[:, :1], lambda Z, j: Z[:, j]), "evidence must return"),
        (
            lambda: baselines.dimension_removal(data, lambda Z: Z[:, 0], lambda Z, j: Z),
            "evidence_without must return",
        ),
        (lambda: baselines.prediction_difference(data, lambda Z: 1.0), r"evidence must return .*\(40,\), got \(\)"),
        (lambda: baselines.squared_gradient(data, lambda Z: Z[0]), r"gradient must return .*\(40, 3\), got \(3,\)"),
        (lambda: baselines.integrated_gradients(data, lambda Z: np.ones(3)), "gradient must return one value per"),
        (lambda: baselines.prediction_difference(hole, linear_evidence), "X must be finite"),
        (lambda: leave_one_out_bandwidth(hole), "X must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
