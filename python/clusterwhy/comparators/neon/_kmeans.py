"""k-means as a network: distances to centres, and their parts by coordinate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class KMeansNetwork(NamedTuple):
    """Clusters by the nearest of `centres` (K, M).

    With ``h_k = d_k - d_c``, ``d`` the squared distances, every part ``(x_i - mu_ki)^2 - (x_i - mu_ci)^2`` is the
    product of the linear layer's weight ``2 (mu_ci - mu_ki)`` and ``x_i`` less the midpoint of the two centres.
    """

    centres: Floats

    def distances(self, X: Floats) -> Floats:
        """Return squared distances (n, K), less what the clusters share."""
        origin = self.centres.mean(axis=0)
        return relative_distances(X - origin, self.centres - origin)

    def relevance(self, X: Floats, pull: Floats) -> Floats:
        """Return ``sum_k pull_k (x - mu_k)^2`` by coordinate (n, M); the rows of `pull` sum to 0."""
        origin = self.centres.mean(axis=0)
        return weighted_squares(X - origin, pull, self.centres - origin)


def relative_distances(X: Floats, vectors: Floats) -> Floats:
    """Return ``|x - u|^2 - |x|^2`` (n, P). Both sides should be about 0, or digits are lost."""
    out: Floats = X @ (-2.0 * vectors.T)
    out += np.square(vectors).sum(axis=1)
    return out


def weighted_squares(X: Floats, weights: Floats, vectors: Floats) -> Floats:
    """Return ``sum_j weights_j (x - u_j)^2`` by coordinate (n, M), for rows of `weights` that sum to 0."""
    out: Floats = weights @ (-2.0 * vectors)
    out *= X
    out += weights @ np.square(vectors)
    return out
