"""How good importances are: against known signal, and by themselves.

- Against known signal features: :func:`top_k_hits`.
- Of explanations: :func:`diversity` between clusters, :func:`uniqueness` between observations,
  :func:`faithfulness` to what removing features does, :func:`rank_stability` between seeds.
- Of explanations of single observations, for any clustering that assigns new ones: :func:`feature_flipping_auc`, with
  the attributions of :mod:`~clusterwhy.metrics.baselines` to compare with.
- Generalizability, which the literature gives two meanings: of the selected features,
  :func:`feature_generalizability`, an accuracy; of the clustering, :func:`generalizability_error`.
- Of labels: :func:`matched_accuracy`.

A NaN importance means that a feature has no score. It is never selected, and left out of correlations; each
function says what that does.
"""

from . import baselines
from ._diversity import diversity
from ._faithfulness import faithfulness
from ._feature_flipping import feature_flipping_auc
from ._generalizability import feature_generalizability, generalizability_error
from ._matching import matched_accuracy
from ._stability import rank_stability
from ._top_k import top_k_hits
from ._uniqueness import uniqueness

__all__ = [
    "baselines",
    "diversity",
    "faithfulness",
    "feature_flipping_auc",
    "feature_generalizability",
    "generalizability_error",
    "matched_accuracy",
    "rank_stability",
    "top_k_hits",
    "uniqueness",
]
