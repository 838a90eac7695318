"""Which features drive a clustering: as a whole, for each cluster and for each observation.

Start with :class:`LOCOMP`; :class:`LOCORampart` finds the top few of very many features, :class:`LOCOSplit` suits few
features, :class:`InterpretableDeepClustering` clusters and says which features it used. The four functions are the
kernels behind the first three, for toolkits that bring their own ensemble.
:mod:`clusterwhy.native` has the methods that run in Rust as estimators of their own, :mod:`clusterwhy.comparators`
the other methods of the field, :mod:`clusterwhy.datasets` simulators with known signal features,
:mod:`clusterwhy.metrics` measures of an explanation, :mod:`clusterwhy.displays` pictures of the scores, and
:mod:`clusterwhy.scanpy` scores in scanpy's own form.
"""

from clusterwhy import comparators, datasets, displays, metrics, native, scanpy
from clusterwhy._core import VERSION as __version__
from clusterwhy._functions import align_labels, consensus_labels, loco_scores
from clusterwhy._loco_mp import LOCOMP
from clusterwhy._loco_rampart import LOCORampart
from clusterwhy._loco_split import LOCOSplit
from clusterwhy._patches import Minipatches, minipatches
from clusterwhy.deep import InterpretableDeepClustering
from clusterwhy.displays import (
    ClusterImportanceDisplay,
    ConsensusDisplay,
    ConvergenceDisplay,
    ImportanceDisplay,
    InteractionDisplay,
    SampleImportanceDisplay,
)

__all__ = [
    "LOCOMP",
    "ClusterImportanceDisplay",
    "ConsensusDisplay",
    "ConvergenceDisplay",
    "ImportanceDisplay",
    "InteractionDisplay",
    "InterpretableDeepClustering",
    "LOCORampart",
    "LOCOSplit",
    "Minipatches",
    "SampleImportanceDisplay",
    "__version__",
    "align_labels",
    "comparators",
    "consensus_labels",
    "datasets",
    "displays",
    "loco_scores",
    "metrics",
    "minipatches",
    "native",
    "scanpy",
]
