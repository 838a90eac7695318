"""Runs the user's own clusterers and classifiers: cloning, seeding, fitting, predicting, checking."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from clusterwhy import _core
from clusterwhy._tables import RESCALE, largest_size
from clusterwhy._validation import check_cluster_labels
from clusterwhy._votes import not_probabilities

# Rows that a classifier predicts at a time: bounds the memory of a dense (or densified) part of the data.
PREDICT_ROWS = 16_384
# Streams of seeds that are not those of a minipatch; minipatch b uses 2 b and 2 b + 1.
REFERENCE_STREAM = 2**63
SPLIT_STREAM = 2**63 + 2**32
ROUND_STREAM = 2**63 + 2**33
# What helps when an estimator fails on a part of the data and not on the whole.
PART_ADVICE = (
    "if it needs more observations or features than that, make the parts larger (max_samples, max_features; "
    "calibration_size in LOCOSplit)"
)
MEMORY_ADVICE = (
    "smaller parts of the data take less: where these are parameters, a smaller max_samples, or reference='overlap' "
    "where all are clustered"
)
WANTED = "fit_predict, or fit and labels_, or fit and predict"


def check_clusterer(clusterer: Any, name: str = "clusterer") -> Any:
    """Return `clusterer` if it can cluster, else say what it lacks; a message calls it by the parameter's name."""
    if isinstance(clusterer, type):
        raise TypeError(f"{name} must be an instance, got the class {clusterer.__name__}: write it with ()")
    kind = get_tags(clusterer).estimator_type if hasattr(clusterer, "__sklearn_tags__") else None
    if kind in ("classifier", "regressor") and not hasattr(clusterer, "fit_predict"):
        raise TypeError(f"{name} must be a clusterer, got {clusterer!r}, which is a {kind}")
    if hasattr(clusterer, "fit_predict") or hasattr(clusterer, "fit"):
        refuse_precomputed(clusterer, name)
        return clusterer
    raise TypeError(f"{name} must have {WANTED}; got {clusterer!r} of type {type(clusterer).__name__}")


def check_classifier(classifier: Any) -> Any:
    """Return `classifier` if it can classify, else say what it lacks."""
    if isinstance(classifier, type):
        raise TypeError(f"classifier must be an instance, got the class {classifier.__name__}: write it with ()")
    can_predict = hasattr(classifier, "predict") or hasattr(classifier, "predict_proba")
    kind = get_tags(classifier).estimator_type if hasattr(classifier, "__sklearn_tags__") else None
    if kind not in (None, "classifier"):
        raise TypeError(f"classifier must be a classifier, got {classifier!r}, which is a {kind}")
    if hasattr(classifier, "fit") and can_predict:
        refuse_precomputed(classifier, "classifier")
        return classifier
    raise TypeError(
        "classifier must have fit, and predict or predict_proba; "
        f"got {classifier!r} of type {type(classifier).__name__}"
    )


def reads_data(estimator: Any) -> Any:
    """Return what the data go into: of a pipeline, its first step."""
    while isinstance(estimator, Pipeline) and (steps := steps_of(estimator)):
        estimator = steps[0]
    return estimator


def steps_of(pipeline: Pipeline) -> list[Any]:
    """Return the steps of a pipeline that do something."""
    return [step for _, step in pipeline.steps if step not in (None, "passthrough")]


def last_step(estimator: Any) -> Any:
    """Return what a pipeline ends in, however deep; anything else itself."""
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return estimator


