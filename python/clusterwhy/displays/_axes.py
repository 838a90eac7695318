"""What every display draws on and with: axes, colours, names that fit."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._importances import import_extra

# Distinct to every kind of colour vision: Okabe and Ito's palette (less its yellow, too pale for a line on white),
# matplotlib's purple-orange for scores on both sides of 0, and its cividis for shares.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Light enough for an interval to show on it.
BAR = "#56B4E9"
DIVERGING = "PuOr_r"
SEQUENTIAL = "cividis"
# Scores that are not defined.
UNDEFINED = "0.75"
# Longer names are shortened in the middle.
NAME_LENGTH = 40
# Inches of height that labels need, however little there is to draw.
LOWEST = 2.5
# Letters in a line beside a colour bar.
LABEL_LENGTH = 25
# Names along an axis that are closer than so much of it, for each letter side by side, are left out.
NAME_SPACE = 0.03


class Display:
    """Opens the axes that a display draws on."""

    ax_: Any
    figure_: Any

    def _open(self, ax: Any, width: float, height: float) -> Any:
        """Set ``ax_`` and ``figure_``: those given, or a new figure of so many inches."""
        if ax is None:
            plt = import_extra("matplotlib.pyplot", "plot", type(self).__name__)
            # Its own layout makes room for the names, however long.
            _, ax = plt.subplots(figsize=(width, max(height, LOWEST)), layout="constrained")
        elif not hasattr(ax, "barh"):
            raise TypeError(
                f"ax must be one matplotlib Axes (of several, pass one, as in axes[0]), got {type(ax).__name__}"
            )
        self.ax_, self.figure_ = ax, ax.figure
        return ax

    def _draw_colour_bar(self, image: Any, label: str, **options: Any) -> Any:
        # In lines that a low figure has room for.
        return self.figure_.colorbar(image, ax=self.ax_, label=fill(label, LABEL_LENGTH), **options)


def label_decades(axis: Any) -> None:
    """Write plain numbers along a logarithmic axis: 1, 2, 5, 10, 20, ..."""
    ticker = import_extra("matplotlib.ticker", "plot", "a display")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(ticker.NullLocator())


def colour_map(name: str) -> Any:
    """Return a colour map that greys out what is not defined."""
    maps = import_extra("matplotlib", "plot", "a display").colormaps
    return maps[name].with_extremes(bad=UNDEFINED)


def short_names(names: Iterable[Any]) -> list[str]:
    """Turn names into text that fits beside a plot and that matplotlib does not read as mathematics."""
    out = []
    for name in names:
        text = " ".join(str(name).split())
        if len(text) > NAME_LENGTH:
            head = (NAME_LENGTH - 1) // 2
            text = f"{text[:head]}…{text[-(NAME_LENGTH - 1 - head) :]}"
        out.append(text.replace("$", r"\$"))
    return out


def width_of(names: list[str]) -> float:
    """Return about how many inches the longest name takes."""
    return 0.08 * max(map(len, names), default=0)


def reach(scores: NDArray[np.float64], share: float = 1.0) -> float:
    """Return the magnitude that this share of the scores stays within; 1 where there is nothing but zeros."""
    known = np.abs(scores[np.isfinite(scores)])
    found = float(np.quantile(known, share)) if known.size else 0.0
    return found or float(known.max(initial=0.0)) or 1.0


def draw_cluster_names(axis: Any, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Name stretches of equal labels in the middle of each; returns where the stretches meet."""
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([[0], edges])
    stops = np.concatenate([edges, [len(labels)]])
    centres = (starts + stops - 1) / 2
    names = cluster_names(labels[starts])
    rotation = rotation_of(names) if axis.axis_name == "x" else 0
    side_by_side = axis.axis_name == "x" and rotation == 0
    space = NAME_SPACE * len(labels) * (max(map(len, names)) if side_by_side else 1)
    named: list[tuple[float, str]] = []
    # The larger clusters first, so that of two that are too close the smaller one goes without a name.
    for at in np.argsort(starts - stops, kind="stable"):
        if all(abs(centres[at] - other) >= space for other, _ in named):
            named.append((centres[at], names[at]))
    named.sort(key=lambda pair: pair[0])
    axis.set_ticks([centre for centre, _ in named], [name for _, name in named])
    if axis.axis_name == "x":
        axis.set_tick_params(rotation=rotation)
    return edges


def cluster_names(labels: Iterable[Any]) -> list[str]:
    """Write clusters' labels; negative numbers are noise."""
    return short_names("noise" if isinstance(label, (int, np.integer)) and label < 0 else label for label in labels)


def rotation_of(names: list[str]) -> int:
    """Return the angle at which names along a horizontal axis do not run into each other."""
    return 90 if max(map(len, names), default=0) > 3 else 0
