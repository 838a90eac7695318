"""NEON against its formulas, written as loops, and against what the theory promises."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import AgglomerativeClustering, BisectingKMeans, KMeans, MiniBatchKMeans, SpectralClustering
from sklearn.datasets import load_wine, make_blobs
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from clusterwhy import InterpretableDeepClustering, native
from clusterwhy.comparators import NEON, read_layers
from clusterwhy.comparators.neon._kernel_kmeans import KernelKMeansNetwork
from clusterwhy.comparators.neon._pooling import log_mean_exp, min_take_most


@pytest.fixture(scope="module")
def wine():
    return StandardScaler().fit_transform(load_wine().data)


def softmin(values):
    shares = np.exp(-(values - values.min()))
    return shares / shares.sum()


def naive_kmeans(x, centres, c, beta):
    """Equations 2 and 4, midpoints and all."""
    others = [k for k in range(len(centres)) if k != c]
    h = {}
    for k in others:
        w, b = 2 * (centres[c] - centres[k]), centres[k] @ centres[k] - centres[c] @ centres[c]
        h[k] = w @ x + b
    f = min(h.values())
    shares = softmin(beta * np.array([h[k] for k in others]))
    relevance = np.zeros(len(x))
    for p, k in zip(shares, others, strict=True):
        part = (x - (centres[c] + centres[k]) / 2) * 2 * (centres[c] - centres[k])
        relevance += part / part.sum() * p * f
    return f, relevance


def naive_kernel(x, clusters, c, gamma, beta):
    """The network of proposition 5 with every pair of support vectors, and equations 2, 4 and 10."""

    def log_mean_exp_of(values, sign, weights):
        top = (sign * values).max()
        return sign * (top + np.log((weights * np.exp(sign * values - top)).sum()))

    (own, own_weights), total = clusters[c], {}
    pairs = {}
    for k, (others, weights) in enumerate(clusters):
        if k == c:
            continue
        part = np.array([[2 * (x - (u + v) / 2) * (u - v) for u in own] for v in others])
        h = part.sum(axis=2)
        inner = np.array([log_mean_exp_of(gamma * row, 1, own_weights) / gamma for row in h])
        total[k] = log_mean_exp_of(gamma * inner, -1, weights) / gamma
        to_j = weights * np.exp(-gamma * (inner - inner.min()))
        to_i = own_weights * np.exp(gamma * (h - h.max(axis=1, keepdims=True)))
        pairs[k] = part, h, (to_j / to_j.sum())[:, None] * to_i / to_i.sum(axis=1, keepdims=True)
    h_k = np.array(list(total.values()))
    f, shares = h_k.min(), softmin(beta * h_k)
    relevance = np.zeros(len(x))
    for p, (part, h, share), level in zip(shares, pairs.values(), h_k, strict=True):
        of_pair = share * p * f
        of_pair = of_pair * h / level
        relevance += (part / h[:, :, None] * of_pair[:, :, None]).sum(axis=(0, 1))
    return f, relevance


def shapley(value, n):
    """Brute force over every coalition."""
    scores = np.zeros(n)
    for i in range(n):
        rest = [j for j in range(n) if j != i]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for coalition in combinations(rest, size):
                scores[i] += weight * (value({*coalition, i}) - value(set(coalition)))
    return scores


# ---------------------------------------------------------------------- k-means


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_kmeans_is_its_formula(wine, dtype, offset):
    X = (wine + offset).astype(dtype)
    model = NEON(KMeans(6, n_init=1, random_state=0)).fit(X)
    centres = model.clusterer_.cluster_centers_.astype(np.float64)
    f = np.array([naive_kmeans(x, centres, c, 0.0)[0] for x, c in zip(X, model.labels_, strict=True)])
    assert model.beta_ == pytest.approx(1 / f.mean(), rel=1e-9)
    for x, c, evidence, found in zip(X, model.labels_, model.evidence_, model.sample_importances_, strict=True):
        level, relevance = naive_kmeans(x.astype(np.float64), centres, c, model.beta_)
        assert evidence == pytest.approx(level, abs=1e-8)
        np.testing.assert_allclose(found, relevance, atol=1e-8)


@pytest.mark.parametrize(
    "clusterer",
    [
        KMeans(6, n_init=1, random_state=0),
        MiniBatchKMeans(6, n_init=1, random_state=0),
        BisectingKMeans(6, random_state=0),
        native.KMeans(6, random_state=0),
    ],
    ids=lambda c: type(c).__name__,
)
@pytest.mark.parametrize("beta", [None, 0.0, 1e6])
def test_kmeans_conserves_the_evidence(wine, clusterer, beta):
    model = NEON(clusterer, beta=beta).fit(wine)
    np.testing.assert_allclose(model.sample_importances_.sum(axis=1), model.evidence_, rtol=0, atol=1e-9)
    for cluster in range(6):
        evidence, found = model.evidence(wine, cluster), model.explain(wine, cluster)
        np.testing.assert_allclose(found.sum(axis=1), evidence, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(evidence > 0, model.predict(wine) == cluster)
    assert model.fidelity_ == 1 or isinstance(clusterer, BisectingKMeans)


def test_relevance_is_continuous_inside_a_cluster():
    # Across the line where the nearest competitor changes, where min-take-all would jump.
    centres = np.array([[0.0, 0.0], [4.0, 0.5], [0.5, 4.0]])
    model = NEON(KMeans(3, init=centres, n_init=1)).fit(np.repeat(centres, 2, axis=0))
    a, b = model.explain([[0.9, 0.9 - 1e-9]]), model.explain([[0.9, 0.9 + 1e-9]])
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.isfinite(model.explain([[0.0, 0.0], [2.0, 0.25], [4.0, 0.5]], cluster=0)).all()


def test_a_cluster_that_the_point_is_not_in_is_explained_by_the_formula():
    centres = np.array([[0.0, 0.1], [4.0, 0.1], [2.0, 10.0]])
    X = np.array([[0.0, 0.0], [0.0, 0.2], [4.0, 0.0], [4.0, 0.2], [2.0, 9.9], [2.0, 10.1]])
    model = NEON(reference=[0, 0, 1, 1, 2, 2], model="kmeans").fit(X)
    points = np.array([[1.0, 9.0], [3.0, 8.0], [3.5, 0.1]])
    found, evidence = model.explain(points, cluster=0), model.evidence(points, cluster=0)
    for x, level, relevance in zip(points, evidence, found, strict=True):
        expected_level, expected = naive_kmeans(x, centres, 0, model.beta_)
        assert level == pytest.approx(expected_level)
        np.testing.assert_allclose(relevance, expected, rtol=1e-9)
    # As far from cluster 1, and in cluster 2.
    with pytest.raises(ValueError, match="observation 1 lies in another cluster than the one to explain"):
        model.explain([[1.0, 9.0], [2.0, 9.0]], cluster=0)


@pytest.mark.parametrize("beta", [None, 0.0])
def test_two_clusters_have_shapley_values(beta):
    X, _ = make_blobs(30, n_features=5, centers=2, random_state=0)
    model = NEON(KMeans(2, n_init=1, random_state=0), beta=beta).fit(X)
    centres = model.network_.centres
    middle = centres.mean(axis=0)
    for x, c, relevance in zip(X[:8], model.labels_, model.sample_importances_, strict=False):

        def value(present, x=x, own=centres[c], other=centres[1 - c]):
            z = np.where([i in present for i in range(5)], x, middle)
            return np.square(z - other).sum() - np.square(z - own).sum()

        np.testing.assert_allclose(relevance, shapley(value, 5), rtol=0, atol=1e-10 * np.abs(relevance).max())


def test_beta_0_has_shapley_values_of_the_minimum():
    # Proposition 2: of min(h) with respect to 0, when no competitor counts more than another.
    h = np.array([3.0, 1.5, 2.0, 0.5])
    distances = np.array([[0.0, *h]])
    f, pull = min_take_most(distances, np.array([0]), 0.0)
    expected = shapley(lambda present: h.min() if len(present) == 4 else 0.0, 4)
    np.testing.assert_allclose(pull[0, 1:] * h, expected, atol=1e-12)
    assert f[0] == 0.5


def test_translation_changes_nothing(wine):
    clusterer = KMeans(4, n_init=1, random_state=0)
    labels = clusterer.fit_predict(wine)
    for model in ("kmeans", "kernel_kmeans"):
        here = NEON(model=model, reference=labels, random_state=0).fit(wine)
        there = NEON(model=model, reference=labels, random_state=0).fit(wine + 1000.0)
        np.testing.assert_allclose(here.sample_importances_, there.sample_importances_, atol=1e-6)


# ---------------------------------------------------------------------- kernel k-means


def random_network(rng, sizes, n_features):
    clusters = []
    for n_vectors in sizes:
        weights = rng.dirichlet(np.ones(n_vectors))
        clusters.append((rng.normal(size=(n_vectors, n_features)), weights))
    gamma = float(rng.uniform(0.1, 0.6))
    vectors = np.concatenate([v for v, _ in clusters])
    log_weights = np.log(np.concatenate([w for _, w in clusters]))
    network = KernelKMeansNetwork(vectors, log_weights, np.cumsum([0, *sizes[:-1]]), gamma)
    return network, clusters, gamma


@pytest.mark.parametrize("seed", range(5))
def test_kernel_kmeans_is_the_network_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    network, clusters, gamma = random_network(rng, [3, 1, 4, 2], 5)
    X, beta = rng.normal(size=(20, 5)), 0.3
    own = network.distances(X).argmin(axis=1)
    f, pull = min_take_most(network.distances(X), own, beta)
    found = network.relevance(X, pull)
    for x, c, evidence, relevance in zip(X, own, f, found, strict=True):
        level, expected = naive_kernel(x, clusters, c, gamma, beta)
        assert evidence == pytest.approx(level, abs=1e-10)
        np.testing.assert_allclose(relevance, expected, rtol=0, atol=1e-10)


def test_kernel_kmeans_sums_to_the_evidence_less_the_entropies():
    rng = np.random.default_rng(0)
    network, clusters, gamma = random_network(rng, [3, 4, 2], 4)
    X, beta = rng.normal(size=(20, 4)), 0.5
    own = network.distances(X).argmin(axis=1)
    f, pull = min_take_most(network.distances(X), own, beta)
    total = network.relevance(X, pull).sum(axis=1)
    for x, c, level, found in zip(X, own, f, total, strict=True):
        soft, divergence = [], []
        for vectors, weights in clusters:
            kernel = weights * np.exp(-gamma * np.square(x - vectors).sum(axis=1))
            soft.append(-np.log(kernel.sum()) / gamma)
            gibbs = kernel / kernel.sum()
            divergence.append((gibbs * np.log(gibbs / weights)).sum())
        h = np.delete(np.array(soft) - soft[c], c)
        away = np.delete(np.array(divergence) - divergence[c], c)
        expected = (softmin(beta * h) * level / h * (h - away / gamma)).sum()
        assert found == pytest.approx(expected, abs=1e-10)


def test_one_support_vector_a_cluster_is_kmeans(wine):
    labels = AgglomerativeClustering(4).fit_predict(wine)
    means = NEON(model="kmeans", reference=labels).fit(wine)
    # As sharp a kernel as can be, so that the clusters' weights do not count.
    kernel = NEON(n_support=1, gamma=1e9, reference=labels).fit(wine)
    np.testing.assert_allclose(kernel.evidence_, means.evidence_, atol=1e-6)
    np.testing.assert_allclose(kernel.sample_importances_, means.sample_importances_, atol=1e-5)


@pytest.mark.parametrize(
    "clusterer",
    [
        AgglomerativeClustering(),
        AgglomerativeClustering(linkage="average"),
        SpectralClustering(random_state=0),
        SpectralClustering(affinity="nearest_neighbors", random_state=0),
    ],
    ids=["ward", "average", "spectral", "spectral of neighbours"],
)
@pytest.mark.parametrize("n_clusters", [2, 3, 6])
def test_the_surrogate_reproduces_other_clusterings(wine, clusterer, n_clusters):
    model = NEON(clusterer.set_params(n_clusters=n_clusters), random_state=0).fit(wine)
    assert isinstance(model.network_, KernelKMeansNetwork)
    assert model.fidelity_ >= 0.98
    assert model.fidelity_ == np.mean(model.predict(wine) == model.labels_) == np.mean(model.evidence_ > 0)
    assert np.isfinite(model.sample_importances_).all()


@pytest.mark.parametrize("gamma", [1e-6, 1e-2, 1.0, 1e6])
def test_the_surrogate_takes_any_gamma(wine, gamma):
    model = NEON(AgglomerativeClustering(3), gamma=gamma, random_state=0).fit(wine)
    assert model.network_.gamma == gamma
    assert model.fidelity_ > 0.95


def test_the_surrogate_finds_what_made_the_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 12))
    ring = np.hypot(X[:, 3], X[:, 8]) > np.sqrt(np.log(4))
    X[ring, 3] *= 2.5
    X[ring, 8] *= 2.5
    model = NEON(reference=np.where(ring, "out", "in"), random_state=0).fit(X)
    assert sorted(model.ranking_.argsort()[:2]) == [3, 8]
    assert list(model.classes_) == ["in", "out"]


# ---------------------------------------------------------------------- soft assignments


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_propositions_6_and_7(threshold):
    rng = np.random.default_rng(0)
    mu, A = rng.normal(size=(4, 3)), rng.normal(size=(25, 3))
    logits = A @ mu.T
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for c in range(4):
        own = np.full(25, c)
        rest = np.delete(p, c, axis=1)
        relative, _ = min_take_most(-logits, own, 1.0)
        np.testing.assert_allclose(relative, np.log(p[:, c] / rest.max(axis=1)), atol=1e-10)
        absolute, _ = log_mean_exp(-logits, own, threshold)
        offset = np.log((1 - threshold) / threshold)
        np.testing.assert_allclose(absolute, np.log(p[:, c] / (1 - p[:, c])) + offset, atol=1e-10)
        np.testing.assert_array_equal(relative > 0, p.argmax(axis=1) == c)
        np.testing.assert_array_equal(absolute > 0, p[:, c] > threshold)


# ---------------------------------------------------------------------- the estimator


def test_means_errors_and_noise(wine):
    labels = KMeans(3, n_init=1, random_state=0).fit_predict(wine)
    labels[::10] = -1
    model = NEON(reference=labels, random_state=0).fit(wine)
    assert np.isnan(model.sample_importances_[::10]).all()
    assert np.isnan(model.evidence_[::10]).all()
    kept = labels >= 0
    samples = model.sample_importances_
    np.testing.assert_allclose(model.feature_importances_, samples[kept].mean(axis=0))
    np.testing.assert_allclose(model.standard_errors_, samples[kept].std(axis=0, ddof=1) / np.sqrt(kept.sum()))
    for k in range(3):
        np.testing.assert_allclose(model.cluster_importances_[k], samples[labels == k].mean(axis=0))
    assert model.confidence_interval().shape == (13, 2)
    with pytest.raises(ValueError, match="NEON has no p-values"):
        model.pvalues()


def test_names_of_clusters_and_features(wine):
    data = load_wine(as_frame=True)
    X = pd.DataFrame(wine, columns=data.data.columns)
    model = NEON(reference=data.target_names[data.target], random_state=0).fit(X)
    assert model.to_frame()["feature"][0] in X.columns
    assert list(model.network_labels_) == ["class_0", "class_1", "class_2"]
    assert (model.evidence(X[:5], cluster="class_0") > 0).all()
    with pytest.raises(
        ValueError, match=r"cluster must be one of \['class_0', 'class_1', 'class_2'\], got 'class_9'"
    ):
        model.explain(X, cluster="class_9")
    with pytest.raises(ValueError, match="cluster must be one of"):
        model.explain(X, cluster=["class_0", "class_1"])


def test_clusters_that_nobody_is_in_still_compete():
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 1e3]])
    X = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [5.0, 0.0]])

    class Frozen(KMeans):
        def fit_predict(self, X, y=None):
            self.cluster_centers_ = centres
            return np.square(X[:, None] - centres).sum(axis=2).argmin(axis=1)

    model = NEON(Frozen(3)).fit(X)
    assert list(model.classes_) == [0, 1]
    assert list(model.network_labels_) == [0, 1, 2]
    assert model.cluster_importances_.shape == (2, 2)
    assert (model.evidence(X, cluster=2) < 0).all()


def test_a_poor_surrogate_is_said():
    X = np.random.default_rng(0).normal(size=(200, 3))
    labels = np.random.default_rng(1).integers(0, 2, 200)
    with pytest.warns(UserWarning, match="% of the observations into the cluster that they are labelled with"):
        model = NEON(reference=labels, n_support=2, beta=1.0, random_state=0).fit(X)
    assert model.fidelity_ < 0.9


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": "gmm"}, "model must be one of 'auto', 'kmeans', 'kernel_kmeans', 'soft', got 'gmm'"),
        ({"model": "soft"}, "it needs layers"),
        ({"n_support": 0}, "n_support must be at least 1"),
        ({"gamma": 0}, "gamma must be above 0"),
        ({"beta": -1.0}, "beta must be finite and at least 0"),
        ({"threshold": 0.5}, "threshold is for soft assignments"),
        ({"threshold": 0.5, "beta": 1.0, "layers": [(np.eye(3), np.zeros(3), "identity")]}, "beta is of a minimum"),
        ({"layers": [(np.eye(3), np.zeros(3), ["relu"])]}, "layer 0 must have one of the activations"),
        ({"threshold": 1.5}, "threshold must lie strictly between 0 and 1"),
        ({"lrp_gamma": -1}, "lrp_gamma"),
        ({"lrp_epsilon": np.inf}, "lrp_epsilon"),
        ({"layers": [(np.eye(5), np.zeros(5))]}, "layers take 5 features, but X has 3"),
        ({"layers": [(np.eye(3), np.zeros(3))]}, "layers must end in logits or in a softmax"),
        ({"layers": [(np.ones((3, 1)), np.zeros(1), "identity")]}, "got 1 cluster"),
        ({"reference": "overlap"}, "reference must be 'full'"),
        ({"clusterer": KMeans(2), "n_features_to_select": 0}, "n_features_to_select must be at least 1"),
    ],
)
def test_parameters_that_it_cannot_take(params, message):
    with pytest.raises(ValueError, match=message):
        NEON(**params).fit(np.random.default_rng(0).normal(size=(20, 3)))


def test_one_cluster_and_equal_clusters_have_no_evidence():
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.warns(UserWarning, match="only one cluster"), pytest.raises(ValueError, match="got 1 cluster"):
        NEON(reference=np.zeros(20, dtype=int)).fit(X)
    for model in ("kmeans", "kernel_kmeans"):
        with pytest.raises(ValueError, match="the mean evidence f is 0"):
            NEON(model=model, reference=np.arange(20) % 2).fit(np.ones((20, 3)))
    with pytest.warns(UserWarning, match="puts only 50%"):
        fitted = NEON(model="kmeans", beta=1.0, reference=np.arange(20) % 2).fit(np.ones((20, 3)))
    assert (fitted.sample_importances_ == 0).all()


def test_new_data_must_have_the_features(wine):
    model = NEON(KMeans(3, n_init=1, random_state=0)).fit(wine)
    with pytest.raises(ValueError, match="13 features"):
        model.explain(wine[:, :5])
    np.testing.assert_array_equal(model.explain(wine), model.sample_importances_)


def test_blocks_and_threads_do_not_matter(wine):
    X = np.tile(wine, (13, 1)) + 0.3 * np.random.default_rng(0).normal(size=(13 * len(wine), 13))
    labels = np.tile(AgglomerativeClustering(4).fit_predict(wine), 13)
    model = NEON(reference=labels, random_state=0).fit(X)
    with threadpool_limits(1):
        again = NEON(reference=labels, random_state=0).fit(X)
    np.testing.assert_array_equal(model.sample_importances_, again.sample_importances_)
    np.testing.assert_allclose(model.explain(X[2040:2060]), model.explain(X)[2040:2060], atol=1e-10)


@pytest.mark.parametrize("clusterer", [KMeans(4, n_init=1, random_state=0), AgglomerativeClustering(4)])
def test_the_scaling_of_a_pipeline_is_the_networks(wine, clusterer):
    raw = load_wine().data
    model = NEON(make_pipeline(StandardScaler(), "passthrough", clusterer), random_state=0).fit(raw)
    scaled = NEON(clusterer, random_state=0).fit(wine)
    np.testing.assert_allclose(model.sample_importances_, scaled.sample_importances_, atol=1e-8)
    np.testing.assert_allclose(model.explain(raw), scaled.explain(wine), atol=1e-8)
    assert model.fidelity_ == 1


def test_other_pipelines_have_a_surrogate(wine):
    model = NEON(make_pipeline(PCA(5, random_state=0), KMeans(4, n_init=1, random_state=0)), random_state=0).fit(wine)
    assert isinstance(model.network_, KernelKMeansNetwork)
    assert model.network_.vectors.shape[1] == 13
    assert model.fidelity_ > 0.98


def test_an_observation_that_cannot_be_explained_is_named_by_its_row():
    means = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    X = np.concatenate([np.repeat(means, 1000, axis=0), [[3.0, 3.0]]])
    model = NEON(KMeans(3, init=means, n_init=1)).fit(X[:-1])
    with pytest.raises(ValueError, match=r"observation 2500 lies in another cluster .*; explain the cluster that"):
        # Nearest to the first, and as near to the second as to the third.
        model.explain(np.concatenate([X[1000:3000], X[1000:1500], [[1.0, 1.0]]]), cluster=1)
    labels = np.concatenate([[-1] * 7, np.repeat([0, 1, 2], 2), [1]])
    rows = np.concatenate([np.zeros((7, 2)), np.repeat(means, 2, axis=0), [[1.0, 1.0]]])
    # So that the second mean stays where it is.
    rows[9:11] += [1.5, -0.5]
    with pytest.raises(ValueError, match=r"observation 13 lies in another .*; leave it out, or label it -1, or use"):
        NEON(reference=labels, model="kmeans").fit(rows)


def test_what_comes_after_a_scaling_leaves_it_the_networks(wine):
    raw = load_wine().data
    model = NEON(make_pipeline(StandardScaler(), PCA(5, random_state=0), KMeans(4, n_init=1, random_state=0)))
    model.set_params(random_state=0).fit(raw)
    assert len(model.scaling_) == 1
    assert isinstance(model.network_, KernelKMeansNetwork)
    assert model.fidelity_ > 0.98
    np.testing.assert_allclose(
        model.sample_importances_,
        NEON(reference=model.labels_, random_state=0).fit(wine).sample_importances_,
        atol=1e-8,
    )
    with pytest.warns(UserWarning, match=r"standardize the features, or try more support vectors \(n_support\)"):
        NEON(reference=load_wine().target, random_state=0).fit(raw)


def test_a_deep_clustering_says_where_its_layers_are():
    model = InterpretableDeepClustering(2)
    with pytest.raises(
        TypeError, match=r"InterpretableDeepClustering has its layers in encoder_layers_, .* gate\(X\)"
    ):
        read_layers(model)
