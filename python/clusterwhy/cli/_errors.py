"""What the command line says when something is wrong."""

from __future__ import annotations

import sys
from typing import Any

DONE, FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141


class UsageError(ValueError):
    """The options contradict each other, or do not fit the data."""


def describe(error: Exception) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, TypeError, ImportError, OSError)) and text:
        return text
    return f"{type(error).__name__}: {text} (--traceback shows where)"


def say(text: str) -> None:
    """Write one line to standard error."""
    print(f"clusterwhy: {text}", file=sys.stderr)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Write a warning as one line."""
    say(f"warning: {' '.join(str(message).split())}")
