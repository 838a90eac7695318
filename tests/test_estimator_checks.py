"""scikit-learn's own checks, without exceptions, for every estimator."""

import os
import subprocess
import sys

import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator

from clusterwhy import LOCOMP, InterpretableDeepClustering, LOCORampart, LOCOSplit
from clusterwhy.comparators import (
    IMPACC,
    MPACC,
    MPCC,
    NEON,
    FuzzyCMeansSHAP,
    PermutationImportance,
    PrototypeImportance,
    SilhouetteLOCO,
    StabilityLOCO,
)
from clusterwhy.scanpy import Leiden

# Few minipatches: the checks fit dozens of times, and are about the contract and not about the scores.
ESTIMATORS = {
    "LOCOMP": LOCOMP(n_patches=12, max_samples=0.5, max_features=0.5, random_state=0),
    "LOCOMP-sparse": LOCOMP(
        KMeans(2, n_init=1), n_patches=12, max_samples=0.5, max_features=0.5, loss="ari", random_state=0
    ),
    "LOCORampart": LOCORampart(n_patches=12, max_samples=0.5, max_features=0.5, random_state=0),
    "InterpretableDeepClustering": InterpretableDeepClustering(
        3, pretrain_epochs=20, gate_epochs=30, cluster_epochs=40, cluster_gate_epochs=10, random_state=0
    ),
    "LOCOSplit": LOCOSplit(classifier=DecisionTreeClassifier(), random_state=0),
    "FuzzyCMeansSHAP": FuzzyCMeansSHAP(random_state=0),
    "PermutationImportance": PermutationImportance(KMeans(2, n_init=1), n_repeats=2, random_state=0),
    "PermutationImportance-classifier": PermutationImportance(n_repeats=2, random_state=0),
    "NEON": NEON(random_state=0),
    "NEON-kmeans": NEON(KMeans(2, n_init=1), random_state=0),
    "PrototypeImportance": PrototypeImportance(),
    "SilhouetteLOCO": SilhouetteLOCO(),
    "StabilityLOCO": StabilityLOCO(n_pairs=2, random_state=0),
    "MPCC": MPCC(random_state=0),
    "MPACC": MPACC(random_state=0),
    "IMPACC": IMPACC(random_state=0),
    "Leiden": Leiden(),
}

# What the checks cannot help but provoke: so few minipatches leave some features out of every one.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def name_of(check):
    while hasattr(check, "func"):
        check = check.func
    return check.__name__


def cases():
    for name, estimator in ESTIMATORS.items():
        for one, check in estimator_checks_generator(estimator, mark=None):
            # These skip unless SciPy was imported in another mode: a process of their own has it.
            if "array_api" not in name_of(check):
                yield pytest.param(one, check, id=f"{name}-{name_of(check)}")


@pytest.mark.parametrize(("estimator", "check"), cases())
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_scikit_learn_checks_of_array_libraries():
    code = """
import warnings
from test_estimator_checks import ESTIMATORS, estimator_checks_generator, name_of
warnings.simplefilter("ignore")
for estimator in ESTIMATORS.values():
    for one, check in estimator_checks_generator(estimator, mark=None):
        if "array_api" in name_of(check):
            check(one)
"""
    paths = [os.path.dirname(__file__), *filter(None, sys.path)]
    env = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": os.pathsep.join(paths)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("model", [LOCOMP(), LOCOSplit(), LOCORampart(n_patches=100)], ids=lambda m: type(m).__name__)
def test_defaults_alone_fit(model):
    X, _ = make_blobs(40, n_features=12, centers=2, random_state=0)
    fitted = clone(model).fit(X)
    assert fitted.feature_importances_.shape == (12,)
    assert len(fitted.classes_) == 2
