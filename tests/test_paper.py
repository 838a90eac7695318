"""The command that measures the source's figures again, at its smallest size: it resumes, and its tables hold."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from clusterwhy.datasets import load_cells, make_gaussian_mixture
from clusterwhy.metrics import top_k_hits

PAPER = Path(__file__).parent.parent / "benches" / "paper"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Results of one replicate of one setting."""
    folder = tmp_path_factory.mktemp("paper")
    run(folder)
    return folder


def run(folder, *options):
    command = [sys.executable, str(PAPER), "--parts", "tiny", "--settings", "gaussian", "--replicates", "1"]
    subprocess.run([*command, "--jobs", "1", "--output", str(folder), *options], check=True, timeout=240)


def read(folder):
    return pd.read_csv(folder / "results.csv", keep_default_na=False)


def test_every_method_is_measured_once_on_each_data_set(tiny):
    table = read(tiny)
    hits = table[table["metric"] == "top10_hits"]
    assert len(hits) == 2 * 7
    assert not hits.duplicated(["difficulty", "method"]).any()
    assert hits["value"].between(0, 1).all()
    assert (table.loc[table["metric"] == "seconds", "value"] > 0).all()


def test_what_it_measures_is_what_the_methods_say(tiny):
    from clusterwhy.comparators import PrototypeImportance

    X, _, signal = make_gaussian_mixture(90, 3, n_noise=5, difficulty="easy", shuffle_features=True, random_state=0)
    scores = PrototypeImportance(KMeans(3, n_init=10), random_state=0).fit(X).feature_importances_
    table = read(tiny)
    row = table.query("method == 'PBFI' and difficulty == 'easy' and metric == 'top10_hits'")
    assert row["value"].item() == pytest.approx(top_k_hits(scores, signal))


def test_the_page_shows_what_was_measured(tmp_path):
    command = [sys.executable, str(PAPER), "--report", "--output", str(tmp_path)]
    shutil.copy(PAPER / "measured.csv", tmp_path / "results.csv")
    subprocess.run(command, check=True, timeout=240)
    page = (PAPER.parent.parent / "docs" / "paper.md").read_text()
    simulations, cells = (tmp_path / "tables.md").read_text().split("## cells")
    rows = ("| gaussian", "| gamma", "| moons_circles")
    shown = [line for line in simulations.splitlines() if line.startswith(rows) or "at or above" in line]
    # All of the cells' tables: markers, and the genes of Figures 3 and 4.
    shown += [line for line in cells.splitlines() if line.startswith("| ")]
    assert len(shown) > 100
    assert [line for line in shown if line not in page] == []


def test_a_run_that_was_cut_off_goes_on(tiny, tmp_path):
    whole = (tiny / "results.csv").read_text()
    lines = whole.splitlines(keepends=True)
    # The last whole unit, then one that lacks its end, then half a line.
    (tmp_path / "results.csv").write_text("".join(lines[:-2]) + lines[-2][:25])
    run(tmp_path)
    found, expected = read(tmp_path), read(tiny)
    timed = found["metric"] == "seconds"
    pd.testing.assert_frame_equal(found[~timed], expected[expected["metric"] != "seconds"])
    kept = (tmp_path / "results.csv").read_text()
    assert kept.startswith("".join(lines[:-3]))


def test_tables_and_figures_are_drawn_from_the_file(tiny, tmp_path):
    (tmp_path / "results.csv").write_text((tiny / "results.csv").read_text())
    run(tmp_path, "--report")
    text = (tmp_path / "tables.md").read_text()
    assert "LOCO-MP is at or above every other method in" in text
    assert (tmp_path / "tiny.png").stat().st_size > 10_000


def test_markers_are_genes_of_the_cells_with_a_source_each():
    cells = load_cells()
    markers = pd.read_csv(PAPER / "markers.csv")
    assert set(markers["cell_type"]) == set(cells.target_names)
    assert set(markers["gene"]) <= set(cells.feature_names)
    assert not markers.duplicated(["cell_type", "gene"]).any()
    assert markers["source"].str.contains(r"\d{4}").all()


def test_clusters_are_matched_to_types_and_markers_counted(monkeypatch):
    monkeypatch.syspath_prepend(str(PAPER))
    import cells as study

    data = load_cells()
    markers = pd.read_csv(PAPER / "markers.csv")
    # Clusters that are the types under other numbers, and scores that are high for one marker of each type.
    order = np.random.default_rng(0).permutation(10)
    scores = np.zeros((10, 765))
    genes = list(data.feature_names)
    for t, name in enumerate(data.target_names):
        first = markers[markers["cell_type"] == name]["gene"].iloc[0]
        scores[order[t], genes.index(first)] = 1
        scores[order[t]] -= 1e-3 * np.isin(genes, markers["gene"])
    found = study.Explained(order[data.target], None, scores)
    assert study.match(found.labels, data.target) == {int(order[t]): t for t in range(10)}
    rows = study.count_markers(found, data, markers)
    assert [value for _, metric, value in rows if metric == "markers"] == [1] * 10
    assert [value for _, metric, value in rows if metric == "markers_of_others"] == [0] * 10


def test_rows_of_scores_are_those_of_the_clusters_that_are_left(monkeypatch):
    monkeypatch.syspath_prepend(str(PAPER))
    import cells as study

    scores = np.arange(12.0).reshape(3, 4)
    model = SimpleNamespace(classes_=np.array([2, 5, 7]), labels_=np.array([7, 2, 2]), cluster_importances_=scores)
    np.testing.assert_array_equal(study.scores_by_cluster(model), scores[[0, 2]])
    model.rounds_ = [{"features": np.arange(4)}, {"features": np.array([3, 1])}]
    np.testing.assert_array_equal(study.scores_by_cluster(model), [[np.nan, 1, np.nan, 3], [np.nan, 9, np.nan, 11]])
    assert study.scores_by_cluster(SimpleNamespace()) is None


def test_a_type_without_a_cluster_counts_nothing_in_that_seed(monkeypatch):
    monkeypatch.syspath_prepend(str(PAPER))
    import report

    rows = [("b", 0, "NK", 4), ("b", 0, "B", 2), ("b", 1, "NK", 6), ("a", 0, "B", 1)]
    table = pd.DataFrame(rows, columns=["method", "replicate", "item", "value"]).assign(metric="markers")
    found = report.of_types(table, "markers")
    assert found.index.tolist() == ["b", "a"]
    assert found.columns.tolist() == ["NK", "B"]
    np.testing.assert_array_equal(found, [[5, 1], [0, 1]])
