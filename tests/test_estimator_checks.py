"""scikit-learn's own checks, without exceptions, for every estimator."""

import pytest
from clusterwhy import LOCOMP, LOCORampart, LOCOSplit
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

# Few minipatches: the checks fit dozens of times, and are about the contract and not about the scores.
ESTIMATORS = [
    LOCOMP(n_patches=20, max_samples=0.5, max_features=0.5, random_state=0),
    LOCOMP(KMeans(2, n_init=1), n_patches=20, max_samples=0.5, max_features=0.5, loss="ari", random_state=0),
    LOCORampart(n_patches=20, max_samples=0.5, max_features=0.5, random_state=0),
    LOCOSplit(classifier=DecisionTreeClassifier(), random_state=0),
]

# What the checks cannot help but provoke: 20 minipatches leave some features out of every one, small data
# has one-cluster halves.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [LOCOMP, LOCORampart, LOCOSplit])
def test_defaults_alone_fit(kind):
    X, _ = make_blobs(60, n_features=12, centers=2, random_state=0)
    fitted = clone(kind()).fit(X)
    assert fitted.feature_importances_.shape == (12,)
    assert len(fitted.classes_) == 2
