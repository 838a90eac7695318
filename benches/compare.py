"""One table: this library on both engines, and the published library, on the same data: ``make bench``.

Every run is a process of its own. The slower engines run fewer minipatches; their times are scaled to the full
number, since the cost of minipatches is linear in it (the scaled figures are marked with ~). The published library
(clusterloco 0.1.0 from PyPI, imported as clim) is installed in an environment of its own: pass its Python with
--published.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from clusterwhy.datasets import load_cells, make_gaussian_mixture

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Job:
    """A row of the table: what to run, and how many minipatches each engine is given."""

    name: str
    data: str
    method: str
    k: int
    rows: int
    columns: int
    patches: int
    small: int
    published: int
    top: int = 0
    seed: int = 0
    jobs: int = 2


CELLS = {"data": "cells", "k": 10, "rows": 294, "columns": 199}
JOBS = [
    Job("cells, Ward + tree", method="ward+tree", patches=5000, small=300, published=60, **CELLS),
    Job("cells, k-means + tree", method="kmeans+tree", patches=5000, small=300, published=60, **CELLS),
    Job("cells, Ward + forest of 100", method="ward+forest", patches=5000, small=40, published=0, **CELLS),
    Job("cells, spectral + tree", method="spectral+tree", patches=5000, small=150, published=0, **CELLS),
    Job("3500 x 1000, k-means + tree", "mixture", "kmeans+tree", 7, 700, 200, 5000, 60, 0),
    Job(
        "cells, RAMPART to 100, Ward + tree",
        method="ward+tree",
        patches=1000,
        small=100,
        published=20,
        top=100,
        **CELLS,
    ),
]


def run(job: Job, engine: str, python: str, data: Path, patches: int) -> dict[str, Any]:
    """Run one configuration in a fresh process."""
    command = [python, str(HERE / "one_run.py"), "--data", str(data / f"{job.data}.npy"), "--engine", engine]
    for name in ("method", "k", "rows", "columns", "top", "seed", "jobs"):
        command += [f"--{name}", str(getattr(job, name))]
    command += ["--patches", str(patches)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(lines[-1].removeprefix("RESULT "))


def agreement(first: list[float], second: list[float]) -> str:
    """Return the rank correlation of two runs' scores, over the features that both scored."""
    a, b = np.asarray(first), np.asarray(second)
    both = np.isfinite(a) & np.isfinite(b)
    return f"{spearmanr(a[both], b[both]).statistic:.2f}"


def compare(job: Job, data: Path, published: str | None) -> list[str]:
    """Run a row with every engine and format its lines."""
    plan = [("native", sys.executable, job.patches), ("sklearn", sys.executable, job.small)]
    if published and job.published:
        plan.append(("published", published, job.published))
    lines, ours = [], None
    for engine, python, patches in plan:
        result = run(job, engine, python, data, patches)
        scale = job.patches / patches
        mark = "" if scale == 1 else "~"
        wall, cpu = result["wall"] * scale, result["cpu"] * scale
        if ours is None:
            ours = {"wall": wall, "scores": result["scores"]}
        same = run(job, "native", sys.executable, data, patches) if engine != "native" else result
        lines.append(
            f"| {job.name} | {engine} | {patches} | {mark}{wall:.1f} | {mark}{cpu:.1f} | {wall / ours['wall']:.1f} | "
            f"{result['megabytes']:.0f} | {agreement(result['scores'], same['scores'])} |"
        )
        print(lines[-1], flush=True)
    return lines


def two_seeds(patches: int, data: Path) -> None:
    """Compare the scores of two seeds at the ordinary number of minipatches."""
    job = replace(JOBS[0], patches=patches)
    first = run(job, "native", sys.executable, data, patches)
    second = run(replace(job, seed=1), "native", sys.executable, data, patches)
    a, b = np.asarray(first["scores"]), np.asarray(second["scores"])
    shared = set(np.argsort(-a)[:10].tolist()) & set(np.argsort(-b)[:10].tolist())
    print(
        f"\nTwo seeds at B = {patches} (cells, Ward + tree): {first['wall']:.1f} s and {second['wall']:.1f} s, "
        f"Pearson {pearsonr(a, b).statistic:.3f}, Spearman {spearmanr(a, b).statistic:.3f}, "
        f"{len(shared)} of the top 10 shared, peak {first['megabytes']:.0f} MB"
    )


def threads(data: Path) -> None:
    """Compare one thread with two."""
    for job in JOBS[:2]:
        one = min(run(replace(job, jobs=1), "native", sys.executable, data, 2000)["wall"] for _ in range(2))
        two = min(run(job, "native", sys.executable, data, 2000)["wall"] for _ in range(2))
        print(f"{job.name}, B = 2000: 1 thread {one:.2f} s, 2 threads {two:.2f} s, ratio {one / two:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", help="Python of an environment with clusterloco==0.1.0")
    parser.add_argument("--seeds-at", type=int, default=100_000, help="minipatches of the comparison of two seeds")
    parser.add_argument("--only", type=int, nargs="*", help="rows of the table to run, from 0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        np.save(data / "cells.npy", load_cells().data)
        mixture, _, _ = make_gaussian_mixture(3500, 7, n_noise=990, random_state=0)
        np.save(data / "mixture.npy", mixture)
        print(
            "| run | engine | B run | wall s | CPU s | times native | peak MB | Spearman with native at the same B |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for job in JOBS if options.only is None else [JOBS[i] for i in options.only]:
            compare(job, data, options.published)
        if options.seeds_at:
            two_seeds(options.seeds_at, data)
        threads(data)


if __name__ == "__main__":
    main()
