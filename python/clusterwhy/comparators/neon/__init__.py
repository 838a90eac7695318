"""NEON: clusterings rewritten as neural networks, whose decisions are passed back to the features.

A network has ``distances``, whose differences ``h_k = d_k - d_c`` are the evidence for cluster c against each other
one, and ``relevance``, which takes them apart by coordinate: :mod:`._kmeans`, :mod:`._kernel_kmeans` (which
:mod:`._surrogate` fits to labels of any origin) and :mod:`._soft`. Above it, :mod:`._pooling` makes one number of the
evidence and shares it among the competitors; below it there may be the layers of a perceptron, :mod:`._layers`.
"""

from clusterwhy.comparators.neon._estimator import NEON
from clusterwhy.comparators.neon._layers import Layer
from clusterwhy.comparators.neon._reading import read_layers

__all__ = ["NEON", "Layer", "read_layers"]
