"""Whether the features said to matter are those whose removal hurts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.exceptions import UndefinedMetricWarning

from clusterwhy._tables import in_columns_of
from clusterwhy._validation import check_option

from ._validation import as_baseline, as_scores, check_dense


def correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], method: str) -> float:
    """Return the Pearson or Spearman correlation; NaN where a side is constant or fewer than 2 long."""
    if method == "spearman":
        a, b = rankdata(a), rankdata(b)
    if a.size < 2 or np.all(a == a[0]) or np.all(b == b[0]):
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    # Scaled first, so that tiny scores do not underflow in the squares.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def _replacement(baseline: Any, X: Any, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(baseline, str):
        check_option(baseline, "baseline", ("mean", "zero"))
        return np.asarray(data.mean(axis=0)) if baseline == "mean" else np.zeros(data.shape[1])
    return as_baseline(baseline, X)


def faithfulness(
    importances: npt.ArrayLike,
    X: npt.ArrayLike,
    performance: Callable[[npt.NDArray[Any]], float],
    *,
    removal: str = "single",
    baseline: str | npt.ArrayLike = "mean",
    method: str = "pearson",
) -> float:
    """Return the correlation between features' importances and the effect of removing them.

    A feature is removed by replacing its column with a constant.

    Parameters
    ----------
    importances : array-like of shape (n_features,)
        Scores; larger is more important. Where both they (or `baseline`) and `X` name the features, as pandas does,
        their order does not matter. A feature whose score is NaN is never removed and left out of
        the correlation.
    X : array-like of shape (n_samples, n_features)
        The observations. They are not changed.
    performance : callable
        ``performance(X) -> float``, larger is better: say, the matched accuracy of a fitted clustering's
        predictions for X. It is called once for each feature, and once with X itself if `removal` is
        "single".
    removal : {"single", "cumulative"}, default="single"
        "single" removes one feature at a time, and correlates its importance with the loss in
        performance. "cumulative" removes the features one after another, from the most important on (among
        equal ones, the smaller index first), and correlates the importance of the last one removed with
        the performance that is left. The source describes both.
    baseline : {"mean", "zero"} or array-like of shape (n_features,), default="mean"
        The constants.
    method : {"pearson", "spearman"}, default="pearson"
        Kind of correlation.

    Returns
    -------
    faithfulness : float
        From -1 to 1; 1 is best. NaN, with a warning, where the importances or the performances are all
        equal or fewer than two features have a score.

    Raises
    ------
    ValueError
        If the shapes do not fit, an option is unknown, or `performance` does not return a finite number.

    Warns
    -----
    UndefinedMetricWarning
        If the correlation is not defined.

    References
    ----------
    .. [1] D. Alvarez-Melis and T. Jaakkola, "Towards robust interpretability with self-explaining neural
       networks", NeurIPS 2018.
    .. [2] J. Svirsky and O. Lindenbaum, "Interpretable deep clustering for tabular data", ICML 2024,
       section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterwhy.metrics import faithfulness
    >>> X = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    >>> faithfulness([0.3, 0.0, 0.1], X, lambda Z: float(3 * Z[1, 0] - Z[1, 2]))
    1.0
    """
    check_dense(X, "X")
    scores = as_scores(in_columns_of(X, importances, "importances"), "importances", ndim=1)
    if not callable(performance):
        raise TypeError(f"performance must be a function of the data, got {performance!r}.")
    data = np.asarray(X)
    if data.ndim != 2 or data.shape[1] != scores.size:
        raise ValueError(f"X must have shape (n_samples, {scores.size}) to match importances, got {data.shape}.")
    check_option(removal, "removal", ("single", "cumulative"))
    check_option(method, "method", ("pearson", "spearman"))
    constants = _replacement(baseline, X, data)
    work = np.array(data, dtype=np.result_type(data.dtype, np.float32), order="F")

    def measured() -> float:
        found = np.asarray(performance(work.copy()))
        if found.ndim != 0 or found.dtype.kind not in "biuf":
            raise ValueError(f"performance must return a number, got {found.dtype} of shape {found.shape}.")
        value = float(found)
        if not np.isfinite(value):
            raise ValueError(f"performance must return a finite number, got {value}.")
        return value

    order = np.argsort(-scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    effects = []
    intact = measured() if removal == "single" else 0.0
    for j in order:
        column = work[:, j].copy()
        work[:, j] = constants[j]
        if removal == "single":
            effects.append(intact - measured())
            work[:, j] = column
        else:
            effects.append(measured())
    result = correlation(scores[order], np.array(effects), method)
    if np.isnan(result):
        warnings.warn(
            "faithfulness is not defined: the importances or the performances are all equal, or fewer than "
            "two features have a score.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
    return result
