"""Which engine runs, why, and that the native one keeps its promises: same bits, little memory, Ctrl-C."""

import itertools
import pickle
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans, MiniBatchKMeans, SpectralClustering
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

import clusterwhy as cw
from clusterwhy import _core, native
from clusterwhy._engine import EngineChoice, choose_engine
from clusterwhy.datasets import GammaMixture

X = np.random.default_rng(0).normal(size=(60, 12))
X[:30, :3] += 4


class MyWard(AgglomerativeClustering):
    pass


class MyTree(DecisionTreeClassifier):
    pass


def ran(clusterer, classifier, data=X, engine="auto"):
    return choose_engine(engine, clusterer, classifier, data, 4)[0]


NATIVE_CLUSTERERS = [
    AgglomerativeClustering(3),
    AgglomerativeClustering(3, linkage="complete"),
    AgglomerativeClustering(3, linkage="average", compute_full_tree=True),
    AgglomerativeClustering(3, linkage="single", metric="euclidean"),
    KMeans(3),
    KMeans(3, init="random", n_init=4, max_iter=7, tol=0, copy_x=False, random_state=1),
    SpectralClustering(3, gamma=0.1),
    SpectralClustering(3, affinity="nearest_neighbors", n_neighbors=4, eigen_solver="arpack", n_components=2),
    native.Ward(3),
    GammaMixture(3, n_init=2, max_iter=5),
    native.Linkage(3, linkage="single"),
    native.KMeans(3),
    native.Spectral(3, affinity="nearest_neighbors", n_neighbors=4),
]
NATIVE_CLASSIFIERS = [
    DecisionTreeClassifier(),
    DecisionTreeClassifier(criterion="log_loss", splitter="random", max_depth=3, max_features="log2"),
    DecisionTreeClassifier(min_samples_split=4, min_samples_leaf=2, max_features=0.5, random_state=1),
    RandomForestClassifier(5, n_jobs=2),
    RandomForestClassifier(5, bootstrap=False, max_features=None),
    ExtraTreesClassifier(5, max_features=2, min_impurity_decrease=0.01),
    KNeighborsClassifier(3),
    KNeighborsClassifier(3, weights="distance", algorithm="brute", metric="euclidean"),
    NearestCentroid(),
    NearestCentroid(metric="manhattan"),
    native.DecisionTree(),
    native.RandomForest(5),
    native.ExtraTrees(5),
    native.KNeighbors(3),
    native.NearestCentroid(),
]
FOREIGN_CLUSTERERS = [
    (DBSCAN(), "DBSCAN has no native form"),
    (MiniBatchKMeans(3), "MiniBatchKMeans has no native form"),
    (MyWard(3), "MyWard has no native form"),
    (make_pipeline(StandardScaler(), KMeans(3)), "Pipeline has no native form"),
    (AgglomerativeClustering(3, linkage="average", metric="cosine"), "metric='cosine'.*expected 'euclidean'"),
    (AgglomerativeClustering(None, distance_threshold=1.0), "distance_threshold=1.0"),
    (AgglomerativeClustering(3, connectivity=np.eye(5)), "connectivity="),
    (KMeans(3, algorithm="elkan"), "algorithm='elkan'"),
    (KMeans(3, init=np.zeros((3, 4)), n_init=1), "its own initial centres"),
    (SpectralClustering(3, affinity="precomputed"), "affinity='precomputed'"),
    (SpectralClustering(3, assign_labels="discretize"), "assign_labels='discretize'"),
    (SpectralClustering(3, eigen_solver="lobpcg"), "eigen_solver='lobpcg'"),
]
FOREIGN_CLASSIFIERS = [
    (LogisticRegression(), "LogisticRegression has no native form"),
    (ExtraTreeClassifier(), "ExtraTreeClassifier has no native form"),
    (MyTree(), "MyTree has no native form"),
    (DecisionTreeClassifier(ccp_alpha=0.1), "ccp_alpha=0.1"),
    (DecisionTreeClassifier(class_weight="balanced"), "class_weight='balanced'"),
    (DecisionTreeClassifier(max_leaf_nodes=5), "max_leaf_nodes=5"),
    (DecisionTreeClassifier(min_samples_leaf=0.1), "min_samples_leaf=0.1"),
    (DecisionTreeClassifier(max_features=9), "an integer from 1 to the 4 features"),
    (RandomForestClassifier(oob_score=True), "oob_score=True"),
    (RandomForestClassifier(max_samples=0.5), "max_samples=0.5"),
    (ExtraTreesClassifier(warm_start=True), "warm_start=True"),
    (KNeighborsClassifier(p=1), r"p=1\).*expected 2"),
    (KNeighborsClassifier(metric="cosine"), "metric='cosine'"),
    (KNeighborsClassifier(weights=np.sqrt), "its own weights"),
    (NearestCentroid(shrink_threshold=0.1), "shrink_threshold=0.1"),
]


