"""Which features drive a clustering: as a whole, for each cluster and for each observation.

Start with :class:`LOCOMP`; :class:`LOCORampart` finds the top few of very many features, :class:`LOCOSplit` suits few
features. The four functions are the kernels behind them, for toolkits that bring their own ensemble.
:mod:`clusterwhy.native` has the methods that run in Rust as estimators of their own, :mod:`clusterwhy.comparators`
the other methods of the field, :mod:`clusterwhy.datasets` simulators with known signal features, and
:mod:`clusterwhy.metrics` measures of an explanation.
"""

from clusterwhy import comparators, datasets, metrics, native
from clusterwhy._core import VERSION as __version__
from clusterwhy._functions import align_labels, consensus_labels, loco_scores
from clusterwhy._loco_mp import LOCOMP
from clusterwhy._loco_rampart import LOCORampart
from clusterwhy._loco_split import LOCOSplit
from clusterwhy._patches import Minipatches, minipatches
from clusterwhy.deep import InterpretableDeepClustering

__all__ = [
    "LOCOMP",
    "InterpretableDeepClustering",
    "LOCORampart",
    "LOCOSplit",
    "Minipatches",
    "__version__",
    "align_labels",
    "comparators",
    "consensus_labels",
    "datasets",
    "loco_scores",
    "metrics",
    "minipatches",
    "native",
]
