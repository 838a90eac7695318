"""Agreement of labels whose names need not agree."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ._validation import as_labels


def is_noise(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether labels are those of noise: numbers below 0, as everywhere."""
    if labels.dtype.kind in "iuf":
        return np.asarray(labels < 0)
    return np.array([isinstance(label, numbers.Real) and label < 0 for label in labels.tolist()], dtype=np.bool_)


def match_labels(labels: npt.NDArray[Any], reference: npt.NDArray[Any]) -> dict[Any, Any]:
    """Return the one-to-one naming of labels by reference labels that agrees on most observations.

    Noise (below 0) in `labels` is given no name, nor is a label left over when all reference labels are taken.
    """
    names, codes = np.unique(labels, return_inverse=True)
    reference_names, reference_codes = np.unique(reference, return_inverse=True)
    table = np.zeros((names.size, reference_names.size), dtype=np.int64)
    np.add.at(table, (codes, reference_codes), 1)
    kept = ~is_noise(names)
    names, table = names[kept], table[kept]
    rows, columns = linear_sum_assignment(table, maximize=True)
    return dict(zip(names[rows].tolist(), reference_names[columns].tolist(), strict=True))


def matched_accuracy(y_true: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the accuracy of a clustering under the best one-to-one matching of clusters and classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes: integers or strings.
    labels : array-like of shape (n_samples,)
        Clusters. Their number may differ from that of the classes; the observations of clusters left without
        a class are wrong, and so is noise (below 0), as DBSCAN and HDBSCAN give it.

    Returns
    -------
    accuracy : float
        From 0 to 1.

    Raises
    ------
    ValueError
        If the arrays are empty, not of one dimension, or differ in length.

    Examples
    --------
    >>> from clusterwhy.metrics import matched_accuracy
    >>> matched_accuracy(["a", "a", "b", "b"], [1, 1, 0, 1])
    0.75
    """
    truth, found = as_labels(y_true, "y_true"), as_labels(labels, "labels")
    if truth.size != found.size:
        raise ValueError(f"y_true has {truth.size} observations, but labels has {found.size}.")
    naming = match_labels(found, truth)
    agree = [
        label in naming and naming[label] == true for label, true in zip(found.tolist(), truth.tolist(), strict=True)
    ]
    return float(np.mean(agree))
