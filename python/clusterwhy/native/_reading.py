"""Reads an estimator's own parameters; what the core cannot run is the user's error here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clusterwhy._native_params import NativeMethod, NoNativeFormError


def read(reader: Callable[..., NativeMethod], estimator: Any, *context: int) -> NativeMethod:
    """Return what `reader` makes of the parameters, or raise ValueError with its reason."""
    try:
        return reader(estimator, *context)
    except NoNativeFormError as reason:
        raise ValueError(reason.invalid) from None
