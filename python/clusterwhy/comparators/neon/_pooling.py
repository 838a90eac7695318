"""The pooling layer on top: how the evidence for a cluster is shared among its competitors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# What messages say of an observation whose evidence cannot be shared out.
UNDECIDED = (
    "in another cluster than the one to explain, and exactly as near to a third: its evidence cannot be shared among "
    "them"
)


def leads(distances: Floats, own: NDArray[np.intp]) -> Floats:
    """Return ``h_k = d_k - d_c`` (n, K), the lead of cluster ``c = own`` over each other; inf for ``c`` itself.

    Parameters
    ----------
    distances : ndarray of shape (n, K)
        Of each observation to each cluster, up to a constant per observation.
    own : ndarray of shape (n,)
        Columns of the clusters to explain.
    """
    rows = np.arange(len(own))
    h = distances - distances[rows, own][:, None]
    h[rows, own] = np.inf
    return h


def undecided(distances: Floats, own: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Say which observations (n,) lie in another cluster, and exactly as near to a third as to their own."""
    h = leads(distances, own)
    wrong: NDArray[np.bool_] = (h.min(axis=1) < 0) & (h == 0).any(axis=1)
    return wrong


def min_take_most(distances: Floats, own: NDArray[np.intp], beta: float) -> tuple[Floats, Floats]:
    """Pool by ``f = min_k h_k`` and share ``f`` by ``softmin(beta h)``.

    A competitor's share ``p_k f`` is spread in proportion to the parts that ``h_k`` is the sum of, that is, each
    part times ``p_k f / h_k``. With f >= 0 that factor is at most ``p_k``. With f < 0, where the observation lies
    in another cluster, it has no bound, and is not defined where :func:`undecided`.

    Returns
    -------
    f : ndarray of shape (n,)
        Evidence for the cluster.
    pull : ndarray of shape (n, K)
        Factor of each cluster's distance in the explanation; a row sums to 0.
    """
    h = leads(distances, own)
    rows = np.arange(len(own))
    f = h.min(axis=1)
    h[rows, own] = f
    level = f[:, None]
    p = np.exp(-beta * (h - level))
    p[rows, own] = 0.0
    p /= p.sum(axis=1, keepdims=True)
    pull = p * np.divide(level, h, out=np.ones_like(h), where=h > level)
    pull[rows, own] = -pull.sum(axis=1)
    return f, pull


def log_mean_exp(distances: Floats, own: NDArray[np.intp], threshold: float) -> tuple[Floats, Floats]:
    """Pool the logits of a soft assignment into the log odds of ``p_c`` against those of `threshold`.

    ``f = -log(mean_k exp(-h_k))`` over the competitors, with ``h_k`` moved by
    ``-log(K - 1) + log((1 - threshold) / threshold)``; equals ``log(p_c / (1 - p_c)) + log((1 - t) / t)``. A
    competitor's share ``softmin(h)_k f`` is scaled by ``h_k / f``, so that the factor of ``h_k`` is the softmin.

    Returns
    -------
    f, pull
        As in :func:`min_take_most`.
    """
    h = leads(distances, own)
    lowest = h.min(axis=1, keepdims=True)
    p = np.exp(lowest - h)
    total = p.sum(axis=1, keepdims=True)
    f = (lowest - np.log(total))[:, 0] + np.log((1 - threshold) / threshold)
    pull: Floats = p / total
    pull[np.arange(len(own)), own] = -1.0
    return f, pull
