"""The names that the command line has for methods, clusterers and classifiers."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

from sklearn.cluster import HDBSCAN, AgglomerativeClustering, Birch, KMeans, SpectralClustering
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.tree import DecisionTreeClassifier

from clusterwhy import LOCOMP, LOCORampart, LOCOSplit, comparators
from clusterwhy._recognise import NotNativeError, recognise_classifier, recognise_clusterer
from clusterwhy._scores import POINTWISE
from clusterwhy._validation import check_patch_size, encode_reference
from clusterwhy.cli._errors import UsageError
from clusterwhy.cli._table import Table

METHODS: dict[str, type] = {
    "locomp": LOCOMP,
    "rampart": LOCORampart,
    "split": LOCOSplit,
    "permutation": comparators.PermutationImportance,
    "prototype": comparators.PrototypeImportance,
    "fcm-shap": comparators.FuzzyCMeansSHAP,
    "neon": comparators.NEON,
    "impacc": comparators.IMPACC,
    "silhouette": comparators.SilhouetteLOCO,
    "stability": comparators.StabilityLOCO,
}

CLUSTERERS: dict[str, Callable[[int], Any]] = {
    "ward": lambda k: AgglomerativeClustering(k),
    "average": lambda k: AgglomerativeClustering(k, linkage="average"),
    "complete": lambda k: AgglomerativeClustering(k, linkage="complete"),
    "single": lambda k: AgglomerativeClustering(k, linkage="single"),
    "kmeans": lambda k: KMeans(k),
    "spectral": lambda k: SpectralClustering(k, affinity="nearest_neighbors"),
    "gmm": lambda k: GaussianMixture(k),
    "birch": lambda k: Birch(n_clusters=k),
    "hdbscan": lambda k: HDBSCAN(copy=True),
}
FINDS_K = ("hdbscan",)
DEFAULT_CLUSTERER = "ward"

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "tree": DecisionTreeClassifier,
    "forest": RandomForestClassifier,
    "extra-trees": ExtraTreesClassifier,
    "neighbors": KNeighborsClassifier,
    "centroid": NearestCentroid,
    "logistic": LogisticRegression,
    "naive-bayes": GaussianNB,
}

# Options that are parameters of some methods and not of others.
OPTIONS = (
    "classifier",
    "n_patches",
    "tol",
    "max_patches",
    "max_seconds",
    "max_samples",
    "max_features",
    "n_repeats",
    "loss",
    "engine",
)

# Those of them that say when a growing ensemble is large enough.
OF_GROWTH = ("tol", "max_patches", "max_seconds")

# Those of them that are sizes of parts of the data: of its observations, and of its features.
SIZES = ("max_samples", "max_features")

# Methods that do not cluster where labels are given.
LABELS_ALONE = ("permutation", "prototype", "fcm-shap", "neon")

# Methods with scores for the whole clustering alone.
GLOBAL_ONLY = ("impacc", "stability")


def check_options(methods: list[str], options: Namespace) -> None:
    """Refuse an option that none of the methods has, and labels that one of them would not explain."""
    for method in methods:
        if options.labels is not None and "reference" not in parameters(method):
            raise UsageError(f"--labels is not for the method {method}, which explains its own")
        if method in GLOBAL_ONLY and getattr(options, "by_cluster", False):
            raise UsageError(f"--by-cluster is not for the method {method}, which scores the whole clustering alone")
    if not clusters(methods, options):
        for flag, value in (("-k", options.clusters), ("--clusterer", options.clusterer)):
            if value is not None:
                raise UsageError(
                    f"{flag} is not for the method {' or '.join(methods)} with --labels, which nothing is clustered "
                    "for: leave it out"
                )
    for name in OPTIONS:
        if getattr(options, name) is None:
            continue
        flag = f"--{name.replace('_', '-')}"
        if not any(has(method, name) for method in methods):
            raise UsageError(f"{flag} is not for the method {' or '.join(methods)}: leave it out")
        if name not in OF_GROWTH:
            continue
        if options.n_patches != "auto":
            raise UsageError(f"{flag} is for --n-patches auto: pass that too, or leave it out")
        unbound = [method for method in methods if has(method, "tol") and not has(method, name)]
        if unbound:
            raise UsageError(
                f"{flag} is not for the method {unbound[0]}, which would go on: pass --max-patches in its place"
            )
    if options.loss not in (None, *POINTWISE) and getattr(options, "by_cluster", False):
        raise UsageError(
            f"--by-cluster is not for --loss {options.loss}, which is one figure for the whole clustering: take "
            f"one of {', '.join(POINTWISE)}, or leave --by-cluster out"
        )


def clusters(methods: list[str], options: Namespace) -> bool:
    """Whether any of the methods clusters."""
    return options.labels is None or any(method not in LABELS_ALONE for method in methods)


def name_of_clusterer(methods: list[str], options: Namespace) -> str | None:
    """Return the name of what clusters; None where nothing does."""
    if not clusters(methods, options):
        return None
    return DEFAULT_CLUSTERER if options.clusterer is None else str(options.clusterer)


def parameters(method: str) -> Iterable[str]:
    """Return the names of a method's parameters."""
    return signature(METHODS[method]).parameters


