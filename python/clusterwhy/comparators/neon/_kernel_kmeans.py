"""Kernel k-means as a network: soft minima of distances to support vectors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clusterwhy.comparators.neon._kmeans import relative_distances, weighted_squares

Floats = NDArray[np.float64]


class KernelKMeansNetwork(NamedTuple):
    """Clusters by the smallest ``S_k = -log(sum_j pi_j exp(-gamma |x - u_j|^2)) / gamma`` over own support vectors.

    Eq. 10's reassignment cancels the inner neurons ``h_ijk``, and what is left of all pairs of support vectors is
    ``E_k - E_c``, where ``E_k`` is the mean of ``(x - u_j)^2`` by coordinate under the Gibbs weights of cluster k.

    Attributes
    ----------
    vectors : ndarray of shape (P, M)
        Those of the first cluster first.
    log_weights : ndarray of shape (P,)
        ``log pi``.
    starts : ndarray of shape (K,)
        First support vector of each cluster.
    gamma : float
        Per squared unit of the data.
    """

    vectors: Floats
    log_weights: Floats
    starts: NDArray[np.intp]
    gamma: float

    def distances(self, X: Floats) -> Floats:
        """Return ``S`` (n, K), less what the clusters share."""
        sums, _ = pool_kernels(self.energies(X) + self.log_weights, self.starts)
        return sums / -self.gamma

    def relevance(self, X: Floats, pull: Floats) -> Floats:
        """Return ``sum_k pull_k E_k`` by coordinate (n, M); the rows of `pull` sum to 0."""
        _, gibbs = pool_kernels(self.energies(X) + self.log_weights, self.starts)
        gibbs *= np.repeat(pull, np.diff(self.starts, append=len(self.vectors)), axis=1)
        origin = self.vectors.mean(axis=0)
        return weighted_squares(X - origin, gibbs, self.vectors - origin)

    def energies(self, X: Floats) -> Floats:
        """Return ``-gamma |x - u_j|^2`` (n, P), less what the support vectors share."""
        origin = self.vectors.mean(axis=0)
        return relative_distances(X - origin, self.vectors - origin) * -self.gamma


def pool_kernels(logs: Floats, starts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Sum kernels over each cluster, from their logs (n, P), which are overwritten.

    Returns
    -------
    sums : ndarray of shape (n, K)
        Logs of the sums.
    gibbs : ndarray of shape (n, P)
        Each kernel's share of its cluster's sum.
    """
    sizes = np.diff(starts, append=logs.shape[1])
    top = np.maximum.reduceat(logs, starts, axis=1)
    logs -= np.repeat(top, sizes, axis=1)
    gibbs = np.exp(logs, out=logs)
    total = np.add.reduceat(gibbs, starts, axis=1)
    gibbs /= np.repeat(total, sizes, axis=1)
    return top + np.log(total), gibbs
