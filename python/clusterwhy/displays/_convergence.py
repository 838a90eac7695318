"""How scores and ranks settle as minipatches are added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._inference import rank_features
from clusterwhy._scores import prepare, summarise
from clusterwhy._tables import shown
from clusterwhy._validation import check_count, check_option, n_threads
from clusterwhy.displays._axes import COLOURS, Display, label_decades, short_names, width_of
from clusterwhy.displays._reading import (
    check_names,
    check_scores,
    choose_features,
    names_along,
    read_ensemble,
    read_names,
    score_name,
)

KINDS = ("score", "rank")
MARKERS = "osD^vPX"


class ConvergenceDisplay(Display):
    """Score or rank of the top features against the number of minipatches.

    Made by :meth:`from_estimator` or :meth:`from_importances`. Lines that still cross at the right end say that the
    order of their features is not settled: use more minipatches. Both axes of ranks are logarithmic, since the
    first places matter most.

    Parameters
    ----------
    n_patches : ndarray of shape (S,)
        Numbers of minipatches, ascending.
    importances : ndarray of shape (S, M)
        The scores by so many minipatches.
    feature_names : ndarray of shape (M,)
        Names of the features.
    score_name : str, default="importance"
        Label of the axis of scores.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        What was drawn on.
    lines_ : list of matplotlib Line2D
        One for each feature drawn, the best first.
    features_ : ndarray of shape (n_drawn,)
        Positions of the features drawn, in the same order.

    Examples
    --------
    >>> from clusterwhy.displays import ConvergenceDisplay
    >>> display = ConvergenceDisplay.from_importances([100, 200], [[0.3, 0.2], [0.2, 0.3]], kind="rank")
    >>> display.lines_[0].get_ydata().tolist()  # feature 1, the better one in the end
    [2.0, 1.0]
    """

    def __init__(
        self,
        n_patches: NDArray[Any],
        importances: NDArray[np.float64],
        feature_names: NDArray[Any],
        *,
        score_name: str = "importance",
    ) -> None:
        self.n_patches = n_patches
        self.importances = importances
        self.feature_names = feature_names
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        kind: str = "score",
        n_points: int = 12,
        max_display: int | None = 10,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> ConvergenceDisplay:
        """Score the first minipatches of a fitted ensemble alone, for several numbers of them.

        Nothing is clustered or trained again, and the consensus labels are those of the whole ensemble. This
        costs about three times what scoring the ensemble once does.

        Parameters
        ----------
        estimator : fitted LOCOMP or LOCORampart
            Of the latter, the last round.
        kind : {"score", "rank"}, default="score"
            What to draw. ``display.plot(kind="rank", ax=...)`` draws the other one at no further cost.
        n_points : int, default=12
            How many numbers of minipatches, evenly spaced on a logarithmic axis from 1/32 of them (at least 5).
        max_display : int or None, default=10
            How many features to draw, the best in the end; None draws all.
        features : list of names or positions, default=None
            The features to draw.
        feature_names : list of length M, default=None
            Names to write; None takes ``feature_names_in_``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ConvergenceDisplay
        """
        ensemble = read_ensemble(estimator, cls.__name__)
        points = check_count(n_points, "n_points", minimum=2)
        start = min(max(5, ensemble.n_patches // 32), ensemble.n_patches)
        sizes = np.unique(np.rint(np.geomspace(start, ensemble.n_patches, points)).astype(np.int64))
        threads, loss = n_threads(estimator.n_jobs), estimator._loss_
        ready = prepare(ensemble, loss)
        active = estimator.patches_.features
        scores = np.full((len(sizes), estimator.n_features_in_), np.nan)
        for row, size in zip(scores, sizes, strict=True):
            part = ready.first(int(size))
            found = summarise(part, part.leave_one_out(threads), estimator._codes_, loss, threads)
            row[slice(None) if active is None else active] = found.mean[-1]
        names = check_names(read_names(estimator, feature_names), scores.shape[1])
        display = cls(sizes, scores, names, score_name=score_name(estimator))
        return display.plot(ax, kind=kind, max_display=max_display, features=features)

    @classmethod
    def from_importances(
        cls,
        n_patches: Any,
        importances: Any,
        *,
        kind: str = "score",
        max_display: int | None = 10,
        features: Any = None,
        feature_names: Any = None,
        ax: Any = None,
    ) -> ConvergenceDisplay:
        """Draw scores that are at hand, of fits with different numbers of minipatches.

        Parameters
        ----------
        n_patches : array-like of shape (S,)
            Positive numbers, ascending.
        importances : array-like of shape (S, M)
            Scores; NaN where not defined. A pandas DataFrame has the names of the features.
        kind, max_display, features, feature_names, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ConvergenceDisplay
        """
        scores = check_scores(importances, "importances", ("S", "M"), None, None)
        sizes = check_scores(n_patches, "n_patches", ("S",), len(scores))
        if not (sizes[0] > 0 and (np.diff(sizes) > 0).all()):
            raise ValueError(f"n_patches must be positive and ascending, got {sizes.tolist()}")
        names = check_names(names_along(importances, 1, feature_names), scores.shape[1])
        display = cls(sizes, scores, names)
        return display.plot(ax, kind=kind, max_display=max_display, features=features)

    def plot(
        self, ax: Any = None, *, kind: str = "score", max_display: int | None = 10, features: Any = None
    ) -> ConvergenceDisplay:
        """Draw, once more or on other axes; parameters as in :meth:`from_estimator`."""
        kind = check_option(kind, "kind", KINDS)
        ranks = np.array([rank_features(row) for row in self.importances])
        order = choose_features(features, max_display, ranks[-1], self.feature_names)
        # Features that an earlier round of RAMPART dropped have nothing to draw.
        drawn = ~np.isnan(self.importances[:, order]).all(axis=0)
        if features is not None and not drawn.all():
            raise ValueError(
                f"features must have scores to draw, got {shown(self.feature_names[order[~drawn]])}, which have "
                "none: an earlier round of RAMPART dropped them, say"
            )
        order = self.features_ = order[drawn]
        names = short_names(self.feature_names[order])
        # The names stand one below the other.
        ax = self._open(ax, 6 + width_of(names), max(4.2, 0.5 + 0.2 * len(names)))
        values = self.importances if kind == "score" else np.where(np.isnan(self.importances), np.nan, ranks)
        self.lines_ = [
            ax.plot(
                self.n_patches,
                values[:, j],
                color=COLOURS[i % len(COLOURS)],
                # Beyond the colours, markers tell the lines apart.
                marker=MARKERS[(i + i // len(COLOURS)) % len(MARKERS)],
                markersize=4,
                # matplotlib leaves out names that begin with an underscore: an invisible letter goes before it.
                label=f"\u200b{name}" if name.startswith("_") else name,
            )[0]
            for i, (j, name) in enumerate(zip(order, names, strict=True))
        ]
        ax.set_xscale("log")
        label_decades(ax.xaxis)
        ax.set_xlabel("minipatches")
        if kind == "rank":
            ax.set_yscale("log")
            label_decades(ax.yaxis)
            ax.invert_yaxis()
            ax.set_ylabel("rank")
        else:
            ax.axhline(0, color="0.35", linewidth=0.8)
            ax.set_ylabel(self.score_name)
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize="small")
        return self
