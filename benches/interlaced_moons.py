"""The source's toy: does LOCO-Split order three features of interlaced moons before two of noise?

1200 observations, spectral clustering on nearest neighbours, hinge loss, random forest, mean of 20 splits. The
source's bars read about .11, .07, -.005, -.007, -.011 for X1 to X5, with an adjusted Rand index of 1 for
spectral clustering and .40 for k-means. Both readings of its formulas are run; see make_interlaced_moons.

    python benches/interlaced_moons.py [--seeds 3] [--splits 20] [--quick]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _study import arguments, save, show
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import adjusted_rand_score

import clusterwhy as cw
from clusterwhy.datasets import make_interlaced_moons

SOURCE = {"X1": 0.11, "X2": 0.07, "X3": -0.005, "X4": -0.007, "X5": -0.011}


def study(reading: str, seed: int, options: Any) -> dict[str, Any]:
    """Score one data set."""
    n_samples, splits = (600, 5) if options.quick else (1200, options.splits)
    X, y, _ = make_interlaced_moons(n_samples, reading=reading, random_state=seed)
    spectral = SpectralClustering(3, affinity="nearest_neighbors")
    split = cw.LOCOSplit(
        spectral, RandomForestClassifier(), n_repeats=splits, n_jobs=options.jobs, random_state=seed
    ).fit(X)
    scores = split.feature_importances_
    row = {"reading": reading, "seed": seed, **dict(zip(SOURCE, scores.tolist(), strict=True))}
    row["ordered"] = bool((np.diff(scores[:3]) < 0).all() and scores[2] > scores[3:].max())
    row["signal_above_noise"] = bool(scores[:3].min() > scores[3:].max())
    row["spectral_ari"] = adjusted_rand_score(y, split.reference_labels_)
    row["kmeans_ari"] = adjusted_rand_score(y, KMeans(3, n_init=10, random_state=0).fit_predict(X))
    row["spectral_ari_signal_only"] = adjusted_rand_score(
        y, SpectralClustering(3, affinity="nearest_neighbors", random_state=0).fit_predict(X[:, :3])
    )
    row["kmeans_ari_signal_only"] = adjusted_rand_score(y, KMeans(3, n_init=10, random_state=0).fit_predict(X[:, :3]))
    row["loo_error"] = split.loo_error_
    row["monte_carlo_error"] = float(split.monte_carlo_errors_.mean())
    print(reading, seed, np.round(scores, 4).tolist(), flush=True)
    return row


def main() -> None:
    """Run both readings."""
    parser = arguments(__doc__, seeds=3)
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    seeds = range(2 if options.quick else options.seeds)
    rows = [study(reading, seed, options) for reading in ("printed", "figure") for seed in seeds]
    table = save(rows, options.output, "interlaced_moons")
    measured = [column for column in table.columns if column not in ("reading", "seed")]
    means = table.groupby("reading", sort=False)[measured].mean().reset_index()
    source = {"reading": "(source)", **SOURCE, "spectral_ari": 1.0, "kmeans_ari": 0.40}
    means.loc[len(means)] = {column: source.get(column, float("nan")) for column in means.columns}
    show("Means over data sets (ordered: the share with X1 > X2 > X3 > noise)", means)
    spread = table.groupby("reading", sort=False)[list(SOURCE)].std().reset_index()
    show("Standard deviation over data sets", spread)


if __name__ == "__main__":
    main()
