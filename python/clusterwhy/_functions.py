"""The kernels as pure functions, for toolkits that bring their own ensemble: NumPy in, NumPy out, no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from clusterwhy import _core
from clusterwhy._patches import Minipatches, enough_patches, pack_bits, unpack_bits
from clusterwhy._scores import Loss, check_loss, score_ensemble
from clusterwhy._tables import aligned
from clusterwhy._validation import (
    check_count,
    check_nonnegative,
    decode_labels,
    encode_reference,
    label_array,
    n_threads,
)
from clusterwhy._votes import MAX_CLASSES, SUM_TOLERANCE, Ensemble, not_probabilities, sums_of_votes
from clusterwhy._warnings import warn_user


def align_labels(labels: Any, reference: Any) -> NDArray[Any]:
    """Rename the clusters of one labelling to the labels of another that they overlap most.

    A maximum-weight assignment on the contingency table (the Hungarian method), rectangular when the numbers
    of labels differ: a surplus cluster goes to the reference label that it overlaps most (ties: the
    smallest), a surplus reference label is not used.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Whole numbers, negative (-1) for noise, which stays noise, or strings.
    reference : array-like of shape (n,)
        Whole numbers with -1 for noise, or strings.

    Returns
    -------
    ndarray of shape (n,)
        `labels` in terms of `reference`; -1 for noise, and for a cluster all of whose observations are noise
        in `reference`.

    Raises
    ------
    ValueError
        For different lengths, labels that are neither whole numbers nor strings, or a reference that is all noise.

    Notes
    -----
    O(n log n + K^3). Among several best assignments the choice does not depend on the clusters' names.

    Examples
    --------
    >>> import clusterwhy as cw
    >>> cw.align_labels([5, 5, 2, 2, -1], [0, 0, 1, 1, 1])
    array([ 0,  0,  1,  1, -1])
    """
    named = label_array(labels, None, "labels")
    codes = np.unique(named, return_inverse=True)[1] if named.dtype.kind in "US" else named.astype(np.int64)
    reference_codes, classes = encode_reference(reference, len(codes), "reference")
    rows = np.arange(len(codes), dtype=np.int64)
    offsets = np.array([0, len(codes)], dtype=np.int64)
    renamed = _core.align_patches(codes, rows, offsets, reference_codes, 1)
    if classes.dtype.kind in "iub":
        return decode_labels(renamed, classes.astype(np.int64))
    if (renamed < 0).any():
        raise ValueError(
            "labels with noise (-1) cannot be aligned to a reference of strings, which have none for noise: number "
            "the reference, as sklearn.preprocessing.LabelEncoder does"
        )
    return decode_labels(renamed, classes)


def consensus_labels(labels: Any, rows: Any, n_samples: int, reference: Any) -> NDArray[Any]:
    """Vote over minipatches: the label that most of those holding an observation give it.

    Parameters
    ----------
    labels : array-like of shape (B, n), or list of B arrays
        Aligned labels, entry ``(b, t)`` for observation ``rows[b][t]``; -1 is noise, which does not vote. Usually
        values of `reference`, but others may win as well.
    rows : array-like of shape (B, n), list of B arrays, or Minipatches
        The observations of each minipatch.
    n_samples : int
        N.
    reference : array-like of shape (N,)
        Reference labels. They decide ties that they are part of (other ties go to the smallest label), and
        stand where nothing voted.

    Returns
    -------
    ndarray of shape (N,)

    Raises
    ------
    ValueError
        For sizes that do not fit, or observations out of range.

    Examples
    --------
    >>> import clusterwhy as cw
    >>> cw.consensus_labels([[0, 1], [1, 1]], [[0, 1], [0, 2]], 4, [1, 0, 0, 0])
    array([1, 1, 1, 0])
    """
    n_samples = check_count(n_samples, "n_samples")
    named = label_array(reference, n_samples, "reference")
    encode_reference(named, n_samples, "reference")
    row_list = _row_list(rows, "rows")
    if not isinstance(labels, (np.ndarray, Sequence)) or isinstance(labels, str):
        raise TypeError(f"labels must be one array of labels for each minipatch, got {type(labels).__name__}")
    label_list = [label_array(part, None, f"labels of minipatch {b}") for b, part in enumerate(labels)]
    if len(label_list) != len(row_list):
        raise ValueError(f"labels has {len(label_list)} minipatches, rows has {len(row_list)}")
    for b, (part, where) in enumerate(zip(label_list, row_list, strict=True)):
        if part.shape != where.shape:
            raise ValueError(f"minipatch {b} has {part.size} labels for {where.size} observations")
    if not label_list:
        return named
    for part in label_list:
        check_same_kind(part, named, "labels", "reference")
    flat, flat_rows = np.concatenate(label_list), np.concatenate(row_list)
    classes = known_labels(named, flat)
    votes, codes = encode_as(flat, classes), encode_as(named, classes)
    consensus = _core.majority(_core.count_votes(votes, flat_rows, len(codes), len(classes)), codes)
    return decode_labels(consensus, classes if classes.dtype.kind in "US" else classes.astype(np.int64))


def check_same_kind(labels: NDArray[Any], others: NDArray[Any], what: str, other: str) -> None:
    """Refuse to compare numbers with strings: NumPy would turn both into strings."""
    if (labels.dtype.kind in "US") != (others.dtype.kind in "US"):
        raise TypeError(
            f"{what} and {other} must both be whole numbers or both strings, got dtypes {labels.dtype} and "
            f"{others.dtype}"
        )


def known_labels(*labels: Any) -> NDArray[Any]:
    """Return the distinct values of several labellings, sorted, without noise."""
    values = np.unique(np.concatenate([np.ravel(part) for part in labels if np.size(part)]))
    return values[values >= 0] if values.dtype.kind == "i" else values


def encode_as(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int32]:
    """Turn label values into positions in `classes`; negative numbers are noise."""
    noise = labels < 0 if labels.dtype.kind == "i" else np.zeros(labels.shape, dtype=bool)
    return np.where(noise, -1, np.searchsorted(classes, labels)).astype(np.int32)


def loco_scores(
    predictions: Any,
    patches: Any,
    labels: Any,
    loss: Loss = "hinge",
    *,
    n_features: int | None = None,
    variance_barrier: float = 1e-4,
    n_jobs: int | None = None,
) -> Bunch:
    """Score every feature, cluster and observation from the predictions of an ensemble of minipatches.

    Parameters
    ----------
    predictions : array-like of shape (B, N) or (B, N, K)
        What each minipatch predicts for each observation: labels (hard votes) or probabilities (soft votes;
        float32 is summed in float32 within tiles of 64 minipatches, float64 all in float64). Column ``k``
        of the probabilities is label ``k`` where all labels are in ``0..K-1``, else the k-th label value. They
        should sum to 1 (a warning says where they do not); where they are all 0, the minipatch abstains.
        Entries for observations inside a minipatch are not used.
    patches : Minipatches, or tuple (rows, columns)
        From :func:`minipatches`; or the observations and the features of each minipatch, each as an array of
        B rows of indices, a list of B arrays of indices, or a boolean mask of shape (B, N) or (B, M).
    labels : array-like of shape (N,)
        The labels that the predictions are scored against, -1 for observations to leave out.
    loss : {"hinge", "margin", "brier", "log", "zero_one", "ari"} or callable, default="hinge"
        As in :class:`LOCOMP`.
    n_features : int, optional
        M, where indices of columns do not tell.
    variance_barrier : float, default=1e-4
        As in :class:`LOCOMP`.
    n_jobs : int, default=None
        Threads. The results are the same bits for any number.

    Returns
    -------
    Bunch
        A dictionary, also by attribute, with ``feature_importances_`` (M,), ``cluster_importances_`` (K, M),
        ``sample_importances_`` (N, M), ``standard_errors_`` (M,), ``cluster_standard_errors_`` (K, M),
        ``monte_carlo_errors_`` (M,), ``cluster_monte_carlo_errors_`` (K, M), ``loo_error_``, ``loo_proba_``
        (N, K) and ``classes_`` (K,). A loss of the whole set has no scores of clusters and samples, and of errors
        ``monte_carlo_errors_`` alone.

    Raises
    ------
    ValueError
        For sizes that do not fit, predictions of noise (negative) or of another kind than the labels, or
        probabilities that are not from 0 to 1; for masked arrays.

    Notes
    -----
    O(B N M / 64) word operations for hard votes, O(B N K m) additions for soft ones; N x M x K numbers are
    never stored.

    Examples
    --------
    >>> import numpy as np
    >>> import clusterwhy as cw
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 2, size=60)
    >>> patches = cw.minipatches(60, 5, 400, max_samples=0.3, max_features=2, seed=0)
    >>> holds = np.array([0 in patches.columns(b) for b in range(400)])
    >>> guess = rng.integers(0, 2, size=(400, 60))
    >>> predictions = np.where(holds[:, None], labels, guess)  # feature 0 knows the labels
    >>> int(cw.loco_scores(predictions, patches, labels).feature_importances_.argmax())
    0
    """
    named = label_array(labels, None, "labels")
    encode_reference(named, None, "labels")
    n_samples = len(named)
    if n_features is not None:
        n_features = check_count(n_features, "n_features")
    voters, holds, m, fraction = _masks(patches, n_samples, n_features)
    votes, voters, classes = _encode_votes(predictions, voters, named)
    codes = encode_as(named, classes)
    ensemble = Ensemble(votes, pack_bits(voters), holds, m, len(classes), fraction)
    out = score_ensemble(
        ensemble,
        codes,
        check_loss(loss),
        barrier=check_nonnegative(variance_barrier, "variance_barrier"),
        threads=n_threads(n_jobs),
    )
    out.pop("_spreads_", None)
    _warn_of_nan(out["feature_importances_"], out["loo_proba_"], ensemble)
    return Bunch(**out, classes_=classes)


def _warn_of_nan(scores: NDArray[np.float64], loo_proba: NDArray[np.float64], ensemble: Ensemble) -> None:
    """Warn of features and observations that no minipatch scores; say how many would be enough."""
    features, observations = np.flatnonzero(np.isnan(scores)), np.flatnonzero(np.isnan(loo_proba[:, 0]))
    if not (features.size or observations.size):
        return
    n, m = len(loo_proba), len(scores)
    # The first thousand minipatches tell how large they are.
    few = ensemble.first(1000)
    left_out, held = unpack_bits(few.voters, n).mean(axis=1), unpack_bits(few.holds, m).mean(axis=1)
    reached = float((left_out * (1 - held)).mean())
    advice = ""
    if 0 < reached < 1:
        enough = enough_patches(n, m, reached)
        advice = f"; about {enough} minipatches of these sizes reach all, and {ensemble.n_patches} were given"
    if features.size:
        warn_user(
            f"no minipatch without them can score {features.size} features ({shorten(features)}): "
            f"their scores are NaN{advice}"
        )
    if observations.size:
        warn_user(
            f"{observations.size} observations ({shorten(observations)}) are left out by no minipatch: "
            f"they are not scored{advice}"
        )


def shorten(indices: NDArray[np.int64]) -> str:
    """Write the first few of many indices."""
    return ", ".join(map(str, indices[:5])) + (", ..." if indices.size > 5 else "")


def _encode_votes(
    predictions: Any, voters: NDArray[np.bool_], labels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[Any]]:
    """Return votes as the core takes them, who casts them, and the label values behind their codes or columns."""
    try:
        array = np.asarray(predictions)
    except ValueError as error:
        raise ValueError(f"predictions must be one array, got parts of different shapes: {error}") from error
    if array.ndim not in (2, 3) or array.shape[:2] != voters.shape:
        b, n = voters.shape
        raise ValueError(f"predictions must have shape ({b}, {n}) or ({b}, {n}, K), got {array.shape}")
    _refuse_masked_votes(predictions, voters)
    if array.ndim == 3:
        return _encode_probabilities(array, voters, labels)
    try:
        cast = label_array(array[voters], None, "predictions")
    except ValueError as error:
        raise ValueError(
            f"{error}; predictions of shape {array.shape} are hard votes, soft votes have shape (B, N, K)"
        ) from error
    check_same_kind(cast, labels, "predictions", "labels")
    classes = known_labels(labels, cast)
    if len(classes) > MAX_CLASSES:
        raise ValueError(f"at most {MAX_CLASSES} labels are possible, got {len(classes)}")
    if cast.dtype.kind == "i" and (cast < 0).any():
        b, i = np.argwhere(voters)[(cast < 0).argmax()]
        raise ValueError(
            f"minipatch {b} predicts {array[b, i]} for observation {i}: noise cannot be predicted; leave the "
            "observation out of its voters by adding it to the minipatch's rows"
        )
    codes = np.zeros(voters.shape, dtype=np.uint16)
    codes[voters] = np.searchsorted(classes, cast)
    return codes, voters, classes


def _refuse_masked_votes(predictions: Any, voters: NDArray[np.bool_]) -> None:
    """Refuse predictions, one array or a list of them, of which a masked one would be a vote."""
    parts = predictions if isinstance(predictions, (list, tuple)) else [predictions]
    if not any(np.ma.is_masked(part) for part in parts):
        return
    mask = np.ma.getmaskarray(np.ma.asarray(predictions))
    votes = voters & mask.reshape(*voters.shape, -1).any(axis=2)
    if votes.any():
        b, i = np.argwhere(votes)[0]
        raise ValueError(
            f"predictions must not be masked, got a masked one of minipatch {b} for observation {i}; leave the "
            "observation out of its voters by adding it to the minipatch's rows"
        )


def _encode_probabilities(
    array: NDArray[Any], voters: NDArray[np.bool_], labels: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[Any]]:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"probabilities must be numbers, got dtype {array.dtype}")
    n_classes = array.shape[2]
    classes = known_labels(labels)
    if classes.dtype.kind in "ib" and len(classes) and classes[-1] < n_classes:
        classes = np.arange(n_classes)
    elif len(classes) != n_classes or n_classes > MAX_CLASSES:
        raise ValueError(
            f"predictions have {n_classes} columns, but labels have {len(classes)} values: "
            f"{classes[:10].tolist()}; use the column's number as the label"
        )
    dtype = np.float32 if array.dtype == np.float32 else np.float64
    proba: NDArray[np.floating[Any]] = aligned(np.ascontiguousarray(array, dtype=dtype))
    wrong = voters & not_probabilities(proba)
    if wrong.any():
        b, i = np.argwhere(wrong)[0]
        raise ValueError(
            f"probabilities must be from 0 to 1; minipatch {b} predicts {proba[b, i].tolist()} for observation {i}: "
            "divide them by their sum, or pass hard votes"
        )
    totals = sums_of_votes(proba)
    # Probabilities that are all 0 are an abstention, as a classifier's are.
    voters = voters & (totals != 0)
    odd = voters & (abs(totals - 1) > SUM_TOLERANCE)
    if odd.any():
        b, i = np.argwhere(odd)[0]
        warn_user(
            f"probabilities of {odd.sum()} votes do not sum to 1 (minipatch {b} predicts {proba[b, i].tolist()} for "
            f"observation {i}): they are averaged as they are; divide them by their sum if they are to count alike"
        )
    return proba, voters, classes


def _masks(
    patches: Any, n_samples: int, n_features: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.uint64], int, float]:
    """Return voters (B, N), bits of held features, M and n / N."""
    if isinstance(patches, Minipatches):
        if not len(patches):
            raise ValueError("patches has no minipatches, expected at least one")
        if patches.n_samples != n_samples:
            raise ValueError(f"patches are of {patches.n_samples} observations, labels of {n_samples}")
        if n_features is not None and n_features != patches._n_active:
            raise ValueError(f"patches are of {patches._n_active} features, n_features is {n_features}")
        voters = unpack_bits(patches.left_out(), n_samples)
        return voters, patches.held(), patches._n_active, patches.n_rows / n_samples
    if not (isinstance(patches, (tuple, list)) and len(patches) == 2):
        raise TypeError(f"patches must be Minipatches or a tuple (rows, columns), got {type(patches).__name__}")
    inside = _mask(patches[0], n_samples, "rows")
    held = _mask(patches[1], n_features, "columns")
    if len(inside) != len(held):
        raise ValueError(f"rows has {len(inside)} minipatches, columns has {len(held)}")
    if not held.size:
        raise ValueError(
            f"patches has {len(held)} minipatches of {held.shape[1]} features, expected at least one of each; "
            "pass n_features where no minipatch holds any"
        )
    return ~inside, pack_bits(held), held.shape[1], float(inside.mean())


def _mask(sets: Any, size: int | None, name: str) -> NDArray[np.bool_]:
    """Turn sets of indices, or a mask, into a mask."""
    if isinstance(sets, np.ndarray) and sets.dtype == bool and not np.ma.is_masked(sets):
        if sets.ndim != 2 or (size is not None and sets.shape[1] != size):
            raise ValueError(f"the mask of {name} must have shape (B, {size}), got {sets.shape}")
        return sets
    parts = _row_list(sets, name)
    # As indices they would name 0 and 1 again and again.
    if parts and len({len(part) for part in parts} - {0, 1, 2}) == 1 and np.isin(np.concatenate(parts), (0, 1)).all():
        raise ValueError(f"{name} are zeros and ones alone, not indices: pass a mask as booleans, .astype(bool)")
    if size is None:
        size = 1 + max((int(part.max()) for part in parts if part.size), default=-1)
    out = np.zeros((len(parts), size), dtype=bool)
    for b, part in enumerate(parts):
        if part.size and not (part.min() >= 0 and part.max() < size):
            raise ValueError(f"{name} of minipatch {b} must be from 0 to {size - 1}")
        out[b, part] = True
    return out


def _row_list(sets: Any, name: str) -> list[NDArray[np.int64]]:
    if isinstance(sets, Minipatches):
        return list(sets.rows())
    if not isinstance(sets, (np.ndarray, Sequence)) or isinstance(sets, str):
        raise TypeError(f"{name} must be one array of indices for each minipatch, got {type(sets).__name__}")
    for b, part in enumerate(sets):
        if np.ma.is_masked(part):
            raise ValueError(
                f"{name} of minipatch {b} must not be masked; pass a list of arrays, which may differ in length"
            )
    parts = [np.asarray(part) for part in sets]
    for b, part in enumerate(parts):
        if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
            raise ValueError(
                f"{name} of minipatch {b} must be a flat list of integer indices (np.flatnonzero of a mask), got "
                f"{part.dtype} of shape {part.shape}"
            )
        if part.dtype.kind == "u" and part.size and part.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{name} of minipatch {b} has the index {part.max()}, which no array is long enough for")
    return [part.astype(np.int64, copy=False) for part in parts]
