"""Deep clustering that says which features it used.

- :class:`~clusterwhy.InterpretableDeepClustering`: a neural network whose gates
  are the explanation, trained by the compiled core.
"""

from ._estimator import InterpretableDeepClustering

__all__ = ["InterpretableDeepClustering"]
