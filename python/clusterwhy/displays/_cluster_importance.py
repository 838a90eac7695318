"""A heat map of which feature holds which cluster together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._inference import rank_features
from clusterwhy._validation import check_count
from clusterwhy.displays._axes import (
    DIVERGING,
    Display,
    cluster_names,
    colour_map,
    reach,
    rotation_of,
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
    read_rounds,
    read_scores,
    score_name,
)


class ClusterImportanceDisplay(Display):
    """The scores of each cluster as a heat map, features by clusters.

    Made by :meth:`from_estimator` or :meth:`from_importances`. Grey is not defined (a cluster that no
    observation is left in).

    Parameters
    ----------
    cluster_importances : ndarray of shape (K, M)
        Scores.
    classes : ndarray of shape (K,)
        Names of the clusters.
    feature_names : ndarray of shape (M,)
        Names of the features.
    ranking : ndarray of shape (M,)
        The order to draw in, 1 first.
    score_name : str, default="importance"
        Label of the colour bar.
    rounds : ndarray of shape (M,), default=None
        The rounds that scored the features: later ones go before earlier ones among the best of a cluster.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        What was drawn on.
    im_ : matplotlib AxesImage
        The heat map, of shape (n_drawn, K).
    colorbar_ : matplotlib Colorbar
    features_ : ndarray of shape (n_drawn,)
        Positions of the features drawn, from top to bottom.

    Examples
    --------
    >>> from clusterwhy.displays import ClusterImportanceDisplay
    >>> display = ClusterImportanceDisplay.from_importances([[0.3, 0.0], [0.1, 0.2]], classes=["B", "T"])
    >>> display.im_.get_array().shape
    (2, 2)
    """

    def __init__(
        self,
        cluster_importances: NDArray[np.float64],
        classes: NDArray[Any],
        feature_names: NDArray[Any],
        ranking: NDArray[np.int64],
        *,
        score_name: str = "importance",
        rounds: NDArray[np.int64] | None = None,
    ) -> None:
        self.cluster_importances = cluster_importances
        self.classes = classes
        self.feature_names = feature_names
        self.ranking = ranking
        self.score_name = score_name
        self.rounds = rounds

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        max_display: int | None = 20,
        per_cluster: int | None = None,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> ClusterImportanceDisplay:
        """Draw the clusters' scores of something fitted.

        Parameters
        ----------
        estimator : fitted estimator
            With ``cluster_importances_`` and ``classes_``.
        max_display : int or None, default=20
            How many features to draw, the best by the global score; None draws all.
        per_cluster : int, default=None
            Draw the so many best features of every cluster instead, in the order of the clusters.
        features : list of names or positions, default=None
            The features to draw, in this order.
        feature_names : list of length M, default=None
            Names to write; None takes ``feature_names_in_``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ClusterImportanceDisplay
        """
        advice = "ImportanceDisplay draws the global scores"
        scores = read_scores(estimator, "cluster_importances_", cls.__name__, advice)
        display = cls(
            scores,
            np.asarray(estimator.classes_),
            check_names(read_names(estimator, feature_names), scores.shape[1]),
            read_ranking(estimator, np.asarray(estimator.feature_importances_)),
            score_name=score_name(estimator),
            rounds=read_rounds(estimator),
        )
        return display.plot(ax, max_display=max_display, per_cluster=per_cluster, features=features)

    @classmethod
    def from_importances(
        cls,
        cluster_importances: Any,
        *,
        classes: Any = None,
        max_display: int | None = 20,
        per_cluster: int | None = None,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> ClusterImportanceDisplay:
        """Draw scores that are at hand; the order is that of a feature's mean over the clusters.

        Parameters
        ----------
        cluster_importances : array-like of shape (K, M)
            NaN where not defined. A pandas DataFrame has the names of both.
        classes : array-like of shape (K,), default=None
            Names of the clusters; None numbers them from 0 where they have none.
        max_display, per_cluster, features, feature_names, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ClusterImportanceDisplay
        """
        scores = check_scores(cluster_importances, "cluster_importances", ("K", "M"), None, None)
        k, m = scores.shape
        classes = names_along(cluster_importances, 0, classes)
        names = np.arange(k) if classes is None else np.asarray(classes)
        if names.shape != (k,):
            raise ValueError(f"classes must have one name for each of {k} clusters, got shape {names.shape}")
        feature_names = check_names(names_along(cluster_importances, 1, feature_names), m)
        display = cls(scores, names, feature_names, rank_features(column_means(scores)))
        return display.plot(ax, max_display=max_display, per_cluster=per_cluster, features=features)

    def plot(
        self,
        ax: Any = None,
        *,
        max_display: int | None = 20,
        per_cluster: int | None = None,
        features: Any = None,
    ) -> ClusterImportanceDisplay:
        """Draw, once more or on other axes; parameters as in :meth:`from_estimator`."""
        if features is None and per_cluster is not None:
            features = self._best_of_each(check_count(per_cluster, "per_cluster"))
        order = self.features_ = choose_features(features, max_display, self.ranking, self.feature_names)
        names, clusters = short_names(self.feature_names[order]), cluster_names(self.classes)
        room = width_of(clusters) if rotation_of(clusters) else 0
        ax = self._open(ax, 3 + width_of(names) + 0.35 * len(clusters), 1.2 + room + 0.25 * len(order))
        scores = self.cluster_importances[:, order].T
        limit = reach(scores)
        self.im_ = ax.imshow(
            np.ma.masked_invalid(scores), aspect="auto", cmap=colour_map(DIVERGING), vmin=-limit, vmax=limit
        )
        ax.set_yticks(range(len(order)), names)
        ax.set_xticks(range(len(clusters)), clusters, rotation=rotation_of(clusters))
        ax.set_xlabel("cluster")
        self.colorbar_ = self._draw_colour_bar(self.im_, self.score_name)
        return self

    def _best_of_each(self, count: int) -> list[int]:
        """Return the best features of each cluster in turn, each once; those of an undefined row are not asked."""
        defined = [row for row in self.cluster_importances if not np.isnan(row).all()]
        best = [np.argsort(rank_features(row, self.rounds))[:count] for row in defined]
        return list(dict.fromkeys(np.concatenate(best).tolist())) if best else [0]
