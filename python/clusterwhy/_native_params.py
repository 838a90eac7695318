"""Reads the parameters of estimators, named as scikit-learn names them, into those of the core's methods.

A reader returns the core's name for the method and its parameters, or raises with the reason why the core
cannot run it. Parameters that an estimator lacks have the value that the core assumes.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NativeMethod:
    """A method of the core: its name, its parameters, whether it wants the data presorted, and whose it is."""

    name: str
    params: dict[str, Any]
    presorted: bool = False
    estimator: str = ""


# The largest integer that the core takes.
MOST = 2**63 - 1


class NotNativeError(Exception):
    """Why an estimator does not run natively."""


class NoNativeFormError(NotNativeError):
    """`what`, an estimator or a parameter of one, that the core does not have, and what is expected instead."""

    def __init__(self, what: str, expected: str = "") -> None:
        rest = f": expected {expected}" if expected else ""
        super().__init__(f"{what} has no native form{rest}")
        #: The same of an estimator that runs in the core alone.
        self.invalid = f"{what} is not valid{rest}"


def _require(estimator: Any, **allowed: tuple[Any, ...]) -> None:
    """Raise unless each parameter (that this version of scikit-learn has) is one of the values allowed."""
    for name, values in allowed.items():
        value = getattr(estimator, name, values[0])
        if not any(value is option or (type(value) is type(option) and value == option) for option in values):
            raise _refusal(estimator, name, value, " or ".join(map(repr, values)))


def _refusal(estimator: Any, name: str, value: Any, expected: str) -> NoNativeFormError:
    return NoNativeFormError(f"{type(estimator).__name__}({name}={value!r})", expected)


def _count(estimator: Any, name: str, minimum: int = 1) -> int:
    value = getattr(estimator, name)
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < minimum:
        raise _refusal(estimator, name, value, f"an integer of at least {minimum}")
    if int(value) > MOST:
        raise _refusal(estimator, name, value, f"an integer up to {MOST}")
    return int(value)


def _number(estimator: Any, name: str, minimum: float = 0.0) -> float:
    value = getattr(estimator, name)
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not minimum <= float(value) < math.inf:
        raise _refusal(estimator, name, value, f"a finite number of at least {minimum:g}")
    return float(value)


def read_agglomerative(ward: Any) -> NativeMethod:
    """Read agglomerative clustering."""
    _require(
        ward,
        metric=("euclidean",),
        connectivity=(None,),
        distance_threshold=(None,),
        linkage=("ward", "complete", "average", "single"),
    )
    linkage = getattr(ward, "linkage", "ward")
    return NativeMethod("agglomerative", {"n_clusters": _count(ward, "n_clusters"), "linkage": linkage})


def read_gamma_mixture(mixture: Any) -> NativeMethod:
    """Read a mixture of gamma distributions."""
    params = {
        "n_components": _count(mixture, "n_components"),
        "max_iter": _count(mixture, "max_iter"),
        "tol": _number(mixture, "tol"),
        "n_init": _count(mixture, "n_init"),
    }
    return NativeMethod("gamma_mixture", params)


def read_kmeans(kmeans: Any) -> NativeMethod:
    """Read k-means."""
    # An init that is an array or a callable is not compared: only the names are native.
    if not isinstance(kmeans.init, str):
        raise NoNativeFormError(
            f"{type(kmeans).__name__} with its own initial centres", "init='k-means++' or 'random'"
        )
    _require(kmeans, init=("k-means++", "random"), algorithm=("lloyd",), verbose=(0,))
    # As scikit-learn resolves "auto" for the two initialisations.
    starts = {"k-means++": 1, "random": 10}
    if isinstance(kmeans.n_init, str) and kmeans.n_init != "auto":
        raise _refusal(kmeans, "n_init", kmeans.n_init, "'auto' or an integer of at least 1")
    n_init = starts[kmeans.init] if kmeans.n_init == "auto" else _count(kmeans, "n_init")
    params = {
        "n_clusters": _count(kmeans, "n_clusters"),
        "init": kmeans.init,
        "n_init": n_init,
        "max_iter": _count(kmeans, "max_iter"),
        "tol": _number(kmeans, "tol"),
    }
    return NativeMethod("kmeans", params)


def read_spectral(spectral: Any) -> NativeMethod:
    """Read spectral clustering."""
    _require(
        spectral,
        affinity=("nearest_neighbors", "rbf"),
        eigen_solver=(None, "arpack"),
        assign_labels=("kmeans",),
        eigen_tol=("auto", 0.0, 0),
        verbose=(False,),
    )
    params = {
        "n_clusters": _count(spectral, "n_clusters"),
        "affinity": spectral.affinity,
        "n_neighbors": _count(spectral, "n_neighbors"),
        "gamma": _number(spectral, "gamma"),
        "n_components": None if spectral.n_components is None else _count(spectral, "n_components"),
        "n_init": _count(spectral, "n_init"),
    }
    return NativeMethod("spectral", params)


def _max_features(estimator: Any, n_columns: int) -> int | None:
    """Resolve ``max_features`` as scikit-learn's trees do."""
    value = estimator.max_features
    if value is None:
        return None
    if isinstance(value, str) and value == "sqrt":
        return max(1, int(math.sqrt(n_columns)))
    if isinstance(value, str) and value == "log2":
        return max(1, int(math.log2(n_columns)))
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and 1 <= int(value) <= n_columns:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, (bool, numbers.Integral)) and 0 < float(value) <= 1:
        return max(1, int(float(value) * n_columns))
    expected = f"None, 'sqrt', 'log2', an integer from 1 to the {n_columns} features, or a fraction of them"
    raise _refusal(estimator, "max_features", value, expected)


