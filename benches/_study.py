"""What the simulation studies share: a log of measured rows, saved as one tidy CSV, and a plain table."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import pandas as pd


def arguments(description: str | None, seeds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every study."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=seeds, help="replicates, one data set each")
    parser.add_argument("--quick", action="store_true", help="a few replicates of the smallest size, as a check")
    parser.add_argument("--jobs", type=int, default=None, help="n_jobs of the estimators")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the CSV")
    # Neighbour graphs of well separated clusters are disconnected: that is the point, not a fault.
    warnings.filterwarnings("ignore", message="Graph is not fully connected")
    return parser


def save(rows: list[dict[str, Any]], folder: Path, name: str) -> pd.DataFrame:
    """Write the rows to ``folder/name.csv`` and return them as a table."""
    table = pd.DataFrame(rows)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)
    return table


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table as Markdown, which is how the docs carry it."""
    cells = [[str(name) for name in table.columns]]
    cells += [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in table.itertuples(index=False)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    print(f"\n{title}\n")
    for number, row in enumerate(cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|", flush=True)
