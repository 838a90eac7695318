"""Data larger than one likes to hold in memory: time and peak memory of a fit from a memory map.

Writes N x M single-precision numbers to a file (a mixture of Gaussians in the first features, noise in the others),
and fits `LOCOMP` to a read-only memory map of it in this process. The peak resident memory includes the pages of the
file that the system keeps for it and may take back.

    python benches/large.py --directory /tmp --samples 100000 --features 2000 --patches 1000 --jobs 2
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans

import clusterwhy as cw

CLUSTERS, SIGNAL = 5, 20


def write_data(path: Path, n: int, m: int) -> None:
    """Write the data a few rows at a time."""
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=1.5, size=(CLUSTERS, SIGNAL))
    data = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, m))
    for start in range(0, n, 10_000):
        part = rng.standard_normal((min(10_000, n - start), m), dtype=np.float32)
        part[:, :SIGNAL] += centers[rng.integers(CLUSTERS, size=len(part))]
        data[start : start + len(part)] = part
    data.flush()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("."))
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=2000)
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--store", action="store_true", help="keep the scores of observations")
    options = parser.parse_args()
    path = options.directory / f"large-{options.samples}-{options.features}.npy"
    if not path.exists():
        write_data(path, options.samples, options.features)
    X = np.load(path, mmap_mode="r")
    model = cw.LOCOMP(
        KMeans(CLUSTERS),
        n_patches=options.patches,
        max_samples=1000,
        max_features=0.1,
        reference="overlap",
        store_sample_importances=options.store,
        n_jobs=options.jobs,
        random_state=0,
    )
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    model.fit(X)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    top = np.argsort(-model.feature_importances_)[:SIGNAL]
    print(f"{options.samples} x {options.features}, {options.patches} minipatches, engine {model.engine_}")
    print(f"{seconds:.0f} s, processor {after.ru_utime - used.ru_utime:.0f} s")
    print(f"peak resident memory {after.ru_maxrss / 2**20:.2f} GiB, of the data {X.nbytes / 2**30:.2f} GiB")
    print(f"signal features among the top {SIGNAL}: {(top < SIGNAL).sum()}")


if __name__ == "__main__":
    main()
