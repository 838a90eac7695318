"""A run that is killed goes on from its last block, to the same bits; what is not this run's is refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from sklearn import cluster as cluster_module
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import make_blobs
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
from spies import SlowClusterer, SpyClassifier, SpyClusterer, notes

import clusterwhy as cw
from clusterwhy import _checkpoint, _core, _loco_mp, _native_ensemble, _parallel
from clusterwhy._checkpoint import Checkpoint, pack_arrays, read_arrays, write
from clusterwhy._identity import describe

X = make_blobs(80, n_features=12, centers=3, cluster_std=5.0, random_state=2)[0]

pytestmark = [
    # What is fitted here is small on purpose.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    # Children of these tests are killed before they could get in the way of anything.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_parallel, "BLOCK", 16)
    monkeypatch.setattr(_native_ensemble, "BLOCK", 16)


def loco(**changes):
    settings = {
        "clusterer": AgglomerativeClustering(3),
        "n_patches": 40,
        "max_samples": 0.4,
        "max_features": 0.4,
        "random_state": 7,
    }
    return cw.LOCOMP(**{**settings, **changes})


def rampart(**changes):
    settings = {"n_features_to_select": 3, "n_patches": 40, "max_samples": 0.4, "random_state": 7}
    return cw.LOCORampart(AgglomerativeClustering(3), **{**settings, **changes})


def assert_same_bits(one, other):
    one, other = (
        {name: value for name, value in vars(model).items() if isinstance(value, np.ndarray)}
        for model in (one, other)
    )
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), name


# ------------------------------------------------------------------------------------------ SIGKILL


def killed(model, patch):
    """Fit in a child process, of which `patch` makes an end; the parent has only what is on the disk."""
    child = os.fork()
    if child == 0:
        try:
            patch()
            model.fit(X)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)


def at(module, name, call=1):
    """Patch a function so that the process dies in its n-th call."""

    def patch():
        original, calls = getattr(module, name), []

        def function(*arguments, **options):
            calls.append(None)
            return die() if len(calls) == call else original(*arguments, **options)

        setattr(module, name, function)

    return patch


class NoName:
    """Stands in for `os`: the process dies with a file written, but not yet under its name."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, name):
        return getattr(os, name)

    def replace(self, source, target):
        return die() if self.name in str(target) else os.replace(source, target)

    def link(self, source, target):
        return die() if self.name in str(target) else os.link(source, target)


def renaming(name):
    return lambda: setattr(_checkpoint, "os", NoName(name))


# Where a run dies, one after the other, each going on from the one before.
DEATHS = {
    "the header": renaming("run.json"),
    "the reference": at(_loco_mp, "reference_from_all_data"),
    "the first block": renaming("labels-000000000"),
    "clustering": renaming("labels-000000032"),
    "alignment": at(_core, "count_votes", call=3),
    "classification": renaming("votes-000000016"),
    "the last block": renaming("votes-000000032"),
    "scoring": at(_loco_mp, "score_ensemble"),
}


@pytest.mark.parametrize("classifier", [None, GaussianNB()], ids=["native", "estimators"])
def test_a_run_that_is_killed_in_every_stage_ends_in_the_same_bits(classifier, tmp_path):
    model = loco(classifier=classifier, checkpoint=str(tmp_path / "run"))
    finished = []
    for patch in DEATHS.values():
        killed(model, patch)
        finished.append(len(list(tmp_path.glob("run/*.block"))))
    assert finished == [0, 0, 1, 3, 4, 5, 6, 7]
    assert_same_bits(model.fit(X), clone(model).set_params(checkpoint=None).fit(X))


@pytest.mark.parametrize("reference", ["full", "overlap"])
def test_rampart_goes_on_in_the_round_where_it_was_killed(reference, tmp_path):
    model = rampart(reference=reference, checkpoint=tmp_path / "run")
    votes = "votes-000000016" if reference == "full" else "votes-of-40-000000016"
    killed(model, renaming("round-1-" + votes))
    killed(model, at(_loco_mp, "score_ensemble"))
    killed(model, renaming("round-2-labels-000000016"))
    killed(model, at(_loco_mp, "score_ensemble", call=2))
    assert_same_bits(model.fit(X), clone(model).set_params(checkpoint=None).fit(X))


