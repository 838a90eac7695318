"""Holds the BLAS and OpenMP threads of other libraries to one while minipatches are fitted.

Minipatches are small: inner threads cost more than they bring, and they fight for the cores that the
minipatches are spread over.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
# Per process: how many blocks are at work, the libraries, and the BLAS threads that the first block found.
_state: dict[str, Any] = {"pid": None, "modules": 0, "depth": 0, "blas": None, "openmp": None, "found": []}


@contextmanager
def single_threaded_libraries() -> Iterator[None]:
    """Limit BLAS for the process (shared by all that are inside) and OpenMP for this thread.

    BLAS limits belong to the process, so with several blocks in threads the first one in sets the limit and
    the last one out restores it; OpenMP limits belong to each thread.
    """
    with _lock:
        if _state["pid"] != os.getpid():
            _state.update(pid=os.getpid(), modules=0, depth=0, found=[])
        # Libraries come with modules, so that those are only looked for when modules have been imported since.
        if _state["depth"] == 0 and _state["modules"] != len(sys.modules):
            controller = ThreadpoolController()
            _state["modules"] = len(sys.modules)
            # Apart, because a limit on the one also writes back the other's threads when it ends.
            _state.update({api: controller.select(user_api=api) for api in ("blas", "openmp")})
        openmp = _state["openmp"]
        if _state["depth"] == 0:
            _state["found"] = [(library, library.get_num_threads()) for library in _state["blas"].lib_controllers]
            for library, _ in _state["found"]:
                _set_threads(library, 1)
        _state["depth"] += 1
    try:
        with openmp.limit(limits=1):
            yield
    finally:
        with _lock:
            _state["depth"] -= 1
            if _state["depth"] == 0:
                for library, threads in _state["found"]:
                    _set_threads(library, threads)


def _set_threads(library: Any, threads: int) -> None:
    """Set the threads of a BLAS library, whichever thread set them before.

    Newer threadpoolctl lets only the thread that set a limit lift it. Ours may be lifted by another than set
    it, and nobody but us would ever know that it was still to be lifted.
    """
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    library.set_num_threads(threads)
    if release is not None:
        release(force=True)


def _forget_after_fork() -> None:
    """A forked child inherits a lock that may be held by a thread it does not have."""
    global _lock
    _lock = threading.Lock()
    _state.update(pid=None, depth=0, found=[])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
