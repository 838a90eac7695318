"""Silhouette-LOCO and stability-LOCO against loops."""

import joblib
import numpy as np
import pytest
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, silhouette_score

import clusterwhy as cw
from clusterwhy import native
from clusterwhy.comparators import SilhouetteLOCO, StabilityLOCO

N, M = 50, 4


def blobs():
    X, _ = make_blobs(N, n_features=2, centers=3, cluster_std=1.5, random_state=2)
    return np.hstack([X, np.random.default_rng(0).normal(size=(N, 2))])


def naive_silhouettes(X, labels):
    """Rousseeuw's definition, for the observations that are not noise."""
    out = np.full(len(X), np.nan)
    classes = [k for k in set(labels) if k >= 0]
    for i in np.flatnonzero(labels >= 0):
        distance = np.sqrt(((X - X[i]) ** 2).sum(axis=1))
        mine = (labels == labels[i]) & (np.arange(len(X)) != i)
        if len(classes) < 2 or not mine.any():
            out[i] = 0
            continue
        a = distance[mine].mean()
        b = min(distance[labels == k].mean() for k in classes if k != labels[i])
        out[i] = (b - a) / max(a, b)
    return out


@pytest.mark.parametrize(
    "clusterer",
    [KMeans(3, n_init=1, random_state=0), AgglomerativeClustering(3), DBSCAN(eps=1.6, min_samples=3)],
    ids=repr,
)
def test_silhouette_scores_are_differences_of_silhouettes(clusterer):
    X = blobs()
    model = SilhouetteLOCO(clusterer).fit(X)
    labels = clusterer.fit_predict(X)
    base = naive_silhouettes(X, labels)
    np.testing.assert_allclose(model.silhouettes_, base, atol=1e-12)
    for j in range(M):
        without = np.delete(X, j, axis=1)
        rest = naive_silhouettes(without, clusterer.fit_predict(without))
        np.testing.assert_allclose(model.sample_importances_[:, j], base - rest, atol=1e-12)
        np.testing.assert_allclose(model.feature_importances_[j], np.nanmean((base - rest)[labels >= 0]), atol=1e-12)
        for k in model.classes_:
            of_cluster = np.nanmean((base - rest)[labels == k])
            np.testing.assert_allclose(model.cluster_importances_[k, j], of_cluster, atol=1e-12)


def test_silhouettes_do_not_depend_on_where_zero_is():
    X = blobs()
    expected = SilhouetteLOCO(AgglomerativeClustering(3)).fit(X).feature_importances_
    found = SilhouetteLOCO(AgglomerativeClustering(3)).fit(X + 2.0**30).feature_importances_
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_mean_silhouette_is_scikit_learns():
    X = blobs()
    model = SilhouetteLOCO(AgglomerativeClustering(3)).fit(X)
    rest = [
        silhouette_score(part, AgglomerativeClustering(3).fit_predict(part))
        for part in (np.delete(X, j, axis=1) for j in range(M))
    ]
    np.testing.assert_allclose(
        model.feature_importances_, silhouette_score(X, model.labels_) - np.array(rest), atol=1e-12
    )


def test_signs_say_what_leaving_out_does():
    centers = 4 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    X[:, :2] += centers[np.arange(120) % 4]
    # The second half is noise, which blurs: the clusters are tighter without it.
    scores = SilhouetteLOCO(KMeans(4, n_init=5, random_state=0)).fit(X).feature_importances_
    assert (scores[2:] < 0).all()
    assert scores[:2].min() > scores[2:].max()
    stability = StabilityLOCO(KMeans(4, n_init=5), random_state=0).fit(X)
    assert stability.feature_importances_[:2].min() > 0.1
    assert abs(stability.feature_importances_[2:]).max() < 0.05