def deep_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator and of the estimators in it."""
    return estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}


def refuse_precomputed(estimator: Any, name: str) -> None:
    """Refuse what takes distances between observations for data: none of their columns is a feature."""
    for parameter, value in deep_params(reads_data(estimator)).items():
        if isinstance(value, str) and value.startswith("precomputed"):
            raise ValueError(
                f"{name} must take features, got {estimator!r}: with {parameter}={value!r} it takes distances "
                "between observations, which have no features to leave out; pass the features, and a metric of them, "
                "by name or as a function"
            )


def refuse_column_positions(estimator: Any, name: str) -> None:
    """Refuse what picks columns itself where it is given a part of them, in which a column has another place."""
    first = reads_data(estimator)
    for part in (first, *deep_params(first).values()):
        if not isinstance(part, ColumnTransformer):
            continue
        for _, _, columns in part.transformers:
            if not (callable(columns) or (isinstance(columns, slice) and columns == slice(None))):
                raise ValueError(
                    f"{name} must take whatever columns it is given, got a ColumnTransformer that asks for "
                    f"{columns!r}: parts of the data hold other features each time, without their names; transform "
                    "the columns before the fit"
                )


def takes_nan(estimator: Any) -> bool:
    """Whether an estimator says that it takes missing values; a pipeline says so by its steps."""
    if isinstance(estimator, Pipeline):
        steps = steps_of(estimator)
        filled = [type(step).__module__.startswith("sklearn.impute.") for step in steps]
        # What comes after the first imputer sees no missing values.
        reached = steps[: filled.index(True) + 1] if any(filled) else steps
        return bool(reached) and all(map(takes_nan, reached))
    return hasattr(estimator, "__sklearn_tags__") and bool(get_tags(estimator).input_tags.allow_nan)


def fresh(estimator: Any, seed: int, stream: int, *, keep_given: bool = False) -> Any:
    """Copy an estimator and give every random state in it, however deep, a seed of its own.

    Parameters
    ----------
    estimator : estimator
        Never changed.
    seed, stream : int
        Which seeds.
    keep_given : bool, default=False
        Leave random states that are not None as they are.
    """
    try:
        copy = clone(estimator, safe=False)
    except Exception as error:
        raise TypeError(
            f"{name_of(estimator)} cannot be copied, which every minipatch needs: {error}; its __init__ must only "
            "store its parameters"
        ) from error
    if not hasattr(copy, "get_params"):
        return copy
    params = copy.get_params(deep=True)
    names = sorted(name for name in params if name == "random_state" or name.endswith("__random_state"))
    if keep_given:
        names = [name for name in names if params[name] is None]
    if names:
        seeds = _core.estimator_seeds(seed, stream, len(names))
        copy.set_params(**{name: int(value) for name, value in zip(names, seeds, strict=True)})
    return copy


def cluster(clusterer: Any, X: Any, what: str, advice: str = PART_ADVICE) -> NDArray[np.int64]:
    """Fit a clusterer and return its checked labels; what it raises comes back with `what` and `advice`."""
    try:
        if hasattr(clusterer, "fit_predict"):
            labels = clusterer.fit_predict(X)
        else:
            clusterer.fit(X)
            labels = labels_of(clusterer, X)
    except Exception as error:
        raise failure("clusterer", clusterer, what, X, error, advice) from error
    if getattr(last_step(clusterer), "interrupted_", False):
        # Ctrl-C, which a clusterer kept to itself.
        raise KeyboardInterrupt
    return check_cluster_labels(labels, X.shape[0], f"the labels of the clusterer {name_of(clusterer)} ({what})")


def out_of_reach(estimator: Any, X: Any) -> Any:
    """Return the data as an estimator may have them: a copy where it might write to what it is given.

    scikit-learn's estimators write to their input where ``copy`` or ``copy_x`` is False, and only there; of others
    nobody knows, but that they must leave read-only data alone.
    """
    params = deep_params(estimator)
    in_place = any(
        value is False and name.rpartition("__")[2] in ("copy", "copy_x") for name, value in params.items()
    )
    parts = [estimator, *(value for value in params.values() if hasattr(value, "fit"))]
    known = all(type(part).__module__.startswith(("sklearn.", "clusterwhy.")) for part in parts)
    known = known or not (issparse(X) or X.flags.writeable)
    return X if known and not in_place else X.copy()


def labels_of(fitted: Any, X: Any) -> Any:
    """Return the labels of a clusterer without fit_predict; a pipeline has none itself, but its last step may."""
    last = last_step(fitted)
    if hasattr(last, "labels_"):
        return last.labels_
    if hasattr(fitted, "predict"):
        return fitted.predict(X)
    raise TypeError(f"a clusterer must have {WANTED}, and this one has only fit")


def train(classifier: Any, X: Any, y: NDArray[np.int64], what: str) -> tuple[Any, NDArray[np.int64]]:
    """Fit a classifier; return it with the classes that its columns or predictions stand for.

    Classes are passed as ``0..c-1``, which every classifier takes.
    """
    classes, codes = np.unique(y, return_inverse=True)
    try:
        classifier.fit(X, codes)
    except Exception as error:
        raise failure("classifier", classifier, what, X, error) from error
    return classifier, classes


def predict(fitted: Any, classes: NDArray[np.int64], X: Any, n_classes: int, what: str) -> NDArray[Any]:
    """Predict with what :func:`train` returned: classes (n,) of uint16, or probabilities (n, K)."""
    n = X.shape[0]
    name = name_of(fitted)
    try:
        soft = hasattr(fitted, "predict_proba")
        raw = np.asarray(fitted.predict_proba(X) if soft else fitted.predict(X))
    except Exception as error:
        raise failure("classifier", fitted, what, X, error) from error
    if not soft:
        if raw.shape != (n,):
            raise ValueError(
                f"the classifier {name} ({what}) must predict one class per observation, shape ({n},), "
                f"got shape {raw.shape}"
            )
        codes = raw.astype(np.int64)
        if not (np.isin(codes, np.arange(len(classes))).all() and (codes == raw).all()):
            raise ValueError(f"the classifier {name} ({what}) predicted a class that it was not trained on")
        return classes[codes].astype(np.uint16)
    if raw.shape != (n, len(classes)):
        raise ValueError(
            f"the classifier {name} ({what}) must give one probability per observation and class, "
            f"shape ({n}, {len(classes)}), got shape {raw.shape}"
        )
    if not np.isfinite(raw).all():
        raise ValueError(f"the classifier {name} ({what}) gave probabilities that are not finite")
    wrong = not_probabilities(raw)
    if wrong.any():
        raise ValueError(
            f"the classifier {name} ({what}) gave {raw[wrong.argmax()].tolist()} for an observation, expected "
            "probabilities, from 0 to 1: normalise them, or let it have predict alone"
        )
    dtype = np.float32 if raw.dtype == np.float32 else np.float64
    proba = np.zeros((n, n_classes), dtype=dtype)
    proba[:, classes[class_order(fitted, len(classes), what)]] = raw
    return proba


def class_order(fitted: Any, n_classes: int, what: str) -> NDArray[np.int64]:
    """Return which of the classes ``0..c-1`` each column of probabilities is: what ``classes_`` says, if there."""
    sorted_classes = np.arange(n_classes)
    found = getattr(fitted, "classes_", None)
    if found is None:
        return sorted_classes
    order = np.asarray(found)
    if order.shape != (n_classes,) or order.dtype.kind not in "biuf" or (np.sort(order) != sorted_classes).any():
        raise ValueError(
            f"the classifier {name_of(fitted)} ({what}) has classes_ {order.tolist()}, expected the whole numbers "
            f"that it was fitted to, 0 to {n_classes - 1}, in the order of the columns of predict_proba"
        )
    return order.astype(np.int64)


def is_of_numbers(value: Any) -> bool:
    """Whether a parameter is many numbers, one for each observation or feature perhaps."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, (int, float)) for item in value)
    return issparse(value) or getattr(value, "ndim", 0) > 0


