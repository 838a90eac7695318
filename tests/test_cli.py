"""The command line: what it prints, saves and says, and the code that it exits with."""

import csv
import io
import json
import signal
import subprocess
import sys
import time

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestCentroid

import clusterwhy as cw
from clusterwhy.cli import main

N, M = 60, 8
NAMES = [f"gene{j}" for j in range(M)]
GROUPS = np.arange(N) % 3
X = np.random.default_rng(0).normal(size=(N, M)) + 4 * np.eye(3, M)[GROUPS]
KINDS = np.array(["a", "b", "c"])[GROUPS]
FRAME = pd.DataFrame(X, columns=NAMES)
SMALL = ["--n-patches", "60", "--max-samples", "0.4", "--max-features", "3", "--jobs", "1", "-q"]
MODEL = {"n_patches": 60, "max_samples": 0.4, "max_features": 3, "random_state": 0}
COMMAND = [sys.executable, "-m", "clusterwhy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same table in every format."""
    path = tmp_path_factory.mktemp("data")
    FRAME.to_csv(path / "d.csv", index=False)
    FRAME.to_csv(path / "named.csv")
    FRAME.assign(kind=KINDS).to_csv(path / "labelled.csv.gz", index=False)
    FRAME.to_csv(path / "d.tsv", sep="\t", index=False)
    FRAME.to_csv(path / "semicolons.csv", sep=";", index=False)
    FRAME.to_csv(path / "bare.csv", index=False, header=False)
    pl.DataFrame(X, schema=NAMES).with_columns(pl.Series("kind", KINDS)).write_parquet(path / "d.parquet")
    np.save(path / "d.npy", X)
    np.savez(path / "d.npz", X=X, kind=KINDS, feature_names=NAMES)
    np.savez(path / "two.npz", A=X, B=X)
    sp.save_npz(path / "sparse.npz", sp.csr_matrix(X))
    obs = pd.DataFrame({"leiden": pd.Categorical(GROUPS.astype(str))}, index=[f"cell{i}" for i in range(N)])
    adata = anndata.AnnData(np.zeros_like(X), obs=obs, var=pd.DataFrame(index=NAMES))
    adata.layers["scaled"] = X
    adata.write_h5ad(path / "d.h5ad")
    (path / "kinds.txt").write_text("\n".join(KINDS) + "\n")
    (path / "empty.csv").write_text("")
    (path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    (path / "text.h5ad").write_text("x")
    np.save(path / "objects.npy", np.array([{}] * 3))
    np.save(path / "flat.npy", np.arange(9.0))
    missing = FRAME.copy()
    missing.iloc[4, 2] = np.nan
    missing.to_csv(path / "missing.csv", index=False)
    anndata.AnnData(
        obs=pd.DataFrame(index=[*"ab"]), var=pd.DataFrame(index=[*"cd"]), layers={"scaled": np.eye(2)}
    ).write_h5ad(path / "empty.h5ad")
    (path / "names.csv").write_text("a,b\n")
    (path / "names.dsv").write_text("a;b (g, dry);c\n" + "1,5;2,5;3,5\n" * 3)
    (path / "comment.csv").write_text("# of 2020\n" + FRAME.to_csv(index=False))
    (path / "few.csv").write_text("a,b\n1,2,3,4\n5,6,7,8\n")
    (path / "one.csv").write_text("a\n1\n2\n3\n")
    (path / "german.tsv").write_text("a\tb\n1,5\t2,0\n2,5\t4,0\n")
    (path / "latin.csv").write_bytes("größe,b\n1,2\n3,4\n".encode("latin-1"))
    (path / "blank.csv").write_text("a,b,kind\n1,2,\n3,4,\n")
    FRAME.replace(X[0, 0], np.inf).to_csv(path / "infinite.csv", index=False)
    FRAME.assign(gene1=1e300).to_csv(path / "huge.csv", index=False)
    return path


@pytest.fixture(scope="module")
def expected():
    return cw.LOCOMP(AgglomerativeClustering(3), **MODEL).fit(FRAME)


def run(capsys, *arguments):
    """Run a command that works; returns its table."""
    assert main([*map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return table(captured.out)


def table(text):
    """Read what a command printed, to the last bit."""
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")


# ------------------------------------------------------------------------------------------ explain


@pytest.mark.parametrize("name", ["d.csv", "named.csv", "d.tsv", "d.npz", "d.npy", "bare.csv", "semicolons.csv"])
def test_formats_give_the_same_scores(name, folder, capsys, expected):
    options = {"bare.csv": ["--no-header"], "semicolons.csv": ["--sep", ";"]}.get(name, [])
    frame = run(capsys, "explain", folder / name, "-k", 3, *SMALL, *options)
    reference = expected.to_frame()
    if name in ("d.npy", "bare.csv"):
        reference["feature"] = reference["feature"].str.replace("gene", "x")
    # To the last bit: text holds every digit.
    pd.testing.assert_frame_equal(frame, reference, check_exact=True)


@pytest.mark.parametrize(
    ("name", "options", "labels"),
    [
        ("labelled.csv.gz", ["--labels", "kind"], KINDS),
        ("d.parquet", ["--labels", "kind"], KINDS),
        ("d.npz", ["--labels", "kind"], KINDS),
        ("d.csv", ["--labels", "kinds.txt"], KINDS),
        ("d.h5ad", ["--layer", "scaled", "--labels", "leiden"], GROUPS),
    ],
)
def test_labels_to_explain(name, options, labels, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    model = cw.LOCOMP(AgglomerativeClustering(3), reference=labels, **MODEL).fit(FRAME)
    frame = run(capsys, "explain", name, *options, *SMALL, "--by-cluster", "--adjust", "holm", "--level", 0.9)
    reference = model.to_frame(by_cluster=True, adjust="holm", level=0.9)
    pd.testing.assert_frame_equal(frame, reference, check_exact=True)


def test_columns_that_pandas_numbered(folder, capsys, tmp_path):
    for index in (True, False):
        pd.DataFrame(X).to_csv(tmp_path / "numbers.csv", index=index)
        frame = run(capsys, "explain", tmp_path / "numbers.csv", "-k", 3, *SMALL)
        assert sorted(frame["feature"]) == list(range(M))


def test_names_of_rows_come_first_however_often_they_were_saved(folder, capsys, tmp_path):
    FRAME.to_csv(tmp_path / "once.csv")
    pd.read_csv(tmp_path / "once.csv").to_csv(tmp_path / "twice.csv")
    pd.read_csv(tmp_path / "twice.csv").to_csv(tmp_path / "thrice.csv")
    FRAME.set_axis([f"cell{i}" for i in range(N)]).to_csv(tmp_path / "named.csv")
    tables = [
        run(capsys, "explain", tmp_path / name, "-k", 3, *SMALL, "--labels-out", tmp_path / f"{name}.out")
        for name in ("once.csv", "twice.csv", "thrice.csv", "named.csv")
    ]
    for frame in tables:
        assert sorted(frame["feature"]) == NAMES
        pd.testing.assert_frame_equal(frame, tables[0], check_exact=True)
    rows = [pd.read_csv(tmp_path / f"{name}.out")["observation"] for name in ("thrice.csv", "named.csv")]
    assert rows[0].tolist() == list(range(N))
    assert rows[1].tolist() == [f"cell{i}" for i in range(N)]


def test_separators_at_the_end_of_lines_move_no_name(folder, capsys, tmp_path, expected):
    lines = FRAME.to_csv(index=False).splitlines()
    (tmp_path / "ends.csv").write_text("\n".join([lines[0], *(line + "," for line in lines[1:])]))
    frame = run(capsys, "explain", tmp_path / "ends.csv", "-k", 3, *SMALL)
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)
    # As R writes it: names of rows, which the first line has no name for, and a value that is missing throughout.
    table = FRAME.to_csv(sep="\t", header=False).replace("\n", "\tNA\n")
    (tmp_path / "r.tsv").write_text("\t".join([*NAMES, "empty"]) + "\n" + table)
    assert main(["explain", str(tmp_path / "r.tsv"), "-k", "3", *SMALL]) == 1
    assert "Input X contains NaN" in capsys.readouterr().err
    frame = run(capsys, "explain", tmp_path / "r.tsv", "-k", 3, *SMALL, "--drop", "empty")
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)


def test_blanks_after_separators_are_of_nothing(folder, capsys, tmp_path, expected):
    (tmp_path / "blanks.csv").write_text(FRAME.assign(kind=KINDS).to_csv(index=False).replace(",", ", "))
    frame = run(capsys, "explain", tmp_path / "blanks.csv", "-k", 3, *SMALL, "--drop", "kind")
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)


def test_names_of_files_are_no_patterns(folder, capsys, tmp_path, expected):
    pl.from_pandas(FRAME).write_parquet(tmp_path / "d[1].parquet")
    pl.from_pandas(FRAME[::-1]).write_parquet(tmp_path / "d1.parquet")
    frame = run(capsys, "explain", tmp_path / "d[1].parquet", "-k", 3, *SMALL)
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)


def test_names_of_bytes_are_names(capsys, tmp_path, expected):
    np.savez(tmp_path / "d.npz", X=X, feature_names=np.array(NAMES, dtype="S"))
    frame = run(capsys, "explain", tmp_path / "d.npz", "-k", 3, *SMALL)
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)


