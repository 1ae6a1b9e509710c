"""Sessions in files: one file per session, shared by the processes of one host."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from gridsession._identity import Space
from gridsession.drivers._files import (
    content,
    escaped,
    folder_of,
    make_folder,
    names_in,
    put,
    remove_unfinished,
    sync_folder,
    typed,
)
from gridsession.drivers._host import HostDriver, directory_of
from gridsession.drivers._lock import try_lock
from gridsession.drivers._swap import Found, Held, Unanswered
from gridsession.errors import InvalidOption

__all__ = ["FileDriver", "directory_of"]

_SHARDS: Final = "0123456789abcdef"


class FileDriver(HostDriver):
    """`file:///dir`: each session a file below a directory, replaced whole, safe across the processes of one host.

    The directory must be on a file system of this host: locks and renames of network file systems are not enough.

    Args:
        directory, fsync, clock, deadline, poll, hooks, limits: see `HostDriver` and `SwapDriver`.
    """

    async def connect(self) -> None:
        """Make the directory."""
        with typed(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)

    def where(self, space: Space, session_id: str) -> str:
        """The file's name."""
        return self._file(space, session_id)

    async def read(self, space: Space, session_id: str) -> Held:
        """The file's bytes; they are their own version."""
        data = content(self._file(space, session_id))
        return Held(data, data, self._clock())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Replace the file under its shard's lock; who finds the lock taken tries again."""
        return await self.written(self._swap, self._file(space, session_id), held.data, data, before)

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Files in the order of their names, shard after shard."""
        shard, slash, name = (cursor or "0/").partition("/")
        if not slash or shard not in _SHARDS:
            raise InvalidOption("the cursor is not one of a file:// driver")
        records: list[tuple[str, bytes]] = []
        for at in _SHARDS[_SHARDS.index(shard) :]:
            folder = f"{self._folder(space)}/{at}"
            for found in names_in(folder):
                if at == shard and found <= name:
                    continue
                data = content(f"{folder}/{found}")
                if data is not None:
                    records.append((f"{folder}/{found}", data))
                if len(records) == limit:
                    return Found(records, f"{at}/{found}", self._clock())
        return Found(records, None, self._clock())

    async def namespaces(self) -> frozenset[str]:
        """The namespaces that have a folder; as `Driver.namespaces`."""
        self.check()
        return await asyncio.to_thread(self._namespaces)

    def _namespaces(self) -> frozenset[str]:
        with typed(self._directory):
            folders = [self._directory / kind for kind in ("sessions", "globals")]
            return frozenset(unquote(one.name) for folder in folders if folder.is_dir() for one in folder.iterdir())

    def _folder(self, space: Space) -> str:
        return f"{self._directory}/{space.kind}/{escaped(space.namespace)}"

    def _file(self, space: Space, session_id: str) -> str:
        shard = _SHARDS[hashlib.sha256(session_id.encode()).digest()[0] & 15]
        return f"{self._folder(space)}/{shard}/{escaped(session_id)}.gsr"

    def _swap(self, file: str, expected: bytes | None, data: bytes | None, before: int) -> bool:
        folder = folder_of(file)
        with typed(file), self._lock(folder) as locked:
            if not locked or content(file) != expected or (before and self._clock() >= before):
                return False
            if data is None:
                Path(file).unlink(missing_ok=True)
                return True
            put(file, data, fsync=self._fsync)
        if self._fsync:
            try:
                sync_folder(folder)
            except OSError as error:
                raise Unanswered(f"{file} was replaced but not synced: {error.strerror}") from None
        return True

    def _lock(self, folder: str) -> try_lock:
        lock = f"{folder}/.lock"
        try:
            return try_lock(lock)
        except FileNotFoundError:
            make_folder(Path(folder), self._directory, fsync=self._fsync)
            return try_lock(lock)

    async def _sweep_space(self, space: Space) -> None:
        await super()._sweep_space(space)
        remove_unfinished(self._folder(space))
