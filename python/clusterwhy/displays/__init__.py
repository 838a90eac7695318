"""Pictures of the scores, by scikit-learn's conventions for displays; they need matplotlib (the extra ``plot``).

Every display is made by ``from_estimator`` from something fitted, or from arrays (``from_importances``, or
``from_coassociation``), draws with ``plot`` on the axes that it is given or on a figure of its own, and keeps what
it drew as attributes (``ax_``, ``figure_``, ...) to be changed. Nothing is ever shown or saved: that is yours.
Colours are told apart by people who do not see all of them.

- :class:`~clusterwhy.ImportanceDisplay`: the top features with their intervals.
- :class:`~clusterwhy.ClusterImportanceDisplay`: which feature holds which cluster together.
- :class:`~clusterwhy.SampleImportanceDisplay`: the same for every observation.
- :class:`~clusterwhy.ConvergenceDisplay`: whether there were enough minipatches.
- :class:`~clusterwhy.ConsensusDisplay`: how sure the clusters themselves are.
- :class:`~clusterwhy.InteractionDisplay`: pairs of features that need each other.
"""

from clusterwhy.displays._cluster_importance import ClusterImportanceDisplay
from clusterwhy.displays._consensus import ConsensusDisplay
from clusterwhy.displays._convergence import ConvergenceDisplay
from clusterwhy.displays._importance import ImportanceDisplay
from clusterwhy.displays._interaction import InteractionDisplay
from clusterwhy.displays._sample_importance import SampleImportanceDisplay

__all__ = [
    "ClusterImportanceDisplay",
    "ConsensusDisplay",
    "ConvergenceDisplay",
    "ImportanceDisplay",
    "InteractionDisplay",
    "SampleImportanceDisplay",
]
