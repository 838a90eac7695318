"""Data larger than one likes to hold in memory: time and peak memory of a fit from a memory map, or of sparse data.

Writes N x M single-precision numbers to a file (a mixture of Gaussians in the first features, noise in the others),
and fits `LOCOMP` to a read-only memory map of it in this process. The peak resident memory includes the pages of the
file that the system keeps for it and may take back. With `--density` the noise is 0 but for that share, and the data
are a CSR matrix in memory.

    python benches/large.py --directory /tmp --samples 100000 --features 2000 --patches 1000 --jobs 2
    python benches/large.py --samples 100000 --features 2000 --patches 1000 --jobs 2 --density 0.05
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, vstack
from sklearn.cluster import KMeans

import clusterwhy as cw

CLUSTERS, SIGNAL = 5, 20


def draw(n: int, m: int, density: float = 1.0) -> Iterator[np.ndarray]:
    """Draw the data a few rows at a time."""
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=1.5, size=(CLUSTERS, SIGNAL))
    for start in range(0, n, 10_000):
        part = rng.standard_normal((min(10_000, n - start), m), dtype=np.float32)
        if density < 1:
            part *= rng.random(part.shape, dtype=np.float32) < density
        part[:, :SIGNAL] += centers[rng.integers(CLUSTERS, size=len(part))]
        yield part


def write_data(path: Path, n: int, m: int) -> None:
    """Write the data to a file."""
    data = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, m))
    start = 0
    for part in draw(n, m):
        data[start : start + len(part)] = part
        start += len(part)
    data.flush()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("."))
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=2000)
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--density", type=float, default=1.0, help="share of the noise that is not 0")
    parser.add_argument("--store", action="store_true", help="keep the scores of observations")
    options = parser.parse_args()
    if options.density < 1:
        X = vstack(list(map(csr_array, draw(options.samples, options.features, options.density))), format="csr")
        size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    else:
        path = options.directory / f"large-{options.samples}-{options.features}.npy"
        if not path.exists():
            write_data(path, options.samples, options.features)
        X = np.load(path, mmap_mode="r")
        size = X.nbytes
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
    print(f"peak resident memory {after.ru_maxrss / 2**20:.2f} GiB, of the data {size / 2**30:.2f} GiB")
    print(f"signal features among the top {SIGNAL}: {(top < SIGNAL).sum()}")


if __name__ == "__main__":
    main()
