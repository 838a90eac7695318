"""scikit-learn's own checks, without exceptions, for the deep clusterer."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator
from test_estimator_checks import name_of

from clusterwhy import InterpretableDeepClustering

# Short training: the checks fit dozens of times. Tiny data and few epochs leave clusters empty at times.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MODEL = InterpretableDeepClustering(
    n_clusters=3, pretrain_epochs=20, gate_epochs=30, cluster_epochs=40, cluster_gate_epochs=10, random_state=0
)


def cases():
    for one, check in estimator_checks_generator(MODEL, mark=None):
        if "array_api" not in name_of(check):
            yield pytest.param(one, check, id=name_of(check))


@pytest.mark.parametrize(("estimator", "check"), cases())
def test_scikit_learn_checks(estimator, check):
    check(estimator)
