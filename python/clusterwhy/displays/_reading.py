"""What displays read off fitted estimators, and how they choose the features to draw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from clusterwhy._importances import UndefinedScoreError, default_names, feature_positions, positions_of_names
from clusterwhy._inference import rank_features
from clusterwhy._loco import LOCOMixin
from clusterwhy._tables import axis_names
from clusterwhy._validation import check_count
from clusterwhy._votes import Ensemble


def read_scores(estimator: Any, name: str, display: str, advice: str) -> NDArray[np.float64]:
    """Return fitted scores, or say that this estimator has none."""
    check_is_fitted(estimator)
    try:
        return np.asarray(getattr(estimator, name))
    except UndefinedScoreError:
        # It says which losses have the score.
        raise
    except AttributeError:
        raise ValueError(
            f"{display} draws {name}, which a fitted {type(estimator).__name__} does not have: {advice}"
        ) from None


def read_ensemble(estimator: Any, display: str, wanted: str = "a LOCOMP or LOCORampart") -> Ensemble:
    """Return the votes of the minipatches, or say that this estimator has none."""
    check_is_fitted(estimator)
    found: Ensemble | None = getattr(estimator, "_ensemble_", None)
    if found is None:
        raise ValueError(
            f"{display} needs the votes of minipatches, which a fitted {type(estimator).__name__} does not have: "
            f"pass {wanted}"
        )
    return found


def read_ranking(estimator: Any, scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the ranks of all features: the estimator's own, which a score does not tell after several rounds."""
    return np.asarray(getattr(estimator, "ranking_", rank_features(scores)))


def read_rounds(estimator: Any) -> NDArray[np.int64] | None:
    """Return the rounds that scored the features last, of methods that have rounds."""
    return estimator._last_rounds() if isinstance(estimator, LOCOMixin) else None


def read_names(estimator: Any, given: Any) -> Any:
    """Return the names given, else those that were fitted, else None."""
    return getattr(estimator, "feature_names_in_", None) if given is None else given


def score_name(estimator: Any) -> str:
    """Say what the scores are."""
    # That of the fit, where it is kept, and not a parameter set since.
    loss = getattr(estimator, "_loss_", getattr(estimator, "loss", None))
    if isinstance(estimator, LOCOMixin) and isinstance(loss, str):
        return f"rise of the {loss.replace('_', '-')} loss without the feature"
    return "importance"


def check_scores(values: Any, name: str, shape: tuple[str, ...], *sizes: int | None) -> NDArray[np.float64]:
    """Return numbers of the shape expected, a size of None being free; NaN stands for an undefined score."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numbers of shape ({', '.join(shape)}): {error}") from error
    fits = array.ndim == len(shape) and all(
        size in (None, found) for size, found in zip(sizes, array.shape, strict=False)
    )
    if not fits or 0 in array.shape:
        known = ", ".join(letter if size is None else str(size) for letter, size in zip(shape, sizes, strict=True))
        raise ValueError(f"{name} must have shape ({known}) and not be empty, got {array.shape}")
    if np.isinf(array).any():
        raise ValueError(f"{name} must be finite, or NaN where a score is not defined, got infinity")
    return array


def names_along(values: Any, axis: int, given: Any) -> Any:
    """Return the names given, else those that a series or frame has along an axis, else None."""
    return axis_names(values, axis) if given is None else given


def check_names(names: Any, n_features: int) -> NDArray[Any]:
    """Return one name for each feature: those given, or x0, x1, ..."""
    if names is None:
        return default_names(n_features)
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"feature_names must be a list of names, got {names!r}")
    found = np.asarray(list(names), dtype=object)
    if found.shape != (n_features,):
        raise ValueError(f"feature_names must have one name for each of {n_features} features, got {len(found)}")
    return found


def choose_features(
    features: Any, max_display: Any, ranking: NDArray[np.int64], names: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the positions of the features to draw, in order: those asked for, else the best ones."""
    if features is None:
        order = np.argsort(ranking, kind="stable")
        return order if max_display is None else order[: check_count(max_display, "max_display")]
    if isinstance(features, (str, bytes)) or not isinstance(features, Iterable):
        raise TypeError(f"features must be a list of names or positions, got {features!r}")
    chosen = feature_positions(features, "the display", positions_of_names(names), len(names))
    if not chosen.size:
        raise ValueError("features must name at least one feature to draw, got none")
    return chosen


def column_means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the columns, leaving out NaN; NaN for a column with nothing else."""
    known = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(known, scores, 0.0).sum(axis=0) / known.sum(axis=0)
    return means
