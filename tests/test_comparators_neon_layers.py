"""NEON through the layers of a perceptron: propagation rules, deep k-means, soft assignments, reading networks."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor

from clusterwhy.comparators import NEON, Layer, read_layers
from clusterwhy.comparators.neon._layers import forward, propagate

RELU = (np.array([[1.0, -2.0], [0.5, 1.0], [-1.0, 0.0]]), np.array([0.1, -0.2]))


def blobs(n_noise=6):
    X, y = make_blobs(150, n_features=2, centers=[[0, 4], [4, 0], [-3, -3]], cluster_std=0.6, random_state=0)
    noise = np.random.default_rng(0).normal(size=(150, n_noise))
    return np.hstack([X, noise]), y


@pytest.fixture(scope="module")
def classifier():
    X, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLPClassifier(hidden_layer_sizes=(12, 8), max_iter=300, random_state=0).fit(X, y)


def naive_rule(a, W, b, R, gamma, epsilon):
    """The generalised gamma rule, one product of input and weight at a time."""
    out = np.zeros(len(a))
    for j in range(W.shape[1]):
        z = sum(a[i] * W[i, j] for i in range(len(a))) + b[j]
        sign = 1.0 if z >= 0 else -1.0
        boosted = [t + gamma * (t if t * sign > 0 else 0.0) for t in [*(a * W[:, j]), b[j]]]
        total = sum(boosted) + sign * epsilon
        for i in range(len(a)):
            out[i] += boosted[i] / total * R[j] if total != 0 else 0.0
    return out


# ---------------------------------------------------------------------- the rules


@pytest.mark.parametrize("gamma", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
@pytest.mark.parametrize("signed", [True, False])
def test_propagation_is_its_rule(gamma, epsilon, signed):
    rng = np.random.default_rng(0)
    layer = Layer(rng.normal(size=(5, 4)), rng.normal(size=4))
    inputs, relevance = rng.normal(size=(10, 5)), rng.normal(size=(10, 4))
    if not signed:
        inputs = np.maximum(inputs, 0.0)
    found = propagate(layer, inputs, relevance, gamma, epsilon)
    for a, R, row in zip(inputs, relevance, found, strict=True):
        np.testing.assert_allclose(row, naive_rule(a, layer.weights, layer.biases, R, gamma, epsilon), atol=1e-10)


def test_propagation_conserves_without_biases():
    rng = np.random.default_rng(0)
    layer = Layer(rng.normal(size=(5, 4)), np.zeros(4))
    inputs, relevance = rng.normal(size=(10, 5)), rng.normal(size=(10, 4))
    for gamma in (0.0, 0.25):
        found = propagate(layer, inputs, relevance, gamma, 0.0)
        np.testing.assert_allclose(found.sum(axis=1), relevance.sum(axis=1), atol=1e-10)


def test_gamma_bounds_what_cancelling_inputs_give():
    layer = Layer(np.array([[1.0], [-1.0]]), np.zeros(1))
    inputs, relevance = np.array([[1.0, 1.0 - 1e-12]]), np.ones((1, 1))
    assert np.abs(propagate(layer, inputs, relevance, 0.0, 0.0)).max() > 1e10
    assert np.abs(propagate(layer, inputs, relevance, 0.1, 0.0)).sum() <= 2.1 / 0.1
    assert np.isfinite(propagate(layer, np.zeros((1, 2)), relevance, 0.0, 0.0)).all()


# ---------------------------------------------------------------------- deep k-means


def test_one_linear_layer_is_kmeans_of_its_output():
    # Turning the data turns k-means with them: the network above is the same, and so is the evidence.
    X, _ = blobs(0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    plain = NEON(KMeans(3, n_init=1, random_state=0)).fit(X @ turn)
    deep = NEON(KMeans(3, n_init=1, random_state=0), layers=[(turn, np.zeros(2), "identity")]).fit(X)
    np.testing.assert_allclose(deep.evidence_, plain.evidence_, atol=1e-9)
    np.testing.assert_allclose(deep.sample_importances_.sum(axis=1), plain.evidence_, rtol=1e-3, atol=1e-2)


def test_deep_kmeans_is_the_rules_one_after_another():
    X, _ = blobs(1)
    layers = [Layer(*RELU), Layer(np.array([[1.0, 0.3], [0.2, -1.0]]), np.array([0.5, 0.5]), "tanh")]
    model = NEON(KMeans(3, n_init=1, random_state=0), layers=layers, lrp_gamma=0.2, lrp_epsilon=0.01).fit(X)
    hidden, A = forward(layers, X)[1:]
    top = NEON(KMeans(3, n_init=1, random_state=0)).fit(A)
    np.testing.assert_array_equal(model.labels_, top.labels_)
    np.testing.assert_allclose(model.evidence_, top.evidence_, atol=1e-12)
    for x, a, R, found in zip(X, hidden, top.sample_importances_, model.sample_importances_, strict=True):
        for layer, inputs in ((layers[1], a), (layers[0], x)):
            R = naive_rule(inputs, layer.weights, layer.biases, R, 0.2, 0.01)
        np.testing.assert_allclose(found, R, atol=1e-9)


@pytest.mark.parametrize("clusterer", [KMeans(3, random_state=0), AgglomerativeClustering(3)], ids=["kmeans", "ward"])
def test_clusterings_of_hidden_layers_are_about_the_signal(classifier, clusterer):
    X, _ = blobs()
    model = NEON(clusterer, layers=classifier, random_state=0).fit(X)
    assert model.layers_[-1].weights.shape == (12, 8)
    assert sorted(model.ranking_.argsort()[:2]) == [0, 1]
    assert model.fidelity_ > 0.98
    assert model.explain(X[:4]).shape == (4, 8)


def test_an_encoder_is_a_slice_of_its_autoencoder():
    X, _ = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        autoencoder = MLPRegressor(hidden_layer_sizes=(10, 2, 10), max_iter=150, random_state=0).fit(X, X)
    encoder = read_layers(autoencoder)[:2]
    code = forward(encoder, X)[-1]
    assert code.shape == (150, 2)
    model = NEON(KMeans(3, random_state=0), layers=encoder).fit(X)
    np.testing.assert_array_equal(model.labels_, KMeans(3, random_state=0).fit_predict(code))


# ---------------------------------------------------------------------- soft assignments


def test_soft_assignments_are_the_classifiers(classifier):
    X, _ = blobs()
    model = NEON(layers=classifier).fit(X)
    p = classifier.predict_proba(X)
    np.testing.assert_array_equal(model.predict(X), p.argmax(axis=1))
    ratio = np.log(np.sort(p, axis=1)[:, -1] / np.sort(p, axis=1)[:, -2])
    np.testing.assert_allclose(model.evidence_, ratio, atol=1e-6)
    assert sorted(model.ranking_.argsort()[:2]) == [0, 1]


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_soft_relevance_is_its_formula(threshold):
    rng = np.random.default_rng(0)
    A, mu, b = rng.normal(size=(30, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    model = NEON(layers=[(mu.T, b, "softmax")], threshold=threshold).fit(A)
    for a, c, f, found in zip(A, model.labels_, model.evidence_, model.sample_importances_, strict=True):
        others = [k for k in range(3) if k != c]
        w = np.array([mu[c] - mu[k] for k in others])
        h = w @ a + np.array([b[c] - b[k] for k in others])
        if threshold is None:
            shares = np.exp(-model.beta_ * h)
            expected = ((shares / shares.sum() * h.min() / h)[:, None] * w * a).sum(axis=0)
        else:
            h = h - np.log(2) + np.log((1 - threshold) / threshold)
            shares = np.exp(-h)
            expected = ((shares / shares.sum())[:, None] * w * a).sum(axis=0)
            assert f == pytest.approx(-np.log(np.exp(-h).mean()), abs=1e-10)
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_two_classes_have_one_logit():
    X, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = MLPClassifier(hidden_layer_sizes=(6,), max_iter=200, random_state=0).fit(X, y == 0)
    model = NEON(layers=network).fit(X)
    p = network.predict_proba(X)
    np.testing.assert_allclose(model.evidence(X, cluster=1), np.log(p[:, 1] / p[:, 0]), atol=1e-6)


# ---------------------------------------------------------------------- reading


class Tensor:
    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float32)

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.values


def module(name, **attributes):
    """Make what has the name and the attributes of one of torch's modules."""
    return type(name, (), attributes)()


