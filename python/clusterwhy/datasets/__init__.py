"""Data with known clusters: simulators that know their signal features, and loaders of real data.

Every ``make_*`` returns ``(X, y, signal)``: observations, cluster of each, and the indices of the features
that carry the clusters. Every ``load_*`` reads a data set that an optional package bundles, and downloads
nothing.

- Simulators: :func:`make_interlaced_moons`, :func:`make_gaussian_mixture`, :func:`make_gamma_mixture`,
  :func:`make_moons_circles`, :func:`make_local_features`.
- Their parts: :func:`onion_correlation`, and :class:`GammaMixture`, the clusterer that fits gamma mixtures.
- Loaders: :func:`load_cells`, :func:`load_golub`.
"""

from ._arcs import make_moons_circles
from ._cells import load_cells
from ._gamma import make_gamma_mixture
from ._gamma_mixture import GammaMixture
from ._gaussian import make_gaussian_mixture
from ._golub import load_golub
from ._interlaced_moons import make_interlaced_moons
from ._local_features import make_local_features
from ._onion import onion_correlation

__all__ = [
    "GammaMixture",
    "load_cells",
    "load_golub",
    "make_gamma_mixture",
    "make_gaussian_mixture",
    "make_interlaced_moons",
    "make_local_features",
    "make_moons_circles",
    "onion_correlation",
]
