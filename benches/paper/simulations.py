"""Figures 2 and 7 to 9: do the methods find ten signal features among 10 to 990 of noise?"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from methods import LOCO, OTHERS, make_method, ordering
from results import Results, Unit
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestCentroid
from tqdm import tqdm

from clusterwhy.datasets import GammaMixture, make_gamma_mixture, make_gaussian_mixture, make_moons_circles
from clusterwhy.metrics import top_k_hits
from clusterwhy.native import Spectral

SETTINGS = {
    "gaussian": (make_gaussian_mixture, lambda k: KMeans(k, n_init=10)),
    "gamma": (make_gamma_mixture, lambda k: GammaMixture(k, n_init=10)),
    # Of all the data, too, in Rust: a fifth of the time of scikit-learn's or less, for labels equal in distribution.
    "moons_circles": (make_moons_circles, lambda k: Spectral(k, affinity="nearest_neighbors")),
}
NOISE = (10, 40, 190, 490, 990)


@dataclass(frozen=True)
class Experiment:
    """A figure: how many clusters and observations, how many minipatches and of what size."""

    n_clusters: int
    n_samples: int
    noise: tuple[int, ...] = NOISE
    n_patches: int = 5000
    size: float = 0.2
    noise_scale: str = "within"
    #: Whether features are divided by their standard deviations, so that neither a spread gives a feature away nor
    #: the embedding hides one.
    scaled: bool = False
    #: Whether k-means in LOCO has a single start, as scikit-learn gives it by default, in place of the best of ten.
    one_start: bool = False
    #: LOCO's choices: of the classifier, where None is its default of a tree, and of the loss.
    classifier: Any = None
    loss: str = "hinge"
    methods: tuple[str, ...] = (*LOCO, *OTHERS)


EXPERIMENTS = {
    "figure2": Experiment(7, 3500, scaled=True),
    "figure2_unscaled": Experiment(7, 3500),
    # A classifier with soft votes and a proper loss, in place of whole votes of trees and the hinge.
    "figure2_centroids": Experiment(7, 3500, scaled=True, classifier=NearestCentroid(), loss="brier"),
    # What restarts are worth in minipatches: the Gaussian mixtures alone make a difference.
    "figure2_one_start": Experiment(7, 3500, scaled=True, one_start=True),
    # The setting of Figure 2 with a hundred observations a cluster: what 20 replicates take an hour for.
    "figure2_small": Experiment(7, 700),
    # The same, but noise features vary as much as signal features do over all observations, not within clusters:
    # a method that looks for spread finds nothing.
    "equal_spread": Experiment(7, 700, noise=(10, 40, 190, 490), noise_scale="total"),
    "figure7": Experiment(3, 1500, scaled=True),
    # The source chose the fractions between .1 and .5 by a rule that it does not print.
    "figure8": Experiment(3, 900, size=0.3, scaled=True),
    "figure9": Experiment(3, 300, scaled=True),
    "quick": Experiment(3, 300, noise=(10, 90), n_patches=500),
    "tiny": Experiment(3, 90, noise=(5,), n_patches=40),
}


def units(name: str, settings: list[str], replicates: int) -> Iterator[Unit]:
    """List the work of an experiment, replicate by replicate: cut short, it is balanced all the same."""
    experiment = EXPERIMENTS[name]
    for replicate in range(replicates):
        for setting in settings:
            for difficulty in ("easy", "hard"):
                for n_noise in experiment.noise:
                    for method in experiment.methods:
                        n_patches = experiment.n_patches if method in LOCO else 0
                        size = (experiment.n_clusters, experiment.n_samples, n_noise)
                        yield Unit(name, setting, difficulty, *size, replicate, method, n_patches)


def measure(unit: Unit) -> tuple[Unit, list[tuple[str, str, Any]], float]:
    """Fit one method to one data set, on one core."""
    # Disconnected neighbour graphs and consensus labels unlike the reference are what some settings are about.
    warnings.simplefilter("ignore", UserWarning)
    simulate, clusterer = SETTINGS[unit.setting]
    experiment = EXPERIMENTS[unit.experiment]
    X, y, signal = simulate(
        unit.n_samples,
        unit.n_clusters,
        n_noise=unit.n_noise,
        difficulty=unit.difficulty,
        noise_scale=experiment.noise_scale,
        # Where scores tie, the order of the features must not tell which are signal.
        shuffle_features=True,
        random_state=unit.replicate,
    )
    if experiment.scaled:
        # Not centred: gamma mixtures are of positive data.
        X /= X.std(axis=0)
    base, reference = clusterer(unit.n_clusters), "full"
    if unit.method in LOCO and isinstance(base, KMeans):
        # Single precision is half the work of k-means, and enough.
        X = X.astype(np.float32)
        if experiment.one_start:
            base.set_params(n_init=1)
    if unit.method in LOCO and isinstance(base, GammaMixture):
        # Of all the data the best of ten starts, as in the other methods; of a minipatch one, for a tenth of the
        # time.
        base, reference = clone(base).set_params(n_init=1), base
    model = make_method(
        unit.method,
        base,
        unit.n_clusters,
        unit.replicate,
        unit.n_patches,
        experiment.size,
        classifier=experiment.classifier,
        loss=experiment.loss,
        reference=reference,
    )
    start = time.process_time()
    model.fit(X)
    seconds = time.process_time() - start
    hits = top_k_hits(ordering(model), signal)
    return unit, [("", "top10_hits", hits), ("", "ari", adjusted_rand_score(y, model.labels_))], seconds


def run(results: Results, name: str, settings: list[str], replicates: int, jobs: int) -> None:
    """Measure what is missing of an experiment; `seconds` is the time of one core."""
    done = results.done()
    missing = [unit for unit in units(name, settings, replicates) if unit not in done]
    finished = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=2 * jobs)(
        delayed(measure)(unit) for unit in missing
    )
    for unit, measured, seconds in tqdm(finished, total=len(missing), desc=name):
        results.add(unit, measured, seconds)
