"""The labels that are explained: those of all the data, of overlapping parts, or the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.cluster import AgglomerativeClustering

from clusterwhy import _core
from clusterwhy._fitting import REFERENCE_STREAM, check_clusterer, cluster, fresh, out_of_reach
from clusterwhy._threads import single_threaded_libraries
from clusterwhy._validation import encode_reference


def check_reference(reference: Any) -> None:
    """Refuse what is not a form of reference."""
    if isinstance(reference, str):
        known = reference in ("full", "overlap")
    else:
        # What is wrong with labels is told where they are read.
        known = _is_clusterer(reference) or any(hasattr(reference, name) for name in ("__len__", "__array__"))
    if not known:
        raise ValueError(
            "reference must be 'full', 'overlap', a clusterer for all the data or an array of labels to explain, "
            f"got {reference!r}"
        )
    if _is_clusterer(reference):
        check_clusterer(reference, "reference")


def is_labels(reference: Any) -> bool:
    """Whether the reference is labels, and not how to get them."""
    return not (isinstance(reference, str) or _is_clusterer(reference))


def given_labels(reference: Any, n_samples: int) -> tuple[NDArray[np.int32], NDArray[Any]] | None:
    """Return codes (N,) and classes where the reference is labels, else None."""
    return encode_reference(reference, n_samples) if is_labels(reference) else None


def clusterer_of_all_data(reference: Any, clusterer: Any) -> Any:
    """Return what clusters all the data for the reference; None where nothing does."""
    if isinstance(reference, str):
        return clusterer if reference == "full" else None
    return reference if _is_clusterer(reference) else None


def _is_clusterer(reference: Any) -> bool:
    return any(hasattr(reference, name) for name in ("fit", "fit_predict"))


def default_clusterer(reference: Any) -> Any:
    """Return the reference's own clusterer, or Ward clustering into as many clusters as there are labels, or 2."""
    if _is_clusterer(reference):
        return reference
    n_clusters = 2
    if not isinstance(reference, str):
        labels = np.asarray(reference)
        if labels.ndim == 1 and labels.size:
            _, classes = encode_reference(labels, len(labels))
            n_clusters = len(classes)
    return AgglomerativeClustering(n_clusters=n_clusters)


def reference_from_all_data(
    clusterer: Any, X: Any, seed: int, stream: int = REFERENCE_STREAM
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Cluster all the data at once. Random states that the user gave are kept.

    Returns codes (N,) and the label values that they stand for.
    """
    return fit_all_data(clusterer, X, seed, stream)[1:]


def fit_all_data(
    clusterer: Any, X: Any, seed: int, stream: int = REFERENCE_STREAM
) -> tuple[Any, NDArray[np.int32], NDArray[Any]]:
    """Return the fitted copy of the clusterer besides what :func:`reference_from_all_data` returns."""
    copy = fresh(clusterer, seed, stream, keep_given=True)
    # A clusterer may take dense data only, which minipatches are; nothing else is amiss with all of them.
    advice = (
        "sparse data are dense only in parts: use a clusterer that takes them (KMeans does), explain labels that are "
        "there, or, where it is a parameter, use reference='overlap'"
        if issparse(X)
        else ""
    )
    with single_threaded_libraries():
        labels = cluster(copy, out_of_reach(copy, X), "all the data, for the reference", advice)
    return copy, *encode_reference(labels, len(labels))


def reference_from_overlaps(
    labels: Iterable[NDArray[Any]], rows: Iterable[NDArray[np.int64]], n_samples: int, threads: int
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Put the labels of parts of the data together where they overlap; `rows` are the parts' observations."""
    parts = list(rows)
    offsets = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
    flat = np.concatenate(list(labels)).astype(np.int64, copy=False), np.concatenate(parts)
    codes, n_classes = _core.overlap_reference(*flat, offsets, n_samples, threads)
    if n_classes == 0:
        raise ValueError("every minipatch was all noise (-1): there is no cluster to explain")
    return codes, np.arange(n_classes)