def test_a_word_for_nothing_is_no_label_wherever_it_is(folder, capsys, tmp_path):
    labels = np.where(np.arange(N) % 10 > 0, KINDS, "NA")
    FRAME.assign(kind=labels).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "kinds.txt").write_text("\n".join(labels))
    tables = []
    for column in ("kind", tmp_path / "kinds.txt"):
        drop = [] if column == "kind" else ["--drop", "kind"]
        assert main([*map(str, ["explain", tmp_path / "d.csv", "--labels", column, *drop, *SMALL[:-1]])]) == 0
        captured = capsys.readouterr()
        assert f"the labels in {column}: 6 of 60 observations have none" in captured.err
        tables.append(table(captured.out))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_sparse_data(folder, capsys, monkeypatch):
    explain = ["explain", str(folder / "sparse.npz"), "-k", "3", *SMALL[:-1]]
    assert main(explain) == 0
    captured = capsys.readouterr()
    assert captured.err == "clusterwhy: note: the sparse matrix is made dense (0.0 MB)\n"
    frame = table(captured.out)
    dense = cw.LOCOMP(AgglomerativeClustering(3), **MODEL).fit(X)
    np.testing.assert_array_equal(frame["importance"], dense.to_frame()["importance"])

    # What does not fit stays as it is.
    monkeypatch.setattr("clusterwhy.cli._data.MAX_DENSE_BYTES", 100)
    assert main([*explain, "--clusterer", "kmeans"]) == 0
    captured = capsys.readouterr()
    assert "the sparse matrix stays sparse, since it takes 0.0 GB when dense" in captured.err
    frame = table(captured.out)
    sparse = cw.LOCOMP(KMeans(3), **MODEL).fit(sp.csr_matrix(X))
    np.testing.assert_array_equal(frame["importance"], sparse.to_frame()["importance"])


