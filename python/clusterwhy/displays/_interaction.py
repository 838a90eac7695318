"""Pairs of features that need each other, or stand in for each other."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._validation import check_count
from clusterwhy.displays._axes import DIVERGING, Display, colour_map, reach, short_names, width_of
from clusterwhy.displays._reading import (
    check_names,
    check_scores,
    choose_features,
    names_along,
    read_ensemble,
    read_names,
    read_ranking,
)


class InteractionDisplay(Display):
    """The interactions (iLOCO) of pairs of the top features as a heat map.

    Made by :meth:`from_estimator` or :meth:`from_importances`. Positive where two features help each other,
    negative where they stand in for each other, 0 where each acts on its own.

    Parameters
    ----------
    interactions : ndarray of shape (n_drawn, n_drawn)
        Symmetric; the diagonal is not looked at.
    feature_names : ndarray of shape (n_drawn,)
        Names of these features.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        What was drawn on.
    im_ : matplotlib AxesImage
        The heat map, of shape (n_drawn, n_drawn); the diagonal is grey.
    colorbar_ : matplotlib Colorbar

    Examples
    --------
    >>> from clusterwhy.displays import InteractionDisplay
    >>> display = InteractionDisplay.from_importances([[0, 0.2], [0.2, 0]], feature_names=["a", "b"])
    >>> int(display.im_.get_array().count())  # the diagonal is masked
    2
    """

    def __init__(self, interactions: NDArray[np.float64], feature_names: NDArray[Any]) -> None:
        self.interactions = interactions
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        max_display: int = 10,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> InteractionDisplay:
        """Score all pairs of the top features by ``interaction_importance``; nothing is fitted again.

        Parameters
        ----------
        estimator : fitted LOCOMP or LOCORampart
            Of the latter, the features of the last round.
        max_display : int, default=10
            How many features to pair, the best by the global score.
        features : list of names or positions, default=None
            The features to pair, in this order.
        feature_names : list of length M, default=None
            Names to write; None takes ``feature_names_in_``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        InteractionDisplay

        Raises
        ------
        ValueError
            When too few minipatches hold neither of a pair.
        """
        read_ensemble(estimator, cls.__name__)
        names = check_names(read_names(estimator, feature_names), estimator.n_features_in_)
        limit = check_count(max_display, "max_display", minimum=2)
        if estimator.patches_.features is not None:
            limit = min(limit, len(estimator.patches_.features))
        ranking = read_ranking(estimator, estimator.feature_importances_)
        chosen = choose_features(features, limit, ranking, names).tolist()
        if len(set(chosen)) < max(2, len(chosen)):
            raise ValueError(f"features must be two or more different ones, got {names[chosen].tolist()}")
        pairs = list(combinations(range(len(chosen)), 2))
        matrix = np.full((len(chosen), len(chosen)), np.nan)
        found = estimator.interaction_importance([(chosen[a], chosen[b]) for a, b in pairs])
        for (a, b), value in zip(pairs, found, strict=True):
            matrix[a, b] = matrix[b, a] = value
        return cls(matrix, names[chosen]).plot(ax)

    @classmethod
    def from_importances(cls, interactions: Any, *, feature_names: Any = None, ax: Any = None) -> InteractionDisplay:
        """Draw interactions that are at hand.

        Parameters
        ----------
        interactions : array-like of shape (n_drawn, n_drawn)
            Symmetric; the diagonal is not looked at; NaN where not defined.
        feature_names : list of length n_drawn, default=None
            Names; None takes those of a pandas DataFrame, else writes x0, x1, ...
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        InteractionDisplay
        """
        matrix = check_scores(interactions, "interactions", ("n", "n"), None, None)
        if len(matrix) < 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, equal_nan=True):
            raise ValueError(
                f"interactions must be square and symmetric, of two features or more, got shape {matrix.shape}"
            )
        return cls(matrix, check_names(names_along(interactions, 0, feature_names), len(matrix))).plot(ax)

    def plot(self, ax: Any = None) -> InteractionDisplay:
        """Draw, once more or on other axes; parameters as in :meth:`from_estimator`."""
        names = short_names(self.feature_names)
        room = width_of(names)
        ax = self._open(ax, 3 + room + 0.35 * len(names), 1.4 + room + 0.28 * len(names))
        values = self.interactions.copy()
        np.fill_diagonal(values, np.nan)
        limit = reach(values)
        self.im_ = ax.imshow(np.ma.masked_invalid(values), cmap=colour_map(DIVERGING), vmin=-limit, vmax=limit)
        ax.set_yticks(range(len(names)), names)
        ax.set_xticks(range(len(names)), names, rotation=90)
        self.colorbar_ = self._draw_colour_bar(self.im_, "interaction")
        return self
