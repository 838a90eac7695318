"""Which classifier, minipatch sizes and loss find the most signal in a given time?

Every choice gets the same CPU seconds: a short run measures what a minipatch costs, and the budget decides how many
there are. Each ensemble is then scored by every loss, which costs next to nothing. In simulated settings a choice is
judged by its top-10 hits and by how far the signal features lie above the noise features (difference of means, in
standard deviations of the noise). On the cells, where nobody knows the signal, it is judged by the correlation of the
scores of two seeds.

    python benches/ensemble_choices.py [--settings gaussian cells] [--seconds 5] [--seeds 3] [--quick]
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from _study import arguments, save, show
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy._scores import score_ensemble
from clusterwhy.datasets import (
    GammaMixture,
    load_cells,
    make_gamma_mixture,
    make_gaussian_mixture,
    make_moons_circles,
)
from clusterwhy.metrics import top_k_hits

N_CLUSTERS = 7
LOSSES = ("hinge", "margin", "brier", "log", "zero_one")
PILOT = 60
MOST = 40_000

SIMULATIONS = {
    "gaussian": (make_gaussian_mixture, KMeans(N_CLUSTERS, n_init=3)),
    "moons_circles": (make_moons_circles, SpectralClustering(N_CLUSTERS, affinity="nearest_neighbors")),
    "gamma": (make_gamma_mixture, GammaMixture(N_CLUSTERS, n_init=1)),
}
CLASSIFIERS = {
    "tree": DecisionTreeClassifier(),
    "forest of 20": RandomForestClassifier(20),
    "20 extra trees": ExtraTreesClassifier(20),
    "5 neighbours": KNeighborsClassifier(5),
    "15 neighbours": KNeighborsClassifier(15),
    "nearest centroid": NearestCentroid(),
    "LDA, shrunk": LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5),
    "logistic": LogisticRegression(max_iter=200),
    "naive Bayes": GaussianNB(),
}
#: classifier, max_samples, max_features: every classifier at the same size, then two of them at others.
CHOICES = [(name, 0.2, 0.2) for name in CLASSIFIERS] + [
    (name, samples, features)
    for name in ("tree", "5 neighbours")
    for samples, features in ((0.1, 0.2), (0.4, 0.2), (0.2, 0.1), (0.2, 0.4))
]


def fit_for(seconds: float, X: Any, clusterer: Any, choice: tuple[str, float, float], seed: int) -> tuple[Any, float]:
    """Fit with as many minipatches as the CPU seconds buy; return the fit and what it took."""
    name, samples, features = choice
    model = cw.LOCOMP(
        clusterer, CLASSIFIERS[name], max_samples=samples, max_features=features, random_state=seed, n_jobs=1
    )
    # The clustering of all the data is the same for every choice: pay for it once, and outside the budget.
    model.set_params(reference=model.clusterer.fit_predict(X))
    model.set_params(n_patches=PILOT).fit(X)
    start = time.process_time()
    model.fit(X)
    cost = (time.process_time() - start) / PILOT
    start = time.process_time()
    model.set_params(n_patches=int(np.clip(seconds / cost, PILOT, MOST))).fit(X)
    return model, time.process_time() - start


def by_loss(model: cw.LOCOMP) -> dict[str, Any]:
    """Score the fitted ensemble by every loss, without fitting anything again."""
    ensemble, labels = model._ensemble_, model._codes_
    found = {loss: score_ensemble(ensemble, labels, loss, barrier=0.0, threads=1) for loss in LOSSES}
    return {loss: scores["feature_importances_"] for loss, scores in found.items()}


def simulated(setting: str, difficulty: str, choice: tuple[str, float, float], seed: int, options: Any) -> Any:
    """Judge a choice on one data set with known signal."""
    simulate, clusterer = SIMULATIONS[setting]
    X, _, signal = simulate(
        options.samples, N_CLUSTERS, n_noise=options.noise, difficulty=difficulty, random_state=seed
    )
    others = np.setdiff1d(np.arange(X.shape[1]), signal)
    model, seconds = fit_for(options.seconds, X, clusterer, choice, seed)
    for loss, scores in by_loss(model).items():
        apart = (scores[signal].mean() - scores[others].mean()) / scores[others].std()
        yield {
            "setting": setting,
            "difficulty": difficulty,
            "loss": loss,
            "n_patches": model.n_patches,
            "seconds": seconds,
            "top10_hits": top_k_hits(scores, signal),
            "separation": apart,
        }


def cells(choice: tuple[str, float, float], seed: int, options: Any) -> Any:
    """Judge a choice on the cells by how well two seeds agree."""
    X = load_cells().data
    runs = [fit_for(options.seconds, X, AgglomerativeClustering(10), choice, 2 * seed + half) for half in (0, 1)]
    one, other = (by_loss(model) for model, _ in runs)
    for loss in LOSSES:
        yield {
            "setting": "cells",
            "difficulty": "",
            "loss": loss,
            "n_patches": runs[0][0].n_patches,
            "seconds": runs[0][1],
            "correlation_of_seeds": np.corrcoef(one[loss], other[loss])[0, 1],
            "shared_top10": top_k_hits(one[loss], np.argsort(-other[loss])[:10]),
        }


def main() -> None:
    """Run the settings named on the command line."""
    parser = arguments(__doc__, seeds=3)
    parser.add_argument("--settings", nargs="+", choices=(*SIMULATIONS, "cells"), default=[*SIMULATIONS, "cells"])
    parser.add_argument("--difficulties", nargs="+", choices=("easy", "hard"), default=["easy", "hard"])
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU seconds of each fit")
    parser.add_argument("--samples", type=int, default=700)
    parser.add_argument("--noise", type=int, default=490, help="noise features of the simulated settings")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.seeds, options.noise = 0.5, 1, 90
    warnings.filterwarnings("ignore", message="the clusters of the minipatches are not quite")
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for setting in options.settings:
            for choice in CHOICES:
                described = dict(zip(("classifier", "max_samples", "max_features"), choice, strict=True))
                found = [cells(choice, seed, options)] if setting == "cells" else []
                if not found:
                    found = [
                        simulated(setting, difficulty, choice, seed, options) for difficulty in options.difficulties
                    ]
                for judged in found:
                    rows += [{**described, "seed": seed, **row} for row in judged]
                save(rows, options.output, "ensemble_choices")
                print(seed, setting, *choice, flush=True)
    table = save(rows, options.output, "ensemble_choices")
    measured = [
        c for c in ("n_patches", "top10_hits", "separation", "correlation_of_seeds", "shared_top10") if c in table
    ]
    same_size = table[(table["max_samples"] == 0.2) & (table["max_features"] == 0.2)]
    for title, keys, part in (
        ("Classifiers, hinge", ["setting", "classifier"], same_size[same_size["loss"] == "hinge"]),
        ("Classifiers, brier", ["setting", "classifier"], same_size[same_size["loss"] == "brier"]),
        ("Losses, mean over classifiers", ["setting", "loss"], same_size),
        (
            "Sizes, hinge",
            ["setting", "classifier", "max_samples", "max_features"],
            table[table["classifier"].isin(["tree", "5 neighbours"]) & (table["loss"] == "hinge")],
        ),
    ):
        show(title, part.groupby(keys, sort=False)[measured].mean().reset_index())


if __name__ == "__main__":
    main()
