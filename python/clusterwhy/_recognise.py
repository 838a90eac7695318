"""Recognises the estimators that the core runs natively, by exact class and parameters.

A subclass may do anything, so it is not its parent. Adding a method is one reader of its parameters and one line
of a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.tree import DecisionTreeClassifier

from clusterwhy import _native_params as params
from clusterwhy import native
from clusterwhy._native_params import NativeMethod, NoNativeFormError, NotNativeError
from clusterwhy.datasets import GammaMixture

__all__ = [
    "CLASSIFIERS",
    "CLUSTERERS",
    "NativeMethod",
    "NotNativeError",
    "recognise_classifier",
    "recognise_clusterer",
]


def recognise_clusterer(clusterer: Any) -> NativeMethod:
    """Return the native method of a clusterer, or raise :class:`NotNativeError`."""
    return _recognise(clusterer, CLUSTERERS)


def recognise_classifier(classifier: Any, n_columns: int) -> NativeMethod:
    """Return the native method of a classifier on minipatches of so many features, or raise."""
    return _recognise(classifier, CLASSIFIERS, n_columns)


def _recognise(estimator: Any, table: dict[type, Callable[..., NativeMethod]], *context: int) -> NativeMethod:
    reader = table.get(type(estimator))
    if reader is None:
        raise NoNativeFormError(type(estimator).__name__)
    try:
        method = reader(estimator, *context)
    except NoNativeFormError as reason:
        refuse_invalid(estimator, reason)
        raise
    return replace(method, estimator=type(estimator).__name__)


def refuse_invalid(estimator: Any, reason: NoNativeFormError) -> None:
    """Raise ValueError if what the core cannot run is not valid anywhere: no other engine would run it."""
    # Ours run in the core alone.
    if type(estimator).__module__.startswith("clusterwhy."):
        raise ValueError(reason.invalid) from None
    # The exact classes of scikit-learn begin `fit` with the same check.
    if hasattr(estimator, "_validate_params"):
        try:
            estimator._validate_params()
        except ValueError as error:
            raise ValueError(str(error)) from None


CLUSTERERS: dict[type, Callable[..., NativeMethod]] = {
    AgglomerativeClustering: params.read_agglomerative,
    GammaMixture: params.read_gamma_mixture,
    KMeans: params.read_kmeans,
    SpectralClustering: params.read_spectral,
    native.KMeans: params.read_kmeans,
    native.Linkage: params.read_agglomerative,
    native.Spectral: params.read_spectral,
    native.Ward: params.read_agglomerative,
}

CLASSIFIERS: dict[type, Callable[..., NativeMethod]] = {
    DecisionTreeClassifier: params.read_tree,
    ExtraTreesClassifier: params.read_extra_trees,
    KNeighborsClassifier: params.read_neighbors,
    NearestCentroid: params.read_centroid,
    RandomForestClassifier: params.read_random_forest,
    native.DecisionTree: params.read_tree,
    native.ExtraTrees: params.read_extra_trees,
    native.KNeighbors: params.read_neighbors,
    native.NearestCentroid: params.read_centroid,
    native.RandomForest: params.read_random_forest,
}
