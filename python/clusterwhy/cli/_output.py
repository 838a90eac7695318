"""Writes tables of scores: to standard output, and to files."""

from __future__ import annotations

import json
import math
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from clusterwhy._importances import import_extra
from clusterwhy.cli._errors import UsageError

# Coverage of intervals.
LEVEL = 0.95
FORMATS = ("table", "csv", "tsv", "json")
SAVED = (".csv", ".tsv", ".json")
# Rows of a table on a terminal and features in a figure.
ROWS = 20


def check_output(options: Namespace) -> None:
    """Find out before the work begins whether its results can be written."""
    if options.out and options.out.suffix.lower() not in SAVED:
        raise UsageError(f"--out {options.out}: the name must end in {', '.join(SAVED)}")
    if options.plot:
        figure = import_extra("matplotlib.figure", "plot", "--plot").Figure()
        known = [f".{kind}" for kind in figure.canvas.get_supported_filetypes()]
        if options.plot.suffix.lower() not in known:
            raise UsageError(f"--plot {options.plot}: the name must end in {', '.join(known)}")
    taken = {place(path): f"{name} {path}" for name, path in read_files(options)}
    for name in ("out", "plot", "labels_out"):
        path = getattr(options, name, None)
        if not path:
            continue
        option = f"--{name.replace('_', '-')} {path}"
        if not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
        if path.is_dir():
            raise UsageError(f"{option}: this is a folder")
        if path.exists() and not path.is_file():
            # A device keeps nothing.
            continue
        if place(path) in taken:
            raise UsageError(f"{option} would overwrite {taken[place(path)]}: give it another name")
        taken[place(path)] = option


def read_files(options: Namespace) -> list[tuple[str, str]]:
    """List the files that the data and the labels come from."""
    files = [("the data", options.data)] if options.data != "-" else []
    # Labels may name a column.
    from_file = options.labels is not None and Path(options.labels).is_file()
    return [*files, ("the labels", options.labels)] if from_file else files


def place(path: Any) -> str:
    """Name a file as the system does, whatever the path to it and its links."""
    return str(os.path.normcase(os.path.realpath(path)))


def rows_shown(options: Namespace) -> int:
    """Return how many features a table on a terminal or a figure has."""
    return ROWS if options.top is None else int(options.top)


def best(frame: Any, top: int | None, groups: str | None) -> Any:
    """Return the first rows, of each group where there are groups."""
    if top is None:
        return frame
    return frame.head(top) if groups is None else frame.groupby(groups, sort=False).head(top)


def show(frame: Any, options: Namespace, summary: dict[str, Any], groups: str | None = None) -> None:
    """Print a table for people on a terminal, and for programs elsewhere."""
    kind = options.format or ("table" if sys.stdout.isatty() else "csv")
    if kind == "table":
        text = best(frame, rows_shown(options), groups).to_string(index=False, float_format="{:.3g}".format) + "\n"
        for pair in summary.get("agreement", ()):
            one, other = pair["methods"]
            text += f"\n{one} and {other}: {pair['shared']} of the top {pair['top']}, Spearman {pair['spearman']:.2f}"
        text = text.rstrip("\n") + "\n"
    else:
        text = as_text(best(frame, options.top, groups), kind, summary)
    sys.stdout.write(text)


def save(frame: Any, options: Namespace, summary: dict[str, Any], groups: str | None = None) -> None:
    """Save the scores, all of them unless a number of them was asked for."""
    if options.out:
        kind = options.out.suffix.lower().lstrip(".")
        Path(options.out).write_text(as_text(best(frame, options.top, groups), kind, summary), encoding="utf-8")


def as_text(frame: Any, kind: str, summary: dict[str, Any]) -> str:
    """Write a table in a format; numbers keep every digit."""
    if kind == "json":
        rows = [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
        summary = {name: plain(value) for name, value in summary.items()}
        return json.dumps({**summary, "scores": rows}, indent=1, allow_nan=False) + "\n"
    return str(frame.to_csv(index=False, sep="," if kind == "csv" else "\t"))


def plain(value: Any) -> Any:
    """Return a value that JSON has: undefined scores are null."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
