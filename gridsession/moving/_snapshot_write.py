"""Writing a snapshot's file, so that it is whole or goes on later, and is nobody's to read but its owner's."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import IO, Any, Final

from gridsession.drivers import _lock
from gridsession.drivers._files import sync_folder
from gridsession.errors import InvalidOption, Unavailable
from gridsession.moving._snapshot_file import (
    END,
    FORMAT,
    GROUP,
    HEAD,
    KINDS,
    MAGIC,
    PAGE,
    RECORDS,
    START,
    SnapshotReader,
    chained,
    typed,
)

_BLOCK_BYTES: Final = 1 << 20
"""A block of records is closed when it holds so much."""
_U32 = struct.Struct(">I")


class SnapshotWriter:
    """A snapshot under way, readable by its owner only; a context manager.

    Entering it goes on with a file that an earlier snapshot of the same left behind, from its last whole page.

    Args:
        path: what the file is called in the end.
        start: what the START block says; `move` tells one snapshot's making from another's.

    Attributes:
        id: the snapshot's: the START's, or that of the one this goes on with.
        page: what the last PAGE said, if this one goes on; else None.

    Raises:
        InvalidOption: the file left behind is that of another place or other namespaces, or is no snapshot.
        Unavailable: the file cannot be written, or another process is writing it.
    """

    def __init__(self, path: Path, start: dict[str, Any]) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self.id = str(start["id"])
        self.page: dict[str, Any] | None = None
        self._start = start
        self._file: IO[bytes] | None = None
        self._chain = b""

    def __enter__(self) -> SnapshotWriter:
        with typed(self.part):
            self._file = os.fdopen(os.open(self.part, _FLAGS, 0o600), "r+b", buffering=0)
            try:
                self._claim(self._file)
                self._go_on(self._file)
            except BaseException:
                self._file.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._opened.tell()

    def write(self, namespace: int, kind: str, now: int, records: list[bytes]) -> None:
        """Write records, in as many blocks as it takes."""
        block: list[bytes] = []
        weight = 0
        for record in records:
            block.append(record)
            weight += len(record)
            if weight >= _BLOCK_BYTES:
                self._records(namespace, kind, now, block)
                block, weight = [], 0
        if block:
            self._records(namespace, kind, now, block)

    def mark(self, page: dict[str, Any]) -> None:
        """Say how far the snapshot is: one that is ended goes on from here."""
        self._write(PAGE, _json(page))

    def end(self, told: dict[str, Any]) -> int:
        """Close the file, have it on disk under its name, and return its size in bytes."""
        self._write(END, _json(told))
        with typed(self.path):
            file = self._opened
            os.fsync(file.fileno())
            size = file.tell()
            if sys.platform == "win32":
                # An open file cannot be renamed there.
                file.close()
            self.part.replace(self.path)
            file.close()
            sync_folder(self.path.parent)
        return size

    @property
    def _opened(self) -> IO[bytes]:
        assert self._file is not None
        return self._file

    def _claim(self, file: IO[bytes]) -> None:
        try:
            _lock._try(file.fileno())
            # Whoever held it until now may have given it its name.
            ours = os.path.samestat(os.fstat(file.fileno()), self.part.stat())
        except (BlockingIOError, PermissionError, FileNotFoundError):
            ours = False
        if not ours:
            where = str(self.part)
            raise Unavailable(f"{where} is being written by another snapshot: wait for that", address=where)

    def _go_on(self, file: IO[bytes]) -> None:
        if sys.platform != "win32":
            os.fchmod(file.fileno(), 0o600)
        blank = os.fstat(file.fileno()).st_size <= len(MAGIC)
        kept, end, chain = ([], 0, b"") if blank else SnapshotReader(self.part).resumable(file)
        if kept:
            told = kept[0].json()
            self.id = str(told.get("id"))
            if _move(self._start, self.id) != told.get("move"):
                raise InvalidOption(
                    f"{self.part} was left by a snapshot of another place or of other namespaces: remove it, or give"
                    " another name"
                )
        elif not blank:
            file.seek(0)
            if file.read(len(MAGIC)) != MAGIC:
                raise InvalidOption(f"{self.part} is in the way and is no snapshot: remove it, or give another name")
        file.seek(end)
        file.truncate()
        self._chain = chain
        if len(kept) == 2:
            self.page = kept[1].json()
        elif not kept:
            head = MAGIC + bytes((FORMAT,))
            file.write(head)
            self._chain = hashlib.sha256(head).digest()
            told = {name: value for name, value in self._start.items() if name != "names"}
            self._write(START, _json(told | {"move": _move(self._start, self.id)}))

    def _records(self, namespace: int, kind: str, now: int, records: list[bytes]) -> None:
        parts = [GROUP.pack(namespace, KINDS.index(kind), now, len(records))]
        for record in records:
            parts += (_U32.pack(len(record)), record)
        self._write(RECORDS, b"".join(parts))

    def _write(self, kind: int, payload: bytes) -> None:
        chain = chained(self._chain, kind, payload)
        with typed(self.part):
            block = memoryview(HEAD.pack(kind, len(payload)) + payload + chain)
            while block:
                block = block[self._opened.write(block) :]
        self._chain = chain


_FLAGS: Final = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


def _move(start: dict[str, Any], identity: str) -> str:
    """What tells this making from others; the id in it keeps it from telling whether two files are of one URL."""
    text = "\0".join((identity, *start["names"], *start["namespaces"]))
    return hashlib.sha256(text.encode()).hexdigest()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
