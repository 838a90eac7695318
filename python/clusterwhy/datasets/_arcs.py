"""Moons and circles in the plane, with bounded overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from clusterwhy._validation import as_random_state, check_count, check_nonnegative, check_option

from ._assembly import assemble
from ._difficulty import resolve_setting
from ._embedding import EMBEDDINGS
from ._validation import RandomStateLike, Simulation, as_fraction, as_interval, cluster_sizes

_Array = npt.NDArray[np.float64]

#: Centres are tried at distances this fraction of the mean radius apart.
_STEP = 0.02

#: Points along an arc, for the gap between arcs, at least; and at most.
_POINTS, _MOST_POINTS = 100, 20_000


def circle_overlap(distance: _Array, r: _Array | float, s: _Array | float) -> _Array:
    """Return the area that two discs share, as a fraction of the smaller disc.

    Parameters
    ----------
    distance : ndarray
        Distance between the centres.
    r, s : ndarray or float
        Radii.

    Returns
    -------
    overlap : ndarray
        0 where the discs are disjoint, 1 where one holds the other.
    """
    d = np.asarray(distance, dtype=np.float64)
    small, large = np.minimum(r, s), np.maximum(r, s)
    # Clipping the cosines turns the lens formula into its own limits: disjoint, and one disc in the other.
    safe = np.where(d > 0, d, 1.0)
    cos_small = np.clip((d**2 + small**2 - large**2) / (2 * safe * small), -1, 1)
    cos_large = np.clip((d**2 + large**2 - small**2) / (2 * safe * large), -1, 1)
    angle_small, angle_large = np.arccos(cos_small), np.arccos(cos_large)
    lens = small**2 * (angle_small - np.sin(2 * angle_small) / 2) + large**2 * (
        angle_large - np.sin(2 * angle_large) / 2
    )
    overlap: _Array = np.where(d <= large - small, 1.0, lens / (np.pi * small**2))
    return overlap


def points_for(gap: float, radius: float) -> int:
    """Return how many points along an arc of a radius or less measure a gap to within 2%: three for each gap."""
    return int(np.clip(6 * np.pi * radius / gap, _POINTS, _MOST_POINTS)) if gap > 0 else _POINTS


def arc_points(radius: float, start: float, length: float, n_points: int) -> _Array:
    """Return points of shape (n_points, 2) along an arc about the origin."""
    theta = start + length * np.linspace(0.0, 1.0, n_points)
    return radius * np.column_stack([np.cos(theta), np.sin(theta)])


def place_arcs(
    radii: _Array,
    arcs: Sequence[_Array],
    max_overlap: float,
    separation: float,
    rng: np.random.RandomState,
) -> _Array:
    """Return centres of shape (K, 2) that keep the discs from overlapping and the arcs from meeting.

    Each arc goes off from a random earlier centre in a random direction, and stops at the first place where
    no two discs overlap by more than `max_overlap` and no two arcs come nearer than `separation`. The layout
    is compact, and one of the two bounds is nearly met.
    """
    centres = np.zeros((len(radii), 2))
    # A wide gap is met to within a thousandth.
    step = max(_STEP * radii.mean(), separation / 1000)
    placed = arcs[0]
    for k in range(1, len(radii)):
        start = centres[rng.randint(k)]
        angle = rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        # Beyond this distance every earlier disc is further off than `separation`, so that the search ends.
        reach = np.linalg.norm(centres[:k] - start, axis=1).max() + radii[:k].max() + radii[k] + separation
        steps = step * np.arange(int(reach / step) + 2)
        candidates: _Array = start + steps[:, None] * direction
        distances = np.linalg.norm(candidates[:, None, :] - centres[:k], axis=2)
        allowed = (circle_overlap(distances, radii[:k], float(radii[k])) <= max_overlap).all(axis=1)
        if separation > 0:
            gaps = np.asarray(KDTree(placed).query(candidates[:, None, :] + arcs[k])[0])
            allowed &= gaps.min(axis=1) >= separation
        centres[k] = candidates[np.argmax(allowed)]
        placed = np.vstack([placed, centres[k] + arcs[k]])
    return centres


def make_moons_circles(
    n_samples: int | Sequence[int] | npt.NDArray[np.integer[Any]] = 3500,
    n_clusters: int = 7,
    *,
    n_signal: int = 10,
    n_noise: int = 40,
    difficulty: str | None = "easy",
    separation: float | None = None,
    max_overlap: float = 0.3,
    circle_probability: float = 0.5,
    radius_range: tuple[float, float] = (0.5, 1.5),
    jitter: float = 0.08,
    embedding: str | None = "shared",
    noise: str | Sequence[str] = "gaussian",
    noise_scale: str | float = "within",
    shuffle: bool = True,
    shuffle_features: bool = False,
    random_state: RandomStateLike = None,
) -> Simulation:
    r"""Make half moons and circles in the plane, embedded in more features, with noise beside them.

    Cluster k has a radius :math:`r_k`, a centre :math:`c_k` and a shape; its observations are
    :math:`c_k + r_k (\cos\theta, \sin\theta) + \epsilon`, with :math:`\theta` uniform on the full turn for a
    circle, or on a half turn of random orientation for a moon, and :math:`\epsilon` Gaussian.

    Parameters
    ----------
    n_samples : int or sequence of int, default=3500
        Observations in all, shared out as evenly as possible, or in each cluster.
    n_clusters : int, default=7
        Number of clusters K.
    n_signal : int, default=10
        Number of signal features, at least 2; exactly 2 if `embedding` is None. The latent dimension
        is always 2.
    n_noise : int, default=40
        Number of noise features. The signal columns do not depend on it.
    difficulty : {"easy", "hard"} or None, default="easy"
        Sets `separation` so that spectral clustering on nearest neighbours, on the signal features
        alone, reaches an adjusted Rand index of about .95 ("easy") or .75 ("hard") in the mean over data
        sets. Calibrated as in :func:`make_gaussian_mixture`. None asks for a `separation`.
    separation : float, optional
        Least gap between the arcs of two clusters, before jitter, to within 2% (where it is not below a thousandth of
        the largest radius), at least 0. 0 lets arcs cross. Overrides `difficulty`.
    max_overlap : float, default=0.3
        Most that the discs of two clusters, of which their arcs are the rims, may share, as a fraction of
        the smaller disc, in [0, 1]. With 1, circles may be concentric. Clusters are packed until
        `separation` or `max_overlap` is nearly met. The calibration holds for the default.
    circle_probability : float, default=0.5
        Probability that a cluster is a full circle, and not a half moon.
    radius_range : tuple of two floats, default=(0.5, 1.5)
        Bounds of the radii, which are uniform between them. The calibration holds for the default.
    jitter : float, default=0.08
        Standard deviation of :math:`\epsilon`. The calibration holds for the default.
    embedding : {"shared", "label_aware"} or None, default="shared"
        As in :func:`make_gaussian_mixture`: "label_aware" LEAKS the labels. "shared" keeps all
        distances, so that the problem is as hard in n_signal features as it is in the plane.
    noise : str or sequence of str, default="gaussian"
        Kind of the noise features, as in :func:`make_gaussian_mixture`.
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
    make_interlaced_moons : Three fixed moons in three features.

    References
    ----------
    .. [1] "Cluster LOCO: feature importance for clustering", appendix A.1.2.

    Examples
    --------
    >>> from clusterwhy.datasets import make_moons_circles
    >>> X, y, signal = make_moons_circles(300, 3, n_noise=5, random_state=0)
    >>> X.shape, signal.size
    ((300, 15), 10)
    """
    n_clusters = check_count(n_clusters, "n_clusters", minimum=1)
    n_signal = check_count(n_signal, "n_signal", minimum=2)
    sizes = cluster_sizes(n_samples, n_clusters)
    check_option(embedding, "embedding", EMBEDDINGS)
    if embedding is None and n_signal != 2:
        raise ValueError(f"embedding=None leaves the plane's 2 features, but n_signal={n_signal}.")
    gap = resolve_setting("moons_circles", difficulty, separation, "separation", n_clusters)
    gap = check_nonnegative(gap, "separation")
    max_overlap = as_fraction(max_overlap, "max_overlap")
    circle_probability = as_fraction(circle_probability, "circle_probability")
    low, high = as_interval(radius_range, "radius_range")
    jitter = check_nonnegative(jitter, "jitter")
    rng = as_random_state(random_state)

    radii = rng.uniform(low, high, size=n_clusters)
    lengths = np.where(rng.uniform(size=n_clusters) < circle_probability, 2 * np.pi, np.pi)
    starts = rng.uniform(0, 2 * np.pi, size=n_clusters)
    n_points = points_for(gap, radii.max())
    arcs = [arc_points(*arc, n_points) for arc in zip(radii, starts, lengths, strict=True)]
    centres = place_arcs(radii, arcs, max_overlap, gap, rng)
    clusters = []
    for k, size in enumerate(sizes):
        theta = starts[k] + lengths[k] * rng.uniform(size=size)
        arc = centres[k] + radii[k] * np.column_stack([np.cos(theta), np.sin(theta)])
        clusters.append(arc + jitter * rng.standard_normal((size, 2)))
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
