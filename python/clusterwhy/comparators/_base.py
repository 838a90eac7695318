"""What the comparators share: they explain one clustering of all the data."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clusterwhy._fitting import check_clusterer
from clusterwhy._importances import ImportanceMixin, check_selection
from clusterwhy._inference import rank_features
from clusterwhy._reference import default_clusterer, fit_all_data
from clusterwhy._scores import standard_errors
from clusterwhy._validation import check_data, decode_labels, encode_reference, warn_nothing_to_explain


class ComparatorMixin(ImportanceMixin):
    """Fits in one step, and explains the labels of a clusterer on all the data, or labels that are given.

    A comparator has the parameters ``clusterer``, ``reference``, ``n_features_to_select`` and ``random_state``,
    and does its work in ``_fit(X)``.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster `X`, unless labels were given, and score every feature.

        Parameters
        ----------
        X : array-like of shape (N, M)
            float32 or float64, kept as such; other numbers become float64.
        y : ignored
            For scikit-learn's pipelines. Labels to explain are passed as ``reference``.

        Returns
        -------
        self
            The fitted estimator. A fit that fails or is interrupted leaves an earlier fit as it was.
        """
        fitted = self._blank_copy()
        fitted._fit(X)
        self._adopt(fitted)
        return self

    def _check_data(self, X: Any) -> NDArray[Any]:
        """Return the data as a dense, finite float32 or float64 array in C order."""
        X = check_data(self, X, allow_nan=False, minimum=2, accept_sparse=False)
        check_selection(self.n_features_to_select, X.shape[1])
        return np.ascontiguousarray(X)

    def _check_reference(self) -> None:
        """Refuse what is not a form of reference; comparators have no minipatches that could overlap."""
        if self.reference is None or (isinstance(self.reference, str) and self.reference != "full"):
            raise ValueError(f"reference must be 'full' or an array of labels to explain, got {self.reference!r}")

    def _default_clusterer(self) -> Any:
        """Return what clusters where no clusterer was given."""
        return default_clusterer(self.reference)

    def _checked_clusterer(self) -> Any:
        return check_clusterer(self._default_clusterer() if self.clusterer is None else self.clusterer)

    def _label(self, X: NDArray[Any], seed: int) -> NDArray[np.int32]:
        """Find the labels to explain and set them, and the clusterer, as fitted; return codes, -1 for noise."""
        self._check_reference()
        if not isinstance(self.reference, str):
            codes, classes = encode_reference(self.reference, len(X))
        else:
            self.clusterer_, codes, classes = fit_all_data(self._checked_clusterer(), X, seed)
        warn_nothing_to_explain(X, classes)
        self.classes_ = classes
        self.labels_ = self.reference_labels_ = decode_labels(codes, classes)
        return codes

    def _score(self, features: NDArray[np.float64], clusters: NDArray[np.float64] | None = None) -> None:
        """Set scores (M,) of the features, and (K, M) of the clusters where there are any."""
        self.feature_importances_ = features
        self.ranking_ = rank_features(features)
        if clusters is not None:
            self.cluster_importances_ = clusters

    def _score_samples(self, samples: NDArray[np.float64], codes: NDArray[np.int32], threads: int) -> None:
        """Set scores of the observations (N, M), their means and the standard errors of these; noise has none."""
        found = standard_errors(samples, codes, len(self.classes_), None, 0.0, 0.0, threads)
        self._score(found["mean"][-1], found["mean"][:-1])
        self.sample_importances_ = samples
        self.standard_errors_ = found["error"][-1]
        self.cluster_standard_errors_ = found["error"][:-1]
