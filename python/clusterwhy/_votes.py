"""The predictions of an ensemble: one vote per minipatch and observation, kept as small as they allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._patches import unpack_bits

MAX_CLASSES = 65_535
# Arithmetic in single precision may end a little beyond 0 and 1.
PROBABILITY_TOLERANCE = 1e-5
# Probabilities that were rounded to two digits for ten classes still sum to 1 as closely.
SUM_TOLERANCE = 0.05


@dataclass(frozen=True)
class Ensemble:
    """Votes, who may cast them and which features they rest on.

    Attributes
    ----------
    votes : ndarray of shape (B, N) of uint16, or (B, N, K) of float32 or float64
        Classes (hard votes, and soft votes that are all 0 or 1) or probabilities.
    voters : ndarray of shape (B, ceil(N / 64)) of uint64
        Bits of the observations that each minipatch votes on.
    holds : ndarray of shape (B, ceil(M / 64)) of uint64
        Bits of the features that each minipatch holds.
    n_features, n_classes : int
        M and K.
    patch_fraction : float
        n / N, the mean share of the observations in a minipatch.
    """

    votes: NDArray[Any]
    voters: NDArray[np.uint64]
    holds: NDArray[np.uint64]
    n_features: int
    n_classes: int
    patch_fraction: float

    @property
    def n_patches(self) -> int:
        """B."""
        return len(self.votes)

    @property
    def n_samples(self) -> int:
        """N."""
        return int(self.votes.shape[1])

    @property
    def voting(self) -> NDArray[np.bool_]:
        """Which minipatches vote for anyone, (B,)."""
        voting: NDArray[np.bool_] = (self.voters != 0).any(axis=1)
        return voting

    def held(self) -> NDArray[np.bool_]:
        """Which features some minipatch that votes holds, (M,)."""
        some: NDArray[np.uint64] = np.bitwise_or.reduce(self.holds[self.voting], axis=0)
        held: NDArray[np.bool_] = unpack_bits(some[None], self.n_features)[0]
        return held

    def harden(self) -> Ensemble:
        """Replace each minipatch's probabilities by the class that they favour (ties: the smallest)."""
        if self.votes.ndim == 2:
            return self
        hard = np.empty(self.votes.shape[:2], dtype=np.uint16)
        for b, proba in enumerate(self.votes):
            hard[b] = proba.argmax(axis=1)
        return self._replace(votes=hard)

    def widen(self) -> Ensemble:
        """Replace single-precision probabilities by double-precision ones."""
        return self._replace(votes=self.votes.astype(np.float64)) if self.votes.dtype == np.float32 else self

    def with_sets(self, holds: NDArray[np.uint64], n_sets: int) -> Ensemble:
        """Take sets of features as the features: `holds` says which minipatches touch which set."""
        return self._replace(holds=holds, n_features=n_sets)

    def without_patches(self, excluded: NDArray[np.bool_]) -> Ensemble:
        """Silence some minipatches."""
        voters = self.voters.copy()
        voters[excluded] = 0
        return self._replace(voters=voters)

    def first(self, n_patches: int) -> Ensemble:
        """Take the first minipatches alone."""
        return self._replace(
            votes=self.votes[:n_patches], voters=self.voters[:n_patches], holds=self.holds[:n_patches]
        )

    def _replace(self, **changes: Any) -> Ensemble:
        return Ensemble(**{**vars(self), **changes})

    def leave_one_out(self, threads: int) -> LeaveOneOut:
        """Sum the votes over the minipatches that leave each observation out."""
        return LeaveOneOut(*_core.leave_one_out(self, threads))


@dataclass(frozen=True)
class LeaveOneOut:
    """Sums of votes (N, K) and numbers of voters (N,)."""

    totals: NDArray[np.float64]
    counts: NDArray[np.uint32]

    @property
    def proba(self) -> NDArray[np.float64]:
        """``H``, of shape (N, K); NaN for observations that no minipatch votes on."""
        counts = np.where(self.counts > 0, self.counts, np.nan)
        return self.totals / counts[:, None]


