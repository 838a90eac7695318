"""Leiden clustering as a scikit-learn clusterer, so that minipatches can be clustered as cells are."""

from __future__ import annotations

import random
import threading
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from clusterwhy._importances import import_extra
from clusterwhy._tables import read_table
from clusterwhy._validation import check_count, check_nonnegative, seed_from_random_state

# igraph has one generator for the whole process.
_GENERATOR = threading.Lock()
# Halvings of the interval of a bandwidth: more than doubles resolve.
_HALVINGS = 64


class Leiden(ClusterMixin, BaseEstimator):
    """Leiden clustering of the nearest-neighbour graph, with the parameters of scanpy.

    What ``scanpy.pp.pca``, ``scanpy.pp.neighbors`` and ``scanpy.tl.leiden(flavor="igraph")`` do, on whatever data it
    is given: principal components, the weighted graph of nearest neighbours that UMAP builds [1]_, and the Leiden
    algorithm [2]_ for the modularity. It suits labels that come from Louvain as well, which seeks the same
    optimum.

    Parameters
    ----------
    resolution : float, default=1.0
        The larger, the more clusters. Minipatches have fewer cells than the data, and so want more than the
        resolution that was used on all of them: raise it until no cluster is lost (a warning says which are).
    n_neighbors : int, default=15
        Size of a neighbourhood, with the cell itself; fewer where there are fewer cells.
    n_pcs : int, default=50
        Principal components that distances are taken in; fewer where there are fewer cells or features. 0
        takes them in the features themselves.
    n_iterations : int, default=2
        Rounds of the Leiden algorithm; -1 goes on until nothing changes.
    random_state : int, RandomState, Generator or None, default=None
        Inside :func:`rank_genes_loco` and :class:`~clusterwhy.LOCOMP` every minipatch has its own seed.

    Attributes
    ----------
    labels_ : ndarray of shape (N,) of int64
        ``0..K - 1``.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Raises
    ------
    ImportError
        From ``fit``, when igraph is not installed (it comes with ``clusterwhy[scanpy]``).

    See Also
    --------
    rank_genes_loco : Explains the clusters of an AnnData.

    Notes
    -----
    Threads take turns in igraph, whose random generator is one for the process; processes do not.

    References
    ----------
    .. [1] McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension
       Reduction", arXiv 1802.03426, section 3.1.
    .. [2] Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing well-connected communities",
       Scientific Reports 9, 5233 (2019).

    Examples
    --------
    >>> from clusterwhy.scanpy import Leiden
    >>> from sklearn.datasets import make_blobs
    >>> X, _ = make_blobs(150, centers=3, random_state=0, cluster_std=0.3)
    >>> sorted(set(Leiden(resolution=0.1, random_state=0).fit_predict(X).tolist()))
    [0, 1, 2]
    """

    def __init__(
        self,
        resolution: float = 1.0,
        *,
        n_neighbors: int = 15,
        n_pcs: int = 50,
        n_iterations: int = 2,
        random_state: Any = None,
    ) -> None:
        self.resolution = resolution
        self.n_neighbors = n_neighbors
        self.n_pcs = n_pcs
        self.n_iterations = n_iterations
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (N, M)
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self
        """
        igraph = import_extra("igraph", "scanpy", "Leiden")
        resolution = check_nonnegative(self.resolution, "resolution")
        n_neighbors = check_count(self.n_neighbors, "n_neighbors", minimum=2)
        n_pcs = check_count(self.n_pcs, "n_pcs", minimum=0)
        n_iterations = check_count(self.n_iterations, "n_iterations", minimum=-1)
        if n_iterations == 0:
            raise ValueError("n_iterations must be positive, or -1 to go on until nothing changes, got 0")
        X = read_table(self, X, ensure_min_samples=3)
        seed = seed_from_random_state(self.random_state)
        if 0 < n_pcs < X.shape[1]:
            # The solver wants fewer components than there are rows or columns.
            n_pcs = min(n_pcs, min(X.shape) - 1)
            X = PCA(n_pcs, svd_solver="arpack", random_state=seed % 2**32).fit_transform(X)
        weights = sparse.triu(neighbor_graph(X, min(n_neighbors, len(X))), k=1).tocoo()
        graph = igraph.Graph(n=len(X), edges=np.column_stack([weights.row, weights.col]))
        with _GENERATOR:
            igraph.set_random_number_generator(random.Random(seed))
            try:
                found = graph.community_leiden(
                    objective_function="modularity",
                    weights=weights.data,
                    resolution=resolution,
                    n_iterations=n_iterations,
                )
            finally:
                # What igraph starts with.
                igraph.set_random_number_generator(random)
        self.labels_ = np.asarray(found.membership, dtype=np.int64)
        return self


def neighbor_graph(X: NDArray[Any], n_neighbors: int) -> sparse.csr_matrix:
    """Build UMAP's graph of nearest neighbours: symmetric weights of shape (N, N) from 0 to 1.

    The weight that observation i gives to a neighbour at distance d is ``exp(-max(0, d - rho) / sigma)``, where
    rho is the distance of its nearest other neighbour and sigma is such that its weights sum to
    ``log2(n_neighbors)``. Two weights of a pair join as ``a + b - a b``.
    """
    n_samples = len(X)
    distances, neighbors = NearestNeighbors(n_neighbors=n_neighbors - 1).fit(X).kneighbors()
    distances = distances.astype(np.float64)
    apart = np.where(distances > 0, distances, np.inf).min(axis=1)
    nearest = np.where(np.isfinite(apart), apart, 0.0)
    excess = np.maximum(distances - nearest[:, None], 0)
    # As UMAP counts them: with the observation itself, at distance 0.
    mean = distances.sum(axis=1) / n_neighbors
    bandwidth = np.maximum(_bandwidths(excess, np.log2(n_neighbors)), 1e-3 * np.where(nearest > 0, mean, mean.mean()))
    weights = np.exp(-excess / bandwidth[:, None])
    rows = np.repeat(np.arange(n_samples), n_neighbors - 1)
    graph = sparse.csr_matrix((weights.ravel(), (rows, neighbors.ravel())), shape=(n_samples, n_samples))
    return (graph + graph.T - graph.multiply(graph.T)).tocsr()


def _bandwidths(excess: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """Solve ``sum(exp(-excess / sigma)) = target`` for the sigma of each row, by bisection."""
    low, high = np.zeros(len(excess)), np.full(len(excess), np.inf)
    sigma = np.ones(len(excess))
    for _ in range(_HALVINGS):
        above = np.exp(-excess / sigma[:, None]).sum(axis=1) > target
        high, low = np.where(above, sigma, high), np.where(above, low, sigma)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
    return sigma
