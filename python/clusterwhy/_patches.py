"""Minipatches: random subsets of observations and of features, derived from a seed whenever needed."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy import _core
from clusterwhy._validation import check_count, check_patch_size, check_seed


class MinipatchIndexError(IndexError, ValueError):
    """A minipatch that there is not: as of a sequence, and a ValueError as all errors of arguments."""


@dataclass(frozen=True)
class Minipatches:
    """An ensemble of minipatches. Only the seed is stored; indices are derived again on request.

    Made by :func:`minipatches`, and found as ``patches_`` on fitted estimators.

    Attributes
    ----------
    n_samples, n_features : int
        Shape of the data that minipatches are drawn from.
    n_patches : int
        Number of minipatches, also ``len(patches)``.
    n_rows, n_columns : int
        Observations and features in each minipatch.
    seed : int
        The seed of the ensemble. Minipatch ``b`` depends on ``(seed, b)`` alone.
    features : ndarray of shape (n_active,) or None
        The features that columns are drawn from, where these are a part of the data's features (as in the
        later rounds of RAMPART); None for all of them.
    """

    n_samples: int
    n_features: int
    n_patches: int
    n_rows: int
    n_columns: int
    seed: int
    features: NDArray[np.int64] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return self.n_patches

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Iterate over ``(rows, columns)`` of each minipatch."""
        for b in range(self.n_patches):
            yield self.rows(b), self.columns(b)

    def rows(self, b: int | slice = slice(None)) -> NDArray[np.int64]:
        """Observations of minipatch `b`, ascending.

        Parameters
        ----------
        b : int or slice, default=slice(None)
            Which minipatch; a slice with step 1 gives several at once, the default all.

        Returns
        -------
        ndarray of shape (n_rows,), or (len(b), n_rows) for a slice, of int64
        """
        return self._indices(b, columns=False)

    def columns(self, b: int | slice = slice(None)) -> NDArray[np.int64]:
        """Features of minipatch `b`, ascending.

        Parameters
        ----------
        b : int or slice, default=slice(None)
            Which minipatch; a slice with step 1 gives several at once, the default all.

        Returns
        -------
        ndarray of shape (n_columns,), or (len(b), n_columns) for a slice, of int64
        """
        columns = self._indices(b, columns=True)
        return columns if self.features is None else np.asarray(self.features[columns])

    def _indices(self, b: int | slice, *, columns: bool) -> NDArray[np.int64]:
        if isinstance(b, slice):
            return self._draw(*self._bounds(b), columns)
        if isinstance(b, (bool, np.bool_)) or not hasattr(b, "__index__"):
            raise TypeError(f"a minipatch is named by an integer or a slice, got {b!r} of type {type(b).__name__}")
        index = operator.index(b)
        index += self.n_patches if index < 0 else 0
        if not 0 <= index < self.n_patches:
            raise MinipatchIndexError(
                f"minipatch {b} is out of range: there are {self.n_patches}, from 0 to {self.n_patches - 1}"
            )
        one: NDArray[np.int64] = self._draw(index, index + 1, columns)[0]
        return one

    def _bounds(self, b: slice) -> tuple[int, int]:
        start, stop, step = b.indices(self.n_patches)
        if step != 1:
            raise ValueError(f"a slice of minipatches must have step 1, got {step}")
        return start, max(start, stop)

    def _draw(self, start: int, stop: int, columns: bool) -> NDArray[np.int64]:
        return _core.minipatch_indices(*self._design, start, stop, columns)

    @property
    def _design(self) -> tuple[int, int, int, int, int]:
        """What the core draws from."""
        return self.n_samples, self._n_active, self.n_rows, self.n_columns, self.seed

    @property
    def _n_active(self) -> int:
        return self.n_features if self.features is None else len(self.features)

    def left_out(self, b: slice = slice(None)) -> NDArray[np.uint64]:
        """Bits of the observations that minipatches leave out.

        Parameters
        ----------
        b : slice, default=slice(None)
            Which minipatches, with step 1; the default all.

        Returns
        -------
        ndarray of shape (len(b), ceil(n_samples / 64)) of uint64
            Element ``i`` is bit ``i % 64`` of word ``i // 64``.
        """
        return self._bits(*self._bounds(b), columns=False)

    def held(self, b: slice = slice(None)) -> NDArray[np.uint64]:
        """Bits of the (active) features that minipatches hold.

        Parameters
        ----------
        b : slice, default=slice(None)
            Which minipatches, with step 1; the default all.

        Returns
        -------
        ndarray of shape (len(b), ceil(n_active / 64)) of uint64
            Element ``j`` is bit ``j % 64`` of word ``j // 64``.
        """
        return self._bits(*self._bounds(b), columns=True)

    def _bits(self, start: int, stop: int, *, columns: bool) -> NDArray[np.uint64]:
        return _core.minipatch_bits(*self._design, start, stop, columns)


