"""The source's figures and tables, measured again: Figures 1 to 4 and 7 to 9, Tables 1 and 2.

Everything measured goes to one CSV (output/paper/results.csv), which an interrupted run goes on from; figures and
Markdown tables are drawn from it at the end, or by --report alone.

What the page on these figures shows of Figures 2 and 7 to 9 is in measured.csv beside this file:
``--report --results benches/paper/measured.csv`` draws it again, and a copy of it is where a longer run may start.

    python benches/paper [--quick] [--parts figure1 figure2 figure7 figure8 figure9 cells] [--replicates 20]
                         [--settings gaussian gamma moons_circles] [--jobs 2] [--published PYTHON] [--report]
                         [--results CSV] [--output FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cells
import report
import simulations
import toy
from results import Results

FULL = (
    "figure1",
    "figure2_small",
    "equal_spread",
    "figure9",
    "figure8",
    "figure7",
    "figure2",
    "figure2_centroids",
    "figure2_unscaled",
    "cells",
)
QUICK = ("figure1", "quick", "cells")


def main() -> None:
    """Measure what is missing and draw everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="minutes: few replicates, sizes and minipatches")
    parser.add_argument("--parts", nargs="+", choices=("figure1", "cells", *simulations.EXPERIMENTS), default=None)
    parser.add_argument("--settings", nargs="+", choices=tuple(simulations.SETTINGS), default=None)
    parser.add_argument("--replicates", type=int, default=None, help="data sets of each kind (20; 2 if quick)")
    parser.add_argument("--patches", type=int, default=None, help="minipatches on the cells, splits of the toy's")
    parser.add_argument("--jobs", type=int, default=2, help="processes of the simulations")
    parser.add_argument("--published", default=None, help="a Python that has the published library, for the cells")
    parser.add_argument("--output", type=Path, default=Path("output/paper"))
    parser.add_argument("--results", type=Path, default=None, help="the CSV (results.csv in the output)")
    parser.add_argument("--report", action="store_true", help="measure nothing, draw what is there")
    options = parser.parse_args()
    results = Results(options.results or options.output / "results.csv")
    replicates = options.replicates or (2 if options.quick else 20)
    n_patches = options.patches or (500 if options.quick else 5000)
    for part in [] if options.report else options.parts or (QUICK if options.quick else FULL):
        if part == "figure1":
            splits = min(n_patches, 3 if options.quick else 20)
            toy.run(results, 300 if options.quick else 1200, splits, min(replicates, 5))
        elif part == "cells":
            cells.run(results, n_patches, min(replicates, 5), options.published)
        else:
            settings = options.settings or list(simulations.SETTINGS)
            simulations.run(results, part, settings, replicates, options.jobs)
    report.write(results.table(), options.output)


if __name__ == "__main__":
    main()
