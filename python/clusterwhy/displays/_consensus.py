"""How often minipatches put two observations into the same cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.utils.validation import check_is_fitted

from clusterwhy._patches import bits_at
from clusterwhy._validation import check_count, label_array
from clusterwhy._votes import Ensemble
from clusterwhy.displays._axes import SEQUENTIAL, Display, cluster_names, colour_map, draw_cluster_names, width_of
from clusterwhy.displays._reading import check_scores, read_ensemble

# Minipatches counted at a time: bounds the memory, and keeps whole numbers exact in single precision.
PATCHES = 4096
WANTED = "a LOCOMP or LOCORampart, or a consensus clustering (IMPACC, MPACC, MPCC)"


class ConsensusDisplay(Display):
    """The co-association of observations as a heat map, in the order of the clusters.

    Made by :meth:`from_estimator` or :meth:`from_coassociation`. Clear blocks are clusters that the minipatches agree
    on; a block that shades into another is a boundary that they do not find. Grey is not defined.

    Parameters
    ----------
    coassociation : ndarray of shape (n, n)
        From 0 (never together) to 1 (always), in any order; NaN where not defined.
    labels : ndarray of shape (n,), default=None
        Clusters, which come first in the order.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        What was drawn on.
    im_ : matplotlib AxesImage
        The heat map, of shape (n, n).
    colorbar_ : matplotlib Colorbar
    samples_ : ndarray of shape (n,)
        Positions of the observations, from left to right and from top to bottom: clusters in the order of their
        labels, each in the order of an average linkage of ``1 - coassociation``.

    Examples
    --------
    >>> from clusterwhy.displays import ConsensusDisplay
    >>> together = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    >>> ConsensusDisplay.from_coassociation(together, labels=[0, 1, 0]).samples_
    array([0, 2, 1])
    """

    def __init__(
        self,
        coassociation: NDArray[np.float64],
        labels: NDArray[Any] | None = None,
        positions: NDArray[np.int64] | None = None,
    ) -> None:
        self.coassociation = coassociation
        self.labels = labels
        self.positions = np.arange(len(coassociation)) if positions is None else positions

    @classmethod
    def from_estimator(cls, estimator: Any, *, max_samples: int = 500, ax: Any = None) -> ConsensusDisplay:
        """Count how often the minipatches that leave out two observations predict the same cluster for them.

        Every minipatch's classifier carries its clusters to the observations that it leaves out, so this says
        how far the clusters generalise. Costs O(B K n^2) for n observations. Consensus clusterings have counted
        already, the minipatches that hold both.

        Parameters
        ----------
        estimator : fitted LOCOMP, LOCORampart, IMPACC, MPACC or MPCC
            Of a LOCORampart, the last round.
        max_samples : int, default=500
            Most observations to draw. Of more, evenly spaced ones of every cluster are taken.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ConsensusDisplay
            Its ``samples_`` are positions in the data.
        """
        check_is_fitted(estimator)
        limit = check_count(max_samples, "max_samples", minimum=2)
        counted = getattr(estimator, "consensus_", None)
        if counted is None:
            ensemble = read_ensemble(estimator, cls.__name__, WANTED)
        labels = np.asarray(estimator.labels_)
        chosen = spread(labels, limit)
        matrix = coassociation(ensemble, chosen) if counted is None else counted[np.ix_(chosen, chosen)]
        return cls(matrix, labels[chosen], chosen).plot(ax)

    @classmethod
    def from_coassociation(cls, coassociation: Any, *, labels: Any = None, ax: Any = None) -> ConsensusDisplay:
        """Draw a matrix that is at hand.

        Parameters
        ----------
        coassociation : array-like of shape (n, n)
            Symmetric, from 0 to 1; NaN where not defined.
        labels : array-like of shape (n,), default=None
            Clusters, whole numbers (negative for noise) or strings; None orders by linkage alone.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ConsensusDisplay
        """
        matrix = check_scores(coassociation, "coassociation", ("n", "n"), None, None)
        if matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, equal_nan=True):
            raise ValueError(f"coassociation must be square and symmetric, got shape {matrix.shape}")
        if (matrix < 0).any() or (matrix > 1).any():
            raise ValueError(f"coassociation must be from 0 to 1, got {np.nanmin(matrix):g} to {np.nanmax(matrix):g}")
        return cls(matrix, None if labels is None else label_array(labels, len(matrix), "labels")).plot(ax)

    def plot(self, ax: Any = None) -> ConsensusDisplay:
        """Draw, once more or on other axes; parameters as in :meth:`from_estimator`."""
        order = order_by_linkage(self.coassociation, self.labels)
        self.samples_ = self.positions[order]
        room = 0.0 if self.labels is None else width_of(cluster_names(np.unique(self.labels)))
        ax = self._open(ax, 5.5 + room, 4.5 + room)
        drawn = self.coassociation[np.ix_(order, order)]
        self.im_ = ax.imshow(np.ma.masked_invalid(drawn), cmap=colour_map(SEQUENTIAL), vmin=0, vmax=1)
        if self.labels is None:
            ax.set_xlabel("observation")
        else:
            for axis in (ax.xaxis, ax.yaxis):
                edges = draw_cluster_names(axis, self.labels[order])
            for edge in edges:
                ax.axvline(edge - 0.5, color="white", linewidth=0.6)
                ax.axhline(edge - 0.5, color="white", linewidth=0.6)
            ax.set_xlabel("observations, by cluster")
        self.colorbar_ = self._draw_colour_bar(self.im_, "share of minipatches that put both into one cluster")
        return self


def spread(labels: NDArray[Any], limit: int) -> NDArray[np.int64]:
    """Choose observations evenly from every cluster."""
    order = np.argsort(labels, kind="stable")
    if len(order) <= limit:
        return order
    return order[np.linspace(0, len(order) - 1, limit).round().astype(np.int64)]


def coassociation(ensemble: Ensemble, samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, of the minipatches that vote on both of two observations, the share that votes alike."""
    alike = np.zeros((len(samples), len(samples)))
    both = np.zeros_like(alike)
    for start in range(0, ensemble.n_patches, PATCHES):
        part = slice(start, start + PATCHES)
        votes = ensemble.votes[part][:, samples]
        if votes.ndim == 3:
            votes = votes.argmax(axis=2)
        voted = bits_at(ensemble.voters[part], samples)
        for k in range(ensemble.n_classes):
            own = ((votes == k) & voted).astype(np.float32)
            alike += own.T @ own
        casts = voted.astype(np.float32)
        both += casts.T @ casts
    return np.divide(alike, both, out=np.full_like(alike, np.nan), where=both > 0)


def order_by_linkage(matrix: NDArray[np.float64], labels: NDArray[Any] | None) -> NDArray[np.int64]:
    """Order observations by cluster, and within a cluster so that similar ones are neighbours."""
    codes = np.zeros(len(matrix), dtype=np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    parts = []
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        if len(members) > 2:
            # Pairs that never met are as far apart as any.
            distances = 1 - np.nan_to_num(matrix[np.ix_(members, members)])
            np.fill_diagonal(distances, 0)
            members = members[leaves_list(linkage(squareform(distances, checks=False), "average"))]
        parts.append(members)
    return np.concatenate(parts)
