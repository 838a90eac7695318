"""Chooses where minipatches run, and says why."""

from __future__ import annotations

from typing import Any

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


def choose_engine(engine: str, clusterer: Any, classifier: Any) -> EngineChoice:
    """Resolve the parameter ``engine``."""
    if engine == "sklearn":
        return EngineChoice("sklearn", "engine='sklearn' was asked for")
    missing = "no method runs natively"
    if engine == "native":
        raise ValueError(f"engine='native' cannot run this: {missing}; use engine='auto'")
    return EngineChoice("sklearn", missing)
