"""The losses of interpretable deep clustering in plain NumPy, written from the formulas, one observation at a time.

Networks are lists of layers, each (weights, vectors); the core keeps the same numbers in one flat array.
"""

from itertools import pairwise

import numpy as np
from scipy.special import erf


def layers_of(widths, kind, flat):
    """Cut a flat array into the layers of a network."""
    layers, start = [], 0
    for i, (n, m) in enumerate(pairwise(widths)):
        normed = kind == "norm_relu" and i < len(widths) - 2
        weights = flat[start : start + n * m].reshape(n, m)
        start += n * m
        vectors = [flat[start + m * j : start + m * (j + 1)] for j in range(2 if normed else 1)]
        start += m * len(vectors)
        layers.append((weights, vectors))
    return layers, flat[start:]


def forward(layers, kind, x):
    """Pass one group of rows through a network in training."""
    for weights, vectors in layers:
        x = x @ weights
        if len(vectors) == 2:
            gain, shift = vectors
            x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
            x = np.maximum(gain * x + shift, 0)
        else:
            x = x + vectors[0]
            if kind == "tanh":
                x = np.tanh(x)
    return x


def clip(values):
    return np.minimum(np.maximum(values, 0), 1)


def open_chance(mu, sigma=0.5):
    return 0.5 - 0.5 * erf(-(mu + 0.5) / (np.sqrt(2) * sigma))


def total_rate(z, epsilon):
    n, d = z.shape
    w = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    return 0.5 * np.linalg.slogdet(np.eye(d) + d / (n * epsilon) * w.T @ w)[1]


def clusters_rate(w, p, epsilon):
    n, d = w.shape
    rate = 0.0
    for k in range(p.shape[1]):
        t = p[:, k].sum() + 1e-8
        moments = sum(p[i, k] * np.outer(w[i], w[i]) for i in range(n))
        rate += t / (2 * n) * np.linalg.slogdet(np.eye(d) + d / (t * epsilon) * moments)[1]
    return rate


def autoencoder_terms(gating_size, widths, parameters, x, gates, mask, latent, settings):
    d = x.shape[1]
    gating, rest = layers_of([d, gating_size, d], "tanh", parameters)
    encoder, rest = layers_of(widths, "norm_relu", rest)
    decoder, rest = layers_of(widths[::-1], "norm_relu", rest)
    assert rest.size == 0

    def encode(values):
        return forward(encoder, "norm_relu", values)

    def error(embedding):
        difference = forward(decoder, "norm_relu", embedding) - x
        return np.abs(difference).mean() if settings["absolute"] else (difference**2).mean()

    terms = {"clean": error(encode(x)), "masked": error(encode(x * mask)), "latent": error(encode(x) * latent)}
    terms |= {"gated": 0.0, "sparsity": 0.0, "rate": 0.0}
    if settings["gated"]:
        mu = forward(gating, "tanh", x)
        z = clip(0.5 + mu + gates)
        terms["gated"] = error(encode(x * z))
        terms["sparsity"] = open_chance(mu).mean()
        if settings["diversity"] > 0:
            terms["rate"] = total_rate(z, settings["precision"]) / len(x)
    terms["loss"] = (
        sum(terms[name] for name in ("clean", "masked", "latent", "gated"))
        + settings["sparsity"] * terms["sparsity"]
        - settings["diversity"] * terms["rate"]
    )
    return terms


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def head_loss(widths, parameters, embedding, noise, temperature, precision):
    head, rest = layers_of(widths, "norm_relu", parameters)
    assert rest.size == 0
    chances = softmax(forward(head, "norm_relu", embedding))
    memberships = softmax((np.log(chances) + noise) / temperature)
    return clusters_rate(embedding, memberships, precision) / widths[0]


def global_gates_terms(widths, parameters, x, labels, noise):
    d, k = widths[0], widths[-1]
    mu = np.tanh(parameters[: k * d].reshape(k, d))
    classifier, rest = layers_of(widths, "norm_relu", parameters[k * d :])
    assert rest.size == 0
    gated = np.array([x[i] * clip(0.5 + mu[labels[i]] + noise[i]) for i in range(len(x))])
    chances = softmax(forward(classifier, "norm_relu", gated))
    return -np.log(chances[np.arange(len(x)), labels]).mean(), open_chance(mu).mean()
