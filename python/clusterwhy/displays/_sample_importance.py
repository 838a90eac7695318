"""A heat map of the scores of every observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._inference import rank_features
from clusterwhy._validation import label_array
from clusterwhy.displays._axes import (
    DIVERGING,
    Display,
    cluster_names,
    colour_map,
    draw_cluster_names,
    reach,
    short_names,
    width_of,
)
from clusterwhy.displays._reading import (
    check_names,
    check_scores,
    choose_features,
    column_means,
    names_along,
    read_names,
    read_ranking,
    read_scores,
    score_name,
)


class SampleImportanceDisplay(Display):
    """The scores of each observation as a heat map, features by observations in the order of their clusters.

    Made by :meth:`from_estimator` or :meth:`from_importances`. Within a cluster, observations are in the order
    of their mean score over the features drawn. Colours end where 1% of the scores are beyond, so that a few extreme
    observations do not hide the others; grey is not defined.

    Parameters
    ----------
    sample_importances : ndarray of shape (N, M)
        Scores.
    feature_names : ndarray of shape (M,)
        Names of the features.
    ranking : ndarray of shape (M,)
        The order to draw in, 1 first.
    labels : ndarray of shape (N,), default=None
        Clusters, to order the observations by.
    score_name : str, default="importance"
        Label of the colour bar.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        What was drawn on.
    im_ : matplotlib AxesImage
        The heat map, of shape (n_drawn, N).
    colorbar_ : matplotlib Colorbar
    features_ : ndarray of shape (n_drawn,)
        Positions of the features drawn, from top to bottom.
    samples_ : ndarray of shape (N,)
        Positions of the observations, from left to right.

    Examples
    --------
    >>> from clusterwhy.displays import SampleImportanceDisplay
    >>> scores = [[0.3, 0.0], [0.1, 0.2], [0.4, 0.1]]
    >>> SampleImportanceDisplay.from_importances(scores, labels=[1, 0, 1]).samples_
    array([1, 2, 0])
    """

    def __init__(
        self,
        sample_importances: NDArray[np.float64],
        feature_names: NDArray[Any],
        ranking: NDArray[np.int64],
        *,
        labels: NDArray[Any] | None = None,
        score_name: str = "importance",
    ) -> None:
        self.sample_importances = sample_importances
        self.feature_names = feature_names
        self.ranking = ranking
        self.labels = labels
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        max_display: int | None = 20,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> SampleImportanceDisplay:
        """Draw the observations' scores of something fitted.

        Parameters
        ----------
        estimator : fitted estimator
            With ``sample_importances_``; ``labels_`` orders the observations.
        max_display : int or None, default=20
            How many features to draw, the best by the global score; None draws all.
        features : list of names or positions, default=None
            The features to draw, in this order.
        feature_names : list of length M, default=None
            Names to write; None takes ``feature_names_in_``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SampleImportanceDisplay
        """
        advice = "ImportanceDisplay draws the global scores"
        scores = read_scores(estimator, "sample_importances_", cls.__name__, advice)
        display = cls(
            scores,
            check_names(read_names(estimator, feature_names), scores.shape[1]),
            read_ranking(estimator, np.asarray(estimator.feature_importances_)),
            labels=getattr(estimator, "labels_", None),
            score_name=score_name(estimator),
        )
        return display.plot(ax, max_display=max_display, features=features)

    @classmethod
    def from_importances(
        cls,
        sample_importances: Any,
        *,
        labels: Any = None,
        max_display: int | None = 20,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> SampleImportanceDisplay:
        """Draw scores that are at hand; the order of the features is that of their means.

        Parameters
        ----------
        sample_importances : array-like of shape (N, M)
            NaN where not defined. A pandas DataFrame has the names of the features.
        labels : array-like of shape (N,), default=None
            Clusters, whole numbers (negative for noise) or strings, to order the observations by.
        max_display, features, feature_names, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        SampleImportanceDisplay
        """
        scores = check_scores(sample_importances, "sample_importances", ("N", "M"), None, None)
        n, m = scores.shape
        display = cls(
            scores,
            check_names(names_along(sample_importances, 1, feature_names), m),
            rank_features(column_means(scores)),
            labels=None if labels is None else label_array(labels, n, "labels"),
        )
        return display.plot(ax, max_display=max_display, features=features)

    def plot(self, ax: Any = None, *, max_display: int | None = 20, features: Any = None) -> SampleImportanceDisplay:
        """Draw, once more or on other axes; parameters as in :meth:`from_estimator`."""
        order = self.features_ = choose_features(features, max_display, self.ranking, self.feature_names)
        scores = self.sample_importances[:, order]
        # NaN comes last.
        means = column_means(scores.T)
        keys = (-means,) if self.labels is None else (-means, np.unique(self.labels, return_inverse=True)[1])
        self.samples_ = np.lexsort(keys)
        names = short_names(self.feature_names[order])
        room = 0.0 if self.labels is None else width_of(cluster_names(np.unique(self.labels)))
        ax = self._open(ax, 7 + width_of(names), 1.5 + room + 0.25 * len(order))
        drawn = scores[self.samples_].T
        limit = reach(drawn, 0.99)
        self.im_ = ax.imshow(
            np.ma.masked_invalid(drawn), aspect="auto", cmap=colour_map(DIVERGING), vmin=-limit, vmax=limit
        )
        ax.set_yticks(range(len(order)), names)
        if self.labels is None:
            ax.set_xlabel("observation")
        else:
            for edge in draw_cluster_names(ax.xaxis, np.asarray(self.labels)[self.samples_]):
                ax.axvline(edge - 0.5, color="black", linewidth=0.8)
            ax.set_xlabel("observations, by cluster")
        self.colorbar_ = self._draw_colour_bar(self.im_, self.score_name, extend="both")
        return self
