"""The code on the pages of the documentation runs, and says what the pages say that it does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[1] / "docs"
SESSION = re.compile(r"^```python\n(>>> .*?)^```", re.MULTILINE | re.DOTALL)


def sessions(page: Path) -> str:
    """Return the interactive sessions of a page as one, padded so that line numbers are those of the page."""
    out = ""
    text = page.read_text()
    for match in SESSION.finditer(text):
        out += "\n" * (text.count("\n", 0, match.start(1)) - out.count("\n")) + match.group(1)
    return out


@pytest.mark.parametrize(
    "page", [page for page in sorted(PAGES.glob("*.md")) if sessions(page)], ids=lambda page: page.stem
)
def test_sessions_say_what_comes_out(page: Path) -> None:
    session = doctest.DocTestParser().get_doctest(sessions(page), {}, page.stem, str(page), 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    outcome = runner.run(session, out=report.append)
    assert outcome.attempted > 0
    assert not outcome.failed, "".join(report)


def test_the_guides_have_sessions() -> None:
    assert {"embedding", "quick-start", "reading-scores", "which-method"} <= {
        page.stem for page in PAGES.glob("*.md") if sessions(page)
    }


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_python_blocks_are_python(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if not block.startswith(">>> "):
            compile(block, str(page), "exec")
