"""Reads the layers of a fitted multi-layer perceptron: scikit-learn's, torch's, or plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from clusterwhy._fitting import name_of
from clusterwhy.comparators.neon._layers import ACTIVATIONS, SOFTMAX, Layer

Floats = NDArray[np.float64]

# Modules of torch that compute nothing once a network is trained, on data that are flat.
_IDLE = ("Dropout", "Flatten", "Identity")
_TORCH_ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "Tanh": "tanh", "Sigmoid": "logistic"}
_TORCH_SOFTMAX = ("Softmax", "LogSoftmax")


def read_layers(network: Any) -> list[Layer]:
    """Return the layers of a fitted multi-layer perceptron, batch norm folded in.

    Parameters
    ----------
    network : MLPClassifier, MLPRegressor, torch.nn.Sequential or list of Layer or tuple
        A tuple is ``(weights, biases)`` or ``(weights, biases, activation)``, as in :class:`Layer`. Of torch's
        modules: Linear, BatchNorm1d (with its running statistics), ReLU, LeakyReLU, Tanh, Sigmoid, Softmax,
        Identity, Dropout, Flatten, and Sequential itself.

    Returns
    -------
    list of Layer
        Linear maps without an activation between them are one layer. A list: ``read_layers(network)[:2]`` is
        the first two layers, say the encoder of an autoencoder.

    Raises
    ------
    TypeError, ValueError
        For what is not such a network, and for modules that are not known.
    NotFittedError
        For an estimator that was not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterwhy.comparators import read_layers
    >>> [layer] = read_layers([(np.eye(2), np.zeros(2))])
    >>> layer.activation
    'relu'
    """
    if hasattr(type(network), "encoder_layers_"):
        raise TypeError(
            f"a {type(network).__name__} has its layers in encoder_layers_, which take gated data: pass those, and "
            "gate(X) in place of X"
        )
    if hasattr(network, "coefs_") or hasattr(network, "hidden_layer_sizes"):
        layers = _read_sklearn(network)
    elif callable(getattr(network, "modules", None)) and hasattr(network, "state_dict"):
        layers = _read_torch(network)
    elif isinstance(network, Sequence) and not isinstance(network, (str, bytes)):
        layers = [_read_arrays(layer, i) for i, layer in enumerate(network)]
    else:
        raise TypeError(
            "layers must be a fitted MLPClassifier or MLPRegressor, a torch.nn.Sequential, or a list of (weights, "
            f"biases, activation), got {network!r} of type {type(network).__name__}"
        )
    return _fold(_check_chain(layers))


def _read_sklearn(network: Any) -> list[Layer]:
    if not hasattr(network, "coefs_"):
        raise NotFittedError(
            f"layers: this {name_of(network)} is not fitted; fit it first, and where scikit-learn clones NEON, which "
            "unfits it, pass read_layers(network)"
        )
    last = len(network.coefs_) - 1
    layers = [
        Layer(_array(w), _array(b), network.activation if i < last else network.out_activation_)
        for i, (w, b) in enumerate(zip(network.coefs_, network.intercepts_, strict=True))
    ]
    if layers[-1].activation == "logistic" and hasattr(network, "classes_") and layers[-1].weights.shape[1] == 1:
        # Two classes have one logit, of the second against the first.
        weights, biases, _ = layers[-1]
        layers[-1] = Layer(np.pad(weights, ((0, 0), (1, 0))), np.pad(biases, (1, 0)), SOFTMAX)
    return layers


def _read_arrays(layer: Any, index: int) -> Layer:
    parts = tuple(layer) if isinstance(layer, (tuple, list)) else ()
    if len(parts) not in (2, 3):
        raise TypeError(f"layer {index} must be (weights, biases) or (weights, biases, activation), got {layer!r}")
    try:
        weights, biases = _array(parts[0]), _array(parts[1])
    except (TypeError, ValueError) as error:
        raise ValueError(f"layer {index} must have arrays of numbers as weights and biases: {error}") from error
    return Layer(weights, biases, *parts[2:])


def _read_torch(network: Any) -> list[Layer]:
    """Read modules by the names of their classes: torch itself is not needed for that."""
    layers: list[Layer] = []
    for module in _flat(network):
        kind = type(module).__name__
        if kind == "Linear":
            weights = _array(module.weight).T
            biases = np.zeros(weights.shape[1]) if module.bias is None else _array(module.bias)
            layers.append(Layer(weights, biases, "identity"))
        elif kind == "BatchNorm1d":
            layers.append(_read_batch_norm(module))
        elif kind in _TORCH_ACTIVATIONS or kind in _TORCH_SOFTMAX:
            if not layers:
                raise ValueError(f"layers: a torch network must begin with a linear layer, got {kind}")
            if kind == "LeakyReLU" and module.negative_slope != 0.01:
                raise ValueError(f"layers: LeakyReLU must have the slope 0.01, got {module.negative_slope}")
            if layers[-1].activation != "identity":
                raise ValueError(f"layers: two activations follow one another, {layers[-1].activation} and {kind}")
            layers[-1] = layers[-1]._replace(activation=_TORCH_ACTIVATIONS.get(kind, SOFTMAX))
        elif kind not in _IDLE:
            known = ("Linear", "BatchNorm1d", *_TORCH_ACTIVATIONS, *_TORCH_SOFTMAX, *_IDLE, "Sequential")
            raise ValueError(f"layers: torch's {kind} is not known; known are {', '.join(known)}")
    return layers


def _flat(module: Any) -> list[Any]:
    if type(module).__name__ != "Sequential":
        return [module]
    return [inner for child in module for inner in _flat(child)]


def _read_batch_norm(module: Any) -> Layer:
    if module.running_mean is None:
        raise ValueError("layers: BatchNorm1d must have running statistics (track_running_stats=True)")
    scale = 1.0 / np.sqrt(_array(module.running_var) + module.eps)
    if module.weight is not None:
        scale = scale * _array(module.weight)
    biases = -_array(module.running_mean) * scale
    if module.bias is not None:
        biases = biases + _array(module.bias)
    return Layer(np.diag(scale), biases, "identity")


def _array(values: Any) -> Floats:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _check_chain(layers: list[Layer]) -> list[Layer]:
    if not layers:
        raise ValueError("layers must not be empty")
    for i, (weights, biases, activation) in enumerate(layers):
        if weights.ndim != 2 or biases.shape != weights.shape[1:] or 0 in weights.shape:
            raise ValueError(
                f"layer {i} must have weights of shape (n_inputs, n_outputs) and biases of shape (n_outputs,), "
                f"got {weights.shape} and {biases.shape}"
            )
        if i and weights.shape[0] != layers[i - 1].weights.shape[1]:
            raise ValueError(
                f"layer {i} takes {weights.shape[0]} inputs, but layer {i - 1} has {layers[i - 1].weights.shape[1]} "
                "outputs; weights have the shape (n_inputs, n_outputs), the transpose of torch's"
            )
        if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
            raise ValueError(f"layer {i} has weights or biases that are not finite")
        allowed = ACTIVATIONS if i < len(layers) - 1 else (*ACTIVATIONS, SOFTMAX)
        if not isinstance(activation, str) or activation not in allowed:
            known = ", ".join(map(repr, ACTIVATIONS))
            raise ValueError(
                f"layer {i} must have one of the activations {known}, or {SOFTMAX!r} if it is the last, "
                f"got {activation!r}"
            )
    return layers


def _fold(layers: list[Layer]) -> list[Layer]:
    """Compose linear maps that have no activation between them."""
    folded = layers[:1]
    for layer in layers[1:]:
        before = folded[-1]
        if before.activation == "identity":
            biases = before.biases @ layer.weights + layer.biases
            folded[-1] = Layer(before.weights @ layer.weights, biases, layer.activation)
        else:
            folded.append(layer)
    return folded