def test_decimals_separators_and_encodings(folder, capsys, tmp_path, expected):
    named = FRAME.rename(columns={"gene0": "größe"})
    named.to_csv(tmp_path / "german.csv", sep=";", decimal=",", index=False, encoding="latin-1")
    for options in (["--decimal", ","], ["--decimal", ",", "--sep", ";"]):
        frame = run(capsys, "explain", tmp_path / "german.csv", "-k", 3, "--encoding", "latin-1", *options, *SMALL)
        np.testing.assert_array_equal(frame["importance"], expected.to_frame()["importance"])
        assert "größe" in set(frame["feature"])
    (tmp_path / "quoted.csv").write_text(FRAME.to_csv(quoting=csv.QUOTE_ALL, decimal=",", index=False))
    frame = run(capsys, "explain", tmp_path / "quoted.csv", "-k", 3, "--sep", ",", "--decimal", ",", *SMALL)
    np.testing.assert_array_equal(frame["importance"], expected.to_frame()["importance"])
    FRAME.to_csv(tmp_path / "tabs.csv", sep="\t", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    frame = run(capsys, "explain", tmp_path / "tabs.csv", "-k", 3, "--sep", r"\t", *SMALL)
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)
    (tmp_path / "wide.txt").write_text(FRAME.to_string(index=False, float_format="{:.17g}".format))
    frame = run(capsys, "explain", tmp_path / "wide.txt", "-k", 3, "--sep", r"\s+", *SMALL)
    pd.testing.assert_frame_equal(frame, expected.to_frame(), check_exact=True)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_columns_of_the_same_name_are_named(folder, capsys, tmp_path):
    twice = FRAME.rename(columns={"gene3": "gene1"})
    twice.to_csv(tmp_path / "twice.csv", index=False)
    anndata.AnnData(X, var=pd.DataFrame(index=twice.columns)).write_h5ad(tmp_path / "twice.h5ad")
    for name, renamed in {"twice.csv": "gene1.1", "twice.h5ad": "gene1-1"}.items():
        assert main(["explain", str(tmp_path / name), "-k", "3", *SMALL[:-1]]) == 0
        captured = capsys.readouterr()
        warning = f"more than one column is called gene1: the later ones are named such as {renamed}"
        assert captured.err == f"clusterwhy: warning: {warning}\n"
        assert renamed in set(table(captured.out)["feature"])


def test_observations_without_a_label_are_left_out(folder, capsys, tmp_path):
    labels = pd.Series(GROUPS.astype(str)).where(np.arange(N) % 10 > 0)
    obs = pd.DataFrame({"leiden": pd.Categorical(labels)}, index=[f"cell{i}" for i in range(N)])
    anndata.AnnData(X, obs=obs, var=pd.DataFrame(index=NAMES)).write_h5ad(tmp_path / "d.h5ad")
    FRAME.assign(leiden=labels.astype(float)).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "leiden").write_text("\n".join(labels.fillna("")))
    np.savez(tmp_path / "d.npz", X=X, feature_names=NAMES)
    there = labels.notna().to_numpy()
    reference = cw.LOCOMP(AgglomerativeClustering(3), reference=GROUPS[there], **MODEL).fit(FRAME[there])
    for name in ("d.h5ad", "d.csv", "d.npz"):
        column = "leiden" if name != "d.npz" else str(tmp_path / "leiden")
        saved = ["--labels-out", str(tmp_path / "labels.csv")]
        assert main(["explain", str(tmp_path / name), "--labels", column, *SMALL[:-1], *saved]) == 0
        captured = capsys.readouterr()
        assert captured.err == (
            f"clusterwhy: warning: the labels in {column}: 6 of 60 observations have none, and are left out\n"
        )
        frame = table(captured.out)
        pd.testing.assert_frame_equal(frame, reference.to_frame(), check_exact=True)
        assert len(pd.read_csv(tmp_path / "labels.csv")) == 54


def test_methods_and_models(folder, capsys):
    frame = run(
        capsys, "explain", folder / "d.csv", "-k", 3, "--method", "rampart", "--top", 2, "--loss", "margin", *SMALL
    )
    model = cw.LOCORampart(AgglomerativeClustering(3), n_features_to_select=2, loss="margin", **MODEL).fit(FRAME)
    pd.testing.assert_frame_equal(frame, model.to_frame().head(2), check_exact=True)
    split = ["--method", "split", "--n-repeats", 2, "--classifier", "centroid", "--clusterer", "average", "-q"]
    frame = run(capsys, "explain", folder / "d.csv", "-k", 3, "--seed", 4, "--jobs", 1, *split)
    clusterer = AgglomerativeClustering(3, linkage="average")
    model = cw.LOCOSplit(clusterer, NearestCentroid(), n_repeats=2, random_state=4).fit(FRAME)
    pd.testing.assert_frame_equal(frame, model.to_frame(), check_exact=True)


