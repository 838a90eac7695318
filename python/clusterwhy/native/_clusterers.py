"""Clusterers: linkage, k-means, spectral clustering."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from clusterwhy import _core
from clusterwhy._native_params import NativeMethod, read_agglomerative, read_kmeans, read_spectral
from clusterwhy._tables import check_size_of_values, read_table
from clusterwhy._validation import seed_from_random_state
from clusterwhy._warnings import warn_user

from ._reading import read


class _Clusterer(ClusterMixin, BaseEstimator):
    """What all clusterers do: check, and let the core cluster."""

    n_clusters: int
    # A single observation has no distances; k-means alone makes sense of it.
    _min_samples: ClassVar[int] = 2

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (N, M)
            float32 or float64, kept as such; other numbers become float64.
        y : ignored
            For scikit-learn's pipelines.

        Returns
        -------
        self
        """
        self._fit(X)
        found = len(np.unique(self.labels_))
        if found < self.n_clusters:
            warn_user(
                f"{found} clusters found, and n_clusters={self.n_clusters}: fewer observations than that are "
                "distinct, or clusters were left without any",
                ConvergenceWarning,
            )
        return self

    def _fit(self, X: Any) -> Self:
        """Cluster without a word on how many clusters were found: as a start of something else."""
        method = self._read()
        columns = getattr(X, "columns", None)
        X = read_table(self, X, order="C", ensure_min_samples=self._min_samples)
        check_size_of_values(X, columns)
        for name in ("n_clusters", "n_components", "n_neighbors"):
            value = method.params.get(name)
            if value is not None and value > len(X):
                raise ValueError(f"{name}={value} is more than there are observations, n_samples={len(X)}")
        seed = seed_from_random_state(getattr(self, "random_state", 0))
        self._keep(_core.native_fit_clusters(X, method.name, method.params, seed), X.dtype)
        return self

    def _read(self) -> NativeMethod:
        raise NotImplementedError

    def _keep(self, found: dict[str, Any], dtype: np.dtype[Any]) -> None:
        self.labels_ = found["labels"]


class Ward(_Clusterer):
    """Ward's agglomerative clustering: merges that add least to the sum of squares within clusters.

    Parameters
    ----------
    n_clusters : int, default=2
        Clusters to leave.

    Attributes
    ----------
    labels_ : ndarray of shape (N,) of int64
        ``0..n_clusters - 1``.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    Linkage : Other distances between clusters.
    sklearn.cluster.AgglomerativeClustering : The same partition, ties included.

    Notes
    -----
    Nearest-neighbour chains [1]_ on Euclidean distances: O(N^2 M) time, 8 N^2 bytes. Merges that rounding might
    decide are decided again from distances summed as SciPy sums them.

    References
    ----------
    .. [1] F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", The Computer
       Journal 26 (1983).

    Examples
    --------
    >>> from clusterwhy.native import Ward
    >>> Ward(n_clusters=2).fit_predict([[0.0], [0.2], [5.0], [5.1], [0.1]])
    array([0, 0, 1, 1, 0])
    """

    def __init__(self, n_clusters: int = 2) -> None:
        self.n_clusters = n_clusters

    def _read(self) -> NativeMethod:
        return read(read_agglomerative, self)


