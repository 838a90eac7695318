"""``clusterwhy info``: what is installed and what it runs on."""

from __future__ import annotations

import json
import platform
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from joblib import cpu_count
from threadpoolctl import threadpool_info

from clusterwhy import __version__, _core
from clusterwhy._validation import n_threads

NEEDED = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "tqdm")
OPTIONAL = ("pandas", "polars", "matplotlib", "anndata", "scanpy", "shap", "dask", "distributed", "torch")


def info(options: Namespace) -> None:
    """Print the versions, the instruction set and the threads."""
    found: dict[str, Any] = {
        "clusterwhy": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "instructions": _core.simd_level(),
        "cores": cpu_count(),
        "threads": {"n_jobs=None": n_threads(None), "n_jobs=-1": n_threads(-1)},
        "libraries": [
            {"api": part["user_api"], "name": part["internal_api"], "threads": part["num_threads"]}
            for part in threadpool_info()
        ],
        "packages": {name: installed(name) for name in (*NEEDED, *OPTIONAL)},
    }
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name in ("clusterwhy", "python", "system", "instructions", "cores"):
        print(f"{name:15}{found[name]}")
    print(f"{'threads':15}" + ", ".join(f"{count} with {setting}" for setting, count in found["threads"].items()))
    for part in found["libraries"]:
        print(f"{part['api']:15}{part['name']}, {part['threads']} threads")
    for name, number in found["packages"].items():
        print(f"{name:15}{number or 'not installed'}")


def installed(package: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
