"""Holds the BLAS and OpenMP threads of other libraries to one while minipatches are fitted.

Minipatches are small: inner threads cost more than they bring, and they fight for the cores that the
minipatches are spread over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
# Per process: how many blocks are at work, and the limit that the first of them set.
_state: dict[str, Any] = {"pid": None, "depth": 0, "limit": None, "controller": None}


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Limit BLAS for the process (shared by all that are inside) and OpenMP for this thread.

    BLAS limits belong to the process, so with several blocks in threads the first one in sets the limit and
    the last one out restores it; OpenMP limits belong to each thread.
    """
    with _lock:
        if _state["pid"] != os.getpid():
            _state.update(pid=os.getpid(), depth=0, limit=None, controller=ThreadpoolController())
        controller = _state["controller"]
        if _state["depth"] == 0:
            _state["limit"] = controller.limit(limits=1, user_api="blas")
            _state["limit"].__enter__()
        _state["depth"] += 1
    try:
        with controller.limit(limits=1, user_api="openmp"):
            yield
    finally:
        with _lock:
            _state["depth"] -= 1
            if _state["depth"] == 0:
                _state["limit"].__exit__(None, None, None)


def _forget_after_fork() -> None:
    """A forked child inherits a lock that may be held by a thread it does not have."""
    global _lock
    _lock = threading.Lock()
    _state.update(pid=None, depth=0, limit=None, controller=None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
