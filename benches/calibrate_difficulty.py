"""Find the separations behind difficulty="easy" and "hard" of the simulators.

For each setting and number of clusters, bisects the separation until the setting's base clusterer reaches
the target ARI on the signal features alone, in the mean over the same data sets at every step; then measures
the ARI on fresh ones. Prints one line for each; the constants are copied into clusterwhy/datasets.

    python benches/calibrate_difficulty.py [--settings gaussian gamma moons_circles] [--replicates 60]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score

from clusterwhy.datasets import GammaMixture, make_gamma_mixture, make_gaussian_mixture, make_moons_circles

N_CLUSTERS = (3, 7)
SAMPLES_PER_CLUSTER = 500
TARGET_ARI = {"easy": 0.95, "hard": 0.75}
N_STEPS = 10
FIRST_FRESH_SEED = 10_000

#: setting -> simulator, base clusterer, and the separations between which to search
SETTINGS: dict[str, tuple[Callable[..., Any], Callable[[int], Any], float, float]] = {
    "gaussian": (make_gaussian_mixture, lambda k: KMeans(k, n_init=10, random_state=0), 0.5, 5.0),
    "gamma": (make_gamma_mixture, lambda k: GammaMixture(k, random_state=0), 0.3, 4.0),
    "moons_circles": (
        make_moons_circles,
        lambda k: SpectralClustering(k, affinity="nearest_neighbors", random_state=0),
        0.1,
        1.0,
    ),
}


def ari_of_base_clusterer(
    setting: str, n_clusters: int, separation: float, seeds: Sequence[int]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """ARI of the base clusterer on the signal features, one value a seed."""
    simulate, clusterer, _, _ = SETTINGS[setting]
    values = []
    for seed in seeds:
        X, y, _ = simulate(
            SAMPLES_PER_CLUSTER * n_clusters, n_clusters, n_noise=0, separation=separation, random_state=seed
        )
        values.append(adjusted_rand_score(y, clusterer(n_clusters).fit_predict(X)))
    return np.array(values)


def calibrate(setting: str, n_clusters: int, target: float, n_replicates: int) -> float:
    """Bisect the separation. The mean ARI rises with it."""
    _, _, low, high = SETTINGS[setting]
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        if ari_of_base_clusterer(setting, n_clusters, middle, range(n_replicates)).mean() < target:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 3)


def main() -> None:
    """Calibrate the settings named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--replicates", type=int, default=60)
    arguments = parser.parse_args()
    # Neighbour graphs of well separated clusters are disconnected: that is the point, not a fault.
    warnings.filterwarnings("ignore", message="Graph is not fully connected")
    fresh = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + 2 * arguments.replicates)
    for setting in arguments.settings:
        for difficulty, target in TARGET_ARI.items():
            for n_clusters in N_CLUSTERS:
                separation = calibrate(setting, n_clusters, target, arguments.replicates)
                ari = ari_of_base_clusterer(setting, n_clusters, separation, fresh)
                print(
                    f"{setting:14s} {difficulty} K={n_clusters}: separation={separation:.3f}  "
                    f"ARI={ari.mean():.3f} +- {ari.std(ddof=1) / np.sqrt(ari.size):.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
