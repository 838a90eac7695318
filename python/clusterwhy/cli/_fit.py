"""Fits what the options ask for, and keeps standard output for the results."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from clusterwhy.cli._estimators import make_model
from clusterwhy.cli._table import Table


def fit(method: str, options: Namespace, data: Table) -> Any:
    """Fit a method; whatever talks while it runs talks to standard error."""
    verbose = int(sys.stderr.isatty() and not options.quiet)
    model = make_model(method, options, data, verbose)
    with redirect_stdout(sys.stderr):
        model.fit(data.X)
    if data.names is not None:
        # Sparse data have no names of their own.
        model.feature_names_in_ = np.asarray(data.names, dtype=object)
    return model
