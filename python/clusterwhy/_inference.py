"""Intervals, p-values and their corrections, from scores and standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, norm

CORRECTIONS = ("bh", "by", "holm", "bonferroni")
# Up to these a spread of sample scores is rounding, beside losses of about 1: of sums of double-precision votes, and
# of single-precision ones.
NO_SPREAD, NO_SPREAD_SINGLE = 1e-12, 1e-6


def normal_interval(scores: NDArray[np.float64], errors: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return lower and upper bounds along a new last axis."""
    reach = norm.ppf(0.5 + level / 2) * errors
    return np.stack([scores - reach, scores + reach], axis=-1)


def without_rounding(
    spreads: NDArray[np.float64], losses: NDArray[np.float64] | None = None, *, single: bool = False
) -> NDArray[np.float64]:
    """Set spreads that are rounding to 0.

    Parameters
    ----------
    spreads : ndarray
        Standard deviations of sample scores.
    losses : ndarray, default=None
        Losses of a user's own, whose unit nobody knows; None for losses of a few units at most.
    single : bool, default=False
        Whether votes of single precision were added up.
    """
    known = np.array([1.0]) if losses is None else np.abs(losses[~np.isnan(losses)])
    unit = known.max(initial=0.0)
    return np.where(spreads <= (NO_SPREAD_SINGLE if single else NO_SPREAD) * unit, 0.0, spreads)


def one_sided_pvalues(
    scores: NDArray[np.float64], errors: NDArray[np.float64], spreads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the p-values of "the score is not positive"; 1 where the sample scores do not vary at all."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p: NDArray[Any] = norm.sf(scores / errors)
    return np.where(spreads == 0, 1.0, p)


def check_adjust(method: str | None) -> None:
    """Refuse a correction that there is not."""
    if method is not None and method not in CORRECTIONS:
        raise ValueError(f"adjust must be None or one of {', '.join(map(repr, CORRECTIONS))}, got {method!r}")


def adjust_pvalues(p: NDArray[np.float64], method: str | None) -> NDArray[np.float64]:
    """Correct p-values (of any shape) for being many; NaN stay NaN and are not counted.

    Parameters
    ----------
    p : ndarray
    method : {None, "bh", "by", "holm", "bonferroni"}
        Benjamini-Hochberg and Benjamini-Yekutieli control the false discovery rate, Holm and Bonferroni the
        chance of any false discovery.
    """
    check_adjust(method)
    if method is None:
        return p
    out = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    values = p[known]
    if values.size == 0:
        return out
    if method == "bh":
        out[known] = false_discovery_control(values, method="bh")
    elif method == "by":
        out[known] = false_discovery_control(values, method="by")
    elif method == "bonferroni":
        out[known] = np.minimum(values * values.size, 1.0)
    else:
        order = np.argsort(values, kind="stable")
        steps = values[order] * np.arange(values.size, 0, -1)
        adjusted = np.empty_like(values)
        adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
        out[known] = adjusted
    return out


def rank_features(scores: NDArray[np.float64], rounds: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Rank scores from 1 (largest); ties by position, NaN last. Those of later `rounds` go before all of earlier."""
    falling = np.where(np.isnan(scores), np.inf, -scores)
    order = np.lexsort((falling,) if rounds is None else (falling, -rounds))
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[order] = np.arange(1, len(scores) + 1)
    return ranks