def test_labels_that_are_given_are_those_with_all_features():
    X = blobs()
    labels = np.arange(N) % 3
    model = SilhouetteLOCO(KMeans(3, n_init=1, random_state=0), reference=labels).fit(X)
    np.testing.assert_allclose(model.silhouettes_, naive_silhouettes(X, labels), atol=1e-12)
    # Without a clusterer, Ward finds as many as there are.
    model = SilhouetteLOCO(reference=labels).fit(X)
    rest = naive_silhouettes(X[:, 1:], AgglomerativeClustering(3).fit_predict(X[:, 1:]))
    np.testing.assert_allclose(model.sample_importances_[:, 0], model.silhouettes_ - rest, atol=1e-12)


@pytest.mark.filterwarnings("ignore:there is only one cluster")
def test_one_cluster_has_silhouettes_of_zero():
    model = SilhouetteLOCO(AgglomerativeClustering(1)).fit(blobs())
    np.testing.assert_array_equal(model.sample_importances_, 0)


@pytest.mark.parametrize("clusterer", [AgglomerativeClustering(3), DBSCAN(eps=1.6, min_samples=3)], ids=repr)
@pytest.mark.parametrize("max_samples", [0.7, 30])
def test_stability_is_the_agreement_of_pairs_where_they_overlap(clusterer, max_samples):
    X = blobs()
    n_pairs = 6
    model = StabilityLOCO(clusterer, n_pairs=n_pairs, max_samples=max_samples, random_state=5).fit(X)
    patches = cw.minipatches(N, M, 2 * n_pairs, max_samples, 1.0, 5)

    def stabilities(columns):
        out = []
        for pair in range(n_pairs):
            found = []
            for b in (2 * pair, 2 * pair + 1):
                rows = patches.rows(b)
                labels = clusterer.fit_predict(X[np.ix_(rows, columns)])
                found.append(dict(zip(rows.tolist(), labels.tolist(), strict=True)))
            both = sorted(set(found[0]) & set(found[1]))
            out.append(adjusted_rand_score([found[0][i] for i in both], [found[1][i] for i in both]))
        return np.array(out)

    base = stabilities(np.arange(M))
    assert model.stability_ == pytest.approx(base.mean(), abs=1e-12)
    for j in range(M):
        rises = base - stabilities(np.delete(np.arange(M), j))
        np.testing.assert_allclose(model.feature_importances_[j], rises.mean(), atol=1e-12)
        np.testing.assert_allclose(model.monte_carlo_errors_[j], rises.std(ddof=1) / np.sqrt(n_pairs), atol=1e-12)
    assert list(model.to_frame().columns) == ["feature", "importance", "monte_carlo_error", "rank"]
    for name in ("sample_importances_", "cluster_importances_", "standard_errors_"):
        assert not hasattr(model, name)


@pytest.mark.parametrize("make", [SilhouetteLOCO, StabilityLOCO])
def test_workers_change_no_bit_and_a_seed_is_all(make):
    X = np.hstack([blobs(), blobs()[::-1], blobs()[:, ::-1]])
    with joblib.parallel_config("threading"):
        fits = [make(native.KMeans(3), random_state=1, n_jobs=jobs).fit(X) for jobs in (None, 2)]
    np.testing.assert_array_equal(fits[0].feature_importances_, fits[1].feature_importances_)


def test_identical_subsamples_of_a_deterministic_clusterer_agree():
    model = StabilityLOCO(AgglomerativeClustering(3), max_samples=1.0, n_pairs=1).fit(blobs())
    assert model.stability_ == 1
    np.testing.assert_array_equal(model.feature_importances_, 0)
    assert np.isnan(model.monte_carlo_errors_).all()


class FindsNothingNear(AgglomerativeClustering):
    """Two clusters where something is far away, else noise alone."""

    def fit_predict(self, X, y=None):
        return super().fit_predict(X) if X.max() > 10 else np.full(len(X), -1)


def test_noise_alone_is_no_better_than_one_cluster():
    X = np.random.default_rng(0).uniform(size=(80, 3)) + 20 * np.outer(np.arange(80) % 2, [1, 0, 0])
    # Without the feature that holds them apart there is nothing.
    model = SilhouetteLOCO(FindsNothingNear(2)).fit(X)
    np.testing.assert_array_equal(model.sample_importances_[:, 0], model.silhouettes_)
    assert model.feature_importances_[0] > 0.8
    assert model.ranking_[0] == 1
