"""The layers of a multi-layer perceptron: what they compute, and how relevance passes back through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

# Elementwise, and increasing with what they are given, so that relevance passes them unchanged.
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "logistic": expit,
}
# The probabilities at the end of a classifier: only the logits below them can be explained.
SOFTMAX = "softmax"


class Layer(NamedTuple):
    """A linear map and an activation, ``activation(x @ weights + biases)``.

    Attributes
    ----------
    weights : ndarray of shape (n_inputs, n_outputs)
        As in scikit-learn's ``coefs_``.
    biases : ndarray of shape (n_outputs,)
    activation : {"identity", "relu", "leaky_relu", "tanh", "logistic", "softmax"}, default="relu"
        "leaky_relu" has the slope .01; "softmax" may only come last.
    """

    weights: Floats
    biases: Floats
    activation: str = "relu"


def forward(layers: Sequence[Layer], X: Floats) -> list[Floats]:
    """Return what enters each layer, and last what leaves them."""
    values = [X]
    for layer in layers:
        values.append(ACTIVATIONS[layer.activation](values[-1] @ layer.weights + layer.biases))
    return values


def backward(
    layers: Sequence[Layer], values: Sequence[Floats], relevance: Floats, gamma: float, epsilon: float
) -> Floats:
    """Pass relevance (n, n_outputs) from the last layer's outputs to the first one's inputs (n, n_inputs)."""
    for layer, inputs in zip(reversed(layers), reversed(values[:-1]), strict=True):
        relevance = propagate(layer, inputs, relevance, gamma, epsilon)
    return relevance


def propagate(layer: Layer, inputs: Floats, relevance: Floats, gamma: float, epsilon: float) -> Floats:
    """Pass relevance through one layer by the generalised gamma rule.

    An output with ``z = sum_i a_i w_i + b`` hands out its relevance in proportion to
    ``a_i w_i + gamma [a_i w_i]``, where ``[t]`` is t if its sign is that of z and 0 if not. `gamma` favours what
    speaks for an output over what speaks against it, and bounds how much the two may exceed their sum. For
    inputs and outputs that are not negative it is LRP-gamma; with ``gamma = 0``, LRP-epsilon. The bias takes part
    and keeps its share.
    """
    positive, negative = np.maximum(inputs, 0.0), np.minimum(inputs, 0.0)
    up, down = np.maximum(layer.weights, 0.0), np.minimum(layer.weights, 0.0)
    raising = positive @ up + negative @ down + np.maximum(layer.biases, 0.0)
    lowering = positive @ down + negative @ up + np.minimum(layer.biases, 0.0)
    z = inputs @ layer.weights + layer.biases
    above = z >= 0
    total = z + gamma * np.where(above, raising, lowering)
    total += np.where(above, epsilon, -epsilon)
    share = np.divide(relevance, total, out=np.zeros_like(total), where=total != 0)
    out: Floats = inputs * (share @ layer.weights.T)
    if gamma > 0:
        share *= gamma
        of_raised, of_lowered = np.where(above, share, 0.0), np.where(above, 0.0, share)
        out += positive * (of_raised @ up.T + of_lowered @ down.T)
        out += negative * (of_raised @ down.T + of_lowered @ up.T)
    return out
