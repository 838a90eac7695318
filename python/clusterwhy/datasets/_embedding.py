"""Random orthonormal maps from the latent space to the signal features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: "label_aware" takes one map per cluster; the maps depend on the labels and so leak them.
EMBEDDINGS = ("shared", "label_aware", None)


def orthonormal_map(n_signal: int, latent_dim: int, rng: np.random.RandomState) -> npt.NDArray[np.float64]:
    """Return a matrix of shape (n_signal, latent_dim) with orthonormal columns, uniform (Haar) among them."""
    q, r = np.linalg.qr(rng.standard_normal((n_signal, latent_dim)))
    # QR alone is not uniform: its signs depend on the LAPACK in use until the diagonal of r is positive.
    embedding: npt.NDArray[np.float64] = q * np.sign(np.diag(r))
    return embedding


def embed(
    latent: npt.NDArray[np.float64],
    y: npt.NDArray[np.int64],
    n_signal: int,
    embedding: str | None,
    rng: np.random.RandomState,
) -> npt.NDArray[np.float64]:
    """Return the latent observations as rows of `n_signal` features."""
    latent_dim = latent.shape[1]
    if embedding is None:
        return latent
    if embedding == "shared":
        shared: npt.NDArray[np.float64] = latent @ orthonormal_map(n_signal, latent_dim, rng).T
        return shared
    signal = np.empty((latent.shape[0], n_signal))
    for k in range(int(y.max()) + 1):
        signal[y == k] = latent[y == k] @ orthonormal_map(n_signal, latent_dim, rng).T
    return signal
