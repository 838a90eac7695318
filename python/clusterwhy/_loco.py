"""What the LOCO methods have in common, however they leave covariates out."""

from __future__ import annotations

from typing import ClassVar

from clusterwhy._importances import ImportanceMixin


class LOCOMixin(ImportanceMixin):
    """Scores that are rises of a loss: about 0, or below, where a feature does not matter."""

    _null_is_zero: ClassVar[bool] = True

    def _why_undefined(self, name: str) -> str:
        if name == "sample_importances_" and self._has("cluster_importances_"):
            return "store_sample_importances=False, which does not keep it"
        if name.startswith("cluster_monte_carlo") and self._has("cluster_importances_"):
            return "splits, which estimate no Monte-Carlo errors by cluster; monte_carlo_errors_ has the global ones"
        return (
            f"loss={self.loss!r}: it is one figure for the whole set, not a mean over observations. Use "
            "loss='hinge', 'margin', 'brier', 'log' or 'zero_one'."
        )
