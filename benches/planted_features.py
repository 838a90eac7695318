"""Do the scores find the features that carry the clusters?

Ten signal and forty noise features, K = 7, the separated ("easy") settings of clusterwhy.datasets, each with
the clusterer that fits it. Reports the share of the ten best-scored features that are signal (top-10 hits).

The source has N = 3500 and B = 5000. Here N is 1400, so that a minipatch has 280 observations, 40 a cluster;
the gamma mixture, whose clusterer runs in Python, has N = 700 and B = 800 (200 in each round of RAMPART).

    python benches/planted_features.py [--settings gaussian moons_circles gamma] [--seeds 10] [--quick]
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _study import arguments, save, show
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score

import clusterwhy as cw
from clusterwhy.datasets import GammaMixture, make_gamma_mixture, make_gaussian_mixture, make_moons_circles
from clusterwhy.metrics import top_k_hits

N_CLUSTERS = 7
#: setting -> simulator, clusterer, observations, minipatches of LOCO-MP, minipatches a round of RAMPART
SETTINGS: dict[str, tuple[Any, Any, int, int, int]] = {
    "gaussian": (make_gaussian_mixture, KMeans(N_CLUSTERS, n_init=10), 1400, 5000, 1000),
    "moons_circles": (
        make_moons_circles,
        SpectralClustering(N_CLUSTERS, affinity="nearest_neighbors"),
        1400,
        5000,
        1000,
    ),
    "gamma": (make_gamma_mixture, GammaMixture(N_CLUSTERS, n_init=1), 700, 800, 200),
}


def smallest_spread(X: Any, signal: Any) -> float:
    """Standard deviation of the signal feature that has least, in those of the noise features.

    Clusterers here do not scale: what varies less than the noise hardly takes part in the distances.
    """
    spread = X.std(axis=0)
    return float(spread[signal].min() / np.delete(spread, signal).mean())


def study(setting: str, seed: int, options: Any) -> list[dict[str, Any]]:
    """Score one data set by both methods."""
    simulate, clusterer, n, patches, per_round = SETTINGS[setting]
    n, patches = options.samples or n, options.patches or patches
    if options.quick:
        n, patches, per_round = 700, 500, 200
    X, y, signal = simulate(n, N_CLUSTERS, n_noise=options.noise, noise_scale=options.noise_scale, random_state=seed)
    common = {"max_samples": options.max_samples, "n_jobs": options.jobs, "random_state": seed}
    methods = {
        "LOCOMP": cw.LOCOMP(clusterer, n_patches=patches, max_features=options.max_features, **common),
        "LOCORampart": cw.LOCORampart(clusterer, n_patches=per_round, max_features=options.max_features, **common),
    }
    rows = []
    for name in options.methods:
        start = time.perf_counter()
        fitted = methods[name].fit(X)
        seconds = time.perf_counter() - start
        scores, errors = fitted.feature_importances_, fitted.monte_carlo_errors_
        # RAMPART's scores are of different rounds: its order is its ranking.
        order = -fitted.ranking_ if name == "LOCORampart" else scores
        noise = np.setdiff1d(np.arange(X.shape[1]), signal)
        worst, best = signal[scores[signal].argmin()], noise[scores[noise].argmax()]
        gap = (scores[worst] - scores[best]) / np.hypot(errors[worst], errors[best])
        rows.append(
            {
                "setting": setting,
                "method": name,
                "seed": seed,
                "n_samples": n,
                "n_patches": patches if name == "LOCOMP" else per_round,
                "n_noise": options.noise,
                "top10_hits": top_k_hits(order, signal),
                "ari_reference": adjusted_rand_score(y, fitted.reference_labels_),
                "ari_consensus": adjusted_rand_score(y, fitted.labels_),
                "smallest_signal_spread": smallest_spread(X, signal),
                "worst_signal": scores[worst],
                "best_noise": scores[best],
                "gap_in_mc_errors": gap if name == "LOCOMP" else float("nan"),
                "mean_noise": scores[noise].mean(),
                "mean_signal": scores[signal].mean(),
                "monte_carlo_error": float(np.nanmean(errors)),
                "seconds": seconds,
                "engine": str(fitted.engine_),
            }
        )
        print(f"{setting} {name} seed {seed}: {rows[-1]['top10_hits']:.2f} in {seconds:.1f} s", flush=True)
    return rows


def main() -> None:
    """Run the settings named on the command line."""
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--methods", nargs="+", default=["LOCOMP", "LOCORampart"])
    parser.add_argument("--samples", type=int, default=None, help="observations, in place of the setting's own")
    parser.add_argument("--patches", type=int, default=None, help="minipatches of LOCO-MP, in place of the setting's")
    parser.add_argument("--noise", type=int, default=40, help="noise features")
    parser.add_argument("--noise-scale", default="within", choices=("within", "total"))
    parser.add_argument("--max-samples", type=float, default=0.2)
    parser.add_argument("--max-features", type=float, default=0.2)
    options = parser.parse_args()
    rows = []
    for setting in options.settings:
        for seed in range(2 if options.quick else options.seeds):
            rows += study(setting, seed, options)
    table = save(rows, options.output, "planted_features")
    grouped = table.groupby(["setting", "method", "n_samples", "n_patches"], sort=False)
    summary = grouped.agg(
        seeds=("seed", "count"),
        top10_hits=("top10_hits", "mean"),
        worst_seed=("top10_hits", "min"),
        ari_reference=("ari_reference", "mean"),
        ari_consensus=("ari_consensus", "mean"),
        mean_signal=("mean_signal", "mean"),
        mean_noise=("mean_noise", "mean"),
        monte_carlo_error=("monte_carlo_error", "mean"),
        seconds=("seconds", "mean"),
    )
    show("Top-10 hits, goal 0.95", summary.reset_index())
    missed = table[table["top10_hits"] < 1].reset_index(drop=True)
    if len(missed):
        columns = ["setting", "method", "seed", "top10_hits", "ari_reference", "smallest_signal_spread"]
        columns += ["worst_signal", "best_noise", "gap_in_mc_errors"]
        show("Data sets with a miss", missed[columns])


if __name__ == "__main__":
    main()
