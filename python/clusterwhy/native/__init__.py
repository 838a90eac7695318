"""The methods that run in Rust, each as a scikit-learn estimator of its own.

These are the methods that ``engine="native"`` runs on minipatches, here on all of the data handed to ``fit``:
to be used on their own, to be compared with scikit-learn's, or to be handed to :class:`clusterwhy.LOCOMP`.

- Clusterers: :class:`Ward`, :class:`Linkage`, :class:`KMeans`, :class:`Spectral`; gamma mixtures are
  :class:`clusterwhy.datasets.GammaMixture`.
- Classifiers: :class:`DecisionTree`, :class:`RandomForest`, :class:`ExtraTrees`, :class:`KNeighbors`,
  :class:`NearestCentroid`.

Parameters have scikit-learn's names, meanings and defaults. Data are dense, float32 or float64, in C order (other
orders are copied); each precision is worked in as it comes. A fit runs on one thread without the GIL, and
gives the same bits on any machine; it sees Ctrl-C when it is done.
"""

from ._classifiers import KNeighbors, NearestCentroid
from ._clusterers import KMeans, Linkage, Spectral, Ward
from ._trees import DecisionTree, ExtraTrees, RandomForest

__all__ = [
    "DecisionTree",
    "ExtraTrees",
    "KMeans",
    "KNeighbors",
    "Linkage",
    "NearestCentroid",
    "RandomForest",
    "Spectral",
    "Ward",
]