class Linkage(_Clusterer):
    """Agglomerative clustering by the largest, mean or smallest distance between the members of two clusters.

    Parameters
    ----------
    n_clusters : int, default=2
        Clusters to leave.
    linkage : {"average", "complete", "single", "ward"}, default="average"
        Distance between clusters: the mean, largest or smallest between their members, or Ward's.

    Attributes
    ----------
    labels_ : ndarray of shape (N,) of int64
        ``0..n_clusters - 1``.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    Ward : Makes clusters of small variance.
    sklearn.cluster.AgglomerativeClustering : The same partition, ties included.

    Notes
    -----
    Nearest-neighbour chains for average and complete, a minimum spanning tree [1]_ for single: O(N^2 M)
    time, 8 N^2 bytes.

    References
    ----------
    .. [1] R. C. Prim, "Shortest connection networks and some generalizations", Bell System Technical
       Journal 36 (1957).

    Examples
    --------
    >>> from clusterwhy.native import Linkage
    >>> Linkage(2, linkage="single").fit_predict([[0.0], [1.0], [2.0], [9.0]])
    array([0, 0, 0, 1])
    """

    def __init__(self, n_clusters: int = 2, *, linkage: str = "average") -> None:
        self.n_clusters = n_clusters
        self.linkage = linkage

    def _read(self) -> NativeMethod:
        return read(read_agglomerative, self)


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Clusterer):
    """k-means: Lloyd's algorithm from greedy k-means++ or random starts.

    Parameters
    ----------
    n_clusters : int, default=8
        Clusters, and centres, to find.
    init : {"k-means++", "random"}, default="k-means++"
        How the first centres are chosen among the observations.
    n_init : int or "auto", default="auto"
        Runs, of which the one with the lowest inertia is kept. "auto" is 1 for k-means++, 10 for random.
    max_iter : int, default=300
        Turns of one run at most.
    tol : float, default=1e-4
        A run stops when its centres' squared shifts sum to at most this share of the features' mean variance.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the starts.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, M)
        Means of the clusters, in the dtype of the data.
    labels_ : ndarray of shape (N,) of int64
        Nearest centre of each observation.
    inertia_ : float
        Sum of squared distances to the nearest centre.
    n_iter_ : int
        Turns of the run that was kept.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.cluster.KMeans : Equal in distribution.

    Notes
    -----
    A turn costs O(N k M), less the centres that have not moved; memory is O(N (M + k)). Starts after [1]_.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Examples
    --------
    >>> from clusterwhy.native import KMeans
    >>> kmeans = KMeans(2, random_state=0).fit([[0.0], [1.0], [9.0], [11.0]])
    >>> sorted(kmeans.cluster_centers_.ravel().tolist()), kmeans.inertia_
    ([0.5, 10.0], 2.5)
    >>> bool(kmeans.predict([[8.0]])[0] == kmeans.labels_[2])
    True
    """

    _min_samples = 1

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _read(self) -> NativeMethod:
        return read(read_kmeans, self)

    def _keep(self, found: dict[str, Any], dtype: np.dtype[Any]) -> None:
        super()._keep(found, dtype)
        self.cluster_centers_ = found["centers"].astype(dtype)
        self.inertia_ = found["inertia"]
        self.n_iter_ = found["n_iter"]

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def transform(self, X: Any) -> NDArray[Any]:
        """Return the distance of each row of `X` to each centre.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, n_clusters)
        """
        check_is_fitted(self)
        X = read_table(self, X, reset=False)
        # Distances of rows far from 0 lose their digits unless 0 is among the centres.
        middle = self.cluster_centers_.mean(axis=0)
        return np.asarray(euclidean_distances(X - middle, self.cluster_centers_ - middle))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the nearest centre of each row of `X`.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n,) of int64
        """
        return np.asarray(self.transform(X).argmin(axis=1), dtype=np.int64)

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the inertia of `X`: its squared distances to the nearest centre, summed.

        Parameters
        ----------
        X : array-like of shape (n, M)
        y : ignored
            For scikit-learn's pipelines and searches.

        Returns
        -------
        float
            Higher is better.
        """
        return -float(np.square(self.transform(X).min(axis=1), dtype=np.float64).sum())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Spectral(_Clusterer):
    """Spectral clustering: k-means on the lowest eigenvectors of a graph's normalised Laplacian.

    Parameters
    ----------
    n_clusters : int, default=8
        Clusters to find.
    affinity : {"rbf", "nearest_neighbors"}, default="rbf"
        Weights of the graph: ``exp(-gamma d^2)``, or symmetrised nearest neighbours.
    gamma : float, default=1.0
        Only for "rbf".
    n_neighbors : int, default=10
        Neighbours of each observation, itself included. Only for "nearest_neighbors".
    n_components : int, default=None
        Eigenvectors; None is as many as clusters.
    n_init : int, default=10
        Runs of k-means.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the start vector and of k-means.

    Attributes
    ----------
    labels_ : ndarray of shape (N,) of int64
        ``0..n_clusters - 1``.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.cluster.SpectralClustering : Equal in distribution, but where the graph is in more pieces than clusters:
        here the largest pieces are told apart, there rounding decides which.

    Notes
    -----
    Eigenvectors by a Lanczos recurrence beside the known null space [1]_: O(N^2 M) for distances and O(s e) for s
    steps on e edges, and O(s N) for each step that is made orthogonal to all before it [2]_; 8 N^2 bytes. Some 40 to
    150 steps are usual, and far more where the graph is a long chain.

    References
    ----------
    .. [1] U. von Luxburg, "A tutorial on spectral clustering", Statistics and Computing 17 (2007).
    .. [2] H. D. Simon, "The Lanczos algorithm with partial reorthogonalization", Mathematics of Computation 42
       (1984).

    Examples
    --------
    >>> from clusterwhy.native import Spectral
    >>> labels = Spectral(2, random_state=0).fit_predict([[0.0], [0.1], [4.0], [4.1]])
    >>> bool(labels[0] == labels[1] != labels[2] == labels[3])
    True
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        affinity: str = "rbf",
        gamma: float = 1.0,
        n_neighbors: int = 10,
        n_components: int | None = None,
        n_init: int = 10,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.affinity = affinity
        self.gamma = gamma
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.n_init = n_init
        self.random_state = random_state

    def _read(self) -> NativeMethod:
        method = read(read_spectral, self)
        if self.affinity == "rbf":
            # Not looked at, so not compared with the number of observations either.
            method.params["n_neighbors"] = 1
        return method
