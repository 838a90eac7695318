"""How well explanations of single observations order the features: feature-flipping AUC and its lift over chance.

k-means (K = 6) on standardised wine data, a fresh k-means for each seed, the methods of the source's table I. AUCs
are in percent; the lift is the mean difference to random attribution.

    python benches/feature_flipping.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _study import arguments, save, show
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from clusterwhy.comparators import NEON
from clusterwhy.metrics import baselines, feature_flipping_auc

# AUC of the source's table I for "winer", which is this data set from another archive.
SOURCE = {
    "random": 78.36,
    "squared difference": 85.04,
    "PDA-0": 77.01,
    "PDA": 78.15,
    "squared gradient": 82.99,
    "IG-10": 85.87,
    "DR": 85.10,
    "NEON": 87.23,
}


def evidence_of(centres: np.ndarray, own: np.ndarray) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return f of k-means for the clusters `own`, with features left out or not, and its gradient."""
    rows = np.arange(len(own))

    def leads(X, centres):
        squares = np.square(X[:, None] - centres).sum(axis=2)
        h = squares - squares[rows, own][:, None]
        h[rows, own] = np.inf
        return h

    def evidence(X, j=None):
        keep = np.arange(X.shape[1]) != j
        return leads(X[:, keep], centres[:, keep]).min(axis=1)

    def gradient(X):
        return 2 * (centres[own] - centres[leads(X, centres).argmin(axis=1)])

    return evidence, gradient


def measure(X: np.ndarray, n_clusters: int, seed: int, n_draws: int) -> list[dict[str, Any]]:
    """Return a row per method."""
    model = NEON(KMeans(n_clusters, n_init=10, random_state=seed)).fit(X)
    evidence, gradient = evidence_of(model.network_.centres, model.labels_)

    def decision(X):
        return (model.predict(X) == model.labels_).astype(float)

    relevances = {
        "random": baselines.random_attribution(X, seed),
        "squared difference": baselines.squared_difference(X),
        "PDA-0": baselines.prediction_difference(X, decision, imputation="zero"),
        "PDA": baselines.prediction_difference(X, decision, random_state=seed),
        "PDA-0 of f": baselines.prediction_difference(X, evidence, imputation="zero"),
        "squared gradient": baselines.squared_gradient(X, gradient),
        "IG-10": baselines.integrated_gradients(X, gradient),
        "DR": baselines.dimension_removal(X, evidence, evidence),
        "NEON beta=0": NEON(KMeans(n_clusters, n_init=10, random_state=seed), beta=0.0).fit(X).sample_importances_,
        "NEON": model.sample_importances_,
    }
    return [
        {
            "seed": seed,
            "method": name,
            "AUC": 100 * feature_flipping_auc(values, X, model.predict, n_draws=n_draws, random_state=seed),
        }
        for name, values in relevances.items()
    ]


def main() -> None:
    """Run the seeds and print the table."""
    parser = arguments(__doc__, seeds=20)
    parser.add_argument("--clusters", type=int, default=6)
    parser.add_argument("--draws", type=int, default=10, help="draws of the missing features for each observation")
    args = parser.parse_args()
    X = StandardScaler().fit_transform(load_wine().data)
    seeds = range(2 if args.quick else args.seeds)
    table = save([row for s in seeds for row in measure(X, args.clusters, s, args.draws)], args.output, "flipping")
    wide = table.pivot(index="seed", columns="method", values="AUC")
    lift = wide.sub(wide["random"], axis=0)
    rivals = wide.drop(columns=["NEON", "NEON beta=0"])
    found = pd.DataFrame({"AUC": wide.mean(), "lift": lift.mean(), "sd of lift": lift.std()})
    found["beaten by NEON"] = [f"{(wide['NEON'] > wide[name]).sum()} of {len(wide)}" for name in found.index]
    found["source"] = pd.Series(SOURCE)
    found["source's lift"] = found["source"] - SOURCE["random"]
    show(f"Feature flipping, wine, K = {args.clusters}", found.reset_index())
    first = int((wide["NEON"] > rivals.max(axis=1)).sum())
    print(f"\nNEON is first in {first} of {len(wide)} seeds.")


if __name__ == "__main__":
    main()
