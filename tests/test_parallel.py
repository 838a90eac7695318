"""Where the work runs changes nothing: backends, workers, processes, threads, interruptions."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from spies import KillsItsWorker, SpyClassifier, SpyClusterer, describe, notes
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from clusterwhy import LOCOMP, LOCORampart, LOCOSplit, _parallel
from clusterwhy import _threads as threads_module
from clusterwhy._threads import single_threaded_libraries

X = make_blobs(80, n_features=12, centers=3, cluster_std=4.0, random_state=1)[0]
# Above what joblib sends to workers as it is: it is memory-mapped instead.
LARGE = np.random.default_rng(0).normal(size=(300, 600))


def loco(**changes):
    settings = {"n_patches": 70, "max_samples": 0.4, "max_features": 0.4, "random_state": 7}
    clusterer = changes.pop("clusterer", make_pipeline(PCA(2, svd_solver="randomized"), KMeans(3, n_init=1)))
    classifier = changes.pop("classifier", GaussianNB())
    return LOCOMP(clusterer, classifier, **{**settings, **changes})


MODELS = {
    "mp": loco(),
    "rampart": LOCORampart(
        AgglomerativeClustering(3), n_features_to_select=3, n_patches=40, max_samples=0.4, random_state=7
    ),
    "split": LOCOSplit(AgglomerativeClustering(3), DecisionTreeClassifier(), n_repeats=2, random_state=7),
}


def results(model):
    """All fitted arrays."""
    found = {name: value for name, value in vars(model).items() if isinstance(value, np.ndarray)}
    assert {"feature_importances_", "sample_importances_", "labels_", "monte_carlo_errors_"} <= set(found)
    return found


def assert_same_bits(one, other):
    one, other = results(one), results(other)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].tobytes() == other[name].tobytes(), name


@pytest.fixture(scope="module")
def alone():
    """Every model, fitted without any parallelism."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: fresh(model).fit(X) for name, model in MODELS.items()}


def fresh(model, **changes):
    return clone(model).set_params(**changes)


# What is fitted here is small on purpose, and a few features may go without a minipatch.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@contextmanager
def ray_cluster():
    import ray
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    register_ray()
    yield
    ray.shutdown()


@contextmanager
def spark_cluster():
    from joblibspark import register_spark
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.pyspark.python", sys.executable).getOrCreate()
    register_spark()
    yield
    session.stop()


# Those that need packages which are not among the tests' are tried where they are installed.
BACKENDS = {"loky": (nullcontext, []), "threading": (nullcontext, [])}
ELSEWHERE = {"ray": (ray_cluster, ["ray"]), "spark": (spark_cluster, ["pyspark", "joblibspark"])}
BACKENDS |= {name: found for name, found in ELSEWHERE.items() if all(map(importlib.util.find_spec, found[1]))}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    """Name a backend that runs."""
    with BACKENDS[request.param][0]():
        yield request.param


@pytest.mark.parametrize("name", MODELS)
def test_backends_give_the_same_bits(backend, name, alone):
    with joblib.parallel_config(backend=backend):
        assert_same_bits(fresh(MODELS[name], n_jobs=2).fit(X), alone[name])


def test_dask_gives_the_same_bits(alone):
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.worker.profile.enabled": False})
    for workers in (1, 2):
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
            Client(cluster),
            joblib.parallel_config(backend="dask"),
        ):
            for name in ("mp", "split"):
                assert_same_bits(fresh(MODELS[name]).fit(X), alone[name])