@pytest.mark.parametrize("clusterer", NATIVE_CLUSTERERS, ids=repr)
def test_clusterers_that_run_natively(clusterer):
    choice = ran(clusterer, KNeighborsClassifier())
    assert choice == "native", choice.reason
    assert choice.reason == f"{type(clusterer).__name__} and KNeighborsClassifier run in Rust"


@pytest.mark.parametrize("classifier", NATIVE_CLASSIFIERS, ids=repr)
def test_classifiers_that_run_natively(classifier):
    choice = ran(native.Ward(), classifier)
    assert choice == "native", choice.reason


@pytest.mark.parametrize(("clusterer", "reason"), FOREIGN_CLUSTERERS, ids=[repr(c) for c, _ in FOREIGN_CLUSTERERS])
def test_clusterers_that_do_not_and_why(clusterer, reason):
    choice = ran(clusterer, DecisionTreeClassifier())
    assert choice == "sklearn"
    with pytest.raises(ValueError, match=rf"(?s)engine='native' cannot run this: .*{reason}.*; use engine='auto'"):
        ran(clusterer, DecisionTreeClassifier(), engine="native")


@pytest.mark.parametrize(("classifier", "reason"), FOREIGN_CLASSIFIERS, ids=[repr(c) for c, _ in FOREIGN_CLASSIFIERS])
def test_classifiers_that_do_not_and_why(classifier, reason):
    choice = ran(KMeans(), classifier)
    assert choice == "sklearn"
    with pytest.raises(ValueError, match=rf"engine='native' cannot run this: .*{reason}.*; use engine='auto'"):
        ran(KMeans(), classifier, engine="native")


def test_data_that_go_through_the_estimators():
    holes = X.copy()
    holes[3, 4] = np.nan
    for data, reason in [(holes, "missing values"), (csr_matrix(holes), "missing values")]:
        choice = ran(KMeans(), KNeighborsClassifier(), data)
        assert choice == "sklearn"
        assert reason in choice.reason
        with pytest.raises(ValueError, match=reason):
            ran(KMeans(), KNeighborsClassifier(), data, engine="native")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ran(KMeans(), KNeighborsClassifier(), np.full((9, 4), 3e38, dtype=np.float32)) == "native"
        assert ran(KMeans(), KNeighborsClassifier(), csr_matrix(X)) == "native"


def test_a_fit_says_which_engine_ran(capsys):
    loco = cw.LOCOMP(native.Ward(2), native.DecisionTree(), n_patches=20, random_state=0, verbose=1).fit(X)
    assert loco.engine_ == "native"
    assert "engine 'native' (Ward and DecisionTree run in Rust)" in capsys.readouterr().out
    loco = cw.LOCOMP(DBSCAN(3), n_patches=5, reference=[0, 1] * 30, random_state=0, verbose=1).fit(X)
    assert loco.engine_ == "sklearn"
    assert "engine 'sklearn' (DBSCAN has no native form)" in capsys.readouterr().out
    copy = pickle.loads(pickle.dumps(loco))
    assert isinstance(copy.engine_, EngineChoice)
    assert copy.engine_.reason == "DBSCAN has no native form"
    asked = cw.LOCOMP(KMeans(2), n_patches=5, engine="sklearn", random_state=0).fit(X)
    assert (asked.engine_, asked.engine_.reason) == ("sklearn", "engine='sklearn' was asked for")
    sparse = cw.LOCOMP(KMeans(2), n_patches=5, random_state=0).fit(csr_matrix(X))
    assert sparse.engine_ == "native"
    with pytest.raises(ValueError, match="engine='native' cannot run this: DBSCAN has no native form"):
        cw.LOCOMP(DBSCAN(3), reference=[0, 1] * 30, engine="native").fit(X)
    with pytest.raises(ValueError, match="engine must be one of 'auto', 'native', 'sklearn', got 'rust'"):
        cw.LOCOMP(engine="rust").fit(X)


