"""The simulators draw from the distributions that they promise."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import KDTree
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score

from clusterwhy.datasets import (
    GammaMixture,
    _arcs,
    _difficulty,
    _gamma,
    _gaussian,
    make_gamma_mixture,
    make_gaussian_mixture,
    make_interlaced_moons,
    make_local_features,
    make_moons_circles,
    onion_correlation,
)
from clusterwhy.datasets._embedding import orthonormal_map

MIXTURES = [make_gaussian_mixture, make_gamma_mixture, make_moons_circles]
ALL = [*MIXTURES, make_interlaced_moons]

# Chosen once; a right distribution fails a test at this level one time in a thousand seeds.
LEVEL = 1e-3


def clusters_of(X, y):
    return [X[y == k] for k in range(y.max() + 1)]


# --- onion correlations


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_onion_gives_correlation_matrices(d):
    R = onion_correlation(d, random_state=0)
    assert R.shape == (d, d)
    assert R.dtype == np.float64
    assert (np.diag(R) == 1).all()
    assert (R == R.T).all()
    assert np.linalg.eigvalsh(R).min() > 0


@pytest.mark.parametrize(("d", "eta"), [(2, 1.0), (3, 0.5), (5, 1.0), (5, 4.0)])
def test_every_onion_correlation_has_the_same_beta_margin(d, eta):
    rng = np.random.RandomState(7)
    draws = np.array([onion_correlation(d, eta=eta, random_state=rng) for _ in range(1500)])
    shape = eta - 1 + d / 2
    for i, j in zip(*np.tril_indices(d, -1), strict=True):
        margin = (draws[:, i, j] + 1) / 2
        assert stats.kstest(margin, stats.beta(shape, shape).cdf).pvalue > LEVEL, (i, j)


def test_onion_density_is_a_power_of_the_determinant():
    # For eta = 1 the density is uniform over all correlation matrices: the same by rejection from the cube.
    rng = np.random.RandomState(3)
    onion = [np.linalg.det(onion_correlation(3, random_state=rng)) for _ in range(3000)]
    a, b, c = rng.uniform(-1, 1, size=(3, 12000))
    determinants = 1 + 2 * a * b * c - a**2 - b**2 - c**2
    assert stats.ks_2samp(onion, determinants[determinants > 0]).pvalue > LEVEL


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_features": 0}, ValueError, "n_features must be at least 1, got 0"),
        ({"n_features": 2.5}, TypeError, "n_features must be an integer"),
        ({"n_features": True}, TypeError, "n_features must be an integer"),
        ({"n_features": 3, "eta": 0}, ValueError, "eta must be above 0"),
        ({"n_features": 3, "eta": np.inf}, ValueError, "eta must be above 0 and finite"),
        ({"n_features": 3, "eta": "1"}, TypeError, "eta must be a number"),
    ],
)
def test_onion_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        onion_correlation(**arguments)


# --- what all simulators share


@pytest.mark.parametrize("make", ALL)
def test_shapes_and_dtypes(make):
    X, y, signal = make(91, n_noise=4, random_state=0)
    n_signal = 3 if make is make_interlaced_moons else 10
    assert X.shape == (91, n_signal + 4)
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    assert y.shape == (91,)
    assert y.dtype == np.int64
    assert signal.dtype == np.int64
    assert signal.tolist() == list(range(n_signal))
    counts = np.bincount(y)
    assert counts.size == (3 if make is make_interlaced_moons else 7)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("make", ALL)
def test_a_seed_is_a_data_set_and_the_global_generator_is_left_alone(make):
    state = np.random.get_state()[1].copy()
    first, again, other = make(60, random_state=5), make(60, random_state=5), make(60, random_state=6)
    generator = make(60, random_state=np.random.RandomState(5))
    for a, b, c in zip(first, again, generator, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize("make", ALL)
def test_signal_does_not_depend_on_the_number_of_noise_features(make):
    few, y_few, signal = make(60, n_noise=2, random_state=1)
    many, y_many, _ = make(60, n_noise=9, random_state=1)
    none, _, _ = make(60, n_noise=0, random_state=1)
    np.testing.assert_array_equal(y_few, y_many)
    np.testing.assert_array_equal(few, many[:, : few.shape[1]])
    np.testing.assert_array_equal(none, few[:, signal])


@pytest.mark.parametrize("make", ALL)
def test_shuffle_and_cluster_sizes(make):
    sizes = [5, 9, 2]
    arguments = {} if make is make_interlaced_moons else {"n_clusters": 3}
    _, y, _ = make(sizes, shuffle=False, random_state=0, **arguments)
    assert y.tolist() == [0] * 5 + [1] * 9 + [2] * 2
    _, shuffled, _ = make(np.array(sizes), random_state=0, **arguments)
    assert np.bincount(shuffled).tolist() == sizes
    assert shuffled.tolist() != y.tolist()


@pytest.mark.parametrize("make", MIXTURES)
def test_shuffled_features_are_where_signal_says(make):
    X, _, signal = make(50, 2, n_noise=15, random_state=3)
    mixed, _, moved = make(50, 2, n_noise=15, random_state=3, shuffle_features=True)
    assert moved.tolist() != signal.tolist()
    assert (np.diff(moved) > 0).all()
    assert {tuple(c) for c in mixed[:, moved].T} == {tuple(c) for c in X[:, signal].T}
    assert {tuple(c) for c in mixed.T} == {tuple(c) for c in X.T}


@pytest.mark.parametrize("make", MIXTURES)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_samples": 1}, ValueError, "n_samples must be at least 2, got 1"),
        ({"n_samples": [3, 0]}, ValueError, r"n_samples\[1\] must be at least 1"),
        ({"n_samples": [3]}, ValueError, "sizes of 1 clusters, but there are 2"),
        ({"n_samples": "10"}, TypeError, "n_samples must be an integer"),
        ({"n_clusters": 0}, ValueError, "n_clusters must be at least 1"),
        ({"n_signal": 0}, ValueError, "n_signal must be at least"),
        ({"n_noise": -1}, ValueError, "n_noise must be at least 0"),
        ({"n_noise": 1.0}, TypeError, "n_noise must be an integer"),
        ({"difficulty": "medium"}, ValueError, "difficulty must be one of 'easy', 'hard', None"),
        ({"difficulty": None}, ValueError, "difficulty=None needs a value for separation"),
        ({"separation": -1}, ValueError, "separation must be finite and at least 0"),
        ({"separation": np.nan}, ValueError, "separation must be finite"),
        ({"embedding": "random"}, ValueError, "embedding must be one of 'shared', 'label_aware', None"),
        ({"noise": "pink"}, ValueError, "noise must be 'mixed' or name kinds among gaussian"),
        ({"noise": ()}, ValueError, "noise must be"),
        ({"noise": 3}, TypeError, "noise must be a kind"),
        ({"noise_scale": "huge"}, ValueError, "noise_scale must be 'within', 'total' or a number"),
        ({"noise_scale": 0}, ValueError, "noise_scale must be above 0"),
    ],
)
def test_mixtures_refuse(make, arguments, error, message):
    with pytest.raises(error, match=message):
        make(**{"n_samples": 20, "n_clusters": 2, "random_state": 0, **arguments})


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (make_gaussian_mixture, {"eta": 0}, "eta must be above 0"),
        (make_gamma_mixture, {"eta": -1}, "eta must be above 0"),
        (make_gaussian_mixture, {"latent_dim": 11}, "does not fit in n_signal=10"),
        (make_gamma_mixture, {"latent_dim": 4}, "embedding=None needs latent_dim == n_signal, got 4 and 10"),
        (make_gamma_mixture, {"shape_range": (3, 1)}, "low <= high"),
        (make_gamma_mixture, {"shape_range": (0, 1)}, r"shape_range\[0\] must be above 0"),
        (make_gamma_mixture, {"shape_range": 2}, "must be a pair"),
        (make_moons_circles, {"radius_range": (1, 2, 3)}, "must be a pair"),
        (make_moons_circles, {"max_overlap": 1.1}, r"max_overlap must be"),
        (make_moons_circles, {"circle_probability": -0.1}, "circle_probability must be"),
        (make_moons_circles, {"jitter": -1}, "jitter must be finite and at least 0"),
        (make_moons_circles, {"embedding": None}, "n_signal=10"),
        (make_interlaced_moons, {"reading": "mine"}, "reading must be one of"),
        (make_interlaced_moons, {"jitter": -1}, "jitter must be finite and at least 0"),
        (make_interlaced_moons, {"n_noise": -1}, "n_noise must be at least 0"),
    ],
)
def test_particular_options_are_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(30, **arguments)


# --- noise


UNIT = {
    "gaussian": stats.norm(),
    "gamma": stats.gamma(1),
    "student_t": stats.t(5, scale=np.sqrt(3 / 5)),
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
    "triangular": stats.triang(0.5, loc=-np.sqrt(6), scale=2 * np.sqrt(6)),
    "laplace": stats.laplace(scale=1 / np.sqrt(2)),
}


@pytest.mark.parametrize("kind", UNIT)
def test_noise_has_the_margin_and_the_standard_deviation_asked_for(kind):
    assert UNIT[kind].std() == pytest.approx(1)
    X, y, signal = make_gaussian_mixture(4000, 2, n_noise=3, noise=kind, noise_scale=2.5, random_state=1)
    for column in X[:, signal.size :].T:
        assert stats.kstest(column / 2.5, UNIT[kind].cdf).pvalue > LEVEL
        assert stats.ks_2samp(column[y == 0], column[y == 1]).pvalue > LEVEL


def test_mixed_noise_takes_the_six_distributions_in_turn():
    X, _, signal = make_gaussian_mixture(3000, 2, n_noise=12, noise="mixed", noise_scale=1.0, random_state=2)
    for j, column in enumerate(X[:, signal.size :].T):
        assert stats.kstest(column, list(UNIT.values())[j % 6].cdf).pvalue > LEVEL


def test_permuted_noise_holds_the_values_of_signal_features():
    X, y, _ = make_gaussian_mixture(
        500, 2, n_signal=3, n_noise=8, noise=("permuted", "uniform"), separation=6.0, random_state=0
    )
    noise = X[:, 3:]
    for t, j in enumerate(range(0, 8, 2)):
        np.testing.assert_array_equal(np.sort(noise[:, j]), np.sort(X[:, t % 3]))
        assert not np.array_equal(noise[:, j], X[:, t % 3])
        assert abs(noise[y == 0, j].mean() - noise[y == 1, j].mean()) < 0.25 * noise[:, j].std() * 2
    for j in range(1, 8, 2):
        assert abs(noise[:, j]).max() <= np.sqrt(3) * 1.2


def test_noise_scale_matches_the_signal_within_clusters_or_in_all():
    sizes = {"n_samples": 20_000, "n_clusters": 2, "n_noise": 2, "separation": 3.0, "random_state": 4}
    X, y, signal = make_gaussian_mixture(noise_scale="within", **sizes)
    assert X[:, 10:].std() == pytest.approx(1.0, rel=0.02)
    within = np.sqrt(np.mean([cluster[:, signal].var(axis=0) for cluster in clusters_of(X, y)]))
    assert X[:, 10:].std() == pytest.approx(within, rel=0.02)
    total, _, _ = make_gaussian_mixture(noise_scale="total", **sizes)
    expected = np.sqrt(total[:, :10].var(axis=0).mean())
    assert expected > 1.3
    assert total[:, 10:].std() == pytest.approx(expected, rel=0.02)


# --- embeddings


@pytest.mark.parametrize(("n_signal", "latent_dim"), [(10, 2), (5, 5), (3, 1)])
def test_embedding_is_orthonormal_and_uniform(n_signal, latent_dim):
    rng = np.random.RandomState(0)
    maps = np.array([orthonormal_map(n_signal, latent_dim, rng) for _ in range(800)])
    gram = np.einsum("bij,bik->bjk", maps, maps)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(latent_dim), gram.shape), atol=1e-12)
    # An entry of a uniform unit vector: its square is Beta(1/2, (n - 1)/2), and its sign is even.
    square = stats.beta(0.5, (n_signal - 1) / 2)
    assert stats.kstest(maps[:, -1, -1] ** 2, square.cdf).pvalue > LEVEL
    assert stats.binomtest(int((maps[:, 0, 0] > 0).sum()), 800).pvalue > LEVEL


@pytest.mark.parametrize("make", [make_gaussian_mixture, make_gamma_mixture])
def test_embeddings_keep_geometry_and_rank(make):
    options = {"n_samples": 120, "n_clusters": 3, "n_noise": 0, "shuffle": False, "random_state": 9}
    plain, _, _ = make(n_signal=3, **options)
    shared, y, _ = make(n_signal=8, latent_dim=3, embedding="shared", **options)
    aware, _, _ = make(n_signal=8, latent_dim=3, embedding="label_aware", **options)
    np.testing.assert_allclose(shared @ shared.T, plain @ plain.T, atol=1e-9)
    assert np.linalg.matrix_rank(shared) == 3
    # One map for each cluster: geometry is kept inside the clusters alone.
    assert np.linalg.matrix_rank(aware) == 8
    assert not np.allclose(aware @ aware.T, plain @ plain.T)
    for k in range(3):
        np.testing.assert_allclose(aware[y == k] @ aware[y == k].T, plain[y == k] @ plain[y == k].T, atol=1e-9)


def test_arcs_keep_their_geometry_in_more_features():
    options = {"n_samples": 120, "n_clusters": 3, "n_noise": 0, "shuffle": False, "random_state": 9}
    plane, y, _ = make_moons_circles(n_signal=2, embedding=None, **options)
    shared, _, _ = make_moons_circles(n_signal=6, **options)
    aware, _, _ = make_moons_circles(n_signal=6, embedding="label_aware", **options)
    np.testing.assert_allclose(shared @ shared.T, plane @ plane.T, atol=1e-9)
    np.testing.assert_allclose(aware[y == 2] @ aware[y == 2].T, plane[y == 2] @ plane[y == 2].T, atol=1e-9)
    assert np.linalg.matrix_rank(aware) == 6


# --- Gaussian mixtures

R3 = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]])


def test_gaussian_clusters_have_the_covariances_asked_for(monkeypatch):
    monkeypatch.setattr(_gaussian, "onion_correlation", lambda d, *, eta, random_state: R3)
    X, y, _ = make_gaussian_mixture(60_000, 3, n_signal=3, n_noise=0, separation=2.0, random_state=0)
    for cluster in clusters_of(X, y):
        np.testing.assert_allclose(np.cov(cluster.T), R3, atol=0.03)
        assert abs(cluster.mean(axis=0)).max() < 2.0 + 0.03
        for column in cluster.T:
            assert stats.kstest(column - column.mean(), "norm").pvalue > LEVEL


def test_gaussian_clusters_have_onion_correlations_and_uniform_means():
    correlations, means = [], []
    for seed in range(100):
        X, y, _ = make_gaussian_mixture(1200, 4, n_signal=3, n_noise=0, separation=50.0, eta=2.0, random_state=seed)
        for cluster in clusters_of(X, y):
            correlations.append(np.corrcoef(cluster.T)[0, 2])
            means.extend(cluster.mean(axis=0) / 50.0)
    assert stats.kstest((np.array(correlations) + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > LEVEL
    assert stats.kstest(means, stats.uniform(-1, 2).cdf).pvalue > LEVEL


def test_separation_zero_gives_no_clusters():
    X, y, _ = make_gaussian_mixture(9000, 3, n_signal=2, n_noise=0, separation=0, random_state=0)
    assert abs(np.array([cluster.mean(axis=0) for cluster in clusters_of(X, y)])).max() < 0.08


# --- Gamma mixtures


def test_gamma_margins_without_separation():
    X, y, _ = make_gamma_mixture(6000, 2, n_signal=4, n_noise=0, separation=0, shape_range=(2.5, 2.5), random_state=0)
    for cluster in clusters_of(X, y):
        for column in cluster.T:
            assert stats.kstest(column, stats.gamma(2.5).cdf).pvalue > LEVEL


def test_gamma_margins_and_copula(monkeypatch):
    monkeypatch.setattr(_gamma, "onion_correlation", lambda d, *, eta, random_state: R3)
    beta = 1.5
    X, y, _ = make_gamma_mixture(
        30_000, 3, n_signal=3, n_noise=0, separation=beta, shape_range=(1.2, 1.2), random_state=2
    )
    scales = []
    for cluster in clusters_of(X, y):
        scale = cluster.mean(axis=0) / 1.2
        scales.append(scale)
        margins = stats.gamma(1.2, scale=scale)
        for j, column in enumerate(cluster.T):
            assert stats.kstest(column, stats.gamma(1.2, scale=scale[j]).cdf).pvalue > LEVEL
        np.testing.assert_allclose(np.corrcoef(stats.norm.ppf(margins.cdf(cluster)).T), R3, atol=0.03)
    assert abs(np.log(scales)).max() < beta + 0.05
    assert np.ptp(np.log(scales)) > 0.5


def test_gamma_shapes_lie_in_their_range_and_are_shared_by_clusters():
    X, y, _ = make_gamma_mixture(
        60_000, 2, n_signal=5, n_noise=0, separation=1.0, shape_range=(2.0, 6.0), random_state=3
    )
    first, second = (cluster.mean(axis=0) ** 2 / cluster.var(axis=0) for cluster in clusters_of(X, y))
    np.testing.assert_allclose(first, second, rtol=0.12)
    assert first.min() > 1.8
    assert first.max() < 6.5


def test_gamma_data_are_positive_by_default():
    X, _, _ = make_gamma_mixture(500, n_noise=20, random_state=0)
    assert X.min() > 0


# --- moons and circles


def test_circle_overlap_has_its_known_values():
    half_radius = 1.0
    lens = 2 * np.arccos(half_radius / 2) - half_radius / 2 * np.sqrt(4 - half_radius**2)
    np.testing.assert_allclose(_arcs.circle_overlap(np.array([1.0]), 1.0, 1.0), lens / np.pi)
    np.testing.assert_allclose(_arcs.circle_overlap(np.array([0.0, 2.0, 3.0]), 1.0, 1.0), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(_arcs.circle_overlap(np.array([0.0, 1.0, 1.01]), 2.0, 1.0)[:2], [1, 1])
    assert (np.diff(_arcs.circle_overlap(np.linspace(0, 4, 200), 0.7, 1.6)) <= 1e-12).all()


@pytest.mark.parametrize(("r", "s", "d"), [(1.0, 1.0, 0.4), (0.5, 1.5, 1.2), (1.4, 0.6, 1.0)])
def test_circle_overlap_agrees_with_counting(r, s, d):
    rng = np.random.RandomState(0)
    small, large = min(r, s), max(r, s)
    points = rng.uniform(-small, small, size=(400_000, 2))
    points = points[(points**2).sum(axis=1) < small**2]
    shared = ((points - [d, 0]) ** 2).sum(axis=1) < large**2
    assert float(_arcs.circle_overlap(np.array(d), r, s)) == pytest.approx(shared.mean(), abs=4e-3)


def circle_through(points):
    """Centre and radius of the circle on which all points lie."""
    system = np.column_stack([2 * points, np.ones(len(points))])
    *centre, constant = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
    return np.array(centre), np.sqrt(constant + np.dot(centre, centre))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("separation", "max_overlap"), [(0.0, 0.0), (0.0, 0.4), (0.5, 0.25), (0.3, 1.0)])
def test_arcs_keep_both_bounds(seed, separation, max_overlap):
    X, y, _ = make_moons_circles(
        7 * 150, n_signal=2, embedding=None, n_noise=0, jitter=0.0,
        separation=separation, max_overlap=max_overlap, radius_range=(0.4, 1.1), random_state=seed,
    )  # fmt: skip
    clusters = clusters_of(X, y)
    fits = [circle_through(cluster) for cluster in clusters]
    for k, (centre, radius) in enumerate(fits):
        assert 0.4 - 1e-9 <= radius <= 1.1 + 1e-9
        np.testing.assert_allclose(np.linalg.norm(clusters[k] - centre, axis=1), radius)
        for other in range(k):
            other_centre, other_radius = fits[other]
            distance = np.linalg.norm(centre - other_centre)
            assert _arcs.circle_overlap(distance, radius, other_radius) <= max_overlap + 1e-6
            gap = np.linalg.norm(clusters[k][:, None] - clusters[other], axis=2).min()
            # The gap is kept at points along the arcs, up to 0.07 apart.
            assert gap >= separation - 0.07
    # The layout is compact: each circle but the first is near one of its bounds.
    nearest = [
        min(np.linalg.norm(fits[k][0] - fits[m][0]) - fits[k][1] - fits[m][1] for m in range(len(fits)) if m != k)
        for k in range(len(fits))
    ]
    assert max(nearest) < separation + 0.2


@pytest.mark.parametrize(("probability", "is_circle"), [(0.0, False), (1.0, True)])
def test_clusters_are_moons_or_circles(probability, is_circle):
    X, y, _ = make_moons_circles(
        4 * 400, 4, n_signal=2, embedding=None, n_noise=0, jitter=0.0,
        circle_probability=probability, random_state=1,
    )  # fmt: skip
    for cluster in clusters_of(X, y):
        centre, _ = circle_through(cluster)
        angles = np.sort(np.arctan2(*(cluster - centre).T[::-1]))
        largest_gap = np.diff(np.append(angles, angles[0] + 2 * np.pi)).max()
        start = angles[(np.argmax(np.diff(np.append(angles, angles[0] + 2 * np.pi))) + 1) % angles.size]
        length = 2 * np.pi if is_circle else np.pi
        assert largest_gap < 0.2 if is_circle else largest_gap == pytest.approx(np.pi, abs=0.1)
        turned = (angles - (0 if is_circle else start)) % (2 * np.pi)
        assert stats.kstest(turned, stats.uniform(0, length).cdf).pvalue > LEVEL


def test_jitter_is_gaussian():
    options = {"n_samples": 3000, "n_clusters": 2, "n_signal": 2, "embedding": None, "n_noise": 0}
    clean, _, _ = make_moons_circles(jitter=0.0, random_state=0, **options)
    noisy, _, _ = make_moons_circles(jitter=0.1, random_state=0, **options)
    assert stats.kstest(((noisy - clean) / 0.1).ravel(), "norm").pvalue > LEVEL


# --- difficulty


def base_clusterer(make, n_clusters):
    if make is make_gaussian_mixture:
        return KMeans(n_clusters, n_init=3, random_state=0)
    if make is make_gamma_mixture:
        return GammaMixture(n_clusters, n_init=1, random_state=0)
    return SpectralClustering(n_clusters, affinity="nearest_neighbors", random_state=0)


@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
@pytest.mark.filterwarnings("ignore:GammaMixture did not converge")
@pytest.mark.parametrize("make", MIXTURES)
def test_difficulties_are_near_their_targets(make):
    for difficulty, target in _difficulty.TARGET_ARI.items():
        values = []
        for seed in range(12):
            X, y, _ = make(1500, 3, n_noise=0, difficulty=difficulty, random_state=seed)
            values.append(adjusted_rand_score(y, base_clusterer(make, 3).fit_predict(X)))
        assert np.mean(values) == pytest.approx(target, abs=0.13)


@pytest.mark.parametrize("setting", _difficulty.CALIBRATED)
def test_difficulty_is_interpolated_between_calibrated_numbers_of_clusters(setting):
    for difficulty, table in _difficulty.CALIBRATED[setting].items():

        def constant(n_clusters, difficulty=difficulty):
            return _difficulty.resolve_setting(setting, difficulty, None, "separation", n_clusters)

        assert constant(3) == table[3]
        assert constant(7) == table[7]
        assert constant(5) == pytest.approx((table[3] + table[7]) / 2)
        assert constant(2) == table[3]
        assert constant(20) == table[7]
        assert _difficulty.resolve_setting(setting, difficulty, 1.25, "separation", 3) == 1.25


@pytest.mark.parametrize("make", MIXTURES)
def test_separation_overrides_difficulty(make):
    a, _, _ = make(40, 2, difficulty="easy", separation=0.9, random_state=0)
    b, _, _ = make(40, 2, difficulty=None, separation=0.9, random_state=0)
    c, _, _ = make(40, 2, difficulty="easy", random_state=0)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


# --- interlaced moons


def test_interlaced_moons_without_jitter_follow_the_formulas():
    X, y, _ = make_interlaced_moons(900, jitter=0.0, random_state=0)
    centres = np.array([[0.35, 0.5], [-0.05, -0.05], [-0.05, 0.55]])
    radii = np.array([1.35, 1.0, 0.7])
    np.testing.assert_allclose(np.linalg.norm(X[:, :2] - centres[y], axis=1), radii[y])
    x1, x2 = X[:, 0], X[:, 1]
    R = np.sqrt((x2 - 0.1) ** 2 + (x1 + 0.05) ** 2)
    a, b, d = np.array([-0.8, 0.8, 0.8])[y], np.array([0.2, 0.2, 0.5])[y], np.array([0.9, -0.7, 0.66])[y]
    raw = a * np.sin(1.5 * R) + b * np.log(np.abs(1 + x2)) + d
    slope = np.cov(x2, raw)[0, 1] / np.var(x2, ddof=1)
    np.testing.assert_allclose(X[:, 2], raw - slope * x2, atol=1e-9)

    figure, y, _ = make_interlaced_moons(900, jitter=0.0, reading="figure", random_state=0)
    np.testing.assert_array_equal(figure[:, :2], X[:, :2])
    R = np.sqrt((x1 - 0.1) ** 2 + (x2 + 0.05) ** 2)
    raw = a * np.cos(1.5 * R) + b * np.log(np.abs(1 + x2)) + d
    slope = np.cov(x2, raw)[0, 1] / np.var(x2, ddof=1)
    np.testing.assert_allclose(figure[:, 2], raw - slope * x2, atol=1e-9)


@pytest.mark.parametrize("reading", ["printed", "figure"])
def test_interlaced_moons_angles_noise_and_decorrelation(reading):
    X, y, _ = make_interlaced_moons(6000, 3, reading=reading, random_state=0)
    assert abs(np.corrcoef(X[:, 1], X[:, 2])[0, 1]) < 1e-10
    for column in X[:, 3:].T:
        assert stats.kstest(column, stats.uniform(-1, 3).cdf).pvalue > LEVEL
    clean, y, _ = make_interlaced_moons(6000, 3, jitter=0.0, reading=reading, random_state=0)
    bounds = [(0.05, 1.05), (0.95, 1.95), (-0.15, 1.15)]
    centres = [(0.35, 0.5), (-0.05, -0.05), (-0.05, 0.55)]
    for k, (low, high) in enumerate(bounds):
        angle = np.arctan2(clean[y == k, 0] - centres[k][0], clean[y == k, 1] - centres[k][1]) / np.pi
        angle = low + (angle - low) % 2
        assert stats.kstest(angle, stats.uniform(low, high - low).cdf).pvalue > LEVEL
        residual = (X[y == k, :2] - clean[y == k, :2]).ravel() / 0.08
        assert stats.kstest(residual, "norm").pvalue > LEVEL


@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
@pytest.mark.parametrize(("reading", "least"), [("printed", 0.8), ("figure", 0.98)])
def test_spectral_clustering_finds_the_moons_and_k_means_does_not(reading, least):
    X, y, _ = make_interlaced_moons(reading=reading, random_state=0)
    spectral = SpectralClustering(3, affinity="nearest_neighbors", random_state=0).fit_predict(X)
    assert adjusted_rand_score(y, spectral) > least
    assert adjusted_rand_score(y, KMeans(3, n_init=10, random_state=0).fit_predict(X)) < 0.6


@pytest.mark.parametrize("make", [*ALL, make_local_features])
def test_generators_are_random_states_too(make):
    one, same, other = (make(random_state=rng) for rng in (np.random.default_rng(s) for s in (0, 0, 1)))
    np.testing.assert_array_equal(one[0], same[0])
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize(
    "options", [{"separation": 0.5, "radius_range": (20, 20)}, {"separation": 0.02}, {"radius_range": (5, 15)}]
)
def test_arcs_keep_their_distance_whatever_their_size(options):
    gap = options.get("separation", 0.477)
    for seed in range(4):
        X, y, _ = make_moons_circles(
            9000, 3, n_signal=2, n_noise=0, embedding=None, jitter=0, random_state=seed, **options
        )
        trees = [KDTree(part) for part in clusters_of(X, y)]
        assert min(trees[a].query(trees[b].data)[0].min() for a in range(3) for b in range(a)) >= 0.98 * gap


@pytest.mark.parametrize("eta", [1e-3, 1e-2, 0.1])
def test_onion_correlations_of_a_small_eta_are_positive_definite(eta):
    for seed in range(40):
        R = onion_correlation(10, eta=eta, random_state=seed)
        np.linalg.cholesky(R)
        assert (np.diag(R) == 1).all()
        for make in (make_gaussian_mixture, make_gamma_mixture):
            make(60, 3, n_noise=0, eta=eta, random_state=seed)


def test_noise_needs_a_spread_to_have():
    for options in ({"n_noise": 0}, {"n_noise": 4, "noise": "permuted"}, {"n_noise": 4, "noise_scale": 2.0}):
        X, y, _ = make_gaussian_mixture(3, 3, random_state=0, **options)
        assert sorted(y) == [0, 1, 2]
        assert np.isfinite(X).all()
    with pytest.raises(ValueError, match="noise_scale='within' needs a cluster of two observations"):
        make_gaussian_mixture(3, 3, n_noise=4, random_state=0)


def test_arcs_far_apart_are_placed_soon():
    X, y, _ = make_moons_circles(70, 7, separation=1e6, n_noise=0, embedding=None, n_signal=2, random_state=0)
    centres = np.array([X[y == k].mean(axis=0) for k in range(7)])
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(7, 1)]
    # To within a thousandth, and the size of the arcs.
    assert 1e6 - 10 <= apart.min() <= 1.001 * 1e6 + 10
