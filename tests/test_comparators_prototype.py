"""Prototype importance against its formula, written as loops."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from clusterwhy.comparators import FuzzyCMeans, PrototypeImportance


def naive(X, labels, centre):
    classes = [k for k in sorted(set(labels)) if k >= 0]
    prototypes = [centre(X[labels == k], axis=0) for k in classes]
    clusters = np.zeros((len(classes), X.shape[1]))
    for k, own in enumerate(prototypes):
        for other in prototypes:
            clusters[k] += np.abs(own - other)
    total = clusters.sum(axis=0)
    return total / total.sum(), clusters / clusters.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("prototypes", ["mean", "median"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_its_formula(prototypes, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5)).astype(dtype)
    labels = rng.integers(-1, 3, 40)
    model = PrototypeImportance(prototypes=prototypes, reference=labels).fit(X)
    features, clusters = naive(X.astype(np.float64), labels, getattr(np, prototypes))
    np.testing.assert_allclose(model.feature_importances_, features, rtol=1e-12)
    np.testing.assert_allclose(model.cluster_importances_, clusters, rtol=1e-12)
    assert (model.ranking_.argsort() == (-features).argsort()).all()


def test_the_means_are_the_centres_of_k_means():
    X = np.random.default_rng(0).normal(size=(60, 4))
    model = PrototypeImportance(KMeans(3, n_init=1, random_state=0)).fit(X)
    fitted = KMeans(3, n_init=1, random_state=0).fit(X)
    np.testing.assert_array_equal(model.labels_, fitted.labels_)
    np.testing.assert_allclose(model.prototypes_, fitted.cluster_centers_, rtol=1e-9)


def test_centres_are_the_clusterers_own():
    X = np.random.default_rng(0).normal(size=(60, 4))
    model = PrototypeImportance(FuzzyCMeans(3, random_state=0), prototypes="center").fit(X)
    centres = model.clusterer_.cluster_centers_
    np.testing.assert_array_equal(model.prototypes_, centres)
    pairs = [(0, 1), (0, 2), (1, 2)]
    apart = sum(np.abs(centres[k] - centres[other]) for k, other in pairs)
    np.testing.assert_allclose(model.feature_importances_, apart / apart.sum(), rtol=1e-12)
    means = PrototypeImportance(FuzzyCMeans(3, random_state=0)).fit(X)
    assert np.abs(means.prototypes_ - centres).max() > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reference": [0, 1] * 10}, "are a clusterer's, and labels were given"),
        ({"clusterer": AgglomerativeClustering(2)}, r"of shape \(K, 3\), which AgglomerativeClustering has not"),
        (
            {"clusterer": make_pipeline(PCA(2), KMeans(2))},
            r"of shape \(K, 3\), which Pipeline has not: use prototypes='mean' or 'median'",
        ),
    ],
)
def test_clusterings_without_centres_are_refused(settings, message):
    model = PrototypeImportance(**settings, prototypes="center")
    with pytest.raises(ValueError, match=message):
        model.fit(np.random.default_rng(0).normal(size=(20, 3)))


def test_what_it_does_not_define_is_said():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=list("abc"))
    model = PrototypeImportance(KMeans(2, n_init=1)).fit(X)
    for name in ("sample_importances_", "standard_errors_", "monte_carlo_errors_"):
        with pytest.raises(ValueError, match=f"{name} is not defined for PrototypeImportance"):
            getattr(model, name)
        assert not hasattr(model, name)
    with pytest.raises(ValueError, match="has no p-values"):
        model.pvalues()
    assert list(model.to_frame().columns) == ["feature", "importance", "rank"]
    assert list(model.to_frame(by_cluster=True).columns) == ["cluster", "feature", "importance"]
    assert len(model.transform(X).T) == 1


@pytest.mark.parametrize("reference", ["overlap", None, [0, 1]])
def test_references_that_it_cannot_take(reference):
    with pytest.raises(ValueError, match="reference"):
        PrototypeImportance(reference=reference).fit(np.random.default_rng(0).normal(size=(20, 3)))
