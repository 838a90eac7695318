"""What the LOCO methods have in common, however they leave covariates out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from clusterwhy._fitting import check_classifier, check_clusterer, name_of, refuse_column_positions, takes_nan
from clusterwhy._importances import ImportanceMixin
from clusterwhy._reference import default_clusterer


class LOCOMixin(ImportanceMixin):
    """Scores that are rises of a loss: about 0, or below, where a feature does not matter."""

    _null_is_zero: ClassVar[bool] = True
    # Whether clusterers, and not classifiers alone, are given a part of the features.
    _clusters_parts: ClassVar[bool] = True
    _default_classifier: ClassVar[Callable[[], Any]]

    def _estimators(self) -> dict[str, Any]:
        """Return the clusterer and the classifier, or what None stands for, checked."""
        clusterer = default_clusterer(self.reference) if self.clusterer is None else self.clusterer
        classifier = type(self)._default_classifier() if self.classifier is None else self.classifier
        estimators = {"clusterer": check_clusterer(clusterer), "classifier": check_classifier(classifier)}
        for name, estimator in estimators.items():
            if name == "classifier" or self._clusters_parts:
                refuse_column_positions(estimator, name)
        return estimators

    def _refusing_nan(self) -> list[str]:
        """Name those of both estimators that take no missing values; the default clusterer is one."""
        classifier = type(self)._default_classifier() if self.classifier is None else self.classifier
        given = {"the default clusterer" if self.clusterer is None else name_of(self.clusterer): self.clusterer}
        given[name_of(classifier)] = classifier
        return [name for name, estimator in given.items() if not takes_nan(estimator)]

    def _accepts_nan(self) -> bool:
        """Whether both estimators take missing values."""
        return not self._refusing_nan()

    def _params_used(self) -> dict[str, Any]:
        return super()._params_used() | self._estimators()

    # ------------------------------------------------------------------ sets of features

    def interaction_importance(self, pairs: Any) -> NDArray[np.float64]:
        """Score pairs of features by iLOCO: ``D_j + D_k - D_jk`` (arXiv 2502.06661).

        Positive where the two help each other (each is worth more beside the other), negative where they stand in for
        each other, about 0 where each acts on its own. A pair is scored as ``group_importance`` scores a set; a
        difference of differences takes many minipatches.

        Parameters
        ----------
        pairs : list of pairs, or dict of pairs
            Each two feature names or positions.

        Returns
        -------
        ndarray of shape (n_pairs,)
        """
        check_is_fitted(self)
        labels, members = self._feature_sets(pairs, "pairs")
        for label, pair in zip(labels, members, strict=True):
            if len(pair) != 2:
                raise ValueError(f"pair {label!r} must name two different features, it names {len(pair)}")
        if not members:
            return np.empty(0)
        singles = np.unique(np.concatenate(members))
        alone = self._score_sets(self._names()[singles].tolist(), [np.array([j]) for j in singles], "feature")
        together = self._score_sets(labels, members, "pair")
        at = {j: score for j, score in zip(singles.tolist(), alone, strict=True)}
        return np.array([at[j] + at[k] for j, k in (pair.tolist() for pair in members)]) - together

    def _score_sets(self, labels: list[Any], members: list[NDArray[np.int64]], kind: str) -> NDArray[np.float64]:
        """Score sets of positions; a message calls them a `kind`, and by their labels."""
        raise NotImplementedError

    # ------------------------------------------------------------------ what is not defined

    def _why_undefined(self, name: str) -> str:
        if name == "sample_importances_" and self._has("cluster_importances_"):
            return "store_sample_importances=False, which does not keep it"
        if name.startswith("cluster_monte_carlo") and self._has("cluster_importances_"):
            return "splits, which estimate no Monte-Carlo errors by cluster; monte_carlo_errors_ has the global ones"
        loss = vars(self).get("_loss_", self.loss)
        return (
            f"loss={loss!r}: it is one figure for the whole set, not a mean over observations. Use "
            "loss='hinge', 'margin', 'brier', 'log' or 'zero_one'."
        )
