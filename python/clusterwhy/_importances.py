"""What every fitted method can be asked: intervals, p-values, tables; and most of them, selection."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from clusterwhy._anndata import write_scores
from clusterwhy._atomic_fit import AtomicFit
from clusterwhy._inference import adjust_pvalues, check_adjust, normal_interval, one_sided_pvalues
from clusterwhy._validation import check_proportion
from clusterwhy._warnings import warn_user

# Scores that not every method, and not every loss, can define.
_OPTIONAL = (
    "cluster_importances_",
    "sample_importances_",
    "standard_errors_",
    "cluster_standard_errors_",
    "monte_carlo_errors_",
    "cluster_monte_carlo_errors_",
    "loo_error_",
    "loo_proba_",
)


class UndefinedScoreError(ValueError, AttributeError):
    """A score was asked for that the fitted method, or its loss, cannot have."""


class ExplanationMixin(AtomicFit):
    """Questions asked of fitted importances: intervals, p-values, tables.

    A method sets ``feature_importances_`` and ``ranking_``, and of the other scores those that it can define.
    """

    # Whether 0 is what an unimportant feature scores, so that a p-value against it says something.
    _null_is_zero: ClassVar[bool] = False

    def __getattr__(self, name: str) -> Any:
        fitted = "feature_importances_" in vars(self)
        if fitted and name in _OPTIONAL:
            raise UndefinedScoreError(f"{name} is not defined for {self._why_undefined(name)}")
        if not fitted and name.endswith("_") and not name.startswith("_"):
            # An AttributeError too: hasattr says no.
            raise NotFittedError(
                f"this {type(self).__name__} instance is not fitted yet: call fit before asking for {name}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _why_undefined(self, name: str) -> str:
        """Say for what a score is not defined, and what has it."""
        return f"{type(self).__name__}, which has no such score; the LOCO methods have it"

    def _has(self, name: str) -> bool:
        return name in vars(self)

    def _params_used(self) -> dict[str, Any]:
        """Return the parameters, with the estimators that None stands for."""
        return dict(self.get_params(deep=False))

    # ------------------------------------------------------------------ inference

    def confidence_interval(
        self, level: float = 0.95, *, by_cluster: bool = False, monte_carlo: bool = False
    ) -> NDArray[np.float64]:
        """Return normal confidence intervals of the scores.

        They say how far the mean over observations can be trusted, given the consensus labels: the labels are
        themselves estimated, and that is not included. After RAMPART they are post-selection.

        Parameters
        ----------
        level : float, default=0.95
            Coverage of each interval on its own.
        by_cluster : bool, default=False
            Intervals of ``cluster_importances_`` in place of ``feature_importances_``.
        monte_carlo : bool, default=False
            Add the variance ``monte_carlo_errors_**2`` of a finite number of minipatches (or splits), which
            the standard error leaves out. Use it unless the Monte-Carlo errors are small beside the standard
            errors.

        Returns
        -------
        ndarray of shape (M, 2), or (K, M, 2) by cluster
            Lower and upper bounds; NaN where the score is not defined.

        Raises
        ------
        ValueError
            For `monte_carlo` where no Monte-Carlo error could be estimated.
        """
        check_is_fitted(self)
        level = check_proportion(level, "level")
        scores, errors = self._scores_and_errors(by_cluster, monte_carlo)
        return normal_interval(scores, errors, level)

    def pvalues(
        self, adjust: str | None = None, by_cluster: bool = False, *, monte_carlo: bool = False
    ) -> NDArray[np.float64]:
        """Return one-sided p-values of "the score is not positive": ``1 - Phi(score / standard error)``.

        A score is relative: a minipatch without a feature holds another in its place, so 0 is what an average
        feature is worth, and where most features matter the weaker ones are below it.

        With few minipatches they are much too small, because the standard error leaves out the chance of the
        draw, and no correction mends that: use `monte_carlo` unless ``monte_carlo_errors_`` is well below
        ``standard_errors_``.

        Parameters
        ----------
        adjust : {None, "bh", "by", "holm", "bonferroni"}, default=None
            Correction across the features, or across features and clusters together.
        by_cluster : bool, default=False
            P-values of ``cluster_importances_`` in place of ``feature_importances_``.
        monte_carlo : bool, default=False
            As in :meth:`confidence_interval`: the standard error becomes the root of
            ``standard_errors_**2 + monte_carlo_errors_**2``.

        Returns
        -------
        ndarray of shape (M,), or (K, M) by cluster
            1 where the score is the same for every observation; NaN where it is not defined.

        Raises
        ------
        ValueError
            For `monte_carlo` where no Monte-Carlo error could be estimated, and for methods whose scores are
            not about 0 for an unimportant feature.
        """
        check_is_fitted(self)
        if not self._null_is_zero:
            raise UndefinedScoreError(
                f"{type(self).__name__} has no p-values: its scores are not about 0 for a feature that does not "
                "matter, so that a test against 0 says nothing; use "
                + ("confidence_interval, or a LOCO method" if self._has("standard_errors_") else "a LOCO method")
            )
        scores, errors = self._scores_and_errors(by_cluster, monte_carlo)
        spreads = self._spreads_[:-1] if by_cluster else self._spreads_[-1]
        return adjust_pvalues(one_sided_pvalues(scores, errors, spreads), adjust)

    def _scores_and_errors(
        self, by_cluster: bool, monte_carlo: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        prefix = "cluster_" if by_cluster else ""
        scores = self.cluster_importances_ if by_cluster else self.feature_importances_
        errors = getattr(self, f"{prefix}standard_errors_")
        if not monte_carlo:
            return scores, errors
        if not self._has("monte_carlo_errors_"):
            # Raises, and says why there are none.
            return scores, self.monte_carlo_errors_
        if not self._knows_monte_carlo(by_cluster):
            raise ValueError(
                "monte_carlo=True needs Monte-Carlo errors, and none could be estimated: from a single split or "
                "so few minipatches (raise n_repeats, n_folds or n_patches), or for clusters from splits"
            )
        return scores, np.hypot(errors, getattr(self, f"{prefix}monte_carlo_errors_"))

    def _knows_monte_carlo(self, by_cluster: bool) -> bool:
        found = vars(self).get("cluster_monte_carlo_errors_" if by_cluster else "monte_carlo_errors_")
        return found is not None and not np.isnan(found).all()

    # ------------------------------------------------------------------ tables

    def _names(self) -> NDArray[Any]:
        names = getattr(self, "feature_names_in_", None)
        return default_names(self.n_features_in_) if names is None else np.asarray(names)

    def to_frame(
        self,
        *,
        by_cluster: bool = False,
        cluster: Any = None,
        level: float = 0.95,
        adjust: str | None = "bh",
        monte_carlo: bool | None = None,
    ) -> Any:
        """Return the scores as a :class:`pandas.DataFrame`, most important first.

        Parameters
        ----------
        by_cluster : bool, default=False
            One row per cluster and feature in place of one per feature.
        cluster : label, default=None
            One of ``classes_``: the rows that `by_cluster` has for it, p-values still adjusted for all clusters.
        level : float, default=0.95
            Coverage of the intervals.
        adjust : {None, "bh", "by", "holm", "bonferroni"}, default="bh"
            Correction behind the column ``p_adjusted``.
        monte_carlo : bool, default=None
            Intervals and p-values that include the Monte-Carlo error, as in :meth:`confidence_interval`; None
            includes it wherever it is known, since they are far too small without it when minipatches are few.

        Returns
        -------
        pandas.DataFrame
            Columns ``feature``, ``importance``, ``standard_error``, ``ci_low``, ``ci_high``, ``p_value``,
            ``p_adjusted``, and ``monte_carlo_error`` and ``rank`` for the global scores or ``cluster`` for
            the clusters'. What the method or its loss does not define is left out: a loss of the whole set
            (``"ari"``) has importances, Monte-Carlo errors and ranks only.

        Raises
        ------
        ImportError
            When pandas is not installed.
        ValueError
            When there is no such cluster.
        """
        check_is_fitted(self)
        # Also where a method has no errors to show.
        check_proportion(level, "level")
        check_adjust(adjust)
        pandas = import_extra("pandas", "pandas", "to_frame")
        names = self._names()
        if not by_cluster and cluster is None:
            columns: dict[str, Any] = {"feature": names, "importance": self.feature_importances_}
            columns |= self._error_columns(level, adjust, monte_carlo, by_cluster=False)
            if self._has("monte_carlo_errors_"):
                columns["monte_carlo_error"] = self.monte_carlo_errors_
            columns["rank"] = self.ranking_
            return pandas.DataFrame(columns).sort_values("rank").reset_index(drop=True)
        k, m = self.cluster_importances_.shape
        columns = {
            "cluster": np.repeat(self.classes_, m),
            "feature": np.tile(names, k),
            "importance": self.cluster_importances_.ravel(),
        }
        columns |= self._error_columns(level, adjust, monte_carlo, by_cluster=True)
        frame = pandas.DataFrame(columns)
        rows = np.repeat(np.arange(k), m)
        order = np.lexsort((-frame["importance"].to_numpy(), -np.tile(self._last_rounds(), k), rows))
        if cluster is not None:
            order = order[rows[order] == position_of(cluster, self.classes_)]
        return frame.iloc[order].reset_index(drop=True)

    def _last_rounds(self) -> NDArray[np.int64]:
        """Return the round that scored each feature (M,) last, where there are rounds: they are not on one scale."""
        return np.zeros(len(self.feature_importances_), dtype=np.int64)

    def _error_columns(
        self, level: float, adjust: str | None, monte_carlo: bool | None, *, by_cluster: bool
    ) -> dict[str, Any]:
        if not self._has("cluster_standard_errors_" if by_cluster else "standard_errors_"):
            return {}
        if monte_carlo is None:
            monte_carlo = self._knows_monte_carlo(by_cluster)
        kind: dict[str, Any] = {"by_cluster": by_cluster, "monte_carlo": monte_carlo}
        bounds = self.confidence_interval(level, **kind).reshape(-1, 2)
        columns = {
            "standard_error": self._scores_and_errors(by_cluster)[1].ravel(),
            "ci_low": bounds[:, 0],
            "ci_high": bounds[:, 1],
        }
        if self._null_is_zero:
            columns["p_value"] = self.pvalues(**kind).ravel()
            columns["p_adjusted"] = self.pvalues(adjust, **kind).ravel()
        return columns

    def to_anndata(self, adata: Any, key_added: str = "loco") -> Any:
        """Write the scores into an :class:`anndata.AnnData` whose variables are the features.

        Parameters
        ----------
        adata : anndata.AnnData
            With the observations and variables that were fitted, in their order. Changed in place.
        key_added : str, default="loco"
            Prefix of everything written, as far as the method defines it: ``var[f"{key}_score"]``, ``_se``,
            ``_mc_se``, ``_pval``, ``_pval_adj`` (Benjamini-Hochberg; with the Monte-Carlo error where it is
            known) and ``_rank``; ``varm[key]`` (M, K), the clusters' scores; ``obs[key]``, the labels, and
            ``obs[f"{key}_stability"]``, how far the minipatches agree on them; and ``uns[key]`` with the
            parameters, the classes, the error and the number of minipatches.

        Returns
        -------
        anndata.AnnData
            `adata` itself.

        See Also
        --------
        clusterwhy.scanpy.rank_genes_loco : From an AnnData to scanpy's tables and plots of markers in one call.
        """
        check_is_fitted(self)
        write_scores(self, adata, key_added)
        return adata

    def to_shap(self, X: Any = None) -> Any:
        """Return the sample scores as a :class:`shap.Explanation`, for shap's bar, beeswarm and heatmap plots.

        The scores are not additive: a row does not sum to a prediction. Waterfall, force and decision plots mean
        nothing here, nor does the curve above a heatmap, which is such a sum. ``shap.plots.bar(explanation)`` draws
        mean magnitudes; ``shap.plots.bar(explanation.mean(0))`` draws ``feature_importances_``, and
        ``explanation.cohorts(labels).mean(0)`` in its place the clusters', where every score is defined; else take
        the rows that have scores, ``explanation[~np.isnan(model.sample_importances_).any(axis=1)]``. Beeswarm means
        what it shows.

        Parameters
        ----------
        X : array-like of shape (N, M), optional
            The data, to colour the plots by.

        Returns
        -------
        shap.Explanation
            ``values`` of shape (N, M); NaN scores become 0.

        Raises
        ------
        ImportError
            When shap is not installed.
        """
        check_is_fitted(self)
        values = np.nan_to_num(self.sample_importances_)
        shap = import_extra("shap", "shap", "to_shap")
        data = None if X is None else self._same_data(X)
        return shap.Explanation(
            values=values,
            base_values=np.full(len(values), self.loo_error_ if self._has("loo_error_") else 0.0),
            data=data,
            feature_names=[str(name) for name in self._names()],
        )

    def _same_data(self, X: Any) -> NDArray[Any]:
        """Check that data are those that were fitted, as far as names and shape tell."""
        X = validate_data(self, X, accept_sparse="csr", ensure_all_finite=False, reset=False)
        if X.shape[0] != len(self.sample_importances_):
            raise ValueError(
                f"X has {X.shape[0]} observations, but {len(self.sample_importances_)} were fitted: pass the same"
            )
        return np.asarray(cast(Any, X).toarray() if issparse(X) else X)

    # ------------------------------------------------------------------ sets of features

    def _feature_sets(self, sets: Any, kind: str) -> tuple[list[Hashable], list[NDArray[np.int64]]]:
        """Resolve sets of feature names or positions, given as a list or a dictionary."""
        if isinstance(sets, (str, bytes)) or not isinstance(sets, (Mapping, Iterable)):
            raise TypeError(f"{kind} must be a list of lists of features, or a dictionary of them, got {sets!r}")
        labels: list[Hashable] = list(sets) if isinstance(sets, Mapping) else []
        members = list(sets.values()) if isinstance(sets, Mapping) else list(sets)
        if not labels:
            labels = list(range(len(members)))
        known = positions_of_names(vars(self).get("feature_names_in_"))
        return labels, [self._feature_positions(member, kind, known) for member in members]

    def _feature_positions(self, members: Any, kind: str, known: Mapping[Any, int]) -> NDArray[np.int64]:
        if isinstance(members, (str, bytes)) or not isinstance(members, Iterable):
            raise TypeError(f"each of the {kind} must be a list of features, got {members!r}")
        found = feature_positions(members, kind, known, self.n_features_in_)
        if not found.size:
            raise ValueError(f"one of the {kind} is empty; each needs at least one feature")
        return np.unique(found)


class ImportanceMixin(SelectorMixin, ExplanationMixin):
    """The same, and the most important features selected, as many as the parameter ``n_features_to_select`` says."""

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return np.asarray(self.ranking_ <= self._n_selected())

    def _n_selected(self) -> int:
        wanted, m = self.n_features_to_select, self.n_features_in_
        if wanted is None:
            return max(1, int(m) // 2)
        return resolve_selection(wanted, m)


def positions_of_names(names: Any) -> dict[Any, int]:
    """Number the names of features, if there are any."""
    return {} if names is None else {name: j for j, name in enumerate(names)}


def feature_positions(
    members: Iterable[Any], kind: str, known: Mapping[Any, int], n_features: int
) -> NDArray[np.int64]:
    """Resolve feature names, of which `known` has the positions, and positions to positions, in the order given."""
    out = []
    for member in members:
        if isinstance(member, str):
            if member not in known:
                hint = f"names are such as {', '.join(map(repr, list(known)[:3]))}"
                if not known:
                    hint = "the data had no feature names; use positions"
                raise ValueError(f"unknown feature name {member!r} in {kind}: {hint}")
            out.append(known[member])
            continue
        if isinstance(member, (bool, np.bool_)) or not isinstance(member, (int, np.integer)):
            raise TypeError(
                f"features in {kind} must be names or integer positions, got {member!r} of type "
                f"{type(member).__name__}; numpy.flatnonzero turns a mask into positions"
            )
        j = int(member)
        if not -n_features <= j < n_features:
            raise ValueError(f"feature {member} in {kind} is out of range: positions go from 0 to {n_features - 1}")
        out.append(j % n_features)
    return np.asarray(out, dtype=np.int64)


def default_names(n_features: int) -> NDArray[Any]:
    """Name features that came without names."""
    return np.asarray([f"x{j}" for j in range(n_features)], dtype=object)


def position_of(cluster: Any, classes: NDArray[Any]) -> int:
    """Return the row of a cluster."""
    # True equals 1, but who writes it means something else.
    flag = isinstance(cluster, (bool, np.bool_))
    values = np.asarray(classes).tolist()
    found = [row for row, value in enumerate(values) if value == cluster and isinstance(value, bool) == flag]
    if not found:
        shown = ", ".join(map(repr, values[:10]))
        raise ValueError(f"cluster must be one of classes_ ({shown}), got {cluster!r}")
    return found[0]


def resolve_selection(wanted: Any, n_features: int) -> int:
    """Resolve ``n_features_to_select``: an int is a count, a float a fraction."""
    if isinstance(wanted, (bool, np.bool_)) or not isinstance(wanted, (int, float, np.integer, np.floating)):
        raise TypeError(f"n_features_to_select must be None, an integer or a fraction, got {wanted!r}")
    if isinstance(wanted, (int, np.integer)):
        if wanted < 1:
            raise ValueError(f"n_features_to_select must be at least 1, got {wanted}")
        return min(int(wanted), n_features)
    if not 0 < wanted <= 1:
        raise ValueError(f"n_features_to_select must be in (0, 1] when it is a fraction, got {wanted}")
    return max(1, int(wanted * n_features))


def check_selection(wanted: Any, n_features: int) -> int | None:
    """Resolve ``n_features_to_select``, or None, and warn of more than there are features."""
    if wanted is None:
        return None
    count = resolve_selection(wanted, n_features)
    if wanted > n_features:
        warn_user(f"n_features_to_select={wanted} is more than the {n_features} features of the data: all are kept")
    return count


def import_extra(module: str, extra: str, what: str) -> Any:
    """Import an optional package, or name the extra to install."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{what} needs {module}: pip install "clusterwhy[{extra}]"') from error