def test_a_cluster_of_processes_gives_the_same_bits_and_outlives_a_worker(alone, tmp_path, monkeypatch):
    import dask
    from distributed import Client, LocalCluster

    monkeypatch.setattr(_parallel, "BLOCK", 8)
    sent = []
    scatter = Client.scatter

    def spy(client, data, *arguments, **options):
        sent.append(data)
        return scatter(client, data, *arguments, **options)

    monkeypatch.setattr(Client, "scatter", spy)
    dask.config.set({"distributed.worker.profile.enabled": False})
    sparse = loco(clusterer=KMeans(3, n_init=1), classifier=DecisionTreeClassifier())
    expected = fresh(sparse).fit(csr_array(X))
    assert expected.engine_ == "native"
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        assert_same_bits(fresh(MODELS["mp"]).fit(X), alone["mp"])
        # The data went out once, for both passes, and nothing else did.
        assert len(sent) == 1
        assert sent[0][0].shape == X.shape
        assert_same_bits(fresh(MODELS["rampart"]).fit(X), alone["rampart"])
        assert len(sent) == 2
        # Sparse data, which Rust reads where they arrive.
        assert_same_bits(fresh(sparse).fit(csr_array(X)), expected)
        assert len(sent) == 3
        before = set(client.run(os.getpid).values())
        mark = tmp_path / "killed"
        reference = (X[:, 0] > np.median(X[:, 0])).astype(int)
        model = loco(clusterer=KillsItsWorker(mark=str(mark)), reference=reference).fit(X)
        assert mark.exists()
        assert len(set(client.run(os.getpid).values()) & before) < 2
    # The mark is there, so that nobody is killed now.
    assert_same_bits(model, fresh(model).fit(X))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_do_not_matter(size, alone, monkeypatch):
    monkeypatch.setattr(_parallel, "BLOCK", size)
    assert_same_bits(fresh(MODELS["mp"]).fit(X), alone["mp"])


def test_blocks_do_not_depend_on_the_number_of_workers():
    plan = _parallel.blocks(100, 2**20)
    assert [len(block) for block in plan] == [32, 32, 32, 4]
    assert [b for block in plan for b in block] == list(range(100))
    # Large votes make blocks short, but never empty.
    assert {len(block) for block in _parallel.blocks(10, 2**40)} == {1}


def test_workers_map_the_data_and_cannot_write_to_it():
    found = _parallel.run_blocks(
        describe, [(LARGE, range(1)) for _ in range(4)], [1] * 4, n_jobs=2, description="look"
    )
    for mapped, writeable, process in found:
        assert mapped
        assert not writeable
        assert process != os.getpid()


def test_large_data_in_workers():
    settings = {"clusterer": KMeans(2, n_init=1), "n_patches": 40, "max_samples": 30, "max_features": 5}
    assert_same_bits(loco(n_jobs=2, **settings).fit(LARGE), loco(**settings).fit(LARGE))


# ------------------------------------------------------------------------------------------ seeds and parameters


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("name", ["mp", "split"])
def test_parameters_are_never_changed(name, n_jobs, tmp_path):
    options = {"depth": 3}
    clusterer = SpyClusterer(str(tmp_path), options=options, n_clusters=5)
    model = fresh(MODELS[name], clusterer=clusterer, classifier=SpyClassifier(str(tmp_path)), n_jobs=n_jobs)
    clusterer, classifier = model.clusterer, model.classifier
    before = (vars(clusterer).copy(), vars(classifier).copy(), dict(clusterer.options))
    model.fit(X)
    assert model.clusterer is clusterer
    assert model.classifier is classifier
    assert (vars(clusterer), vars(classifier), clusterer.options) == before
    assert options == {"depth": 3}


def test_each_minipatch_has_a_seed_of_its_own_however_deep(tmp_path):
    spy = SpyClusterer(str(tmp_path), random_state=3)
    model = loco(
        clusterer=make_pipeline(PCA(3), spy), classifier=SpyClassifier(str(tmp_path)), reference=np.arange(80) % 2
    ).fit(X)
    lines = [line.split() for line in notes(tmp_path)]
    clustered = [line[4] for line in lines if line[0] == "cluster"]
    trained = [line[4] for line in lines if line[0] == "train"]
    assert len(clustered) == len(trained) == 70
    assert len(set(clustered) | set(trained)) == 140
    # The same seeds again, from the model's seed alone; others from another.
    (tmp_path / "again").mkdir()
    (tmp_path / "other").mkdir()
    for where, seed in (("again", 7), ("other", 8)):
        directory = tmp_path / where
        fresh(
            model,
            clusterer__spyclusterer__directory=str(directory),
            clusterer__spyclusterer__random_state=99,
            random_state=seed,
        ).fit(X)
        seeds = [line.split()[4] for line in notes(directory)]
        assert (seeds == clustered) == (where == "again")


