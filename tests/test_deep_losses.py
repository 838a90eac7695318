"""The core's losses and gradients of deep clustering against formulas in NumPy and their differences."""

import numpy as np
import pytest
from deep_reference import autoencoder_terms, clusters_rate, global_gates_terms, head_loss

from clusterwhy import _core
from clusterwhy.deep._training import n_parameters

N, D, GATING, WIDTHS = 9, 5, 4, [5, 6, 3]
PLAIN = {
    "absolute": False,
    "gated": True,
    "sparsity": 0.0,
    "diversity": 0.0,
    "precision": 1.0,
    "masked": 0.5,
    "latent_noise": 0.1,
}


def differences(loss, at, step=1e-6):
    """Return the gradient of a function by central differences."""
    gradient = np.empty_like(at)
    for i in range(at.size):
        shifted = np.array([at, at])
        shifted[:, i] += [step, -step]
        gradient[i] = (loss(shifted[0]) - loss(shifted[1])) / (2 * step)
    return gradient


def assert_gradient(found, loss, at):
    expected = differences(loss, at)
    assert np.abs(found - expected).max() < 1e-6 * max(1.0, np.abs(expected).max())
    assert np.abs(expected).max() > 1e-3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "options",
    [
        {"gated": False},
        {},
        {"absolute": True},
        {"sparsity": 2.0},
        {"diversity": 3.0},
        {"sparsity": 0.5, "diversity": 0.5, "precision": 0.1, "absolute": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [N, 4], ids=["more rows than features", "fewer"])
def test_autoencoder(rng, options, n):
    settings = PLAIN | options
    size = n_parameters((D, GATING, D), "tanh")
    size += n_parameters(tuple(WIDTHS), "norm_relu") + n_parameters(tuple(WIDTHS[::-1]), "norm_relu")
    parameters = rng.normal(size=size)
    x = rng.normal(size=(n, D))
    noise = (0.5 * rng.normal(size=(n, D)), 1.0 * (rng.random((n, D)) > 0.3), 1 + 0.2 * rng.normal(size=(n, 3)))

    terms, gradient = _core.deep_autoencoder_loss(GATING, WIDTHS, parameters, x, *noise, settings)
    expected = autoencoder_terms(GATING, WIDTHS, parameters, x, *noise, settings)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name] == pytest.approx(value, rel=1e-10, abs=1e-12), name

    def loss(p):
        return autoencoder_terms(GATING, WIDTHS, p, x, *noise, settings)["loss"]

    assert_gradient(gradient, loss, parameters)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 100.0])
def test_head(rng, temperature):
    widths = [4, 6, 3]
    parameters = rng.normal(size=n_parameters(tuple(widths), "norm_relu"))
    embedding = rng.normal(size=(11, 4))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    noise = rng.gumbel(size=(11, 3))
    found, gradient = _core.deep_head_loss(widths, parameters, embedding, noise, temperature, 0.1)
    assert found == pytest.approx(head_loss(widths, parameters, embedding, noise, temperature, 0.1), rel=1e-10)
    # A high temperature makes the gradient small, so that a small step would drown in rounding.
    step = 1e-4 if temperature == 100 else 1e-6
    expected = differences(lambda p: head_loss(widths, p, embedding, noise, temperature, 0.1), parameters, step)
    assert np.abs(gradient - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_global_gates(rng, weight):
    widths = [D, 6, 3]
    parameters = rng.normal(size=3 * D + n_parameters(tuple(widths), "norm_relu"))
    x, labels = rng.normal(size=(N, D)), rng.integers(0, 3, size=N)
    noise = 0.5 * rng.normal(size=(N, D))
    entropy, sparsity, gradient = _core.deep_global_gates_loss(widths, parameters, x, labels, noise, weight)
    expected = global_gates_terms(widths, parameters, x, labels, noise)
    assert (entropy, sparsity) == pytest.approx(expected, rel=1e-10)

    def loss(p):
        entropy, sparsity = global_gates_terms(widths, p, x, labels, noise)
        return entropy + weight * sparsity

    assert_gradient(gradient, loss, parameters)


def test_rate_of_clusters(rng):
    w = rng.normal(size=(30, 4))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    p = rng.dirichlet(np.ones(3), size=30)
    assert _core.deep_clusters_rate(w, p, 0.1) == pytest.approx(clusters_rate(w, p, 0.1) / 4, rel=1e-10)


def test_one_cluster_for_all_is_never_better_than_more(rng):
    w = rng.normal(size=(40, 4))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    one = _core.deep_clusters_rate(w, np.eye(3)[np.zeros(40, dtype=int)], 0.1)
    for _ in range(20):
        assert _core.deep_clusters_rate(w, np.eye(3)[rng.integers(0, 3, 40)], 0.1) <= one + 1e-8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: _core.deep_apply([5, 4], "relu", np.zeros(24, np.float32), np.zeros(0, np.float32), x, 1), "kind"),
        (lambda x: _core.deep_apply([5], "tanh", np.zeros(24, np.float32), np.zeros(0, np.float32), x, 1), "widths"),
        (
            lambda x: _core.deep_apply([5, 4], "tanh", np.zeros(9, np.float32), np.zeros(0, np.float32), x, 1),
            "length",
        ),
        (lambda x: _core.deep_calibrate([3, 4], "tanh", np.zeros(16, np.float32), x, 1), "columns"),
    ],
)
def test_the_core_says_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((2, 5), np.float32))
