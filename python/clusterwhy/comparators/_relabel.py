"""Predicts the labels of the data with one feature permuted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid

from clusterwhy import _core, native
from clusterwhy._fitting import failure, out_of_reach
from clusterwhy._validation import check_cluster_labels
from clusterwhy.comparators._fuzzy_c_means import FuzzyCMeans, squared_distances
from clusterwhy.datasets import GammaMixture

# Bytes of permuted copies of the data that are predicted at a time.
COPY_BYTES = 2**26
# Estimators that predict the nearest of their centres.
WITH_CENTERS = (KMeans, MiniBatchKMeans, native.KMeans, FuzzyCMeans)
ADVICE = "to explain the labels by another predictor, pass them as reference with a classifier"


def make_relabeller(predictor: Any, X: NDArray[Any]) -> Relabeller:
    """Choose the fastest way to predict with one feature changed."""
    if type(predictor) in WITH_CENTERS:
        return NearestCenter(X, predictor.cluster_centers_)
    # With unequal priors the nearest centroid need not win.
    if type(predictor) is NearestCentroid and (predictor.metric, predictor.priors) == ("euclidean", "uniform"):
        return NearestCenter(X, predictor.centroids_)
    terms = read_terms(predictor)
    if terms is not None:
        return SumOfTerms(X, *terms)
    if type(predictor) in (native.DecisionTree, native.RandomForest, native.ExtraTrees):
        return Forest(predictor._trees)
    return Predictor(predictor, X)


class Relabeller:
    """Says whose label changes when features are permuted."""

    def changes(self, X: NDArray[Any], features: range, orders: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Yield for each of the features what its orders (F, R, N) change (R, N)."""
        raise NotImplementedError


class NearestCenter(Relabeller):
    """Labels by the nearest of centres.

    With x_j moved by t, the squared distances of centres l and c grow apart by ``-2 t (mu_lj - mu_cj)``: linear in
    t, so that an observation keeps its centre in an interval of t.
    """

    def __init__(self, X: NDArray[Any], centers: NDArray[Any]) -> None:
        self.centers = np.asarray(centers, dtype=np.float64)
        squared = squared_distances(X, self.centers)
        self.own = squared.argmin(axis=1)
        self.gaps = squared - squared.min(axis=1, keepdims=True)

    def changes(self, X: NDArray[Any], features: range, orders: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Compare what each value moves by with the interval."""
        for j, order in zip(features, orders, strict=True):
            x = X[:, j].astype(np.float64)
            slopes = 2 * np.subtract.outer(self.centers[:, j], self.centers[:, j]).T[self.own]
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                reach = self.gaps / slopes
            high = np.where(slopes > 0, reach, np.inf).min(axis=1)
            low = np.where(slopes < 0, reach, -np.inf).max(axis=1)
            moved = x[order] - x
            yield (moved > high) | (moved < low)


#: What a feature's values (n,) add to the scores of all classes: (n, K).
Terms = Callable[[NDArray[np.float64], int], NDArray[np.float64]]


@dataclass(frozen=True)
class NormalTerms:
    """Logarithms of normal densities, but for constants; means and precisions are (K, M)."""

    means: NDArray[np.float64]
    precisions: NDArray[np.float64]

    def __call__(self, values: NDArray[np.float64], feature: int) -> NDArray[np.float64]:
        """Return half the squared distances from the means, negative."""
        return np.asarray(-0.5 * self.precisions[:, feature] * np.subtract.outer(values, self.means[:, feature]) ** 2)


def read_terms(predictor: Any) -> tuple[Terms, NDArray[np.float64]] | None:
    """Return the terms of a predictor whose scores are sums over features, and the constants (K,); else None."""
    if type(predictor) is GammaMixture:
        return predictor._log_terms, predictor._log_constants()
    if type(predictor) is GaussianNB:
        means, variances, weights = predictor.theta_, predictor.var_, predictor.class_prior_
    elif type(predictor) is GaussianMixture and predictor.covariance_type in ("diag", "spherical"):
        means, weights = predictor.means_, predictor.weights_
        variances = np.broadcast_to(predictor.covariances_.reshape(len(means), -1), means.shape)
    else:
        return None
    constants = np.log(weights) - 0.5 * np.log(variances).sum(axis=1)
    return NormalTerms(means, 1 / variances), constants


class SumOfTerms(Relabeller):
    """Labels by the largest of scores that are sums of a term for each feature: one term changes."""

    def __init__(self, X: NDArray[Any], terms: Terms, constants: NDArray[np.float64]) -> None:
        self.terms = terms
        self.scores = np.tile(constants, (len(X), 1))
        for j in range(X.shape[1]):
            self.scores += terms(X[:, j].astype(np.float64), j)
        self.labels = self.scores.argmax(axis=1)

    def changes(self, X: NDArray[Any], features: range, orders: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Replace the feature's term by that of its permuted values."""
        for j, order in zip(features, orders, strict=True):
            terms = self.terms(X[:, j].astype(np.float64), j)
            # A value that stays where it was changes a score by exactly 0.
            moved = [self.scores + (terms[to] - terms) for to in order]
            yield np.array([scores.argmax(axis=1) != self.labels for scores in moved])


class Predictor(Relabeller):
    """Labels by an estimator's own ``predict``, on many permuted copies of the data at once."""

    def __init__(self, fitted: Any, X: NDArray[Any]) -> None:
        self.fitted = fitted
        self.labels = self.predict(X)

    def predict(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Label copies of the data."""
        rows = out_of_reach(self.fitted, rows)
        try:
            if hasattr(self.fitted, "predict"):
                labels = self.fitted.predict(rows)
            else:
                labels = self.fitted.predict_proba(rows).argmax(axis=1)
        except Exception as error:
            raise failure("estimator", self.fitted, "predicting all the data", rows, error, ADVICE) from error
        return check_cluster_labels(labels, len(rows), f"what {type(self.fitted).__name__} predicts")

    def changes(self, X: NDArray[Any], features: range, orders: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Predict stacked copies of the data, of which one column is written at a time."""
        n_repeats = orders.shape[1]
        copies = min(n_repeats, max(1, COPY_BYTES // X.nbytes))
        stacked = np.tile(X, (copies, 1))
        for j, order in zip(features, orders, strict=True):
            changed = np.empty(order.shape, dtype=bool)
            for first in range(0, n_repeats, copies):
                part = order[first : first + copies]
                rows = stacked[: part.size]
                rows[:, j] = X[part.ravel(), j]
                changed[first : first + copies] = self.predict(rows).reshape(part.shape) != self.labels
            stacked[:, j] = np.tile(X[:, j], copies)
            yield changed


class Forest(Relabeller):
    """Labels by trees of this package: an observation goes down again only from where it met the feature.

    The labels are those that predicting permuted copies would give, whatever is tied or rounded.
    """

    def __init__(self, trees: dict[str, NDArray[Any]]) -> None:
        self.trees = trees

    def changes(self, X: NDArray[Any], features: range, orders: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
        """Let the core find the changes of all the features at once."""
        yield from _core.native_relabel(X, self.trees, features.start, orders, 1).transpose(1, 2, 0)
