"""Soft assignments as a network: the logits of a softmax."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class SoftAssignmentNetwork(NamedTuple):
    """Clusters by the largest of the logits ``mu_k a + b_k``.

    ``h_k = (mu_c - mu_k) a + b_c - b_k`` is the log-likelihood ratio of cluster c and k. The biases keep their share
    of it.

    Attributes
    ----------
    directions : ndarray of shape (K, M)
        ``mu``.
    biases : ndarray of shape (K,)
    """

    directions: Floats
    biases: Floats

    def distances(self, A: Floats) -> Floats:
        """Return the logits' negatives (n, K)."""
        out: Floats = -(A @ self.directions.T + self.biases)
        return out

    def relevance(self, A: Floats, pull: Floats) -> Floats:
        """Return ``-sum_k pull_k mu_k a`` by coordinate (n, M)."""
        out: Floats = pull @ -self.directions
        out *= A
        return out