def has(method: str, option: str) -> bool:
    """Whether a method has an option; the ``tol`` of one whose ensemble does not grow is another matter."""
    known = parameters(method)
    return option in known and (option not in OF_GROWTH or "max_patches" in known)


def make_model(method: str, options: Namespace, data: Table, verbose: int) -> Any:
    """Build a method with those of the options that it has."""
    settings: dict[str, Any] = {name: getattr(options, name) for name in OPTIONS}
    if options.classifier is not None:
        settings["classifier"] = CLASSIFIERS[options.classifier]()
    settings |= {"reference": data.labels, "random_state": options.seed, "n_jobs": options.jobs, "verbose": verbose}
    if method == "rampart":
        settings["n_features_to_select"] = options.top
    check_sizes(method, options, data)
    settings = {name: value for name, value in settings.items() if value is not None and has(method, name)}
    clusterer = make_clusterer(options, data)
    if settings.get("engine") == "native":
        check_native(clusterer, settings.get("classifier"), data.X.shape[1])
    return METHODS[method](clusterer, **settings)


def check_native(clusterer: Any, classifier: Any, n_columns: int) -> None:
    """Refuse what Rust does not run where Rust is insisted on; the methods' own classifiers it does."""
    try:
        recognise_clusterer(clusterer)
        if classifier is not None:
            recognise_classifier(classifier, n_columns)
    except NotNativeError as reason:
        raise UsageError(f"--engine native: {reason}; take another, or --engine auto") from None


def check_sizes(method: str, options: Namespace, data: Table) -> None:
    """Refuse sizes of parts of the data that are not parts of these data."""
    for name, total, unit in zip(SIZES, data.X.shape, ("observations", "features"), strict=True):
        value = getattr(options, name)
        if value is None or not has(method, name):
            continue
        flag = f"--{name.replace('_', '-')}"
        try:
            count = check_patch_size(value, total, flag, unit)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if count == total and has(method, "n_patches"):
            raise UsageError(f"{flag} {value} is all {total} {unit}: minipatches must leave some out, pass less")


def make_clusterer(options: Namespace, data: Table) -> Any:
    """Build the clusterer, with K from the labels where they are given and K is not."""
    k = options.clusters
    name = options.clusterer or DEFAULT_CLUSTERER
    if name in FINDS_K:
        if k is not None:
            raise UsageError(f"{name} finds the number of clusters itself: leave -k out")
        return CLUSTERERS[name](0)
    if k is None and data.labels is not None:
        k = len(encode_reference(data.labels, None)[1])
    if k is None:
        raise UsageError("how many clusters? Pass -k K, or --labels to explain labels that you have")
    if k > len(data.rows):
        raise UsageError(f"{k} clusters are more than the {len(data.rows)} observations: pass a smaller -k")
    return CLUSTERERS[name](k)
