"""Clustering by a mixture of gamma distributions."""

from __future__ import annotations

import warnings
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from clusterwhy import _core
from clusterwhy._tables import read_table
from clusterwhy._validation import as_random_state, check_count, check_nonnegative
from clusterwhy._warnings import warn_user

from ._validation import RandomStateLike

_Array = npt.NDArray[np.float64]

#: Where a feature has values that are not positive, its smallest lands this many of its standard
#: deviations above zero. Much less, and the logarithm of that one value would rule the fit.
_SHIFT_MARGIN = 0.1


class GammaMixture(ClusterMixin, BaseEstimator):  # scikit-learn is untyped
    r"""Cluster positive, skewed data by a mixture of gamma distributions, fitted by EM.

    Within a component the features are independent, feature j of component k being gamma distributed with
    a shape and a scale of its own. Each M-step is exact: the scale has a closed form, and the shape a
    solves :math:`\log a - \psi(a) = \log \bar x - \overline{\log x}`, by Newton's method. A prior
    counts for one observation more in each component, as spread as the whole sample, wherever the component is;
    without it the density of a component of a single observation has no bound [1]_. Iterations go beyond where EM
    points to for as long as the likelihood rises [2]_, which takes little more than half as many.

    Parameters
    ----------
    n_components : int, default=2
        Number of components, which are the clusters.
    max_iter : int, default=200
        Most EM iterations for each start.
    tol : float, default=1e-4
        EM has converged when a plain iteration raises `lower_bound_` by less than this.
    n_init : int, default=3
        Number of starts. Each starts from one run of k-means on the standardised logarithms; the
        highest `lower_bound_` wins.
    random_state : int, RandomState instance, Generator or None, default=None
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
        What EM raises: the log-likelihood of the observations and the log-density of the prior, over `n_samples`.
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
    the units of a feature, but it does depend on its origin: shapes end at 5e7, so that clusters within which a
    feature varies by less than a seven-thousandth of its value are not told apart. Subtract what such values have
    in common.

    A component may end up without observations; it then keeps its row in the attributes, and its number
    is missing from `labels_`.

    References
    ----------
    .. [1] C. Fraley and A. E. Raftery, "Bayesian Regularization for Normal Mixture Estimation and Model-Based
       Clustering", Journal of Classification 24, 2007.
    .. [2] R. Salakhutdinov and S. Roweis, "Adaptive Overrelaxed Bound Optimization Methods", ICML 2003.

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
        rng = as_random_state(self.random_state)

        # In units of its size, rounded to a power of two, no feature's squares overflow or vanish.
        sizes = np.abs(data).max(axis=0)
        self._units = np.ldexp(1.0, np.frexp(np.where(sizes > 0, sizes, 1.0))[1] - 1)
        scaled = data / self._units
        smallest, spread = scaled.min(axis=0), scaled.std(axis=0)
        # Equal values may have a spread, which is rounding.
        margin = np.where(scaled.max(axis=0) > smallest, _SHIFT_MARGIN * spread, 1.0)
        self._shift = np.where(smallest > 0, 0.0, smallest - margin)
        # Subtracting a small margin from a large value may round it away.
        digits = np.finfo(np.float64)
        self._floor = np.maximum(np.maximum(smallest - self._shift, digits.eps * np.abs(smallest)), digits.tiny)
        positive, logs = self._positive(scaled)

        log_spread = logs.std(axis=0)
        standardised = (logs - logs.mean(axis=0)) / np.where(log_spread > 0, log_spread, 1.0)
        starts = (
            self._starting_labels(standardised, n_components, int(rng.randint(np.iinfo(np.int32).max)))
            for _ in range(n_init)
        )
        runs = [
            _core.native_fit_gamma_mixture(positive, start.astype(np.int32), n_components, max_iter, tol)
            for start in starts
        ]
        best = max(runs, key=itemgetter("lower_bound"))
        if not np.isfinite(best["lower_bound"]):
            raise ValueError(
                f"the likelihood of the gamma mixture is {best['lower_bound']}, expected a finite number: "
                "standardize the features, or leave out those that hardly vary"
            )
        self.lower_bound_, self.n_iter_, self.converged_ = itemgetter("lower_bound", "n_iter", "converged")(best)
        self.weights_, self.shapes_, self._scales = itemgetter("weights", "shapes", "scales")(best)
        self.shift_, self.scales_ = self._shift * self._units, self._scales * self._units
        self.lower_bound_ -= float(np.log(self._units).sum())
        if not self.converged_:
            warn_user(
                f"GammaMixture did not converge in max_iter={max_iter} iterations: raise max_iter or tol.",
                ConvergenceWarning,
            )
        self.labels_ = self._log_joint(positive, logs).argmax(axis=1)
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

    def _log_constants(self) -> _Array:
        """Return what the log-densities of the components (K,), weighted, have in common for all observations.

        The densities are those of the features in their units.
        """
        check_is_fitted(self)
        constants: _Array = np.log(self.weights_) - (gammaln(self.shapes_) + self.shapes_ * np.log(self._scales)).sum(
            axis=1
        )
        return constants

    def _log_terms(self, values: _Array, feature: int) -> _Array:
        """Return what values (n,) of one feature add to the log-densities of the components (n, K)."""
        positive = np.maximum(values / self._units[feature] - self._shift[feature], self._floor[feature])
        powers, rates = self.shapes_[:, feature] - 1, 1 / self._scales[:, feature]
        terms: _Array = np.multiply.outer(np.log(positive), powers) - np.multiply.outer(positive, rates)
        return terms

    def _log_joint_of(self, X: Any) -> _Array:
        check_is_fitted(self)
        data: _Array = read_table(self, X, dtype=np.float64, reset=False)
        return self._log_joint(*self._positive(data / self._units))

    def _log_joint(self, positive: _Array, logs: _Array) -> _Array:
        joint: _Array = logs @ (self.shapes_ - 1).T - positive @ (1 / self._scales).T + self._log_constants()
        return joint

    def _positive(self, scaled: _Array) -> tuple[_Array, _Array]:
        """Return data, given in the features' units, shifted above 0, and their logarithms."""
        # A choice of columns is in Fortran's order, which NumPy's operations keep.
        positive = np.maximum(scaled - self._shift, self._floor, order="C")
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
