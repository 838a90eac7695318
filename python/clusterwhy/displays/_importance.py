"""Bars of the most important features, with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._importances import position_of
from clusterwhy._inference import rank_features
from clusterwhy.displays._axes import BAR, Display, short_names, width_of
from clusterwhy.displays._reading import (
    check_names,
    check_scores,
    choose_features,
    names_along,
    read_names,
    read_rounds,
    read_scores,
    score_name,
)


class ImportanceDisplay(Display):
    """The most important features as bars, with their intervals.

    Made by :meth:`from_estimator` or :meth:`from_importances`.

    Parameters
    ----------
    importances : ndarray of shape (M,)
        Scores; NaN where not defined.
    feature_names : ndarray of shape (M,)
        Names.
    ranking : ndarray of shape (M,)
        The order to draw in, 1 first.
    intervals : ndarray of shape (M, 2), default=None
        Lower and upper bounds; None draws none.
    score_name : str, default="importance"
        Label of the axis of scores.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        What was drawn on.
    bars_ : matplotlib BarContainer
        One bar per feature, the best first.
    error_bars_ : matplotlib ErrorbarContainer or None
        The intervals.
    features_ : ndarray of shape (n_drawn,)
        Positions of the features drawn, in order.

    See Also
    --------
    ClusterImportanceDisplay : The scores of each cluster.

    Examples
    --------
    >>> from clusterwhy.displays import ImportanceDisplay
    >>> display = ImportanceDisplay.from_importances([0.1, 0.4, 0.0], feature_names=["a", "b", "c"])
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['b', 'a', 'c']
    """

    def __init__(
        self,
        importances: NDArray[np.float64],
        feature_names: NDArray[Any],
        ranking: NDArray[np.int64],
        *,
        intervals: NDArray[np.float64] | None = None,
        score_name: str = "importance",
    ) -> None:
        self.importances = importances
        self.feature_names = feature_names
        self.ranking = ranking
        self.intervals = intervals
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        cluster: Any = None,
        level: float = 0.95,
        max_display: int | None = 20,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> ImportanceDisplay:
        """Draw the scores of something fitted.

        Parameters
        ----------
        estimator : fitted estimator
            With ``feature_importances_``: any of clusterwhy's, and others. Those without standard errors get
            bars without intervals.
        cluster : label, default=None
            One of ``classes_``, to draw its row of ``cluster_importances_``; None draws the global scores.
        level : float, default=0.95
            Coverage of the intervals, which include the Monte-Carlo error where it is known, as in ``to_frame``.
        max_display : int or None, default=20
            How many features to draw; None draws all.
        features : list of names or positions, default=None
            The features to draw, in this order, in place of the best.
        feature_names : list of length M, default=None
            Names to write; None takes ``feature_names_in_``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ImportanceDisplay
        """
        by_cluster = cluster is not None
        name = "cluster_importances_" if by_cluster else "feature_importances_"
        advice = "of a Pipeline, pass the step that scores features, as in pipeline[0]"
        scores = read_scores(estimator, name, cls.__name__, advice)
        label, intervals = score_name(estimator), None
        if hasattr(estimator, "cluster_standard_errors_" if by_cluster else "standard_errors_"):
            known = estimator._knows_monte_carlo(by_cluster)
            intervals = estimator.confidence_interval(level, by_cluster=by_cluster, monte_carlo=known)
            label += (
                f"\n({100 * level:g}% intervals{' with the Monte-Carlo error' if known else ''}, given the labels)"
            )
        ranking = getattr(estimator, "ranking_", None)
        if by_cluster:
            row = position_of(cluster, estimator.classes_)
            scores = scores[row]
            ranking = rank_features(scores, read_rounds(estimator))
            intervals = None if intervals is None else intervals[row]
        display = cls(
            scores,
            check_names(read_names(estimator, feature_names), len(scores)),
            rank_features(scores) if ranking is None else ranking,
            intervals=intervals,
            score_name=label,
        )
        return display.plot(ax, max_display=max_display, features=features)

    @classmethod
    def from_importances(
        cls,
        importances: Any,
        *,
        intervals: Any = None,
        max_display: int | None = 20,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> ImportanceDisplay:
        """Draw scores that are at hand.

        Parameters
        ----------
        importances : array-like of shape (M,)
            Larger is more important; NaN where not defined. A pandas Series has the names of the features.
        intervals : array-like of shape (M, 2), default=None
            Lower and upper bounds.
        max_display, features, feature_names, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ImportanceDisplay
        """
        scores = check_scores(importances, "importances", ("M",), None)
        if intervals is not None:
            intervals = check_scores(intervals, "intervals", ("M", "2"), len(scores), 2)
            if (wrong := intervals[:, 0] > intervals[:, 1]).any():
                first = intervals[wrong][0].tolist()
                raise ValueError(f"intervals must be pairs of a lower and an upper bound, got {first}")
        names = check_names(names_along(importances, 0, feature_names), len(scores))
        display = cls(scores, names, rank_features(scores), intervals=intervals)
        return display.plot(ax, max_display=max_display, features=features)

    def plot(self, ax: Any = None, *, max_display: int | None = 20, features: Any = None) -> ImportanceDisplay:
        """Draw, once more or on other axes; parameters as in :meth:`from_estimator`."""
        order = self.features_ = choose_features(features, max_display, self.ranking, self.feature_names)
        names = short_names(self.feature_names[order])
        ax = self._open(ax, 5 + width_of(names), 1.2 + 0.25 * len(order))
        scores, places = self.importances[order], np.arange(len(order))
        self.bars_ = ax.barh(places, np.nan_to_num(scores), color=BAR)
        self.error_bars_ = None
        if self.intervals is not None:
            low, high = self.intervals[order].T
            # About the middle: the intervals of a bootstrap need not hold the score.
            self.error_bars_ = ax.errorbar(
                (low + high) / 2, places, xerr=(high - low) / 2, fmt="none", ecolor="black", elinewidth=1, capsize=2
            )
        for place in places[np.isnan(scores)]:
            ax.annotate(
                "not defined", (0, place), xytext=(3, 0), textcoords="offset points", va="center", color="0.4"
            )
        ax.axvline(0, color="0.35", linewidth=0.8)
        ax.set_yticks(places, names)
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.locator_params(axis="x", nbins=5)
        ax.set_xlabel(self.score_name)
        return self
