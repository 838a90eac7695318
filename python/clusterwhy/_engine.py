"""Chooses where minipatches run, and says why."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy.sparse import issparse

from clusterwhy._recognise import NativeMethod, NotNativeError, recognise_classifier, recognise_clusterer

ENGINES = ("auto", "native", "sklearn")


class EngineChoice(str):
    """The name of the engine that ran, ``"native"`` or ``"sklearn"``, and in ``reason`` why it was chosen."""

    reason: str

    def __new__(cls, name: str, reason: str) -> EngineChoice:
        choice = super().__new__(cls, name)
        choice.reason = reason
        return choice

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return str(self), self.reason

    def __repr__(self) -> str:
        return f"{str(self)!r} ({self.reason})"


def choose_engine(
    engine: str, clusterer: Any, classifier: Any, X: Any, n_columns: int
) -> tuple[EngineChoice, tuple[NativeMethod, NativeMethod] | None]:
    """Resolve the parameter ``engine``; with the native engine, return what it is to run."""
    if engine == "sklearn":
        return EngineChoice("sklearn", "engine='sklearn' was asked for"), None
    try:
        methods = recognise_clusterer(clusterer), recognise_classifier(classifier, n_columns)
        _check_native_data(X)
    except NotNativeError as reason:
        if engine == "native":
            raise ValueError(f"engine='native' cannot run this: {reason}; use engine='auto'") from None
        return EngineChoice("sklearn", str(reason)), None
    names = f"{type(clusterer).__name__} and {type(classifier).__name__}"
    return EngineChoice("native", f"{names} run in Rust"), methods


def _check_native_data(X: Any) -> None:
    values = cast(Any, X).data if issparse(X) else X
    # A sum is one pass without a mask of the data's size; its overflow is no news.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = np.isnan(np.sum(values))
    if suspicious and np.isnan(values).any():
        raise NotNativeError("data with missing values go through the estimators")


def native_data(X: Any) -> Any:
    """Return the data as the core reads them: arrays in C order, others being copied once, and CSR as it is."""
    return X if issparse(X) else np.ascontiguousarray(X)