def not_probabilities(proba: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which rows (over the last axis) have values that are no probabilities, from 0 to 1."""
    low, high = -PROBABILITY_TOLERANCE, 1 + PROBABILITY_TOLERANCE
    # Two passes without a mask of the data's size say that all is well. NaN compares false.
    if proba.size and proba.min() >= low and proba.max() <= high:
        return np.zeros(proba.shape[:-1], dtype=bool)
    return np.logical_not(((proba >= low) & (proba <= high)).all(axis=-1))


def sums_of_votes(proba: NDArray[Any]) -> NDArray[Any]:
    """Sum each row of probabilities (over the last axis): 1, or 0 where the voter abstains."""
    # As a product, which takes a third of the time of numpy's sums of a few numbers each.
    return np.asarray(proba @ np.ones(proba.shape[-1], dtype=proba.dtype))


class VoteStore:
    """Collects blocks of votes, in one byte pair per vote for as long as all of them are 0 or 1.

    Probabilities that are all 0 or 1, as fully grown trees give, are classes; they are kept as such, exactly.
    The first block with other values turns the whole store into probabilities, in the classifier's dtype.

    Memory: ``2 B N`` bytes for classes, ``B N K`` times 4 or 8 for probabilities, and B N / 8 of voters. Room is made
    in place, where the system can (Linux moves the pages, not the votes).

    Attributes
    ----------
    votes : ndarray of shape (B, N) of uint16, or (B, N, K) of float32 or float64
    voters : ndarray of shape (B, ceil(N / 64)) of uint64
        As in :class:`Ensemble`. The arrays themselves grow: views of them do not outlive :meth:`reserve`.
    """

    def __init__(self, n_samples: int, n_classes: int) -> None:
        self._n_classes = n_classes
        self.votes: NDArray[Any] = np.empty((0, n_samples), dtype=np.uint16)
        self.voters: NDArray[np.uint64] = np.empty((0, -(-n_samples // 64)), dtype=np.uint64)

    def reserve(self, n_patches: int) -> None:
        """Make room for so many minipatches in all."""
        # Nobody else counts on the arrays staying where they are.
        self.votes.resize((n_patches, *self.votes.shape[1:]), refcheck=False)
        self.voters.resize((n_patches, *self.voters.shape[1:]), refcheck=False)

    def put(self, start: int, votes: NDArray[Any], voters: NDArray[np.uint64]) -> None:
        """Store minipatches ``start, start + 1, ...``: votes (b, N) or (b, N, K), and bits of who casts them."""
        stop = start + len(votes)
        self.voters[start:stop] = voters
        if votes.ndim == 3 and self.votes.ndim == 2:
            self.votes = one_hot(self.votes, self._n_classes, votes.dtype)
        elif votes.ndim == 3 and votes.dtype.itemsize > self.votes.dtype.itemsize:
            self.votes = self.votes.astype(votes.dtype)
        if votes.ndim == 2 and self.votes.ndim == 3:
            votes = one_hot(votes, self._n_classes, self.votes.dtype)
        self.votes[start:stop] = votes


def one_hot(classes: NDArray[np.uint16], n_classes: int, dtype: Any) -> NDArray[Any]:
    """Turn classes (B, N) into probabilities (B, N, K) of 0 and 1."""
    out = np.zeros((*classes.shape, n_classes), dtype=dtype)
    rows = np.arange(classes.shape[1])
    for proba, row in zip(out, classes, strict=True):
        proba[rows, row] = 1
    return out


def compact(proba: NDArray[Any], voters: NDArray[np.bool_]) -> NDArray[Any]:
    """Turn probabilities (b, N, K) into classes (b, N) if those of all voters (b, N) are 0 or 1.

    Rows that are not voters' mean nothing.
    """
    cast = proba[voters]
    if ((cast == 0) | (cast == 1)).all() and (cast.sum(axis=1) == 1).all():
        return np.asarray(proba.argmax(axis=2), dtype=np.uint16)
    return proba