def failure(role: str, estimator: Any, what: str, X: Any, error: Exception, advice: str = PART_ADVICE) -> Exception:
    """Describe an exception of a user's estimator.

    Its type becomes a plain one: others may not survive the way back from a worker, whose unpickling would
    then break the pool instead of saying what happened.
    """
    # scikit-learn's error about a parameter is both: no other part of the data would help.
    invalid_parameter = isinstance(error, ValueError) and isinstance(error, TypeError)
    largest = largest_size(X)
    if isinstance(error, MemoryError):
        advice = MEMORY_ADVICE
    elif invalid_parameter:
        advice = ""
    elif largest > np.finfo(np.float32).max:
        advice = f"if it computes in single precision, which ends at 3.4e38, {largest:.3g} is too large: {RESCALE}"
    fixed = sorted(name for name, value in deep_params(estimator).items() if is_of_numbers(value))
    if fixed:
        advice += "; " if advice else ""
        advice += f"its {' and '.join(fixed)} may be for all the data, and not fit a part of them"
    advice = f"; {advice}" if advice else ""
    cause = str(error).rstrip(". \n")
    text = f"the {role} {name_of(estimator)} failed on {what}, {X.shape[0]} x {X.shape[1]}: {cause}"
    for kind in (TypeError, MemoryError):
        if isinstance(error, kind) and not invalid_parameter:
            return kind(text + advice)
    if not isinstance(error, ValueError):
        text += f" ({type(error).__name__})"
    return ValueError(text + advice)


def name_of(estimator: Any) -> str:
    """Name an estimator for a message."""
    return type(estimator).__name__


def take(X: Any, rows: NDArray[np.int64], columns: NDArray[np.int64] | None = None) -> NDArray[Any]:
    """Copy a part of the data, dense and in C order; of a sparse matrix only this part is densified."""
    if issparse(X):
        X = cast(Any, X)
        part = X[rows] if columns is None else X[rows][:, columns]
        return np.asarray(part.toarray(order="C"))
    if columns is None:
        return np.ascontiguousarray(X[rows])
    return np.ascontiguousarray(X[np.ix_(rows, columns)])


def predict_in_parts(
    fitted: Any,
    classes: NDArray[np.int64],
    X: Any,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    n_classes: int,
    what: str,
) -> NDArray[Any]:
    """Predict some rows of the data, a bounded number of them at a time."""
    parts = [
        predict(fitted, classes, take(X, rows[i : i + PREDICT_ROWS], columns), n_classes, what)
        for i in range(0, len(rows), PREDICT_ROWS)
    ]
    return np.concatenate(parts)
