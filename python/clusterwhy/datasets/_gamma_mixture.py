"""Clustering by a mixture of gamma distributions."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, logsumexp, polygamma
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from clusterwhy._tables import read_table
from clusterwhy._validation import check_count, check_nonnegative
from clusterwhy._warnings import warn_user

from ._validation import RandomStateLike

_Array = npt.NDArray[np.float64]

#: A component's log(mean) - mean(log) is kept above this: a feature that is constant within a component
#: would otherwise have an infinite shape. Up to here the density keeps seven digits.
_MIN_LOG_RATIO = 1e-8

#: Where a feature has values that are not positive, its smallest lands this many of its standard
#: deviations above zero. Much less, and the logarithm of that one value would rule the fit.
_SHIFT_MARGIN = 0.1


class _Parameters(NamedTuple):
    weights: _Array
    shapes: _Array
    scales: _Array


def _gamma_shape(log_ratio: _Array) -> _Array:
    """Solve ``log(a) - digamma(a) = log_ratio`` for the shape a, by Newton steps on 1/a.

    The start is within 1.5 % everywhere, and each step squares the error.
    """
    s = np.maximum(log_ratio, _MIN_LOG_RATIO)
    a = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(4):
        step = (np.log(a) - digamma(a) - s) / (a**2 * (1 / a - polygamma(1, a)))
        a = 1 / (1 / a + step)
    return np.asarray(a, dtype=np.float64)


def _maximise(responsibilities: _Array, X: _Array, log_X: _Array) -> _Parameters:
    # An observation's share so small that it is seen only by a component that has lost all observations:
    # such a component takes the parameters of the whole sample, and stays finite.
    share = 10 * np.finfo(np.float64).eps
    mass = responsibilities.sum(axis=0) + share
    means = (responsibilities.T @ X + share * X.mean(axis=0)) / mass[:, None]
    mean_logs = (responsibilities.T @ log_X + share * log_X.mean(axis=0)) / mass[:, None]
    shapes = _gamma_shape(np.log(means) - mean_logs)
    return _Parameters(mass / mass.sum(), shapes, means / shapes)


def _log_joint(parameters: _Parameters, X: _Array, log_X: _Array) -> _Array:
    weights, shapes, scales = parameters
    constant = np.log(weights) - (gammaln(shapes) + shapes * np.log(scales)).sum(axis=1)
    joint: _Array = log_X @ (shapes - 1).T - X @ (1 / scales).T + constant
    return joint


class GammaMixture(ClusterMixin, BaseEstimator):  # scikit-learn is untyped
    r"""Cluster positive, skewed data by a mixture of gamma distributions, fitted by EM.

    Within a component the features are independent, feature j of component k being gamma distributed with
    a shape and a scale of its own. Each M-step is exact: the scale has a closed form, and the shape a
    solves :math:`\log a - \psi(a) = \log \bar x - \overline{\log x}`, by Newton's method.

    Parameters
    ----------
    n_components : int, default=2
        Number of components, which are the clusters.
    max_iter : int, default=200
        Most EM iterations for each start.
    tol : float, default=1e-4
        EM has converged when the mean log-likelihood of an observation rises by less than this.
    n_init : int, default=3
        Number of starts. Each starts from one run of k-means on the standardised logarithms; the
        highest likelihood wins.
    random_state : int, RandomState instance or None, default=None
        Determines the starts. Pass an int for reproducible output.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        The most probable component of each observation.
    weights_ : ndarray of shape (n_components,), float64
        Proportions of the components.
    shapes_, scales_ : ndarray of shape (n_components, n_features), float64
        Parameters of the margins of ``X - shift_``.
    shift_ : ndarray of shape (n_features,), float64
        Subtracted from the data before anything else; see Notes.
    lower_bound_ : float
        Mean log-likelihood of an observation.
    n_iter_ : int
        EM iterations of the best start.
    converged_ : bool
        Whether the best start converged.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has string column names.

    See Also
    --------
    clusterwhy.datasets.make_gamma_mixture : Data for which this is nearly the right model.
    sklearn.mixture.GaussianMixture : The same for symmetric clusters.

    Notes
    -----
    A gamma variable is positive. A feature whose smallest value is positive is taken as it is. Any other
    feature is shifted in `fit`, so that its smallest value is a tenth of its standard deviation above
    zero; the shift is a property of the sample, not a parameter of the model. New data are shifted alike,
    and a value below the smallest seen in `fit` counts as that smallest value. The fit does not depend on
    the units of a feature, but it does depend on its origin.

    A component may end up without observations; it then keeps its row in the attributes, and its number
    is missing from `labels_`.

    Examples
    --------
    >>> from clusterwhy.datasets import GammaMixture, make_gamma_mixture
    >>> X, y, _ = make_gamma_mixture(300, 3, n_noise=0, separation=2.0, random_state=0)
    >>> model = GammaMixture(3, random_state=0).fit(X)
    >>> model.predict_proba(X).shape
    (300, 3)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        max_iter: int = 200,
        tol: float = 1e-4,
        n_init: int = 3,
        random_state: RandomStateLike = None,
    ) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: None = None) -> GammaMixture:
        """Fit the mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The observations, finite.
        y : None
            Ignored.

        Returns
        -------
        self : GammaMixture
            The fitted clusterer.
        """
        n_components = check_count(self.n_components, "n_components", minimum=1)
        max_iter = check_count(self.max_iter, "max_iter", minimum=1)
        n_init = check_count(self.n_init, "n_init", minimum=1)
        tol = check_nonnegative(self.tol, "tol")
        data: _Array = read_table(self, X, dtype=np.float64, ensure_min_samples=2)
        n_samples = data.shape[0]
        if n_samples < n_components:
            raise ValueError(f"n_samples={n_samples} must be at least n_components={n_components}.")
        rng = check_random_state(self.random_state)

        smallest, spread = data.min(axis=0), data.std(axis=0)
        margin = np.where(spread > 0, _SHIFT_MARGIN * spread, 1.0)
        self.shift_ = np.where(smallest > 0, 0.0, smallest - margin)
        # Subtracting a small margin from a large value may round it away.
        self._floor = np.maximum(smallest - self.shift_, np.finfo(np.float64).tiny)
        positive, logs = self._positive(data)

        log_spread = logs.std(axis=0)
        standardised = (logs - logs.mean(axis=0)) / np.where(log_spread > 0, log_spread, 1.0)
        best: tuple[float, _Parameters, int, bool] | None = None
        for _ in range(n_init):
            seed = int(rng.randint(np.iinfo(np.int32).max))
            start = self._starting_labels(standardised, n_components, seed)
            run = self._run(np.eye(n_components)[start], positive, logs, max_iter, tol)
            if best is None or run[0] > best[0]:
                best = run
        assert best is not None  # n_init is at least 1
        self.lower_bound_, parameters, self.n_iter_, self.converged_ = best
        self.weights_, self.shapes_, self.scales_ = parameters
        if not self.converged_:
            warn_user(
                f"GammaMixture did not converge in max_iter={max_iter} iterations: raise max_iter or tol.",
                ConvergenceWarning,
            )
        self.labels_ = _log_joint(parameters, positive, logs).argmax(axis=1)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the most probable component of each observation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The observations.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
            Components, 0 to n_components - 1.
        """
        labels: npt.NDArray[np.int64] = self._log_joint_of(X).argmax(axis=1)
        return labels

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each component given each observation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The observations.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_components), float64
            Rows sum to 1.
        """
        joint = self._log_joint_of(X)
        probabilities: _Array = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        return probabilities

    def _log_joint_of(self, X: Any) -> _Array:
        check_is_fitted(self)
        data: _Array = read_table(self, X, dtype=np.float64, reset=False)
        parameters = _Parameters(self.weights_, self.shapes_, self.scales_)
        return _log_joint(parameters, *self._positive(data))

    def _positive(self, X: _Array) -> tuple[_Array, _Array]:
        positive = np.maximum(X - self.shift_, self._floor)
        return positive, np.log(positive)

    @staticmethod
    def _starting_labels(standardised: _Array, n_components: int, seed: int) -> npt.NDArray[np.integer[Any]]:
        with warnings.catch_warnings():
            # Fewer distinct points than components: k-means says so, and EM copes.
            warnings.simplefilter("ignore", ConvergenceWarning)
            labels: npt.NDArray[np.integer[Any]] = (
                KMeans(n_components, n_init=1, random_state=seed).fit(standardised).labels_
            )
        return labels

    @staticmethod
    def _run(
        responsibilities: _Array, X: _Array, log_X: _Array, max_iter: int, tol: float
    ) -> tuple[float, _Parameters, int, bool]:
        bound = -np.inf
        converged = False
        n_iter = 0
        while n_iter < max_iter and not converged:
            n_iter += 1
            parameters = _maximise(responsibilities, X, log_X)
            joint = _log_joint(parameters, X, log_X)
            norms = logsumexp(joint, axis=1, keepdims=True)
            previous, bound = bound, float(norms.mean())
            responsibilities = np.exp(joint - norms)
            converged = bound - previous < tol
        return bound, parameters, n_iter, converged
