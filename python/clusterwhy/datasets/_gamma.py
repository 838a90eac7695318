"""Gamma mixtures with a Gaussian copula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, ndtr

from clusterwhy._validation import as_random_state, check_count, check_nonnegative, check_positive

from ._assembly import assemble, latent_dimension
from ._difficulty import resolve_setting
from ._onion import onion_correlation
from ._validation import RandomStateLike, Simulation, as_interval, cluster_sizes


def make_gamma_mixture(
    n_samples: int | Sequence[int] | npt.NDArray[np.integer[Any]] = 3500,
    n_clusters: int = 7,
    *,
    n_signal: int = 10,
    n_noise: int = 40,
    difficulty: str | None = "easy",
    separation: float | None = None,
    shape_range: tuple[float, float] = (1.0, 3.0),
    eta: float = 1.0,
    latent_dim: int | None = None,
    embedding: str | None = None,
    noise: str | Sequence[str] = "gamma",
    noise_scale: str | float = "within",
    shuffle: bool = True,
    shuffle_features: bool = False,
    random_state: RandomStateLike = None,
) -> Simulation:
    r"""Make a mixture of correlated gamma distributions, with noise features beside it.

    In cluster k, feature j is gamma distributed with shape :math:`a_j` and scale :math:`s_{kj}`, and a
    Gaussian copula with a correlation matrix :math:`R_k` from :func:`onion_correlation` ties the features
    together: :math:`z \sim N(0, R_k)`, :math:`x_j = F_{kj}^{-1}(\Phi(z_j))`. The source leaves open where
    shapes and scales come from. Here :math:`a_j` is uniform on `shape_range`, the same for all
    clusters, and :math:`s_{kj} = \exp(\beta u_{kj})` with u uniform on [-1, 1] and :math:`\beta` the
    `separation`: 0 makes all clusters' margins equal.

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
        Sets `separation` so that :class:`GammaMixture` on the signal features alone reaches an adjusted
        Rand index of about .95 ("easy") or .75 ("hard") in the mean over data sets. Calibrated as in
        :func:`make_gaussian_mixture`. None asks for a `separation`.
    separation : float, optional
        The factor :math:`\beta` of the logarithms of the scales, at least 0. Overrides `difficulty`.
    shape_range : tuple of two floats, default=(1.0, 3.0)
        Bounds of the gamma shapes, positive. The calibration holds for the default.
    eta : float, default=1.0
        Concentration of the onion correlations of the copula; 1 is uniform.
    latent_dim : int, optional
        Dimension of the space where the mixture lives, at most `n_signal`. Default: `n_signal`.
    embedding : {"shared", "label_aware"} or None, default=None
        As in :func:`make_gaussian_mixture`: "label_aware" LEAKS the labels. An embedding mixes the
        coordinates, so that the features are no longer gamma distributed, nor positive.
    noise : str or sequence of str, default="gamma"
        Kind of the noise features, as in :func:`make_gaussian_mixture`. The default keeps X positive.
    noise_scale : {"within", "total"} or float, default="within"
        Standard deviation of the noise features, as in :func:`make_gaussian_mixture`.
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
    GammaMixture : The matching clusterer.
    make_gaussian_mixture : Symmetric clusters.

    References
    ----------
    .. [1] "Cluster LOCO: feature importance for clustering", appendix A.1.2.

    Examples
    --------
    >>> from clusterwhy.datasets import make_gamma_mixture
    >>> X, y, signal = make_gamma_mixture(300, 3, n_noise=5, random_state=0)
    >>> X.shape, bool((X > 0).all())
    ((300, 15), True)
    """
    n_clusters = check_count(n_clusters, "n_clusters", minimum=1)
    n_signal = check_count(n_signal, "n_signal", minimum=1)
    sizes = cluster_sizes(n_samples, n_clusters)
    dim = latent_dimension(latent_dim, n_signal, embedding)
    beta = resolve_setting("gamma", difficulty, separation, "separation", n_clusters)
    check_nonnegative(beta, "separation")
    check_positive(eta, "eta")
    low, high = as_interval(shape_range, "shape_range")
    rng = as_random_state(random_state)

    shapes = rng.uniform(low, high, size=dim)
    clusters = []
    for size in sizes:
        scales = np.exp(beta * rng.uniform(-1.0, 1.0, size=dim))
        factor = np.linalg.cholesky(onion_correlation(dim, eta=eta, random_state=rng))
        uniform = ndtr(rng.standard_normal((size, dim)) @ factor.T)
        clusters.append(scales * gammaincinv(shapes, uniform))
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