def test_rampart_runs_natively_on_its_surviving_features():
    options = {"n_features_to_select": 3, "n_patches": 60, "max_samples": 0.5, "random_state": 0}
    fits = [
        cw.LOCORampart(AgglomerativeClustering(2), KNeighborsClassifier(3), engine=engine, **options).fit(X)
        for engine in ("native", "sklearn")
    ]
    assert [fit.engine_ for fit in fits] == ["native", "sklearn"]
    assert np.array_equal(fits[0].ranking_, fits[1].ranking_)
    np.testing.assert_allclose(fits[0].feature_importances_, fits[1].feature_importances_, rtol=0, atol=1e-12)


# ---------------------------------------------------------------------- the same bits


def scores(clusterer, classifier, data=X, n_jobs=1):
    loco = cw.LOCOMP(
        clusterer, classifier, n_patches=16, max_samples=0.4, max_features=0.4, reference=REFERENCE, engine="native",
        random_state=1, n_jobs=n_jobs,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loco.fit(data)
    return np.concatenate([loco.sample_importances_.ravel(), loco.loo_proba_.ravel(), loco.labels_])


REFERENCE = AgglomerativeClustering(3).fit_predict(X)
PAIRS = list(itertools.product(NATIVE_CLUSTERERS[:8], NATIVE_CLASSIFIERS[:10]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("clusterer", "classifier"), PAIRS, ids=lambda value: type(value).__name__)
def test_threads_and_instruction_sets_change_no_bit(clusterer, classifier, dtype, monkeypatch):
    data = X.astype(dtype)
    first = scores(clusterer, classifier, data)
    for n_jobs in (2, 3):
        assert np.array_equal(first, scores(clusterer, classifier, data, n_jobs), equal_nan=True)
    for level in ("baseline", "avx2", "avx512"):
        monkeypatch.setenv("CLUSTERWHY_SIMD", level)
        assert np.array_equal(first, scores(clusterer, classifier, data), equal_nan=True), level


def test_the_instruction_set_is_chosen_at_each_call(monkeypatch):
    monkeypatch.setenv("CLUSTERWHY_SIMD", "baseline")
    assert _core.simd_level() == "baseline"


# ---------------------------------------------------------------------- data as they come


@pytest.mark.parametrize("classifier", NATIVE_CLASSIFIERS[:10], ids=repr)
def test_read_only_maps_and_fortran_order(classifier, tmp_path):
    expected = scores(KMeans(3), classifier)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.array_equal(expected, scores(KMeans(3), classifier, mapped), equal_nan=True)
    assert np.array_equal(expected, scores(KMeans(3), classifier, np.asfortranarray(X)), equal_nan=True)


@pytest.mark.parametrize(("clusterer", "classifier"), PAIRS, ids=lambda value: type(value).__name__)
def test_a_constant_added_changes_nothing(clusterer, classifier):
    # Multiples of 2^-9 are exact beside 2^14 in single precision, in which trees compare.
    grid = np.round(X * 512) / 512
    before, after = scores(clusterer, classifier, grid), scores(clusterer, classifier, grid + 2**14)
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-9)


# ---------------------------------------------------------------------- errors

FAILING = [
    (KMeans(30), None, "clusterer KMeans", "n_clusters is 30, expected 1 to the number of observations, 24"),
    (AgglomerativeClustering(25), None, "clusterer AgglomerativeClustering", "n_clusters is 25"),
    (
        SpectralClustering(2, affinity="nearest_neighbors", n_neighbors=25),
        None,
        "clusterer SpectralClustering",
        "n_neighbors is 25",
    ),
    (KMeans(2), KNeighborsClassifier(25), "classifier KNeighborsClassifier", "n_neighbors is 25, expected 1 to the"),
]


@pytest.mark.parametrize(("clusterer", "classifier", "who", "what"), FAILING, ids=[case[2] for case in FAILING])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_name_the_estimator_and_the_minipatch(clusterer, classifier, who, what, n_jobs):
    options = {"n_patches": 10, "max_samples": 0.4, "max_features": 0.4, "reference": REFERENCE, "n_jobs": n_jobs}
    native_loco = cw.LOCOMP(clusterer, classifier, engine="native", **options)
    with pytest.raises(ValueError, match=rf"the {who} failed in Rust: minipatch 0, 24 x 5: {what}.*max_samples"):
        native_loco.fit(X)
    if n_jobs == 1:
        # scikit-learn notices too few training rows only when it predicts.
        with pytest.raises(ValueError, match=rf"the {who} failed on minipatch 0, (24|36) x 5: .*"):
            cw.LOCOMP(clusterer, classifier, engine="sklearn", **options).fit(X)


def test_values_beyond_single_precision():
    huge = X.copy()
    huge[0, 0] = 1e39
    message = "an entry of the data is 1.000e39 .*, expected at most 3.4e38 in size, since trees compare features in"
    with pytest.raises(ValueError, match=message):
        cw.LOCOMP(KMeans(2), n_patches=5, reference=REFERENCE, engine="native").fit(huge)


# ---------------------------------------------------------------------- memory and Ctrl-C


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


COMMON = """
    import os, resource, signal, sys, threading, time
    import numpy as np
    from scipy import sparse
    import clusterwhy as cw
    from clusterwhy import native
    from clusterwhy._native_ensemble import NativeEngine
    from clusterwhy._recognise import recognise_classifier, recognise_clusterer
    from clusterwhy._votes import VoteStore
"""


@pytest.mark.parametrize(
    ("method", "presorted", "form"),
    [
        ("DecisionTree()", 1, "X"),
        ("KNeighbors(1)", 0, "X"),
        # Of sparse data neither all values nor all predicted rows are ever dense.
        ("DecisionTree()", 0, "sparse.csr_array(X)"),
    ],
)
def test_memory_is_the_data_a_minipatch_a_thread_and_the_votes(method, presorted, form, tmp_path):
    n, m, n_patches, rows, threads = 20_000, 400, 128, 500, 2
    data = np.random.default_rng(0).normal(size=(n, m)).astype(np.float32)
    np.save(tmp_path / "x.npy", data)
    (extra,) = run(f"""{COMMON}
    def peak():
        # On Linux, resource.getrusage begins with the peak of the parent.
        if os.path.exists("/proc/self/status"):
            with open("/proc/self/status") as status:
                return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    X = np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
    X.sum()
    X = {form}
    patches = cw.minipatches(*X.shape, {n_patches}, {rows}, 50, seed=0)
    ward, classifier = native.Ward(2), native.{method}
    before = peak()
    engine = NativeEngine(X, recognise_clusterer(ward), recognise_classifier(classifier, 50), {threads})
    labels = np.concatenate(list(engine.cluster(patches)))
    store = VoteStore(X.shape[0], 2)
    store.reserve(len(patches))
    at = 0
    for votes, voters in engine.classify(patches, labels.astype(np.int32), 2):
        store.put(at, votes, voters)
        at += len(votes)
    print(peak() - before)
    """)
    votes = n_patches * n * 2
    minipatch = 8 * rows * rows + 8 * rows * 50
    # Votes are held by minipatch, by block and as a whole; a copy of the data for each thread would not fit. Trees
    # share one single-precision copy by columns, and the orders of its columns.
    bound = 4 * votes + threads * 4 * minipatch + presorted * 2 * data.nbytes + 2**23
    assert int(extra) < bound, f"{int(extra) / 2**20:.0f} MiB, of {bound / 2**20:.0f} MiB"


STAGES = {
    "cluster": "list(NativeEngine(X, recognise_clusterer(ward), None, 2).cluster(patches))",
    "classify": "list(NativeEngine(X, None, recognise_classifier(forest, 100), 2).classify(patches, labels, 10))",
}


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_within_a_second(stage):
    (waited,) = run(f"""{COMMON}
    X = np.random.default_rng(0).normal(size=(700, 300))
    patches = cw.minipatches(*X.shape, 400_000, 300, 100, seed=0)
    if {stage!r} == "classify":
        patches = cw.minipatches(*X.shape, 20_000, 300, 100, seed=0)
        labels = np.random.default_rng(0).integers(0, 10, size=(20_000, 300), dtype=np.int32)
    ward, forest = native.Ward(10), native.RandomForest(100)
    sent = []
    def interrupt():
        time.sleep(1.0)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        {STAGES[stage]}
    except KeyboardInterrupt:
        print(time.monotonic() - sent[0])
    """)
    assert float(waited) < 1