def test_the_reference_keeps_the_random_state_that_was_given(tmp_path):
    loco(clusterer=SpyClusterer(str(tmp_path), random_state=3), n_patches=5).fit(X)
    assert [line.split()[4] for line in notes(tmp_path) if line.startswith("cluster 80")] == ["3"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("random_state", [None, 5])
def test_the_global_generator_is_not_touched(name, random_state):
    np.random.seed(11)
    before = np.random.get_state()[1].copy()
    fresh(MODELS[name], random_state=random_state).fit(X)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_generators_are_asked_once_and_reproduce():
    for make in (np.random.default_rng, np.random.RandomState):
        assert_same_bits(loco(random_state=make(3)).fit(X), loco(random_state=make(3)).fit(X))


def test_native_refits_need_no_processes():
    code = """
import numpy as np
from joblib.externals.loky import reusable_executor
import clusterwhy as cw
from clusterwhy import native
X = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat([[0], [4]], 30, axis=0)
model = cw.LOCOSplit(native.KMeans(2), native.RandomForest(5), n_jobs=2, random_state=0).fit(X)
alone = cw.LOCOSplit(native.KMeans(2), native.RandomForest(5), random_state=0).fit(X)
assert (model.sample_importances_ == alone.sample_importances_)[~np.isnan(alone.sample_importances_)].all()
print(reusable_executor._executor)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.strip() == "None", ran.stdout + ran.stderr


# ---------------------------------------------------------------------------------- threads of other libraries


def pools():
    return [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_inner_threads_are_held_to_one_and_restored(n_jobs, backend, tmp_path):
    with threadpool_limits(2):
        before = pools()
        with joblib.parallel_config(backend=backend):
            loco(clusterer=SpyClusterer(str(tmp_path)), n_jobs=n_jobs).fit(X)
        assert pools() == before
        lines = [line for line in notes(tmp_path) if line.startswith("cluster")]
        assert len(lines) == 71
        assert {line.partition("[")[2] for line in lines} <= {"1]", "]"}


def test_libraries_that_are_loaded_later_are_held_too(monkeypatch):
    with single_threaded_libraries():
        pass
    # As if the first look had been before any library was loaded.
    nothing = ThreadpoolController().select(user_api="none")
    monkeypatch.setitem(threads_module._state, "blas", nothing)
    monkeypatch.setitem(threads_module._state, "openmp", nothing)
    monkeypatch.setitem(sys.modules, "a_module_that_brings_a_library", types.ModuleType("later"))
    with threadpool_limits(2), single_threaded_libraries():
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}


def test_inner_threads_are_restored_after_a_failure(tmp_path):
    with threadpool_limits(2):
        before = pools()
        with pytest.raises(TypeError, match="SpyClusterer failed"):
            loco(clusterer=SpyClusterer(None)).fit(X)
        assert pools() == before


def test_limits_of_overlapping_threads():
    with threadpool_limits(2):
        before = pools()
        entered, leave = threading.Event(), threading.Event()

        def other():
            with single_threaded_libraries():
                entered.set()
                leave.wait(30)

        thread = threading.Thread(target=other)
        with single_threaded_libraries():
            thread.start()
            assert entered.wait(30)
        # The other thread is still inside: BLAS stays at one thread until it leaves as well.
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}
        leave.set()
        thread.join(30)
        assert pools() == before


# ------------------------------------------------------------------------------------------ where fits may run


def fit_importances(model):
    return model.fit(X).feature_importances_


def test_inside_workers(alone):
    models = [fresh(MODELS["mp"], n_jobs=2) for _ in range(2)]
    for found in joblib.Parallel(n_jobs=2)(joblib.delayed(fit_importances)(model) for model in models):
        np.testing.assert_array_equal(found, alone["mp"].feature_importances_)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_in_threads_at_the_same_time(n_jobs, alone):
    with ThreadPoolExecutor(3) as executor:
        models = [fresh(MODELS["mp"], n_jobs=n_jobs) for _ in range(3)]
        for found in executor.map(lambda model: model.fit(X), models, timeout=120):
            assert_same_bits(found, alone["mp"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork(alone):
    # Threads of the core, of joblib and of OpenMP are all at work in the parent before.
    with joblib.parallel_config(backend="threading"):
        fresh(MODELS["mp"], n_jobs=2).fit(X)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with joblib.parallel_config(backend="threading"):
                found = fresh(MODELS["mp"], n_jobs=2).fit(X).feature_importances_
            os.write(write, found.tobytes())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    deadline = time.monotonic() + 60
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("a fit after fork hangs")
        time.sleep(0.05)
    with os.fdopen(read, "rb") as pipe:
        np.testing.assert_array_equal(np.frombuffer(pipe.read()), alone["mp"].feature_importances_)


# ------------------------------------------------------------------------------------------ Ctrl-C

INTERRUPTED = """
import os, sys, time, warnings
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
import clusterwhy
from clusterwhy import LOCOMP, LOCORampart, LOCOSplit
from clusterwhy._ensemble import SklearnEngine

warnings.simplefilter("ignore")
stage, n_jobs, started = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def begin():
    open(started, "a").close()


class Slow(BaseEstimator):
    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def fit_predict(self, X, y=None):
        if self.seconds:
            begin()
        time.sleep(self.seconds)
        return (X[:, 0] > 0).astype(int)


class SlowTree(DecisionTreeClassifier):
    def fit(self, X, y):
        begin()
        time.sleep(0.05)
        return super().fit(X, y)


X = np.random.default_rng(0).normal(size=(200, 20))
z = (X[:, 0] > 0).astype(int)
workers = {"n_jobs": n_jobs, "random_state": 0}
if stage == "reference":
    model = LOCOMP(Slow(60), **workers)
elif stage == "cluster":
    model = LOCOMP(Slow(0.05), reference=z, **workers)
elif stage == "classify":
    model = LOCOMP(Slow(), SlowTree(), reference=z, **workers)
elif stage == "rampart":
    model = LOCORampart(Slow(0.05), reference=z, **workers)
elif stage == "split":
    model = LOCOSplit(Slow(), SlowTree(), reference=z, n_repeats=100, **workers)
elif stage == "score":
    # So many minipatches that the kernels take seconds on any machine; the same votes from each, made once.
    n, B = 6000, 6000
    X = np.random.default_rng(0).normal(size=(n, 3000))
    z = (X[:, 0] > 0).astype(int)
    proba = np.repeat(np.linspace(0.1, 0.9, n)[:, None], 2, axis=1).astype(np.float32)
    left_out = np.full((B, (n + 63) // 64), 2**64 - 1, dtype=np.uint64)

    def votes(*arguments):
        begin()
        yield np.broadcast_to(proba, (B, *proba.shape)).copy(), left_out

    SklearnEngine.classify = votes
    model = LOCOMP(Slow(), GaussianNB(), reference=z, n_patches=B, max_samples=30, max_features=1500, **workers)
try:
    model.fit(X)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
    assert not hasattr(model, "n_features_in_")
    sys.exit(130)
"""


def alive(session):
    """Processes of a session that run; the dead that nobody has collected do not count."""
    listed = subprocess.run(["ps", "-o", "stat=,pid=,args=", "-s", str(session)], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]


# Each stage in this process, and in workers those that have any.
STAGES = [("reference", 1), ("cluster", 1), ("classify", 1), ("score", 1), ("split", 1), ("rampart", 1)]
STAGES += [("cluster", 2), ("classify", 2), ("score", 2), ("split", 2)]


@pytest.mark.parametrize(("stage", "n_jobs"), STAGES)
def test_an_interruption_stops_every_stage(stage, n_jobs, tmp_path):
    started = tmp_path / "started"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, stage, str(n_jobs), str(started)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not started.exists():
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.3)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
        assert child.returncode == 130, err
        # A second is the promise; the rest is for a machine that is busy with other things.
        assert float(out.splitlines()[-1]) - sent < 3
        deadline = time.monotonic() + 10
        while alive(child.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert alive(child.pid) == []
    finally:
        if child.poll() is None or alive(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


WITHOUT_THREADS = """
import resource, threading
import numpy as np
import clusterwhy as cw

patches = cw.minipatches(60, 6, 40, 0.4, 0.4, 0)
votes = np.random.default_rng(0).dirichlet([1, 1, 1], size=(40, 60))
score = lambda: cw.loco_scores(votes, patches, np.arange(60) % 3, n_jobs=2).feature_importances_
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
# Room for the work, and for no stack (those of threads that have ended would be used again).
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, most))
try:
    threading.Thread(target=print).start()
except RuntimeError:
    found = score()
resource.setrlimit(resource.RLIMIT_AS, (most, most))
np.testing.assert_array_equal(found, score())
print("the same")
"""


def test_without_threads_the_callers_own_works():
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "the same\n", done.stderr
