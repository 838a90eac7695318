"""Sets of features and pairs (iLOCO), against the plain reference."""

import numpy as np
import pytest
import reference
from problems import mask
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB

import clusterwhy as cw

SETS = [[0], [1, 2], [0, 3, 4], [5, 1], [2, 2, 2]]
PAIRS = [(0, 1), (1, 2), (3, 5), (4, 0)]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 6))
    X[:20, :2] += 2
    X[20:35, 2] -= 3
    return X


@pytest.fixture(scope="module", params=["hinge", "margin", "brier", "log", "zero_one", "ari"])
def fitted(request, data):
    return cw.LOCOMP(KMeans(3), GaussianNB(), n_patches=70, max_features=2, loss=request.param, random_state=0).fit(
        data
    )


def test_sets_are_on_the_scale_of_the_fit(data):
    model = cw.LOCOMP(KMeans(3), GaussianNB(), n_patches=70, max_features=2, random_state=0).fit(data)
    model.set_params(loss="brier")
    np.testing.assert_allclose(model.group_importance([[0], [4]]), model.feature_importances_[[0, 4]], rtol=1e-9)


def oracle(fitted, X, sets):
    """Scores of sets from the same minipatches, clustered and trained again with the estimator's own seeds."""
    ensemble = fitted._ensemble_
    votes = ensemble.votes
    if votes.ndim == 2:
        votes = reference.one_hot(votes, ensemble.n_classes)
    rows, columns = fitted.patches_.rows(), fitted.patches_.columns()
    voters, held = ~mask(rows, X.shape[0]), mask(columns, X.shape[1])
    z = np.searchsorted(fitted.classes_, fitted.labels_)
    return reference.set_scores(votes, voters, held, z, fitted.loss, sets)[1]


def test_groups(fitted, data):
    np.testing.assert_allclose(fitted.group_importance(SETS), oracle(fitted, data, SETS), rtol=1e-9, atol=1e-9)


def test_a_group_of_one_is_its_feature(fitted):
    singles = fitted.group_importance([[j] for j in range(6)])
    np.testing.assert_allclose(singles, fitted.feature_importances_, rtol=1e-12, atol=1e-12)


def test_pairs(fitted, data):
    alone = oracle(fitted, data, [[j] for j in range(6)])
    together = oracle(fitted, data, [list(pair) for pair in PAIRS])
    expected = [alone[j] + alone[k] - both for (j, k), both in zip(PAIRS, together, strict=True)]
    np.testing.assert_allclose(fitted.interaction_importance(PAIRS), expected, rtol=1e-9, atol=1e-9)


def test_names_positions_and_order_do_not_matter(fitted):
    by_name = fitted.group_importance({"a": [2, 1], "b": [-1, 0]})
    assert np.array_equal(by_name, fitted.group_importance([[1, 2], [0, 5]]))
    assert np.array_equal(fitted.interaction_importance([(1, 4)]), fitted.interaction_importance([(4, 1)]))


def test_too_few_minipatches_say_how_many(fitted):
    columns = mask(fitted.patches_.columns(), 6)
    left = int((~columns.any(axis=1)).sum())
    with pytest.raises(ValueError, match=f"absent from {left} of 70 minipatches"):
        fitted.group_importance([range(6)])
    counts = fitted.group_importance(SETS, return_counts=True)[1]
    assert counts.tolist() == [int((~columns[:, s].any(axis=1)).sum()) for s in SETS]
