"""From latent clusters to a data set: embed, shuffle, append noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from clusterwhy._validation import check_count, check_option, check_positive

from ._embedding import EMBEDDINGS, embed
from ._noise import noise_block, noise_kinds
from ._validation import Simulation


def latent_dimension(latent_dim: Any, n_signal: int, embedding: Any) -> int:
    """Return the latent dimension that the options ask for; None means `n_signal`."""
    check_option(embedding, "embedding", EMBEDDINGS)
    if latent_dim is None:
        return n_signal
    dim = check_count(latent_dim, "latent_dim", minimum=1)
    if dim > n_signal:
        raise ValueError(f"latent_dim={dim} does not fit in n_signal={n_signal} features.")
    if embedding is None and dim != n_signal:
        raise ValueError(
            f"embedding=None needs latent_dim == n_signal, got {dim} and {n_signal}: "
            "pass embedding='shared' to map the latent space to more features."
        )
    return dim


def within_cluster_scale(X: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    """Root mean square, over observations and features, of the deviation from the cluster mean."""
    squares = 0.0
    for k in np.unique(y):
        rows = X[y == k]
        squares += float(((rows - rows.mean(axis=0)) ** 2).sum())
    return float(np.sqrt(squares / X.size))


def noise_standard_deviation(noise_scale: Any, signal: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    """Return the standard deviation of the noise columns that `noise_scale` asks for."""
    if isinstance(noise_scale, str):
        if noise_scale == "within":
            return within_cluster_scale(signal, y)
        if noise_scale == "total":
            return within_cluster_scale(signal, np.zeros_like(y))
        raise ValueError(f"noise_scale must be 'within', 'total' or a number, got {noise_scale!r}.")
    return check_positive(noise_scale, "noise_scale")


def assemble(
    latent: npt.NDArray[np.float64],
    y: npt.NDArray[np.int64],
    *,
    n_signal: int,
    n_noise: Any,
    embedding: str | None,
    noise: Any,
    noise_scale: Any,
    shuffle: bool,
    shuffle_features: bool,
    rng: np.random.RandomState,
) -> Simulation:
    """Return X, y and the indices of the signal features.

    Noise is drawn last, so that the signal columns of a seed are the same for every `n_noise`.
    """
    n_noise = check_count(n_noise, "n_noise", minimum=0)
    kinds = noise_kinds(noise)
    signal = embed(latent, y, n_signal, embedding, rng)
    if shuffle:
        order = rng.permutation(len(y))
        signal, y = signal[order], y[order]
    scale = noise_standard_deviation(noise_scale, signal, y)
    if scale == 0 and n_noise > 0 and set(kinds) != {"permuted"}:
        raise ValueError(f"noise_scale={noise_scale!r} needs a cluster of two observations, to have a spread of.")
    X = np.hstack([signal, noise_block(signal, n_noise, kinds, scale, rng)])
    indices = np.arange(n_signal, dtype=np.int64)
    if shuffle_features:
        columns = rng.permutation(n_signal + n_noise)
        X = np.ascontiguousarray(X[:, columns])
        indices = np.flatnonzero(columns < n_signal).astype(np.int64)
    return X, y, indices