def sequential(*modules):
    methods = {"__iter__": lambda self: iter(modules), "modules": lambda self: None, "state_dict": lambda self: None}
    return type("Sequential", (), methods)()


def linear(weights, biases):
    return module("Linear", weight=Tensor(weights), bias=None if biases is None else Tensor(biases))


def test_torch_networks_are_read_and_batch_norm_is_folded():
    rng = np.random.default_rng(0)
    W, b, V = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(2, 4))
    mean, variance, scale, shift = rng.normal(size=4), rng.uniform(1, 2, 4), rng.normal(size=4), rng.normal(size=4)
    norm = module(
        "BatchNorm1d",
        running_mean=Tensor(mean),
        running_var=Tensor(variance),
        eps=1e-5,
        weight=Tensor(scale),
        bias=Tensor(shift),
    )
    for order in ("before", "after"):
        relu = module("ReLU")
        middle = (norm, relu) if order == "before" else (relu, norm)
        inner = sequential(linear(W, b), *middle)
        layers = read_layers(sequential(module("Flatten"), inner, module("Dropout"), linear(V, None)))
        X = rng.normal(size=(10, 3))
        z = X @ W.T + b
        if order == "before":
            hidden = np.maximum((z - mean) / np.sqrt(variance + 1e-5) * scale + shift, 0)
        else:
            hidden = (np.maximum(z, 0) - mean) / np.sqrt(variance + 1e-5) * scale + shift
        assert [layer.activation for layer in layers] == ["relu", "identity"]
        np.testing.assert_allclose(forward(layers, X)[-1], hidden @ V.T, atol=1e-5)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_scikit_learn_networks_are_read(activation):
    X, _ = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = MLPRegressor(hidden_layer_sizes=(5, 4), activation=activation, max_iter=20, random_state=0).fit(
            X, X[:, :2]
        )
    np.testing.assert_allclose(forward(read_layers(network), X)[-1], network.predict(X), atol=1e-10)


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        ("relu", TypeError, "layers must be a fitted MLPClassifier"),
        ([], ValueError, "layers must not be empty"),
        ([(np.eye(2),)], TypeError, r"layer 0 must be \(weights, biases\)"),
        ([("a", "b")], ValueError, "layer 0 must have arrays of numbers"),
        ([(np.eye(2), np.zeros(3))], ValueError, "layer 0 must have weights of shape"),
        ([(np.ones((2, 3)), np.zeros(3)), (np.ones((2, 3)), np.zeros(3))], ValueError, "layer 1 takes 2 inputs"),
        ([(np.eye(2), np.array([0, np.nan]))], ValueError, "not finite"),
        ([(np.eye(2), np.zeros(2), "gelu")], ValueError, "layer 0 must have one of the activations"),
        ([(np.eye(2), np.zeros(2), "softmax"), (np.eye(2), np.zeros(2))], ValueError, "layer 0 must have one of"),
        (MLPClassifier(), NotFittedError, "this MLPClassifier is not fitted"),
        (sequential(module("Conv2d")), ValueError, "torch's Conv2d is not known"),
        (sequential(module("ReLU")), ValueError, "must begin with a linear layer"),
        (sequential(linear(np.eye(2), None), module("ReLU"), module("Tanh")), ValueError, "two activations"),
    ],
)
def test_networks_that_cannot_be_read(network, error, message):
    with pytest.raises(error, match=message):
        read_layers(network)
