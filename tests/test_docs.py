"""The code on the pages of the documentation runs, and says what the pages say that it does."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import load_iris, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import clusterwhy as cw
from clusterwhy.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str = "python") -> list[str]:
    """Return the blocks of a page, padded so that line numbers are those of the page."""
    text = page.read_text()
    return [
        "\n" * text.count("\n", 0, match.start(2)) + match[2]
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def sessions(page: Path) -> str:
    """Return the interactive sessions of a page as one."""
    out = ""
    for block in blocks(page):
        if block.lstrip().startswith(">>> "):
            out += block[out.count("\n") :]
    return out


def listings(page: Path) -> list[str]:
    """Return the other blocks of Python of a page."""
    return [block for block in blocks(page) if not block.lstrip().startswith(">>> ")]


def pages(kind: Callable[[Path], Any]) -> dict[str, Path]:
    return {page.stem: page for page in PAGES if kind(page)}


# ------------------------------------------------------------------------------------------ sessions


@pytest.mark.parametrize("name", pages(sessions))
def test_sessions_say_what_comes_out(name: str) -> None:
    page = pages(sessions)[name]
    session = doctest.DocTestParser().get_doctest(sessions(page), {}, name, str(page), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    outcome = runner.run(session, out=report.append)
    assert outcome.attempted > 0
    assert not outcome.failed, "".join(report)


def test_the_guides_have_sessions() -> None:
    assert {"embedding", "quick-start", "reading-scores", "which-method"} <= pages(sessions).keys()


# ------------------------------------------------------------------------------------------ listings

# What listings take their time for, and what does in a test.
SMALLER = {
    r"n_patches=[\d_]+": "n_patches=60",
    "n_jobs=-1": "n_jobs=1",
    'address="auto"': "num_cpus=2",
    '"scheduler:8786"': "processes=False, n_workers=1, dashboard_address=None",
}


def presumed(name: str) -> dict[str, Any]:
    """Return the names that the listings of a page take for granted; files go to the working directory."""
    X, y = make_blobs(150, n_features=30, centers=3, random_state=0)
    known: dict[str, Any] = {"cw": cw, "np": np, "X": X, "y": y}
    if name in ("gallery", "scikit-learn-and-shap"):
        known["loco"] = cw.LOCOMP(KMeans(3), n_patches=200, random_state=0).fit(X)
    if name == "gallery":
        from matplotlib import pyplot as plt

        known["axes"] = plt.subplots(1, 2)[1]
    elif name == "neon":
        known |= {"labels": y, "make_pipeline": make_pipeline, "StandardScaler": StandardScaler}
        known["mlp_classifier"] = MLPClassifier(hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(X, y)
        known["autoencoder"] = MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(X, X)
    elif name == "scaling":
        known |= {"joblib": joblib, "AgglomerativeClustering": AgglomerativeClustering, "KMeans": KMeans}
        known |= {"clusterer": AgglomerativeClustering(3), "source": np.repeat(X, 8, axis=0).astype(np.float32)}
        np.save("x.npy", known["source"])
    elif name == "scikit-learn-and-shap":
        from sklearn.feature_selection import SelectFromModel

        for tool in (GridSearchCV, KMeans, LogisticRegression, Pipeline, SelectFromModel, StandardScaler):
            known[tool.__name__] = tool
    return known


def runs_here(listing: str) -> bool:
    """Whether what a listing needs beyond the tests' packages is installed."""
    needed = re.findall(r"^(?:from|import) (sklearn\.callback|ray|joblibspark)\b", listing, re.MULTILINE)
    return all(map(importlib.util.find_spec, needed))


@pytest.mark.parametrize("name", pages(listings))
@pytest.mark.filterwarnings("ignore")
def test_listings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot as plt

    monkeypatch.chdir(tmp_path)
    page = pages(listings)[name]
    with mpl.rc_context({"backend": "Agg"}):
        known = presumed(name)
        for listing in filter(runs_here, listings(page)):
            for large, small in SMALLER.items():
                listing = re.sub(large, small, listing)
            exec(compile(listing, str(page), "exec"), known)
        plt.close("all")


# ------------------------------------------------------------------------------------------ commands

COMMANDS = ROOT / "docs" / "command-line.md"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files that the commands of the page read, and go where they are."""
    monkeypatch.chdir(tmp_path)
    X, groups = make_blobs(90, n_features=6, centers=3, random_state=0)
    frame = pl.DataFrame(X, schema=[f"x{j}" for j in range(6)])
    frame.write_csv("data.csv")
    frame.write_parquet("data.parquet")
    obs = pd.DataFrame({"leiden": pd.Categorical(groups.astype(str))}, index=[f"cell{i}" for i in range(90)])
    anndata.AnnData(X, obs=obs).write_h5ad("cells.h5ad")
    iris = load_iris(as_frame=True)
    flowers = iris.data.rename(columns=lambda name: name.removesuffix(" (cm)"))
    flowers.assign(species=iris.target_names[iris.target]).to_csv("iris.csv", index=False)


@pytest.mark.usefixtures("files")
def test_commands_run(capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = [block.split("\n") for block in blocks(COMMANDS, "console") if "$ " not in block]
    for command in filter(None, commands):
        program, *arguments = shlex.split(command)
        assert program == "clusterwhy"
        few = ["--patches", "60"] if arguments == ["demo"] else []
        assert main([*arguments, *few]) == 0, command
        assert capsys.readouterr().out or "--out" in arguments
    assert {path.name for path in Path().iterdir()} >= {"scores.csv", "scores.png", "output"}


@pytest.mark.usefixtures("files")
def test_a_command_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    (session,) = [block.strip() for block in blocks(COMMANDS, "console") if "$ " in block]
    command, expected = session.removeprefix("$ ").split("\n", 1)
    command, columns = command.split(" | ")
    assert columns == "cut -d, -f1,2"
    assert main(shlex.split(command)[1:]) == 0
    printed = [",".join(line.split(",")[:2]) for line in capsys.readouterr().out.splitlines()]
    assert printed == expected.split("\n")
