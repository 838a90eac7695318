"""Whether the labels of observations that were left out are predicted any better than by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clusterwhy._warnings import warn_user

# Below this agreement of predictions and labels, beyond chance, a fit warns that there is little to explain.
MIN_KAPPA = 0.1
# Above this nothing is amiss, however few observations there are to tell by.
GOOD_KAPPA = 0.5


def warn_chance(
    proba: NDArray[np.float64], consensus: NDArray[np.int32], given: NDArray[np.int32] | None, advice: str = ""
) -> None:
    """Warn when the labels of left-out observations are predicted hardly better than by chance.

    Labels are aligned to a reference of the same observations, and the consensus is drawn towards it whatever the
    data: with many clusters it agrees with any labels at all. Predictions of what was left out do not. Where the data
    have clusters, or can be cut into stable parts, and a reference that was `given` has nothing to do with them, the
    consensus is predicted well, but still the reference is not.
    """
    share, better = predicted_share(proba, consensus)
    if not better:
        warn_user(
            "the labels of left-out observations are predicted hardly better than by chance "
            f"({share}): the clusters do not generalise, so that the "
            f"scores explain little. Check that the labels are clusters of these data{advice}."
        )
        return
    if given is None:
        return
    share, better = predicted_share(proba, given)
    if not better:
        warn_user(
            "the reference labels of left-out observations are predicted hardly better than by chance "
            f"({share}): the reference has little to do with "
            "the clusters that are found in these data (labels_), and it is those that the scores explain. Check "
            "that the labels belong to these observations, in this order."
        )


def predicted_share(proba: NDArray[np.float64], labels: NDArray[np.int32]) -> tuple[str, bool]:
    """Say which share of the labels (-1 for noise) is predicted and which would be by chance, and if it is more."""
    known = (labels >= 0) & ~np.isnan(proba[:, 0])
    if proba.shape[1] < 2 or not known.any():
        return "", True
    predicted, actual = proba[known].argmax(axis=1), labels[known]
    right = float((predicted == actual).mean())
    of_each = (np.bincount(codes, minlength=proba.shape[1]) / len(actual) for codes in (predicted, actual))
    chance = float(np.dot(*of_each))
    # Cohen's kappa, with the error of a share of so many observations.
    margin = MIN_KAPPA * (1 - chance) + 2 * np.sqrt(chance * (1 - chance) / len(actual))
    share = f"{100 * right:.0f}% of {len(actual)} observations right, {100 * chance:.0f}% by chance"
    return share, bool(right - chance >= min(margin, GOOD_KAPPA * (1 - chance)))
