"""Three interlaced moons in three features that matter to different degrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clusterwhy._validation import as_random_state, check_count, check_nonnegative, check_option

from ._validation import RandomStateLike, Simulation, cluster_sizes


class _Moon(NamedTuple):
    centre: tuple[float, float]
    radius: float
    #: Bounds of the angle, in units of pi.
    angle: tuple[float, float]
    #: X3 = wave * sin(1.5 R) + log_weight * log|1 + X2| + offset
    wave: float
    log_weight: float
    offset: float


_MOONS = (
    _Moon((0.35, 0.5), 1.35, (0.05, 1.05), -0.8, 0.2, 0.9),
    _Moon((-0.05, -0.05), 1.0, (0.95, 1.95), 0.8, 0.2, -0.7),
    _Moon((-0.05, 0.55), 0.7, (-0.15, 1.15), 0.8, 0.5, 0.66),
)


def make_interlaced_moons(
    n_samples: int | Sequence[int] | npt.NDArray[np.integer[Any]] = 1200,
    n_noise: int = 2,
    *,
    jitter: float = 0.08,
    reading: str = "printed",
    shuffle: bool = True,
    random_state: RandomStateLike = None,
) -> Simulation:
    r"""Make three interlaced circular arcs in three signal features, with uniform noise beside them.

    Cluster k lies on an arc, :math:`X_1 = c_{k1} + r_k \sin T + \epsilon` and
    :math:`X_2 = c_{k2} + r_k \cos T + \epsilon`. The third feature is a function of the first two,

    .. math::
        \tilde X_3 = a_k \sin(1.5 R) + b_k \log|1 + X_2| + d_k + \epsilon, \qquad
        R = \sqrt{(X_2 - 0.1)^2 + (X_1 + 0.05)^2},

    and :math:`X_3 = \tilde X_3 - X_2\,\mathrm{Cov}(X_2, \tilde X_3) / \mathrm{Var}(X_2)`, with moments over
    the whole sample, so that the sample correlation of X2 and X3 is zero. Noise features are uniform on
    [-1, 2].

    Parameters
    ----------
    n_samples : int or sequence of 3 int, default=1200
        Observations in all, shared out as evenly as possible, or in each cluster.
    n_noise : int, default=2
        Number of noise features. The signal columns do not depend on it.
    jitter : float, default=0.08
        Standard deviation of each :math:`\epsilon`.
    reading : {"printed", "figure"}, default="printed"
        "printed" takes the formulas of the source as they stand. "figure" takes
        :math:`a_k \cos(1.5 R)` and :math:`R = \sqrt{(X_1 - 0.1)^2 + (X_2 + 0.05)^2}`, which comes much
        nearer to the figures that the source reports; see Notes.
    shuffle : bool, default=True
        Whether the observations come in random order, or cluster after cluster.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the data set. Pass an int for reproducible output.

    Returns
    -------
    X : ndarray of shape (n_samples, 3 + n_noise), float64
        The observations.
    y : ndarray of shape (n_samples,), int64
        The cluster of each, 0 to 2.
    signal : ndarray of shape (3,), int64
        Indices of the signal features: 0, 1, 2.

    Raises
    ------
    TypeError
        If a count is not an integer or `jitter` not a number.
    ValueError
        If a value is out of its range.

    See Also
    --------
    make_moons_circles : Any number of random moons and circles.

    Notes
    -----
    The source writes two different angles in the two coordinates of clusters 1 and 2. They are read here
    as one and the same angle: two independent angles would make no arc, and the figure shows arcs.

    Even so the printed formulas do not give what the source reports, namely that spectral clustering on
    nearest neighbours finds the groups (adjusted Rand index 1; k-means 0.40), and that Cluster LOCO-Split
    scores of the five features are about .11, .07, -.005, -.007 and -.011. Means over 10 data sets, with
    scikit-learn's default of 10 neighbours, and LOCO-Split with a random forest and the hinge loss:

    =========  ==========  =========  ===================================
    reading    spectral    k-means    LOCO-Split scores
    =========  ==========  =========  ===================================
    printed    0.90        0.37       .089, .002, .035, -.006, -.006
    figure     1.00        0.50       .088, .061, .024, -.008, -.008
    =========  ==========  =========  ===================================

    As printed, X2 hardly matters, because X3 stands in for it. In the other reading the order is that of
    the source, X1 before X2 before X3 before noise. It was found by trying variants of the formulas, and is
    a conjecture about the source.

    References
    ----------
    .. [1] "Cluster LOCO: feature importance for clustering", appendix A.1.1 and Figure 1.

    Examples
    --------
    >>> from clusterwhy.datasets import make_interlaced_moons
    >>> X, y, signal = make_interlaced_moons(random_state=0)
    >>> X.shape, y.shape, signal.tolist()
    ((1200, 5), (1200,), [0, 1, 2])
    """
    sizes = cluster_sizes(n_samples, len(_MOONS))
    n_noise = check_count(n_noise, "n_noise", minimum=0)
    jitter = check_nonnegative(jitter, "jitter")
    check_option(reading, "reading", ("printed", "figure"))
    rng = as_random_state(random_state)

    clusters = []
    for moon, size in zip(_MOONS, sizes, strict=True):
        angle = rng.uniform(moon.angle[0] * np.pi, moon.angle[1] * np.pi, size=size)
        noise = jitter * rng.standard_normal((3, size))
        x1 = moon.centre[0] + moon.radius * np.sin(angle) + noise[0]
        x2 = moon.centre[1] + moon.radius * np.cos(angle) + noise[1]
        if reading == "printed":
            wave = np.sin(1.5 * np.hypot(x2 - 0.1, x1 + 0.05))
        else:
            wave = np.cos(1.5 * np.hypot(x1 - 0.1, x2 + 0.05))
        x3 = moon.wave * wave + moon.log_weight * np.log(np.abs(1 + x2)) + moon.offset + noise[2]
        clusters.append(np.column_stack([x1, x2, x3]))
    signal = np.vstack(clusters)
    y = np.repeat(np.arange(len(_MOONS), dtype=np.int64), sizes)
    covariance = np.cov(signal[:, 1], signal[:, 2])
    signal[:, 2] -= covariance[0, 1] / covariance[0, 0] * signal[:, 1]
    if shuffle:
        order = rng.permutation(len(y))
        signal, y = signal[order], y[order]
    X = np.hstack([signal, rng.uniform(-1.0, 2.0, size=(n_noise, len(y))).T])
    return X, y, np.arange(3, dtype=np.int64)
