"""Classifiers: what they share, nearest neighbours and the nearest centroid."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from clusterwhy import _core
from clusterwhy._native_params import NativeMethod, read_centroid, read_neighbors
from clusterwhy._tables import check_size_of_values, read_table

from ._reading import read


class Classifier(ClassifierMixin, BaseEstimator):
    """What all classifiers do: check, turn classes into codes, and back."""

    def fit(self, X: Any, y: Any) -> Self:
        """Train on the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (N, M)
            float32 or float64, kept as such; other numbers become float64.
        y : array-like of shape (N,)
            Classes: numbers or strings.

        Returns
        -------
        self
        """
        X, y = read_table(self, X, y, order="C")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._train(X, codes.astype(np.int32))
        return self

    def _train(self, X: NDArray[Any], codes: NDArray[np.int32]) -> None:
        raise NotImplementedError

    def _proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        raise NotImplementedError

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the class probabilities of the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, K)
            In the order of ``classes_``.
        """
        check_is_fitted(self)
        return self._proba(read_table(self, X, order="C", reset=False))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each row of `X`, of equally probable ones the first.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        X = read_table(self, X, order="C", reset=False)
        return np.asarray(self.classes_[self._proba(X).argmax(axis=1)])


class _Comparing(Classifier):
    """A classifier that keeps its training rows and compares others with them."""

    def _train(self, X: NDArray[Any], codes: NDArray[np.int32]) -> None:
        check_size_of_values(X)
        self._method = self._read(X)
        # The caller may change its array after the fit.
        self._rows, self._codes = X.copy(), codes

    def _proba(self, X: NDArray[Any], **changes: Any) -> NDArray[np.float64]:
        check_size_of_values(X)
        dtype = np.result_type(X, self._rows)
        rows, queries = self._rows.astype(dtype, copy=False), X.astype(dtype, copy=False)
        params = {**self._method.params, **changes}
        return _core.native_compare(rows, self._codes, len(self.classes_), queries, self._method.name, params)

    def _read(self, X: NDArray[Any]) -> NativeMethod:
        raise NotImplementedError


class KNeighbors(_Comparing):
    """k nearest neighbours in Euclidean distance.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many of the nearest training rows vote.
    weights : {"uniform", "distance"}, default="uniform"
        Whether each counts the same or by the inverse of its distance.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The classes, sorted.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.neighbors.KNeighborsClassifier : The same up to rows at exactly the same distance, whose order it
        leaves open; here the first ones count.

    Notes
    -----
    All distances to the training rows [1]_, screened in single precision and settled in double: O(N M) for each
    row that is predicted. The training rows are kept.

    References
    ----------
    .. [1] T. M. Cover and P. E. Hart, "Nearest neighbor pattern classification", IEEE Transactions on
       Information Theory 13 (1967).

    Examples
    --------
    >>> from clusterwhy.native import KNeighbors
    >>> neighbors = KNeighbors(n_neighbors=3).fit([[0.0], [1.0], [2.0], [9.0]], ["a", "a", "b", "b"])
    >>> neighbors.predict_proba([[1.0]])
    array([[0.66666667, 0.33333333]])
    """

    def __init__(self, n_neighbors: int = 5, *, weights: str = "uniform") -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights

    def _read(self, X: NDArray[Any]) -> NativeMethod:
        method = read(read_neighbors, self, X.shape[1])
        if self.n_neighbors > len(X):
            raise ValueError(
                f"n_neighbors={self.n_neighbors} is more than there are training rows, n_samples={len(X)}"
            )
        return method


class NearestCentroid(_Comparing):
    """The class whose centroid is nearest.

    Parameters
    ----------
    metric : {"euclidean", "manhattan"}, default="euclidean"
        Distance to a centroid, which is the mean of the class or each feature's median.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The classes, sorted.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    sklearn.neighbors.NearestCentroid : The same, from version 1.6 with the same probabilities.

    Notes
    -----
    Probabilities, which only the Euclidean distance has, fall with the squared distance in units of each feature's
    standard deviation within classes [1]_; :meth:`predict` takes distances as they are, so that the two may favour
    different classes, as in scikit-learn. O((N + n K) M) for n rows that are predicted. The training rows are kept.

    References
    ----------
    .. [1] R. Tibshirani, T. Hastie, B. Narasimhan and G. Chu, "Diagnosis of multiple cancer types by shrunken
       centroids of gene expression", PNAS 99 (2002).

    Examples
    --------
    >>> from clusterwhy.native import NearestCentroid
    >>> NearestCentroid().fit([[0.0], [1.0], [8.0], [9.0]], ["a", "a", "b", "b"]).predict([[4.0]])
    array(['a'], dtype='<U1')
    """

    def __init__(self, *, metric: str = "euclidean") -> None:
        self.metric = metric

    @available_if(lambda self: self.metric == "euclidean")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the class probabilities of the rows of `X`; only for the Euclidean distance.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n, K)
            In the order of ``classes_``.
        """
        return super().predict_proba(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class whose centroid is nearest to each row of `X`, of equally near ones the first.

        Parameters
        ----------
        X : array-like of shape (n, M)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        X = read_table(self, X, order="C", reset=False)
        return np.asarray(self.classes_[self._proba(X, soft=False).argmax(axis=1)])

    def _read(self, X: NDArray[Any]) -> NativeMethod:
        return read(read_centroid, self, X.shape[1])
