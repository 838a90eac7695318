"""The command line: ``clusterwhy explain | compare | demo | info``.

Results go to standard output: a table on a terminal, CSV in a pipe. All else (progress, warnings, errors of one line)
goes to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 141 the reader of the pipe left.
"""

from __future__ import annotations

import os
import sys
import warnings

from clusterwhy.cli._errors import (
    BROKEN_PIPE,
    DONE,
    FAILED,
    INTERRUPTED,
    USAGE,
    UsageError,
    describe,
    say,
    show_warning,
)
from clusterwhy.cli._parser import make_parser

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : list of str, default=None
        What stands after ``clusterwhy``; None takes it from the process.
    """
    options = make_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            if getattr(options, "quiet", False):
                warnings.simplefilter("ignore")
            options.run(options)
            sys.stdout.flush()
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more; the interpreter must not find that out again as it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if options.traceback:
            raise
        say(f"error: {describe(error)}")
        return USAGE if isinstance(error, UsageError) else FAILED
    return DONE
