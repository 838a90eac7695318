"""A fit that happens wholly or not at all."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator


class AtomicFit(BaseEstimator):
    """Lets an estimator fit a blank copy of itself and take over what was fitted when all of it is there."""

    def _adopt(self, fitted: Any) -> None:
        """Take over the fitted state of a copy, in one step: a fit that fails leaves everything as it was."""
        params = self.get_params(deep=False)
        kept = {name: value for name, value in vars(self).items() if not _is_fitted_name(name)}
        found = {name: value for name, value in vars(fitted).items() if name not in params}
        # One assignment: an interruption falls before it or after it.
        self.__dict__ = {**kept, **found}

    def _blank_copy(self) -> Any:
        """Copy the parameters, but nothing that was fitted."""
        copy = object.__new__(type(self))
        copy.__dict__.update({name: value for name, value in vars(self).items() if not _is_fitted_name(name)})
        return copy


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.startswith("__")
