"""The other methods that say which features drive a clustering, with the attributes of the LOCO estimators.

To compare with, or to use where their question is yours. They explain one clustering of all the data, so that what
they find includes what the clusterer found in noise. What each of them can define, it defines under the same name.
"""

from clusterwhy.comparators._fuzzy_c_means import FuzzyCMeans
from clusterwhy.comparators._fuzzy_c_means_shap import FuzzyCMeansSHAP
from clusterwhy.comparators._impacc import IMPACC, MPACC, MPCC
from clusterwhy.comparators._permutation import PermutationImportance
from clusterwhy.comparators._prototype import PrototypeImportance
from clusterwhy.comparators._silhouette import SilhouetteLOCO
from clusterwhy.comparators._stability import StabilityLOCO
from clusterwhy.comparators.neon import NEON, Layer, read_layers

__all__ = [
    "IMPACC",
    "MPACC",
    "MPCC",
    "NEON",
    "FuzzyCMeans",
    "FuzzyCMeansSHAP",
    "Layer",
    "PermutationImportance",
    "PrototypeImportance",
    "SilhouetteLOCO",
    "StabilityLOCO",
    "read_layers",
]
