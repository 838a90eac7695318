"""A kernel k-means network that stands in for any clustering: fitted to its labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from clusterwhy.comparators.neon._kernel_kmeans import KernelKMeansNetwork, pool_kernels
from clusterwhy.native import KMeans

Floats = NDArray[np.float64]

# How strongly fine-tuned weights are held to the shares they start from, in nats per squared nat and observation.
RIDGE = 1e-4
# Turns of the fine-tuning at most.
MAX_TURNS = 100


def fit_surrogate(
    X: Floats, codes: NDArray[np.int32], n_support: int, gamma: float | None, seed: int
) -> KernelKMeansNetwork:
    """Fit a kernel k-means network to labels.

    The support vectors of a cluster are its k-means centres, weighted by their shares of its observations. Taken as
    the means of a mixture of spherical Gaussian distributions of one variance, they give `gamma`. The weights are
    then fine-tuned to the likelihood of the labels; positions and `gamma` are not, so that the boundary moves
    as little as it must.

    Parameters
    ----------
    X : ndarray of shape (N, M)
    codes : ndarray of shape (N,)
        ``0..K - 1``, each of which occurs.
    n_support : int
        Support vectors of a cluster, but at most one for two observations.
    gamma : float or None
        Of the Gaussian kernel; None is ``1 / (2 variance)`` of the mixture.
    seed : int
        Of k-means.
    """
    vectors, shares, squares = [], [], 0.0
    for k in range(int(codes.max()) + 1):
        members = X[codes == k]
        found = KMeans(min(n_support, (len(members) + 1) // 2), n_init=1, random_state=seed)._fit(members)
        counts = np.bincount(found.labels_, minlength=len(found.cluster_centers_))
        vectors.append(found.cluster_centers_[counts > 0])
        shares.append(counts[counts > 0] / len(members))
        squares += float(np.square(members - found.cluster_centers_[found.labels_]).sum())
    support = np.concatenate(vectors)
    starts = np.cumsum([0, *(len(part) for part in shares[:-1])])
    fitting = _gamma_of_mixture(X, squares, len(support))
    network = KernelKMeansNetwork(support, np.log(np.concatenate(shares)), starts, gamma or fitting)
    return network._replace(log_weights=_fine_tune(network, X, codes, fitting / network.gamma))


def _gamma_of_mixture(X: Floats, squares: float, n_vectors: int) -> float:
    """Return ``1 / (2 variance)`` for `squares` around the vectors; around the mean, where these have none."""
    freedom = len(X) - n_vectors
    if squares <= 0:
        squares, freedom = float(np.square(X - X.mean(axis=0)).sum()), len(X)
    return freedom * X.shape[1] / (2.0 * squares) if squares > 0 else 1.0


def _fine_tune(network: KernelKMeansNetwork, X: Floats, codes: NDArray[np.int32], scale: float) -> Floats:
    """Return log weights under which the labels are likelier, with logits ``-gamma scale S``."""
    energies, first = network.energies(X), network.log_weights
    rows, sizes = np.arange(len(X)), np.diff(network.starts, append=len(first))

    def loss_and_slope(log_weights: Floats) -> tuple[float, Floats]:
        sums, gibbs = pool_kernels(energies + log_weights, network.starts)
        wrong = softmax(scale * sums, axis=1)
        likelihood = np.maximum(wrong[rows, codes], np.finfo(np.float64).tiny)
        wrong[rows, codes] -= 1.0
        gibbs *= np.repeat(scale * wrong, sizes, axis=1)
        away = log_weights - first
        return float(RIDGE * (away @ away) - np.log(likelihood).mean()), gibbs.mean(axis=0) + 2 * RIDGE * away

    found = minimize(loss_and_slope, first, jac=True, method="L-BFGS-B", options={"maxiter": MAX_TURNS})
    return np.asarray(found.x)
