"""Shapley values of fuzzy c-means memberships against their definition, and the laws that define them."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from clusterwhy import _core
from clusterwhy.comparators import FuzzyCMeans, FuzzyCMeansSHAP
from clusterwhy.comparators._fuzzy_c_means import memberships
from clusterwhy.comparators._fuzzy_c_means_shap import draw_coalitions


def naive_membership(x, centers, own, fuzziness):
    d = np.sqrt(((x - centers) ** 2).sum(axis=1))
    if d.min() == 0:
        return (d[own] == 0) / (d == 0).sum()
    u = d ** (-2 / (fuzziness - 1))
    return u[own] / u.sum()


def naive_shapley(x, centers, own, fuzziness, baseline):
    """Average what each feature brings over all orders."""
    m = len(x)
    phi, orders = np.zeros(m), list(permutations(range(m)))
    for order in orders:
        point = baseline.copy()
        for j in order:
            before = naive_membership(point, centers, own, fuzziness)
            point[j] = x[j]
            phi[j] += naive_membership(point, centers, own, fuzziness) - before
    return phi / len(orders)


def problem(seed=0, n=30, m=5, k=3, noise=False):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, m)) + 2 * rng.normal(size=(k, m))[np.arange(n) % k]
    labels = np.arange(n) % k
    if noise:
        labels[::7] = -1
    return X, labels


@pytest.mark.parametrize("fuzziness", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_values_are_the_mean_over_all_orders(fuzziness, dtype):
    X, labels = problem(noise=True)
    X = X.astype(dtype)
    model = FuzzyCMeansSHAP(reference=labels, fuzziness=fuzziness).fit(X)
    X = X.astype(np.float64)
    centers = np.array([X[labels == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(model.cluster_centers_, centers)
    assert model.method_ == "exact"
    for i, own in enumerate(labels):
        if own < 0:
            assert np.isnan(model.sample_importances_[i]).all()
            assert np.isnan(model.base_values_[i])
            continue
        expected = naive_shapley(X[i], centers, own, fuzziness, X.mean(axis=0))
        np.testing.assert_allclose(model.sample_importances_[i], expected, atol=1e-12)
    absolute = np.abs(model.sample_importances_)
    clusters = np.array([absolute[labels == k].mean(axis=0) for k in range(3)])
    sizes = np.bincount(labels[labels >= 0])
    np.testing.assert_allclose(model.cluster_importances_, clusters)
    np.testing.assert_allclose(model.feature_importances_, sizes @ clusters / sizes.sum())
    np.testing.assert_array_equal(model.monte_carlo_errors_, 0)


@pytest.mark.parametrize("k", [2, 8, 9, 17])
def test_more_clusters_than_fit_a_vector(k):
    X, labels = problem(n=40, m=4, k=k)
    model = FuzzyCMeansSHAP(reference=labels, n_jobs=2).fit(X)
    centers = model.cluster_centers_
    for i in (0, 5, k - 1):
        expected = naive_shapley(X[i], centers, labels[i], 2.0, X.mean(axis=0))
        np.testing.assert_allclose(model.sample_importances_[i], expected, atol=1e-12)


@pytest.mark.parametrize("settings", [{"method": "exact"}, {"method": "permutation"}, {"method": "kernel"}])
@pytest.mark.parametrize("m", [6, 15])
def test_laws(settings, m):
    X, labels = problem(seed=1, m=m)
    # Two features that are the same, and one that is as it is in the baseline.
    X[:, 1] = X[:, 0]
    X[:, 2] = 3.25
    coalitions = {"n_coalitions": 600} if settings["method"] == "kernel" else {}
    model = FuzzyCMeansSHAP(reference=labels, random_state=0, **settings, **coalitions).fit(X)
    phi = model.sample_importances_
    full = [naive_membership(x, model.cluster_centers_, own, 2.0) for x, own in zip(X, labels, strict=True)]
    empty = [naive_membership(X.mean(axis=0), model.cluster_centers_, own, 2.0) for own in labels]
    # Efficiency.
    np.testing.assert_allclose(model.base_values_, empty, atol=1e-12)
    np.testing.assert_allclose(phi.sum(axis=1), np.subtract(full, empty), atol=1e-9)
    if model.method_ == "permutation":
        np.testing.assert_allclose(phi[:, 2], 0, atol=1e-12)
    if model.method_ == "exact" or m == 6:
        # Dummy and symmetry, which random coalitions keep on average alone.
        np.testing.assert_allclose(phi[:, 2], 0, atol=1e-9)
        if model.method_ != "permutation":
            np.testing.assert_allclose(phi[:, 0], phi[:, 1], atol=1e-9)


def test_the_kernel_of_all_coalitions_is_exact():
    for m in (2, 3, 7, 11):
        X, labels = problem(m=m, noise=True)
        exact = FuzzyCMeansSHAP(reference=labels, method="exact").fit(X)
        kernel = FuzzyCMeansSHAP(reference=labels, method="kernel").fit(X)
        np.testing.assert_allclose(kernel.sample_importances_, exact.sample_importances_, atol=1e-9)
        assert not hasattr(kernel, "monte_carlo_errors_")


@pytest.mark.parametrize(("method", "bound"), [("permutation", 1e-3), ("kernel", 1e-3)])
def test_sampled_values_approach_the_exact_ones(method, bound, monkeypatch):
    X, labels = problem(m=12)
    exact = FuzzyCMeansSHAP(reference=labels, method="exact").fit(X).sample_importances_
    monkeypatch.setattr("clusterwhy.comparators._fuzzy_c_means_shap.KERNEL_BYTES", 200_000)
    errors = []
    for size in (10, 160):
        settings = {"n_permutations": size, "n_coalitions": 8 * size}
        model = FuzzyCMeansSHAP(reference=labels, method=method, random_state=0, **settings).fit(X)
        errors.append(np.sqrt(np.square(model.sample_importances_ - exact).mean()))
    assert errors[1] < bound
    # Sixteen times the draws: a quarter of the error.
    assert errors[1] < errors[0] / 2


def test_the_monte_carlo_error_is_the_spread_over_seeds():
    X, labels = problem(m=9, n=60)
    fits = [
        FuzzyCMeansSHAP(reference=labels, method="permutation", n_permutations=8, random_state=seed).fit(X)
        for seed in range(60)
    ]
    spread = np.std([fit.feature_importances_ for fit in fits], axis=0, ddof=1)
    said = np.mean([fit.monte_carlo_errors_ for fit in fits], axis=0)
    assert (said > 0.6 * spread).all()
    assert (said < 1.7 * spread).all()
    assert np.isnan(fits[0].set_params(n_permutations=1).fit(X).monte_carlo_errors_).all()


def test_threads_change_no_bit_and_observations_draw_for_themselves():
    X, labels = problem(m=20)
    model = FuzzyCMeansSHAP(reference=labels, random_state=4).fit(X)
    assert model.method_ == "permutation"
    again = FuzzyCMeansSHAP(reference=labels, random_state=4, n_jobs=3).fit(X)
    np.testing.assert_array_equal(model.sample_importances_, again.sample_importances_)
    args = (model.cluster_centers_, X.mean(axis=0))
    few, _ = _core.permutation_shapley(X[:4], *args, labels[:4].astype(np.int32), 1.0, 10, 4, 1)
    np.testing.assert_array_equal(few, model.sample_importances_[:4])


def test_centres_are_the_clusterers_where_its_labels_number_them():
    X, _ = make_blobs(60, n_features=3, centers=3, random_state=0)
    stopped = KMeans(3, n_init=1, max_iter=1, random_state=0)
    model = FuzzyCMeansSHAP(stopped).fit(X)
    np.testing.assert_allclose(model.cluster_centers_, stopped.fit(X).cluster_centers_)
    model = FuzzyCMeansSHAP(AgglomerativeClustering(3)).fit(X)
    expected = [X[model.labels_ == k].mean(axis=0) for k in model.classes_]
    np.testing.assert_allclose(model.cluster_centers_, expected)


def test_a_centre_that_nobody_is_nearest_to_has_its_share():
    X = np.repeat([[0.0, 0.0, 1.0], [3.0, 1.0, 0.0]], 20, axis=0)
    clusterer = FuzzyCMeans(3, random_state=0).fit(X)
    assert len(np.unique(clusterer.labels_)) == 2
    for method in ("exact", "permutation", "kernel"):
        model = FuzzyCMeansSHAP(clusterer, method=method, random_state=0).fit(X)
        assert model.cluster_centers_.shape == (3, 3)
        assert model.cluster_importances_.shape == (2, 3)
        own = model.base_values_ + model.sample_importances_.sum(axis=1)
        fitted = model.clusterer_
        np.testing.assert_allclose(own, fitted.memberships_[np.arange(40), fitted.labels_], atol=1e-9)


@pytest.mark.parametrize(
    "clusterer", [FuzzyCMeans(3, random_state=0), AgglomerativeClustering(3)], ids=["fcm", "ward"]
)
@pytest.mark.parametrize("baseline", [None, [1.0, 2.0, 30.0, 0.0]], ids=["mean", "own"])
def test_the_scaling_of_a_pipeline_is_that_of_the_memberships(clusterer, baseline):
    X, _ = make_blobs(60, n_features=4, centers=3, random_state=0)
    X = X * [1, 10, 100, 0.1]
    scaler = StandardScaler().fit(X)
    scaled = None if baseline is None else scaler.transform([baseline])[0]
    expected = FuzzyCMeansSHAP(clusterer, baseline=scaled).fit(scaler.transform(X))
    found = FuzzyCMeansSHAP(make_pipeline(StandardScaler(), clusterer), baseline=baseline).fit(X)
    np.testing.assert_allclose(found.sample_importances_, expected.sample_importances_, atol=1e-9)
    np.testing.assert_allclose(found.cluster_centers_, expected.cluster_centers_, atol=1e-9)
    frames = make_pipeline(StandardScaler(), clusterer).set_output(transform="pandas")
    again = FuzzyCMeansSHAP(frames, baseline=baseline).fit(X)
    np.testing.assert_allclose(again.sample_importances_, expected.sample_importances_, atol=1e-9)
    # What mixes features leaves none to score: the memberships are those of the data's own means.
    for mixing in (PCA(3), Normalizer()):
        mixed = FuzzyCMeansSHAP(make_pipeline(mixing, clusterer)).fit(X)
        assert mixed.scaling_ is None
        assert mixed.cluster_centers_.shape == (len(mixed.classes_), 4)


def test_coalitions_follow_the_shapley_kernel():
    m = 30
    sets, weights = draw_coalitions(m, 20_000, 0)
    assert sets.shape == (20_000, m)
    assert (weights == 1).all()
    np.testing.assert_array_equal(sets[:10_000], ~sets[10_000:])
    sizes = np.arange(1, m)
    kernel = 1 / (sizes * (m - sizes))
    found = np.bincount(sets.sum(axis=1), minlength=m)[1:m]
    np.testing.assert_allclose(found / 20_000, kernel / kernel.sum(), atol=1e-4)
    # Within a size, all features alike: 5 standard deviations.
    share = sets[:10_000].mean(axis=0)
    assert abs(share - share.mean()).max() < 5 * 0.5 / 100


def test_a_baseline_of_ones_own():
    X, labels = problem(m=4)
    baseline = np.array([0.5, -1.0, 2.0, 0.0])
    model = FuzzyCMeansSHAP(reference=labels, baseline=baseline.tolist()).fit(X)
    # In another order, which the names tell.
    named = pd.Series(baseline, index=[*"abcd"])[["c", "a", "d", "b"]]
    same = FuzzyCMeansSHAP(reference=labels, baseline=named).fit(pd.DataFrame(X, columns=[*"abcd"]))
    np.testing.assert_array_equal(same.sample_importances_, model.sample_importances_)
    with pytest.raises(
        ValueError, match="baseline must name the same features, a, b, c, d, each once, got c, z, d, b"
    ):
        same.set_params(baseline=named.rename({"a": "z"})).fit(pd.DataFrame(X, columns=[*"abcd"]))
    expected = naive_shapley(X[3], model.cluster_centers_, labels[3], 2.0, baseline)
    np.testing.assert_allclose(model.sample_importances_[3], expected, atol=1e-12)


def test_shap_gets_additive_values():
    X, labels = problem(m=4, noise=True)
    model = FuzzyCMeansSHAP(reference=labels).fit(X)
    explanation = model.to_shap(X)
    known = labels >= 0
    full = [naive_membership(X[i], model.cluster_centers_, labels[i], 2.0) for i in np.flatnonzero(known)]
    np.testing.assert_allclose((explanation.values.sum(axis=1) + explanation.base_values)[known], full)
    np.testing.assert_allclose(explanation.values[~known], 0)


# ------------------------------------------------------------------------------------- the clusterer


@pytest.mark.parametrize("fuzziness", [1.3, 2.0, 3.0])
def test_memberships_are_their_formula(fuzziness):
    rng = np.random.default_rng(0)
    X, centers = rng.normal(size=(10, 3)), rng.normal(size=(4, 3))
    X[0] = centers[2]
    squared = ((X[:, None] - centers) ** 2).sum(axis=2)
    expected = [[naive_membership(x, centers, k, fuzziness) for k in range(4)] for x in X]
    np.testing.assert_allclose(memberships(squared, fuzziness), expected, atol=1e-12)
    np.testing.assert_array_equal(memberships(np.array([[0.0, 0.0, 4.0]]), fuzziness), [[0.5, 0.5, 0]])


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_fuzzy_c_means_is_at_a_fixed_point(offset):
    X, y = make_blobs(200, n_features=3, centers=4, random_state=3)
    X = X + offset
    model = FuzzyCMeans(4, random_state=0, tol=1e-20, max_iter=1000).fit(X)
    u = np.array([[naive_membership(x, model.cluster_centers_, k, 2.0) for k in range(4)] for x in X])
    np.testing.assert_allclose(model.memberships_, u, atol=1e-6)
    centers = (u**2).T @ (X - offset) / (u**2).sum(axis=0)[:, None]
    np.testing.assert_allclose(model.cluster_centers_ - offset, centers, atol=1e-6)
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    # Each cluster is one blob.
    assert len({(a, b) for a, b in zip(model.labels_, y, strict=True)}) == 4


def test_fuzzy_c_means_lowers_its_objective_and_says_when_it_is_not_done():
    X = np.random.default_rng(0).normal(size=(100, 4))

    def objective(turns):
        with pytest.warns(UserWarning, match="had not converged after max_iter"):
            model = FuzzyCMeans(3, random_state=0, max_iter=turns, tol=0).fit(X)
        squared = ((X[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
        assert model.n_iter_ == turns
        return (model.memberships_**2 * squared).sum()

    values = [objective(turns) for turns in (1, 2, 3, 5, 8)]
    assert (np.diff(values) < 0).all()


def test_fuzzy_c_means_with_more_centres_than_places():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0)
    model = FuzzyCMeans(3, random_state=0).fit(X)
    assert np.isfinite(model.cluster_centers_).all()
    np.testing.assert_allclose(model.memberships_.sum(axis=1), 1)
    shap = FuzzyCMeansSHAP(FuzzyCMeans(3, random_state=0)).fit(X)
    assert np.isfinite(shap.feature_importances_).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_fuzzy_c_means_passes_the_checks_of_clusterers():
    for estimator, check in estimator_checks_generator(FuzzyCMeans(random_state=0), mark=None):
        function = check
        while hasattr(function, "func"):
            function = function.func
        if "array_api" not in function.__name__:
            check(estimator)


def test_memberships_that_say_nothing_are_told():
    X = np.random.default_rng(0).normal(size=(100, 30))
    with pytest.warns(UserWarning, match=r"no more than their equal shares, 1 / 3: the centres meet"):
        FuzzyCMeansSHAP(FuzzyCMeans(3, random_state=0), random_state=0).fit(X)