@pytest.mark.parametrize("clusterer", ["complete", "single", "spectral", "gmm", "birch"])
def test_clusterers(clusterer, folder, capsys):
    few = ["--n-patches", "8", "--max-samples", "0.6", "--max-features", "0.5", "--jobs", "1", "-q"]
    assert len(run(capsys, "explain", folder / "d.csv", "-k", 2, "--clusterer", clusterer, *few)) == M


def test_a_growing_ensemble_takes_its_budget(folder, capsys):
    """`--n-patches auto` stops where `--tol` or `--max-patches` say, as the estimator does."""
    options = ["-k", 3, "--n-patches", "auto", "--tol", 0, "--max-patches", 300, "--seed", 0, "--jobs", 1]
    code = main(["explain", str(folder / "d.csv"), "--format", "json", *map(str, options)])
    printed = capsys.readouterr()
    assert code == 0
    assert "not yet precise after 300 minipatches" in printed.err
    with pytest.warns(ConvergenceWarning, match="after 300 minipatches"):
        expected = cw.LOCOMP(
            AgglomerativeClustering(3), n_patches="auto", tol=0, max_patches=300, random_state=0
        ).fit(FRAME)
    found = json.loads(printed.out)
    assert found["n_patches"] == 300
    importance = pd.DataFrame(found["scores"]).set_index("feature")["importance"]
    np.testing.assert_array_equal(importance[NAMES], expected.feature_importances_)
    run(capsys, "explain", folder / "d.csv", "-k", 3, "--n-patches", "auto", "--tol", 9, "--max-seconds", 9, "-q")


def test_standardized_columns_have_no_units(folder, capsys, tmp_path):
    path = tmp_path / "units.csv"
    (FRAME * 10.0 ** np.arange(M)).to_csv(path, index=False)
    options = ["-k", 3, "--standardize", *SMALL, "--clusterer", "kmeans", "--seed", 1]
    one, other = run(capsys, "explain", folder / "d.csv", *options), run(capsys, "explain", path, *options)
    assert one["feature"].tolist() == other["feature"].tolist()
    np.testing.assert_allclose(one["importance"], other["importance"], rtol=1e-6)


def test_formats_of_the_output(folder, capsys, tmp_path, expected, monkeypatch):
    explain = ["explain", str(folder / "d.csv"), "-k", "3", *SMALL, "--top", "3"]
    files = [tmp_path / name for name in ("s.csv", "s.tsv", "s.json", "s.png", "labels.csv")]
    for path in files[:3]:
        assert main([*explain, "--out", str(path), "--format", path.suffix[1:]]) == 0
        # What is printed is what is saved.
        assert capsys.readouterr().out == path.read_text()
    found = json.loads(files[2].read_text())
    assert found["scores"][0] == expected.to_frame().to_dict("records")[0]
    assert (found["method"], found["n_samples"], found["classes"]) == ("locomp", N, [0, 1, 2])
    assert found["loo_error"] == expected.loo_error_
    assert len(found["scores"]) == len(pd.read_csv(files[0])) == len(pd.read_csv(files[1], sep="\t")) == 3
    assert main([*explain, "--plot", str(files[3]), "--labels-out", str(files[4])]) == 0
    assert files[3].read_bytes().startswith(b"\x89PNG")
    assert pd.read_csv(files[4])["label"].tolist() == expected.labels_.tolist()
    # A table on a terminal.
    capsys.readouterr()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(explain) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["feature", "importance", "standard_error"]
    assert len(lines) == 4