def test_growth_until_precise_goes_on(tmp_path):
    model = loco(n_patches="auto", tol=0.2, n_features_to_select=3, checkpoint=tmp_path / "run")
    killed(model, at(_loco_mp, "score_ensemble"))
    killed(model, renaming("votes-000000298"))
    model.fit(X)
    assert model.n_patches_ > 298
    assert_same_bits(model, clone(model).set_params(checkpoint=None).fit(X))


def test_what_is_on_the_disk_is_not_computed_again(tmp_path):
    spies = [str(tmp_path / "spy")] * 2
    (tmp_path / "spy").mkdir()
    model = loco(clusterer=SpyClusterer(spies[0]), classifier=SpyClassifier(spies[1]), checkpoint=tmp_path / "run")

    def fitted():
        lines = notes(tmp_path / "spy")
        return [sum(line.startswith(kind) for line in lines) for kind in ("cluster", "train")]

    killed(model, renaming("votes-000000032"))
    assert fitted() == [41, 40]
    again = clone(model).fit(X)
    # The block that was lost, and nothing else.
    assert fitted() == [41, 48]
    assert_same_bits(clone(model).fit(X), again)
    # More minipatches go on from those there are; fewer need none.
    more = clone(model).set_params(n_patches=50).fit(X)
    assert fitted() == [51, 58]
    assert_same_bits(clone(model).set_params(n_patches=20, clusterer=model.clusterer).fit(X), loco_like(model, 20))
    assert_same_bits(more, loco_like(model, 50))


def loco_like(model, n_patches):
    return clone(model).set_params(checkpoint=None, n_patches=n_patches).fit(X)


WORKERS = """
import sys
import numpy as np
from sklearn.naive_bayes import GaussianNB
from spies import SlowClusterer
from clusterwhy import LOCOMP, _parallel
_parallel.BLOCK = 4
X = np.load(sys.argv[1])
settings = {"n_patches": 40, "max_samples": 0.4, "max_features": 0.4, "random_state": 7}
LOCOMP(SlowClusterer(), GaussianNB(), n_jobs=2, checkpoint=sys.argv[2], **settings).fit(X)
"""


