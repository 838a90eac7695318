"""Writes the licences of the crates that wheels contain: ``python rust/third_party_licenses.py``.

Every dependency of the extension, on any platform, with the texts that its authors ship. ``--check`` fails instead
when the file is not what would be written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OUTPUT = Path(__file__).with_name("THIRD-PARTY-LICENSES.txt")
RULE = "=" * 80
HEAD = """\
Licences of the crates that the compiled core of clusterwhy contains. Where a crate offers a choice of MIT and
others, it is used under MIT. Written by rust/third_party_licenses.py.
"""


def crates() -> list[dict[str, Any]]:
    """Return the packages that are linked into the extension or expand into it, sorted by name and version."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--features", "python"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen: set[str] = set()
    ahead = [root]
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            normal = [dep for dep in nodes[node]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
            ahead += [dep["pkg"] for dep in normal]
    packages = [package for package in metadata["packages"] if package["id"] in seen - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts(package: dict[str, Any]) -> list[str]:
    """Return the licence texts of a crate: all, but of a choice that has MIT in it, that of MIT."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(
        path for path in folder.iterdir() if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))
    )
    choice = " OR " in package["license"] or "/" in package["license"]
    if choice:
        files = [path for path in files if "APACHE" not in path.name.upper()] or files
    if not files:
        raise SystemExit(f"{package['name']} {package['version']} ships no licence text")
    return [path.read_text(encoding="utf-8").strip() for path in files]


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parts = [HEAD]
    for package in crates():
        title = f"{package['name']} {package['version']} ({package['license']})"
        parts += [RULE, title, RULE, "", *[text + "\n" for text in texts(package)]]
    wanted = "\n".join(parts)
    if not parser.parse_args().check:
        OUTPUT.write_text(wanted, encoding="utf-8")
    elif OUTPUT.read_text(encoding="utf-8") != wanted:
        print(f"{OUTPUT.name} is not that of Cargo.lock: run python rust/third_party_licenses.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