def minipatches(
    n_samples: int,
    n_features: int,
    n_patches: int,
    max_samples: float = 0.2,
    max_features: float = 0.2,
    seed: int = 0,
) -> Minipatches:
    """Draw minipatches: subsets of observations and features, uniform and without replacement.

    Minipatch ``b`` depends on ``(seed, b)`` alone, so any process draws the same ones in any order. Nothing is
    drawn until asked for.

    Parameters
    ----------
    n_samples, n_features : int
        Shape of the data.
    n_patches : int
        How many minipatches.
    max_samples, max_features : float or int, default=0.2
        Size of a minipatch: a float is a fraction (rounded up), an int a count.
    seed : int, default=0
        From 0 to 2**64 - 1.

    Returns
    -------
    Minipatches
        With ``rows(b)``, ``columns(b)`` and ``len()``.

    Raises
    ------
    ValueError
        For sizes that are not positive or exceed the data.
    TypeError
        For sizes that are not numbers.

    Examples
    --------
    >>> import clusterwhy as cw
    >>> patches = cw.minipatches(100, 20, n_patches=3, max_samples=0.05, max_features=4, seed=0)
    >>> len(patches), patches.rows(0).shape, patches.columns(0).shape
    (3, (5,), (4,))
    """
    n_samples = check_count(n_samples, "n_samples")
    n_features = check_count(n_features, "n_features")
    return Minipatches(
        n_samples=n_samples,
        n_features=n_features,
        n_patches=check_count(n_patches, "n_patches"),
        n_rows=check_patch_size(max_samples, n_samples, "max_samples", "observations"),
        n_columns=check_patch_size(max_features, n_features, "max_features", "features"),
        seed=check_seed(seed),
    )


def pack_bits(mask: NDArray[Any]) -> NDArray[np.uint64]:
    """Pack rows of booleans into rows of 64-bit words, as :meth:`Minipatches.held` gives them."""
    rows, columns = mask.shape
    padded = np.zeros((rows, -(-columns // 64) * 64), dtype=bool)
    padded[:, :columns] = mask
    words = np.packbits(padded, axis=1, bitorder="little").view("<u8")
    return np.ascontiguousarray(words.astype(np.uint64, copy=False))


def unpack_bits(words: NDArray[np.uint64], columns: int) -> NDArray[np.bool_]:
    """Undo :func:`pack_bits`."""
    flat = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(flat, axis=1, count=columns, bitorder="little").view(bool)


def bits_at(words: NDArray[np.uint64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Unpack a few columns of what :func:`pack_bits` packed."""
    found = words[:, columns // 64] >> (columns % 64).astype(np.uint64)
    return (found & np.uint64(1)).astype(bool)


def enough_patches(n_samples: int, n_features: int, reached: float) -> int:
    """Return about how many minipatches score every feature for every observation, where one does so for a share."""
    return int(np.ceil(np.log(0.01 / (n_samples * n_features)) / np.log1p(-reached)))