def test_undefined_scores_are_null(folder, capsys):
    """A single split has no Monte-Carlo error."""
    split = ["--method", "split", "--classifier", "tree", "--format", "json", "--jobs", "1", "-q"]
    assert main(["explain", str(folder / "d.csv"), "-k", "3", *split]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [row["monte_carlo_error"] for row in found["scores"]] == [None] * M


def test_what_estimators_say_goes_to_standard_error(folder, capsys, monkeypatch):
    import clusterwhy.cli._estimators as estimators

    class Talks(KMeans):
        def fit(self, X, y=None, sample_weight=None):
            print("hello")
            return super().fit(X)

    monkeypatch.setitem(estimators.CLUSTERERS, "kmeans", Talks)
    small = [option for option in SMALL if option != "-q"]
    assert main(["explain", str(folder / "d.csv"), "-k", "2", "--clusterer", "kmeans", *small]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("feature,importance")
    assert "hello" in captured.err
    # And warnings are one line each.
    assert all(line.startswith(("hello", "clusterwhy: warning: ")) for line in captured.err.splitlines())


# ------------------------------------------------------------------------------------------ compare and info


def test_compare(folder, capsys, tmp_path):
    compare = ["compare", str(folder / "d.csv"), "-k", "3", *SMALL, "--classifier", "tree", "--n-repeats", "2"]
    figure = tmp_path / "c.png"
    assert main([*compare, "--format", "json", "--plot", str(figure)]) == 0
    found = json.loads(capsys.readouterr().out)
    frame = pd.DataFrame(found["scores"])
    assert list(found["seconds"]) == ["locomp", "rampart", "split"]
    ranks = frame[["locomp_rank", "rampart_rank", "split_rank"]]
    np.testing.assert_allclose(frame["mean_rank"], ranks.mean(axis=1))
    assert frame["mean_rank"].is_monotonic_increasing
    assert set(frame["feature"].head(3)) == set(NAMES[:3])
    model = cw.LOCOMP(AgglomerativeClustering(3), **MODEL).fit(FRAME)
    scores = frame.set_index("feature")["locomp_importance"][NAMES]
    # The same but for the classifier's name.
    np.testing.assert_array_equal(scores, model.feature_importances_)
    assert found["agreement"][0]["methods"] == ["locomp", "rampart"]
    assert found["agreement"][0]["spearman"] == pytest.approx(frame["locomp_rank"].corr(frame["rampart_rank"]))
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert main([*compare, "--methods", "rampart,locomp", "--format", "table", "--top", "3"]) == 2
    assert "--n-repeats is not for the method rampart or locomp" in capsys.readouterr().err
    assert main([*compare[:-2], "--methods", "rampart,locomp", "--format", "table", "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith("rampart and locomp: ")


def test_every_method_can_be_compared(folder, capsys):
    methods = ["permutation", "prototype", "fcm-shap", "neon", "impacc", "silhouette", "stability"]
    compare = ["compare", folder / "d.csv", "-k", 3, "--clusterer", "kmeans", "--jobs", 1, "-q"]
    frame = run(capsys, *compare, "--methods", ",".join(methods), "--max-samples", 0.5, "--max-features", 0.5)
    assert [name.removesuffix("_rank") for name in frame.columns[2::2]] == methods
    # A method's own call gives the same scores.
    model = cw.comparators.NEON(KMeans(3), random_state=0).fit(FRAME)
    scores = frame.set_index("feature")["neon_importance"][NAMES]
    np.testing.assert_array_equal(scores, model.feature_importances_)
    assert set(frame["feature"][:3]) == set(NAMES[:3])


def test_info(capsys):
    assert main(["info"]) == 0
    assert f"clusterwhy     {cw.__version__}" in capsys.readouterr().out
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["numpy"] == np.__version__
    assert found["instructions"] in ("avx512", "avx2", "baseline")


def test_demo(tmp_path, capsys):
    assert main(["demo", "--patches", "60", "--output", str(tmp_path / "out"), "--jobs", "1"]) == 0
    assert "Top 10 genes of the whole clustering" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out" / "genes.csv")) == 765
    assert (tmp_path / "out" / "genes.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("other", ["2_0", "02", "+2"])
def test_labels_are_numbers_only_where_they_are_written_as_such(other, tmp_path, capsys):
    groups = np.array(["2", other, "3"])[GROUPS]
    (tmp_path / "labels.txt").write_text("\n".join(groups) + "\n")
    FRAME.to_csv(tmp_path / "bare.csv", index=False)
    explain = ["explain", str(tmp_path / "bare.csv"), "--labels", str(tmp_path / "labels.txt"), *SMALL]
    assert main([*explain, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == sorted(["2", other, "3"])


def test_labels_of_a_column_stay_as_they_are_written(tmp_path, capsys):
    codes = {
        "codes": ["01", "1", "2"],
        "zeros": ["001", "01", "1"],
        "whole": ["1.0", "2.0", "3.0"],
        "plain": ["3", "1", "2"],
    }
    classes = {**codes, "whole": [1, 2, 3], "plain": [1, 2, 3]}
    path = tmp_path / "coded.csv"
    FRAME.assign(**{name: np.array(values)[GROUPS] for name, values in codes.items()}).to_csv(path, index=False)
    for name, expected in classes.items():
        explain = ["explain", str(path), "--labels", name, "--format", "json", *SMALL]
        others = [option for other in codes if other != name for option in ("--drop", other)]
        assert main([*explain, *others]) == 0
        assert json.loads(capsys.readouterr().out)["classes"] == expected
    bare = tmp_path / "bare.csv"
    FRAME.assign(code=np.array(codes["codes"])[GROUPS]).to_csv(bare, index=False, header=False)
    assert main(["explain", str(bare), "--no-header", "--labels", f"x{M}", "--format", "json", *SMALL]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == codes["codes"]


def test_what_was_fitted_is_in_the_results(folder, capsys):
    """How many minipatches, and all parameters, of each method."""
    options = ["-k", "3", "--format", "json", *SMALL]
    assert main(["explain", str(folder / "d.csv"), *options]) == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["n_patches"], one["parameters"]["loss"], one["parameters"]["max_features"]) == (60, "hinge", 3)
    assert main(["compare", str(folder / "d.csv"), "--methods", "locomp,rampart,prototype", *options]) == 0
    several = json.loads(capsys.readouterr().out)
    assert several["parameters"]["locomp"] == one["parameters"]
    found = several["n_patches"]
    assert (found["locomp"], found["rampart"][0], found["prototype"]) == (60, 60, None)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["explain", "d.csv", "--out", "d.csv"], "--out d.csv would overwrite the data d.csv"),
        (["explain", "d.csv", "--out", "link.csv"], "--out link.csv would overwrite the data d.csv"),
        (["compare", "d.csv", "--out", "sub/../d.csv"], "--out sub/../d.csv would overwrite the data d.csv"),
        (["explain", "d.csv", "--labels-out", "d.csv"], "--labels-out d.csv would overwrite the data d.csv"),
        (
            ["explain", "d.csv", "--labels", "kinds.txt", "--labels-out", "kinds.txt"],
            "--labels-out kinds.txt would overwrite the labels kinds.txt",
        ),
        (
            ["explain", "d.csv", "--out", "new.csv", "--labels-out", "new.csv"],
            "--labels-out new.csv would overwrite --out new.csv",
        ),
        (["explain", "d.csv", "--labels-out", "sub"], "--labels-out sub: this is a folder"),
    ],
)
def test_nothing_that_is_read_is_overwritten(command, message, folder, tmp_path, monkeypatch, capsys):
    for name in ("d.csv", "kinds.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "link.csv").symlink_to("d.csv")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main([*command, *([] if "--labels" in command else ["-k", "3"]), *SMALL]) == 2
    assert message in capsys.readouterr().err
    for name in ("d.csv", "kinds.txt"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert not (tmp_path / "new.csv").exists()


def test_a_demo_that_has_nowhere_to_write_ends_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("clusterwhy.demo.explain", lambda *_: pytest.fail("worked in vain"))
    (tmp_path / "file").write_text("")
    assert main(["demo", "--output", str(tmp_path / "file")]) == 1


# ------------------------------------------------------------------------------------------ what goes wrong

WRONG = {
    "no such file": (["nothere.csv", "-k", "3"], 1, "nothere.csv: No such file or directory"),
    "a folder": ([".", "-k", "3", "--input-format", "csv"], 1, ".: Is a directory"),
    "empty": (["empty.csv", "-k", "3"], 1, "empty.csv cannot be read as text: No columns to parse from file"),
    "not text": (["bytes.csv", "-k", "3"], 1, "bytes.csv cannot be read as text: 'utf-8' codec"),
    "not HDF5": (["text.h5ad", "-k", "3"], 1, "text.h5ad cannot be read as .h5ad: "),
    "objects": (["objects.npy", "-k", "3"], 1, "objects.npy cannot be read as .npy: "),
    "no matrix": (["flat.npy", "-k", "3"], 2, "must be a matrix of observations by features, got shape (9,)"),
    "several arrays": (
        ["two.npz", "-k", "3", "--input-format", "npy"],
        1,
        "two.npz cannot be read as .npy: it holds several arrays (--input-format npz)",
    ),
    "no X": (["empty.h5ad", "-k", "3"], 2, "empty.h5ad has no X: name a layer (--layer); there are scaled"),
    "key of a sparse matrix": (
        ["sparse.npz", "-k", "3", "--key", "X"],
        2,
        "sparse.npz is one sparse matrix: --key names one of several arrays",
    ),
    "two matrices": (["two.npz", "-k", "3"], 2, "two.npz has the arrays A, B: name one with --key"),
    "no format": (["data.dat", "-k", "3"], 2, "data.dat: the format is not known: name it with --input-format"),
    "no layer": (["d.h5ad", "-k", "3", "--layer", "raw"], 2, "--layer raw: there is no such layer; there are scaled"),
    "one column": (
        ["semicolons.csv", "-k", "3"],
        2,
        "has one column, 'gene0;gene1;gene2;gene3;gene4;gene5;gene': are they separated otherwise (--sep ';')?",
    ),
    "no header": (["bare.csv", "-k", "3"], 2, "is it an observation (--no-header)?"),
    "text column": (["labelled.csv.gz", "-k", "3"], 2, "not numbers: kind; leave such columns out (--drop), or"),
    "no such column": (
        ["d.csv", "-k", "3", "--drop", "z"],
        2,
        "--drop z: there is no such column; there are gene0, g",
    ),
    "no such labels beside text": (
        ["german.tsv", "--labels", "z"],
        2,
        "--labels z is neither a column of the data nor a file",
    ),
    "no such labels": (["d.csv", "--labels", "z"], 2, "--labels z is neither a column of the data nor a file"),
    "few labels": (
        ["d.npz", "--labels", "y.txt"],
        1,
        "the labels in y.txt must have one label per observation, shape",
    ),
    "not for npy": (["d.npy", "-k", "3", "--drop", "z"], 2, "--drop is for csv, tsv, parquet, not for npy"),
    "no K": (["d.csv"], 2, "how many clusters? Pass -k K, or --labels"),
    "K for hdbscan": (
        ["d.csv", "-k", "2", "--clusterer", "hdbscan"],
        2,
        "hdbscan finds the number of clusters itself",
    ),
    "large K": (["d.csv", "-k", "99"], 2, "99 clusters are more than the 60 observations: pass a smaller -k"),
    "commas in a name": (
        ["names.dsv", "-k", "3", "--input-format", "csv"],
        2,
        "names.dsv: are they separated otherwise (--sep ';')?",
    ),
    "labels as no feature": (
        ["labelled.csv.gz", "--labels", "kind", "--drop", "kind"],
        2,
        "--drop kind: these are the labels, which are no feature: leave --drop out",
    ),
    "names alone": (["names.csv", "-k", "3"], 1, "names.csv has names of columns, and no observation below them"),
    "few names": (["few.csv", "-k", "3"], 1, "few.csv has 2 values more in a line than names in the first"),
    "one feature": (["one.csv", "-k", "3"], 2, "one.csv has one column, 'a': there must be two features or more"),
    "decimal commas": (
        ["german.tsv", "-k", "3"],
        2,
        "not numbers: a, b; is the comma their decimal point (--decimal",
    ),
    "clusters of a global method": (
        ["d.csv", "-k", "3", "--method", "stability", "--by-cluster"],
        2,
        "--by-cluster is not for the method stability, which scores the whole clustering alone",
    ),
    "encoding": (["latin.csv", "-k", "3"], 1, "start byte; is it another encoding (--encoding utf-16 or"),
    "a comment": (["comment.csv", "-k", "3"], 2, "has one column, '# of 2020': leave comments above the names of"),
    "no labels": (["blank.csv", "--labels", "kind"], 1, "the labels in kind: no observation has one"),
    "infinite": (["infinite.csv", "-k", "3"], 1, "Input X contains infinity"),
    "missing values": (["missing.csv", "-k", "3"], 1, "Input X contains NaN. LOCOMP does not accept missing values"),
    "own labels": (["d.npz", "--labels", "kind", "--method", "impacc"], 2, "--labels is not for the method impacc"),
    "not an option": (
        ["d.csv", "-k", "3", "--method", "split", "--n-patches", "9"],
        2,
        "--n-patches is not for the me",
    ),
    "a fixed number": (["d.csv", "-k", "3", "--tol", "0.1"], 2, "--tol is for --n-patches auto: pass that too"),
    "no seconds": (
        ["d.csv", "-k", "3", "--method", "rampart", "--n-patches", "auto", "--max-seconds", "9"],
        2,
        "--max-seconds is not for the method rampart",
    ),
    "too many features": (
        ["d.csv", "-k", "3", "--method", "locomp", "--max-features", "9"],
        2,
        "--max-features must be from 1 to the 8 features of the data when it is an integer, got 9",
    ),
    "too many observations": (
        ["d.csv", "-k", "3", "--method", "rampart", "--max-samples", "99"],
        2,
        "--max-samples must be from 1 to the 60 observations",
    ),
    "all features": (
        ["d.csv", "-k", "3", "--method", "locomp", "--max-features", "8"],
        2,
        "--max-features 8 is all 8 features: minipatches must leave some out, pass less",
    ),
    "clusters of a global loss": (
        ["d.csv", "-k", "3", "--loss", "ari", "--by-cluster"],
        2,
        "--by-cluster is not for --loss ari, which is one figure for the whole clustering: take one of hinge,",
    ),
    "not native": (
        ["d.csv", "-k", "3", "--clusterer", "birch", "--engine", "native"],
        2,
        "--engine native: Birch has no native form; take another, or --engine auto",
    ),
    "classifier not native": (
        ["d.csv", "-k", "3", "--classifier", "logistic", "--engine", "native"],
        2,
        "--engine native: LogisticRegression has no native form",
    ),
    "too large to standardize": (
        ["huge.csv", "-k", "3", "--standardize"],
        1,
        "X has values as large as 1e+300 (column 'gene1'), expected at most 1e+150",
    ),
    "out": (["d.csv", "-k", "3", "--out", "s.xlsx"], 2, "--out s.xlsx: the name must end in .csv, .tsv, .json"),
    "plot": (["d.csv", "-k", "3", "--plot", "s.doc"], 2, "--plot s.doc: the name must end in "),
    "no folder": (["d.csv", "-k", "3", "--out", "no/s.csv"], 2, "no/s.csv: there is no folder no"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_one_line(case, folder, capsys, monkeypatch):
    arguments, code, message = WRONG[case]
    monkeypatch.chdir(folder)
    (folder / "y.txt").write_text("1\n2\n")
    assert main(["explain", *arguments, *([] if "--method" in arguments else SMALL[:-1])]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("clusterwhy: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "clusterwhy: error: the following arguments are required: COMMAND (see clusterwhy --help)\n"),
        (["explain"], "clusterwhy explain: error: the following arguments are required: data (see "),
        (
            ["explain", "d.csv", "-k", "x"],
            "clusterwhy explain: error: argument -k/--clusters: must be a whole number of at least 1, got 'x'",
        ),
        (["explain", "d.csv", "-k", "0"], "argument -k/--clusters: must be a whole number of at least 1, got '0'"),
        (["explain", "d.csv", "--top", "0"], "argument --top: must be a whole number of at least 1, got '0'"),
        (["explain", "d.csv", "--level", "95"], "argument --level: must lie strictly between 0 and 1, got '95'"),
        (["explain", "d.csv", "--jobs", "0"], "argument --jobs: must be a whole number other than 0"),
        (["explain", "d.csv", "--seed", "-1"], "argument --seed: must be a whole number of at least 0"),
        (["explain", "d.csv", "--n-patches", "many"], "argument --n-patches: must be auto or a whole number of at"),
        (["explain", "d.csv", "--tol", "-1"], "argument --tol: must be a number of at least 0, got '-1'"),
        (["explain", "d.csv", "--max-seconds", "inf"], "argument --max-seconds: must be a number of at least 0"),
        *[
            (
                ["explain", "d.csv", "--max-samples", size],
                "--max-samples: must be a count of at least 1, or a fraction",
            )
            for size in ("half", "0", "1.5", "-3", "nan")
        ],
        (["explain", "d.csv", "--sep", "::"], "argument --sep: must be one character, got '::'"),
        (["explain", "d.csv", "--decimal", "::"], "argument --decimal: must be one character, got '::'"),
        (["explain", "d.csv", "--encoding", "klingon"], "argument --encoding: must be an encoding that Python knows"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_methods_to_compare(folder, capsys):
    for text, message in {
        "locomp": "two or more of locomp, rampart, split",
        "locomp,zz": "got 'zz'",
        "split,split": "each once, got",
    }.items():
        assert main(["compare", str(folder / "d.csv"), "-k", "3", "--methods", text]) == 2
        assert message in capsys.readouterr().err


def test_a_budget_is_for_every_method_that_grows(folder, capsys):
    compare = ["compare", str(folder / "d.csv"), "-k", "3", "--n-patches", "auto", "--max-seconds", "9", "-q"]
    assert main([*compare, "--methods", "locomp,rampart"]) == 2
    message = "--max-seconds is not for the method rampart, which would go on: pass --max-patches in its place"
    assert message in capsys.readouterr().err
    assert main([*compare, "--methods", "locomp,prototype"]) == 0


def test_a_tolerance_is_of_methods_that_grow_alone(folder, capsys):
    """IMPACC has a ``tol`` too, which says something else."""
    compare = ["compare", folder / "d.csv", "-k", 3, "--seed", 0, "--jobs", 1, "-q", "--format", "json"]
    compare += ["--methods", "locomp,impacc", "--n-patches", "auto", "--tol", 0.4, "--max-patches", 300]
    assert main([*map(str, compare)]) == 0
    found = json.loads(capsys.readouterr().out)["parameters"]
    assert (found["locomp"]["tol"], found["locomp"]["max_patches"]) == (0.4, 300)
    assert found["impacc"]["tol"] == cw.comparators.IMPACC(3).tol


def test_options_that_would_do_nothing_are_refused(folder, capsys):
    d, kinds = str(folder / "d.csv"), str(folder / "kinds.txt")
    for arguments, message in {
        ("compare", d, "-k", "3", "--level", "0.9"): "--level is for the intervals of a figure: pass --plot too",
        (
            "explain",
            d,
            "--labels",
            kinds,
            "-k",
            "3",
            "--method",
            "neon",
        ): "-k is not for the method neon with --labels",
        ("explain", d, "--labels", kinds, "--clusterer", "kmeans", "--method", "prototype"): "--clusterer is not for",
    }.items():
        assert main([*arguments]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", d, "-k", "3", "--adjust", "holm"])
    assert "unrecognized arguments: --adjust holm" in capsys.readouterr().err
    explain = ["explain", d, "--labels", kinds, "--format", "json", "-q"]
    for method, name in {"prototype": None, "silhouette": "ward"}.items():
        assert main([*explain, "--method", method]) == 0
        assert json.loads(capsys.readouterr().out)["clusterer"] == name


def test_unexpected_errors_too(folder, capsys, monkeypatch):
    def broken(*_):
        raise KeyError("oops")

    monkeypatch.setattr("clusterwhy.cli._explain.fit", broken)
    assert main(["explain", str(folder / "d.csv"), "-k", "3"]) == 1
    assert capsys.readouterr().err == "clusterwhy: error: KeyError: 'oops' (--traceback shows where)\n"
    with pytest.raises(KeyError):
        main(["explain", str(folder / "d.csv"), "-k", "3", "--traceback"])


def test_help_mentions_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["explain", "--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    for option in ("--clusterer", "-k", "--method", "--top", "--out", "--plot", "--labels", "--standardize"):
        assert option in text


# ------------------------------------------------------------------------------------------ as a process


def test_from_one_pipe_into_another(folder):
    """Data come through a pipe, and whoever reads the scores leaves after the first line."""
    explain = [*COMMAND, "explain", "-", "-k", "3", *SMALL]
    process = subprocess.Popen(explain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.stdin.write((folder / "d.csv").read_bytes())
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


def test_ctrl_c(folder):
    """Interrupted while it computes, it says so and exits with 130."""
    explain = ["explain", str(folder / "d.csv"), "-k", "3", "--n-patches", "40000000", "--jobs", "1"]
    start = "import sys, clusterwhy.cli as cli; print('matplotlib' in sys.modules, flush=True)"
    start += f"; sys.exit(cli.main({explain}))"
    process = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # Loaded, without what only pictures need; then a moment to begin.
    assert process.stdout.readline() == b"False\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert (out, error) == (b"", b"clusterwhy: interrupted\n")
