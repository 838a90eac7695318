"""Gaussian mixtures with onion correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clusterwhy._validation import as_random_state, check_count, check_nonnegative, check_positive

from ._assembly import assemble, latent_dimension
from ._difficulty import resolve_setting
from ._onion import onion_correlation
from ._validation import RandomStateLike, Simulation, cluster_sizes


def make_gaussian_mixture(
    n_samples: int | Sequence[int] | npt.NDArray[np.integer[Any]] = 3500,
    n_clusters: int = 7,
    *,
    n_signal: int = 10,
    n_noise: int = 40,
    difficulty: str | None = "easy",
    separation: float | None = None,
    eta: float = 1.0,
    latent_dim: int | None = None,
    embedding: str | None = None,
    noise: str | Sequence[str] = "gaussian",
    noise_scale: str | float = "within",
    shuffle: bool = True,
    shuffle_features: bool = False,
    random_state: RandomStateLike = None,
) -> Simulation:
    r"""Make a mixture of Gaussians whose correlations are random, with noise features beside it.

    Cluster k is :math:`N(\alpha \mu_k, R_k)`: the coordinates of :math:`\mu_k` are uniform on [-1, 1],
    :math:`R_k` is an :func:`onion_correlation` of its own, and :math:`\alpha` is `separation`.

    Parameters
    ----------
    n_samples : int or sequence of int, default=3500
        Observations in all, shared out as evenly as possible, or in each cluster.
    n_clusters : int, default=7
        Number of clusters K.
    n_signal : int, default=10
        Number of signal features.
    n_noise : int, default=40
        Number of noise features. The signal columns do not depend on it.
    difficulty : {"easy", "hard"} or None, default="easy"
        Sets `separation` so that k-means on the signal features alone reaches an adjusted Rand index
        of about .95 ("easy") or .75 ("hard") in the mean over data sets. Calibrated for 10 signal
        features, K of 3 and 7, and 500 observations a cluster; between and beyond, see Notes. None
        asks for a `separation`.
    separation : float, optional
        The factor :math:`\alpha` of the cluster means, at least 0. Overrides `difficulty`.
    eta : float, default=1.0
        Concentration of the onion correlations; 1 is uniform.
    latent_dim : int, optional
        Dimension of the space where the mixture lives, at most `n_signal`. Default: `n_signal`.
    embedding : {"shared", "label_aware"} or None, default=None
        "shared" maps the latent space to the signal features by one random matrix with orthonormal
        columns. "label_aware" draws such a matrix for each cluster: the map depends on the label, so
        it LEAKS the labels into the shape of the data and makes a different, easier problem. None
        makes the latent coordinates the features.
    noise : str or sequence of str, default="gaussian"
        Kind of the noise features: "gaussian", "gamma" (shape 1, not centred), "student_t" (5 degrees
        of freedom), "uniform", "triangular", "laplace", "permuted" (signal columns with their rows in
        random order), "mixed" (the six distributions in turn), or a sequence of kinds, taken in turn.
    noise_scale : {"within", "total"} or float, default="within"
        Standard deviation of the noise features ("permuted" ones keep that of their origin).
        "within" is the root mean square of the signal features' standard deviations within clusters,
        as when standard normal columns join a mixture of unit variances. "total" takes the standard
        deviations over all observations, so that the variance of a feature tells nothing.
    shuffle : bool, default=True
        Whether the observations come in random order, or cluster after cluster.
    shuffle_features : bool, default=False
        Whether signal and noise features are mixed, or signal comes first.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the data set. Pass an int for reproducible output.

    Returns
    -------
    X : ndarray of shape (n_samples, n_signal + n_noise), float64
        The observations.
    y : ndarray of shape (n_samples,), int64
        The cluster of each, 0 to K - 1.
    signal : ndarray of shape (n_signal,), int64
        Indices of the signal features, ascending.

    Raises
    ------
    TypeError
        If a count is not an integer or a number not a number.
    ValueError
        If a value is out of its range, or options exclude one another.

    See Also
    --------
    make_gamma_mixture : Skewed clusters, for which k-means is the wrong model.
    make_moons_circles : Clusters that are not convex.

    Notes
    -----
    The source does not print its easy and hard parameters; difficulty is defined here by the adjusted
    Rand index of the base clusterer. For K between 3 and 7 the constants are interpolated, outside they
    are those of the nearer end, and the index drifts from its target.

    References
    ----------
    .. [1] "Cluster LOCO: feature importance for clustering", appendix A.1.2.

    Examples
    --------
    >>> from clusterwhy.datasets import make_gaussian_mixture
    >>> X, y, signal = make_gaussian_mixture(300, 3, n_noise=5, random_state=0)
    >>> X.shape, y.shape, signal.tolist()
    ((300, 15), (300,), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    n_clusters = check_count(n_clusters, "n_clusters", minimum=1)
    n_signal = check_count(n_signal, "n_signal", minimum=1)
    sizes = cluster_sizes(n_samples, n_clusters)
    dim = latent_dimension(latent_dim, n_signal, embedding)
    alpha = resolve_setting("gaussian", difficulty, separation, "separation", n_clusters)
    check_nonnegative(alpha, "separation")
    check_positive(eta, "eta")
    rng = as_random_state(random_state)

    clusters = []
    for size in sizes:
        mean = rng.uniform(-1.0, 1.0, size=dim)
        factor = np.linalg.cholesky(onion_correlation(dim, eta=eta, random_state=rng))
        clusters.append(alpha * mean + rng.standard_normal((size, dim)) @ factor.T)
    return assemble(
        np.vstack(clusters),
        np.repeat(np.arange(n_clusters, dtype=np.int64), sizes),
        n_signal=n_signal,
        n_noise=n_noise,
        embedding=embedding,
        noise=noise,
        noise_scale=noise_scale,
        shuffle=shuffle,
        shuffle_features=shuffle_features,
        rng=rng,
    )
