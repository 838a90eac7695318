"""How the site is built: ``make docs``."""

from __future__ import annotations

import inspect
from typing import Any

import clusterwhy

project = "clusterwhy"
author = "the clusterwhy developers"
copyright = f"2026, {author}"
release = version = clusterwhy.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "myst_parser",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]

html_theme = "pydata_sphinx_theme"
html_title = f"clusterwhy {release}"
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages that are sections of their own have nothing to navigate.
html_sidebars = {page: [] for page in ("quick-start", "evidence", "benchmarks", "changelog", "contributing")}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False

# Sections of the Markdown pages can be linked to, as on the pages of a repository.
myst_heading_anchors = 3

autodoc_typehints = "none"
autosummary_generate = True
# The templates name the members themselves.
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# What scikit-learn and others document, on their own sites.
nitpick_ignore_regex = [("py:.*", r"(sklearn|scipy|shap|scanpy|anndata|joblib|matplotlib|polars|pandas|numpy)\..*")]


def is_foreign(_app: Any, _what: str, name: str, member: Any, skip: bool, _options: Any) -> bool | None:
    """Leave out what estimators inherit from scikit-learn."""
    module = getattr(inspect.unwrap(member), "__module__", None) if callable(member) else None
    return True if module is not None and not module.startswith("clusterwhy") else None


def setup(app: Any) -> None:
    """Register the choice of members."""
    app.connect("autodoc-skip-member", is_foreign)
