"""One tidy CSV of everything measured, which an interrupted run goes on from."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Unit:
    """What is measured at once: one method on one data set."""

    experiment: str
    setting: str
    difficulty: str
    n_clusters: int
    n_samples: int
    n_noise: int
    replicate: int
    method: str
    n_patches: int


KEY = [field.name for field in fields(Unit)]
COLUMNS = [*KEY, "item", "metric", "value"]
# Written after everything else of a unit: without it, the unit was cut off.
LAST = "seconds"


class Results:
    """An append-only file of rows ``(unit, item, metric, value)``; each unit is written at one go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._drop_what_was_cut_off()
        else:
            path.write_text(",".join(COLUMNS) + "\n")

    def _drop_what_was_cut_off(self) -> None:
        text = self.path.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        rows = [row for row in csv.reader(lines[1:]) if len(row) == len(COLUMNS)]
        whole = {tuple(row[: len(KEY)]) for row in rows if row[-2] == LAST}
        kept = [row for row in rows if tuple(row[: len(KEY)]) in whole]
        replacement = self.path.with_suffix(".partial")
        with replacement.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *kept])
        os.replace(replacement, self.path)

    def done(self) -> set[Unit]:
        """Return the units that are measured."""
        table = self.table()
        rows = table.loc[table["metric"] == LAST, KEY].itertuples(index=False)
        return {Unit(*row) for row in rows}

    def add(self, unit: Unit, measured: Iterable[tuple[str, str, Any]], seconds: float) -> None:
        """Append what was measured of a unit: items (a feature, a cluster or nothing), metrics and values."""
        key = list(asdict(unit).values())
        with self.path.open("a", newline="") as file:
            rows = [[*key, item, metric, f"{value:.6g}"] for item, metric, value in measured]
            csv.writer(file, lineterminator="\n").writerows([*rows, [*key, "", LAST, f"{seconds:.3f}"]])
            file.flush()
            os.fsync(file.fileno())

    def table(self) -> pd.DataFrame:
        """Return everything, in the order in which it was measured."""
        return pd.read_csv(self.path, keep_default_na=False, na_values={"value": ["nan"]}, dtype={"item": str})
