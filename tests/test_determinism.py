"""The same bits for any number of threads and any instruction set."""

import numpy as np
import pytest
from problems import KINDS, LOSSES, make_problem
from sklearn.cluster import KMeans
from sklearn.tree import DecisionTreeClassifier

import clusterwhy as cw
from clusterwhy import _core

NAMED = [loss for loss in LOSSES if not callable(loss)]
# A user's loss is called for each feature, so it gets the few.
CASES = [((70, 530, 140, 3), loss) for loss in NAMED]
CASES += [(size, loss) for size in [(40, 20, 70, 66), (9, 5, 12, 2)] for loss in LOSSES]


def same(first, second):
    for name in first:
        assert np.array_equal(first[name], second[name], equal_nan=True), name


def scores(size, kind, loss, n_jobs=1):
    problem = make_problem(1, *size, kind, largest=0.4)
    return cw.loco_scores(
        problem.predictions, problem.patches, problem.labels, loss, n_features=size[1], n_jobs=n_jobs
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "loss"), CASES)
def test_threads(size, kind, loss):
    one = scores(size, kind, loss)
    for n_jobs in (2, 3):
        same(one, scores(size, kind, loss, n_jobs))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "loss"), CASES)
def test_instruction_sets(size, kind, loss, monkeypatch):
    native = scores(size, kind, loss)
    for level in ("baseline", "avx2", "avx512"):
        monkeypatch.setenv("CLUSTERWHY_SIMD", level)
        same(native, scores(size, kind, loss))
    monkeypatch.setenv("CLUSTERWHY_SIMD", "baseline")
    assert _core.simd_level() == "baseline"


def test_an_instruction_set_that_is_none_is_refused_at_once(monkeypatch):
    X = np.random.default_rng(0).normal(size=(40, 8))
    monkeypatch.setenv("CLUSTERWHY_SIMD", "avx-512")
    message = 'CLUSTERWHY_SIMD is "avx-512", expected baseline, avx2 or avx512 .*, or unset'
    for engine in ("auto", "sklearn"):
        with pytest.raises(ValueError, match=message):
            cw.LOCOMP(KMeans(3, n_init=1), n_patches=40, engine=engine).fit(X)
    with pytest.raises(ValueError, match=message):
        _core.simd_level()
    monkeypatch.setenv("CLUSTERWHY_SIMD", "")
    empty = _core.simd_level()
    monkeypatch.delenv("CLUSTERWHY_SIMD")
    assert empty == _core.simd_level()


def test_a_whole_fit_does_not_depend_on_workers():
    X = np.random.default_rng(0).normal(size=(40, 8))
    fits = [
        cw.LOCOMP(
            KMeans(3, n_init=1), DecisionTreeClassifier(max_depth=3), n_patches=40, n_jobs=n_jobs, random_state=1
        ).fit(X)
        for n_jobs in (1, 2)
    ]
    names = [n for n in vars(fits[0]) if n.endswith("_") and isinstance(vars(fits[0])[n], np.ndarray)]
    assert "sample_importances_" in names
    same(*[{name: getattr(fit, name) for name in names} for fit in fits])
