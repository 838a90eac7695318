"""How much importances agree from one seed to another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from clusterwhy._tables import axis_names, of_features
from clusterwhy._validation import check_count

from ._faithfulness import correlation
from ._validation import as_scores, top_features


def rank_stability(
    importances_list: Sequence[npt.ArrayLike] | npt.NDArray[np.floating], top_k: int = 10
) -> dict[str, float]:
    """Return how much several runs agree about the importances of the features.

    Parameters
    ----------
    importances_list : sequence of array-like of shape (n_features,)
        Scores of at least two runs that differ in their seed. Where they are pandas Series that name the features,
        the order in each does not matter. A feature whose score is NaN in one of a
        pair of runs is left out of the correlations of that pair.
    top_k : int, default=10
        Number of features whose overlap is measured, from 1 to n_features.

    Returns
    -------
    stability : dict of str to float
        Means over all pairs of runs of the

        ``"spearman"``
            rank correlation, from -1 to 1;
        ``"pearson"``
            correlation, from -1 to 1;
        ``"top_k_overlap"``
            number of features among the top k of both runs, over k, from 0 to 1. Among equal scores the
            smaller index comes first; NaN is never among the top k.

        Pairs whose correlation is not defined, as a run has equal scores throughout, are left out; it is
        NaN if none remains.

    Raises
    ------
    ValueError
        If there are fewer than two runs, they score other features, or `top_k` is out of range.

    Examples
    --------
    >>> from clusterwhy.metrics import rank_stability
    >>> stability = rank_stability([[3.0, 2.0, 1.0], [6.0, 4.0, 2.0]], top_k=1)
    >>> stability["spearman"], stability["top_k_overlap"]
    (1.0, 1.0)
    """
    importances_list = list(importances_list)
    named = [axis_names(run, 0) for run in importances_list]
    features = next((names for names in named if names is not None), None)
    runs = []
    for r, (run, names) in enumerate(zip(importances_list, named, strict=True)):
        what = f"importances_list[{r}]"
        if features is not None and names is None:
            raise ValueError(f"{what} does not name its features, and another run does: name all of them, or none.")
        ordered = run if features is None else of_features(run, what, features, named=True)
        runs.append(as_scores(ordered, what, ndim=1))
    if len(runs) < 2:
        raise ValueError(f"rank_stability compares runs and needs at least 2, got {len(runs)}.")
    lengths = sorted({run.size for run in runs})
    if len(lengths) > 1:
        raise ValueError(f"all runs must score the same features, got lengths {lengths}.")
    top_k = check_count(top_k, "top_k", minimum=1, maximum=lengths[0])

    correlations: dict[str, list[float]] = {"spearman": [], "pearson": []}
    overlaps = []
    for first, second in combinations(runs, 2):
        both = ~(np.isnan(first) | np.isnan(second))
        for method, values in correlations.items():
            values.append(correlation(first[both], second[both], method))
        shared = np.intersect1d(top_features(first, top_k), top_features(second, top_k))
        overlaps.append(shared.size / top_k)
    result = {}
    for method, values in correlations.items():
        defined = [value for value in values if not np.isnan(value)]
        result[method] = float(np.mean(defined)) if defined else float("nan")
    result["top_k_overlap"] = float(np.mean(overlaps))
    return result