def test_a_run_that_is_killed_with_its_workers_goes_on(tmp_path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run, data = tmp_path / "run", tmp_path / "x.npy"
    np.save(data, X)
    child = subprocess.Popen([sys.executable, "-c", WORKERS, data, run], env=env, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while len(list(run.glob("labels-*.block"))) < 2:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert len(list(run.glob("votes-*"))) == 0
    model = loco(clusterer=SlowClusterer(), classifier=GaussianNB(), checkpoint=run).fit(X)
    assert_same_bits(model, clone(model).set_params(checkpoint=None).fit(X))


# ------------------------------------------------------------------------------------------ what is refused

OTHERS = {
    "X was float64 of shape (80, 12), hash": ({}, np.roll(X, 1)),
    "X was float64 of shape (80, 12)": ({}, X[:70]),
    "clusterer__n_clusters was 3, and is now 2": ({"clusterer": AgglomerativeClustering(2)}, X),
    "classifier__max_depth was None, and is now 2": ({"classifier": DecisionTreeClassifier(max_depth=2)}, X),
    "reference was 'full', and is now int64 of shape (80,)": ({"reference": np.arange(80) % 3}, X),
    "max_samples was 32 of 80, and is now 30 of 80": ({"max_samples": 30}, X),
    "max_features was 5 of 12, and is now 6 of 12": ({"max_features": 6}, X),
    "engine was native, and is now sklearn": ({"engine": "sklearn"}, X),
    "random_state was 7, and is now 8": ({"random_state": 8}, X),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A checkpoint of a finished run; not to be changed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    loco(checkpoint=path).fit(X)
    return path


@pytest.mark.parametrize("difference", OTHERS)
def test_another_run_is_refused_with_the_difference(difference, finished):
    changes, data = OTHERS[difference]
    with pytest.raises(ValueError, match=r"the checkpoint .*run is of another run: ") as error:
        loco(checkpoint=finished, **changes).fit(data)
    assert difference in str(error.value)


def test_another_version_is_refused(finished, monkeypatch):
    monkeypatch.setattr(_loco_mp, "versions", lambda: {"clusterwhy": "0.0.1", "scikit-learn": "1.0"})
    with pytest.raises(ValueError, match=r"clusterwhy was \d.*, and is now 0.0.1; scikit-learn was .* is now 1.0"):
        loco(checkpoint=finished).fit(X)


def test_another_budget_of_rampart_is_refused(tmp_path):
    rampart(checkpoint=tmp_path / "run").fit(X)
    with pytest.raises(ValueError, match="n_patches was 40, and is now 50"):
        rampart(checkpoint=tmp_path / "run", n_patches=50).fit(X)
    with pytest.raises(ValueError, match="n_patches was 40, and is now"):
        loco(checkpoint=tmp_path / "run").fit(X)


def test_scores_of_another_loss_come_from_the_same_checkpoint(finished):
    assert_same_bits(loco(checkpoint=finished, loss="brier").fit(X), loco(loss="brier").fit(X))


def test_a_drawn_seed_is_that_of_the_checkpoint(tmp_path):
    first = loco(checkpoint=tmp_path / "run", random_state=None).fit(X)
    assert_same_bits(loco(checkpoint=tmp_path / "run", random_state=None).fit(X), first)
    with pytest.raises(ValueError, match=f"random_state was {first.patches_.seed}, and is now 1"):
        loco(checkpoint=tmp_path / "run", random_state=1).fit(X)


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped"])
@pytest.mark.parametrize("stage", ["run.json", "reference", "labels", "votes"])
def test_damage_is_found_and_the_file_named(stage, damage, tmp_path):
    loco(checkpoint=tmp_path / "run").fit(X)
    path = sorted(tmp_path.glob(f"run/{stage}*"))[-1]
    data = path.read_bytes()
    middle = len(data) // 2
    changed = {
        "truncated": data[:-1],
        "empty": b"",
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    }
    path.write_bytes(changed[damage])
    with pytest.raises(ValueError, match=f"the checkpoint's file .*{path.name} is damaged"):
        loco(checkpoint=tmp_path / "run").fit(X)
    if stage != "run.json":
        path.unlink()
    else:
        with pytest.raises(ValueError, match="delete the directory, and the run begins anew"):
            loco(checkpoint=tmp_path / "run").fit(X)
        shutil.rmtree(tmp_path / "run")
    assert_same_bits(loco(checkpoint=tmp_path / "run").fit(X), loco().fit(X))


def test_paths_of_other_things_are_refused(tmp_path):
    (tmp_path / "file").write_text("notes")
    with pytest.raises(ValueError, match="must be a directory, got a file"):
        loco(checkpoint=tmp_path / "file").fit(X)
    with pytest.raises(ValueError, match=r"it has no run\.json, but file"):
        loco(checkpoint=tmp_path).fit(X)
    with pytest.raises(ValueError, match="cannot be written: "):
        loco(checkpoint=tmp_path / "file" / "run").fit(X)
    with pytest.raises(TypeError, match="checkpoint must be None or a path, got 3"):
        loco(checkpoint=3).fit(X)


# ------------------------------------------------------------------------------------------ blocks and descriptions


def test_blocks_of_any_cut_give_what_was_asked_for(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run", {})
    whole = np.arange(40).reshape(20, 2)

    def read(start, stop, size):
        def make(at):
            return (whole[first : min(first + size, stop)] for first in range(at, stop, size))

        return np.concatenate(list(checkpoint.blocks("labels", start, stop, make)))

    np.testing.assert_array_equal(read(0, 5, 5), whole[:5])
    np.testing.assert_array_equal(read(3, 4, 1), whole[3:4])
    # A later piece by itself, then all that was missing, across it.
    np.testing.assert_array_equal(read(12, 14, 2), whole[12:14])
    np.testing.assert_array_equal(read(0, 20, 7), whole)
    np.testing.assert_array_equal(read(2, 18, 1), whole[2:18])
    assert list(checkpoint.blocks("labels", 3, 3, None)) == []


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = (np.arange(6, dtype=np.uint16).reshape(2, 3), np.array(["a", "bc"]), np.empty((0, 2)), np.float32([0.5]))
    write(tmp_path / "block", pack_arrays(arrays))
    for found, expected in zip(read_arrays(tmp_path / "block"), arrays, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["block"]


def test_descriptions_are_of_content():
    assert describe(AgglomerativeClustering(3)) == describe(clone(AgglomerativeClustering(3)))
    assert describe(SlowClusterer()) == describe(SlowClusterer()) != describe(SlowClusterer(1.0))
    assert describe(X) == describe(np.asfortranarray(X)) == describe(X.copy())
    assert describe(X) != describe(X.astype(np.float32))
    assert describe(X) != describe(X.T)
    assert describe(np.random.RandomState(1)) != describe(np.random.RandomState(2))
    assert describe([1, {"a": np.sum}]) == "[1, {'a': numpy.sum}]"


class Unpicklable:
    """Has no parameters that can be asked for, and cannot be pickled."""

    def __init__(self, k):
        self.k = k
        self.distance = lambda a, b: abs(a - b)
        self.itself = self
        self.again = {"self": self}

    def fit_predict(self, X):
        return (np.argsort(np.argsort(X[:, 0])) * self.k) // len(X)


class Slots:
    """Keeps what it holds in slots, one of them empty."""

    __slots__ = ("distance", "empty", "k")

    def __init__(self, k):
        self.k = k
        self.distance = lambda a, b: abs(a - b)


def test_an_object_is_described_by_what_it_holds(tmp_path):
    for make in (Unpicklable, Slots, lambda k: partial(lambda X, k: X, k=k), lambda k: partial(lambda X, k: X, k)):
        assert describe(make(2)) == describe(make(2)) != describe(make(5))

    def deeper(levels):
        return deeper(levels - 1) if levels else describe(Unpicklable(2))

    # Whoever asks.
    assert {deeper(levels) for levels in range(5)} == {describe(Unpicklable(2))}
    assert len(describe(Unpicklable(2))) < 400

    class AgglomerativeClustering(DecisionTreeClassifier):
        """Another of the same name."""

    assert describe(AgglomerativeClustering()).startswith("test_checkpoint.")
    assert describe(cluster_module.AgglomerativeClustering()).startswith("sklearn.")
    model = loco(clusterer=Unpicklable(2), classifier=GaussianNB(), checkpoint=tmp_path / "run")
    model.fit(X)
    with pytest.raises(ValueError, match="is of another run: clusterer was"):
        model.set_params(clusterer=Unpicklable(5)).fit(X)


def test_of_two_runs_that_begin_at_once_the_first_has_the_directory(tmp_path, monkeypatch):
    ours, theirs = {"k": "2"}, {"k": "5"}
    written = _checkpoint.write

    def late(path, content, **options):
        # Between our look and our header another run writes its own.
        monkeypatch.setattr(_checkpoint, "write", written)
        Checkpoint(tmp_path / "run", theirs)
        written(path, content, **options)

    monkeypatch.setattr(_checkpoint, "write", late)
    with pytest.raises(ValueError, match="is of another run: k was 5, and is now 2"):
        Checkpoint(tmp_path / "run", ours)
    Checkpoint(tmp_path / "run", theirs)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    with pytest.raises(ValueError, match="is of another run"):
        Checkpoint(tmp_path / "run", ours)


def test_the_same_run_twice_at_once_writes_the_same(tmp_path, monkeypatch):
    path, content = tmp_path / "labels-000000000-000000002.block", pack_arrays((np.arange(2),))
    flush = os.fsync

    def meanwhile(descriptor):
        # With our file written and not yet in place, the other run writes and renames its own.
        monkeypatch.setattr(_checkpoint.os, "fsync", flush)
        write(path, content)
        flush(descriptor)

    monkeypatch.setattr(_checkpoint.os, "fsync", meanwhile)
    write(path, content)
    np.testing.assert_array_equal(read_arrays(path)[0], [0, 1])
    # Nothing is left over, of runs that were killed either.
    (tmp_path / f"{path.name}.77-abcd.partial").write_bytes(b"half")
    write(path, content)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
