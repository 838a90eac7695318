"""The figure that the demo and the command line save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clusterwhy._importances import import_extra
from clusterwhy.displays._axes import LOWEST, short_names, width_of
from clusterwhy.displays._cluster_importance import ClusterImportanceDisplay
from clusterwhy.displays._importance import ImportanceDisplay
from clusterwhy.displays._reading import read_names

DPI = 150


def save_overview(
    estimators: dict[str, Any], path: Path, *, max_display: int, by_cluster: bool, level: float
) -> None:
    """Save the top features of each estimator side by side, and a heat map of the clusters' scores.

    Parameters
    ----------
    estimators : dict
        Fitted estimators by their titles.
    path : Path
        Its suffix decides the format.
    max_display : int
        How many features to draw.
    by_cluster : bool
        Whether to add a heat map of the clusters' scores, where the last estimator has them.
    level : float
        Coverage of the intervals.
    """
    figures = import_extra("matplotlib.figure", "plot", "a figure")
    last = list(estimators.values())[-1]
    heat = by_cluster and hasattr(last, "cluster_importances_")
    names = read_names(last, None)
    room = width_of(short_names(names)) if names is not None else 0.5
    panels = len(estimators) + heat
    clusters = 0.3 * len(last.classes_) if heat else 0
    size = (panels * (4 + room) + clusters, max(LOWEST, 1.5 + 0.25 * min(max_display, last.n_features_in_)))
    # Not through pyplot, which wants a screen where there is one.
    figure = figures.Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for ax, (title, estimator) in zip(axes, estimators.items(), strict=False):
        ImportanceDisplay.from_estimator(estimator, max_display=max_display, level=level, ax=ax)
        ax.set_title(title)
    if heat:
        ClusterImportanceDisplay.from_estimator(last, max_display=max_display, ax=axes[-1])
        axes[-1].set_title("By cluster")
    figure.savefig(path, dpi=DPI)