def _tree_params(tree: Any, n_columns: int) -> dict[str, Any]:
    _require(
        tree,
        criterion=("gini", "entropy", "log_loss"),
        min_weight_fraction_leaf=(0.0, 0),
        max_leaf_nodes=(None,),
        class_weight=(None,),
        ccp_alpha=(0.0, 0),
        monotonic_cst=(None,),
    )
    return {
        "criterion": "gini" if tree.criterion == "gini" else "entropy",
        "max_depth": None if tree.max_depth is None else _count(tree, "max_depth"),
        "min_samples_split": _count(tree, "min_samples_split", minimum=2),
        "min_samples_leaf": _count(tree, "min_samples_leaf"),
        "max_features": _max_features(tree, n_columns),
        "min_impurity_decrease": _number(tree, "min_impurity_decrease"),
    }


def read_tree(tree: Any, n_columns: int) -> NativeMethod:
    """Read a decision tree."""
    _require(tree, splitter=("best", "random"))
    return NativeMethod("tree", {**_tree_params(tree, n_columns), "splitter": tree.splitter}, presorted=True)


def read_random_forest(forest: Any, n_columns: int) -> NativeMethod:
    """Read a random forest."""
    return _forest(forest, n_columns, "best")


def read_extra_trees(forest: Any, n_columns: int) -> NativeMethod:
    """Read a forest of extremely randomised trees."""
    return _forest(forest, n_columns, "random")


def _forest(forest: Any, n_columns: int, splitter: str) -> NativeMethod:
    _require(
        forest,
        bootstrap=(True, False),
        oob_score=(False,),
        max_samples=(None,),
        warm_start=(False,),
        verbose=(0,),
    )
    params = {
        **_tree_params(forest, n_columns),
        "splitter": splitter,
        "n_estimators": _count(forest, "n_estimators"),
        "bootstrap": forest.bootstrap,
    }
    return NativeMethod("forest", params, presorted=True)


def read_neighbors(neighbors: Any, n_columns: int) -> NativeMethod:
    """Read nearest neighbours."""
    if not isinstance(neighbors.weights, str):
        raise NoNativeFormError(f"{type(neighbors).__name__} with its own weights")
    _require(
        neighbors,
        weights=("uniform", "distance"),
        metric=("minkowski", "euclidean"),
        metric_params=(None,),
        algorithm=("auto", "brute", "kd_tree", "ball_tree"),
    )
    if getattr(neighbors, "metric", None) == "minkowski" and neighbors.p != 2:
        raise _refusal(neighbors, "p", neighbors.p, "2")
    params = {"n_neighbors": _count(neighbors, "n_neighbors"), "weights": neighbors.weights}
    return NativeMethod("neighbors", params)


def read_centroid(centroid: Any, n_columns: int) -> NativeMethod:
    """Read the nearest centroid."""
    _require(centroid, metric=("euclidean", "manhattan"), shrink_threshold=(None,), priors=("uniform",))
    # Votes are soft where this version of scikit-learn gives probabilities.
    return NativeMethod("centroid", {"metric": centroid.metric, "soft": hasattr(centroid, "predict_proba")})
