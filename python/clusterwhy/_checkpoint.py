"""Blocks of a run on disk, so that a run that is killed goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterwhy._identity import Identity, refuse_differences

# Kept apart from the rest of a file by its fixed length.
DIGEST_BYTES = 32
HEADER = "run.json"
PARTIAL = ".partial"
BLOCK = re.compile(r"(?P<stage>.+)-(?P<start>\d+)-(?P<stop>\d+)\.block")


class Checkpoint:
    """A directory of files that are whole or not there: a header that says of which run they are, and blocks.

    Every file is a checksum and what it is of, and is written under another name, flushed to the disk and renamed.
    Blocks of a stage are its minipatches ``start..stop``; any cut will do.

    Parameters
    ----------
    path : str or path-like
        The directory; made where it does not exist.
    identity : dict of str to str
        What the blocks depend on.

    Raises
    ------
    ValueError
        For a path of something else, another run's checkpoint (the message names the differences) or a damaged file.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Identity) -> None:
        self._directory = Path(path)
        self._part = ""
        known = read_identity(path)
        if known is None:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                write(self._directory / HEADER, json.dumps(identity).encode(), first=True)
            except OSError as error:
                raise ValueError(
                    f"checkpoint {path} cannot be written: {error.strerror}; pass another path"
                ) from error
            # Another run may have begun at the same time, and been the first.
            known = read_identity(path) or identity
        refuse_differences(
            known, identity, f"the checkpoint {path} is of another run", "pass another path, or the same run"
        )

    def part(self, name: str) -> Checkpoint:
        """Return the part of the checkpoint with the stages of one part of the run."""
        part = copy(self)
        part._part = f"{self._part}{name}-"
        return part

    def once(self, stage: str, make: Callable[[], tuple[NDArray[Any], ...]]) -> tuple[NDArray[Any], ...]:
        """Return arrays that are made in one go: those on disk, else those of `make`, which are then put there."""
        found: tuple[NDArray[Any], ...] = next(self.blocks(stage, 0, 1, lambda _: iter([make()]), whole=True))
        return found

    def blocks(
        self, stage: str, start: int, stop: int, make: Callable[[int], Iterator[Any]], *, whole: bool = False
    ) -> Iterator[Any]:
        """Yield the blocks ``start..stop`` of a stage: those on disk, then those of ``make(at)``, which go there.

        A block is an array, or a tuple of arrays, with an entry for each minipatch (or anything, if it is `whole`).
        """
        at = start
        for first, end, path in self._files(stage):
            if at == stop or first > at:
                break
            if end <= at:
                continue
            arrays = tuple(read_arrays(path))
            if not whole:
                arrays = tuple(array[at - first : stop - first] for array in arrays)
            yield arrays if len(arrays) > 1 else arrays[0]
            at = min(end, stop)
        if at == stop:
            return
        for block in make(at):
            arrays = block if isinstance(block, tuple) else (block,)
            end = at + (1 if whole else len(arrays[0]))
            write(self._directory / f"{self._part}{stage}-{at:09d}-{end:09d}.block", pack_arrays(arrays))
            at = end
            yield block

    def _files(self, stage: str) -> list[tuple[int, int, Path]]:
        """List the blocks of a stage that are on disk, in order."""
        found = ((BLOCK.fullmatch(path.name), path) for path in self._directory.iterdir())
        return sorted(
            (int(name["start"]), int(name["stop"]), path)
            for name, path in found
            if name and name["stage"] == self._part + stage
        )


def read_identity(path: str | os.PathLike[str]) -> Identity | None:
    """Return the identity of the run whose checkpoint is at `path`; None where there is none yet."""
    directory = Path(path)
    if (directory / HEADER).exists():
        found: Identity = json.loads(read(directory / HEADER))
        return found
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"checkpoint {path} must be a directory, got a file: pass another path")
    there = [other.name for other in directory.iterdir()] if directory.is_dir() else []
    others = [name for name in there if not (name.startswith(HEADER) and name.endswith(PARTIAL))]
    if HEADER in there:
        # Another run has just begun.
        return read_identity(path)
    if others:
        raise ValueError(
            f"checkpoint {path} must be a new or empty directory, or one that a run left; it has no {HEADER}, "
            f"but {', '.join(sorted(others)[:3])}"
        )
    return None


def pack_arrays(arrays: tuple[NDArray[Any], ...]) -> bytes:
    """Turn arrays into bytes."""
    buffer = io.BytesIO()
    for array in arrays:
        np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def read_arrays(path: Path) -> list[NDArray[Any]]:
    """Read a file of arrays."""
    data = read(path)
    buffer = io.BytesIO(data)
    arrays = []
    while buffer.tell() < len(data):
        arrays.append(np.lib.format.read_array(buffer, allow_pickle=False))
    return arrays


def write(path: Path, content: bytes, *, first: bool = False) -> None:
    """Write a file with its checksum, so that it is there as a whole or not at all.

    With `first`, a file that another run wrote meanwhile stays.
    """
    # Of this run alone: another may be writing the same file.
    partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    with partial.open("wb") as file:
        file.write(checksum(content))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if first and hasattr(os, "link"):
        _link(partial, path)
    else:
        try:
            os.replace(partial, path)
        except FileNotFoundError:
            # Another run has taken it away below.
            if not path.exists():
                raise
    # Also those that runs left which were killed here; a run that is at work on the same file finds it there.
    for other in path.parent.glob(f"{path.name}.*{PARTIAL}"):
        with suppress(OSError):
            other.unlink()
    if os.name == "posix":
        # The new name is safe when the directory is.
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _link(partial: Path, path: Path) -> None:
    """Give a file its name, unless there is a file of that name."""
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:
        # A file system without links.
        os.replace(partial, path)


def read(path: Path) -> bytes:
    """Read a file that :func:`write` wrote."""
    data = path.read_bytes()
    content = data[DIGEST_BYTES:]
    if checksum(content) != data[:DIGEST_BYTES]:
        remedy = "delete it, and what it held is computed again"
        if path.name == HEADER:
            remedy = "delete the directory, and the run begins anew"
        raise ValueError(
            f"the checkpoint's file {path} is damaged: its {len(data)} bytes do not have the checksum they begin "
            f"with; {remedy}"
        )
    return content


def checksum(content: bytes) -> bytes:
    """Return the checksum that files begin with."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
