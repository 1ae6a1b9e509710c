"""Sessions in an LMDB file, shared by the processes of one host. Needs the extra `gridsession[lmdb]`."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Unpack

from gridsession._identity import Space
from gridsession.drivers._clock import host_clock
from gridsession.drivers._host import HostDriver
from gridsession.drivers._lmdb_env import Done, Environment
from gridsession.drivers._swap import Found, Held, Settings, Unsent
from gridsession.errors import InvalidOption

__all__ = ["LmdbDriver"]

_LONGEST_KEY: Final = 350
_CUT_KEY: Final = 300


class LmdbDriver(HostDriver):
    """`lmdb:///dir`: one LMDB environment, one write transaction per change, safe across the processes of one host.

    The map grows by itself, in every process, up to `max_bytes`. Without `fsync` a change survives the death of every
    process; the loss of power may undo the last ones, or damage the file where the file system reorders writes.

    Args:
        max_bytes: where the map stops growing.
        directory, fsync, clock, deadline, poll, hooks, limits: see `HostDriver` and `SwapDriver`.
    """

    options: ClassVar[Mapping[str, type]] = {**HostDriver.options, "max_bytes": int}

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        fsync: bool = False,
        max_bytes: int = 1 << 40,
        clock: Callable[[], int] = host_clock,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(directory, fsync=fsync, clock=clock, **settings)
        self._max_bytes = max_bytes
        self._env: Environment | None = None

    async def connect(self) -> None:
        """Open the environment, or share the one that is open."""
        self._env = Environment.share(self._directory, fsync=self._fsync, max_bytes=self._max_bytes)

    async def close(self) -> None:
        """Give the environment back, once nothing writes to it any more."""
        env, self._env = self._env, None
        await super().close()
        if env is not None:
            env.close()

    def where(self, space: Space, session_id: str) -> str:
        """The key and the directory."""
        return self._shown(_key(space, session_id))

    async def read(self, space: Space, session_id: str) -> Held:
        """The record's bytes, as they are; they are their own version."""
        data = self._environment().get(_key(space, session_id))
        return Held(data, data, self._clock())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Compare and put, in one write transaction; who finds the environment locked tries again."""
        key, clock = _key(space, session_id), self._clock
        while True:
            env = self._environment()
            done = await self.written(env.swap, key, held.data, data, lambda: not before or clock() < before)
            if done is not Done.FULL:
                return done is Done.YES
            env.grow(self._max_bytes)

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Records in the order of their keys."""
        first = _key(space, prefix)
        start = first if cursor is None else _read_cursor(cursor)
        found, ended = self._environment().after(start, inclusive=cursor is None, prefix=first[:_CUT_KEY], limit=limit)
        records = [(self._shown(key), data) for key, data in found]
        return Found(records, None if ended else base64.urlsafe_b64encode(found[-1][0]).decode(), self._clock())

    def _environment(self) -> Environment:
        if self._env is None:
            raise Unsent(f"{self._directory} was closed")
        return self._env

    def _shown(self, key: bytes) -> str:
        return f"key {key!r} in {self._directory}"


def _key(space: Space, session_id: str) -> bytes:
    """LMDB's keys end at 511 bytes, so a long id is cut and its digest put behind: ids have no NUL."""
    name = session_id.encode()
    if len(name) > _LONGEST_KEY:
        name = name[:_CUT_KEY] + b"\0" + hashlib.sha256(name).digest()
    return f"{space.kind}\0{space.namespace}\0".encode() + name


def _read_cursor(cursor: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(cursor.encode())
    except ValueError:
        raise InvalidOption("the cursor is not one of an lmdb:// driver") from None
