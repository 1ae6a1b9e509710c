"""Sessions in an LMDB file, shared by the processes of one host. Needs the extra `gridsession[lmdb]`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import ClassVar, Final

from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import host_clock
from gridsession.drivers._lock import try_lock
from gridsession.drivers._swap import DEADLINE, POLL, Found, Held, SwapDriver, Unsent
from gridsession.drivers.file import directory_of
from gridsession.errors import InvalidOption, Unavailable
from gridsession.hooks import Hooks

try:
    import lmdb
except ImportError as missing:
    raise InvalidOption("lmdb:// needs py-lmdb: pip install 'gridsession[lmdb]'") from missing

__all__ = ["LmdbDriver"]

_FIRST_BYTES: Final = 16 * 1024 * 1024
_LONGEST_KEY: Final = 350
_CUT_KEY: Final = 300

# LMDB forbids a process to open one file twice, so its drivers share what is open: path -> uses, environment.
_OPEN: Final[dict[Path, tuple[int, lmdb.Environment]]] = {}


class _Done(Enum):
    YES = "stored"
    NO = "another came first"
    FULL = "the map is full"


class LmdbDriver(SwapDriver):
    """`lmdb:///dir`: one LMDB environment, one write transaction per change, safe across the processes of one host.

    The map grows by itself, in every process, up to `max_bytes`. Without `fsync` a change survives the death of every
    process; the loss of power may undo the last ones, or damage the file where the file system reorders writes.

    Args:
        directory: made if it is not there.
        fsync: wait for the disk before a change is acknowledged.
        max_bytes: where the map stops growing.
        clock: milliseconds since 1970; all processes that share the directory must agree on it.
        deadline, poll, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.HOST,
        survives=("the death of the process", "with fsync=true: the loss of power"),
        expires_within=30.0,
        own_clock=True,
        pushes=False,
    )
    sweep_every = 30.0

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        fsync: bool = False,
        max_bytes: int = 1 << 40,
        clock: Callable[[], int] = host_clock,
        deadline: float = DEADLINE,
        poll: float = POLL,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(deadline=deadline, poll=poll, hooks=hooks, limits=limits)
        self._directory = Path(directory)
        self._fsync = fsync
        self._max_bytes = max_bytes
        self._clock = clock
        self._env: lmdb.Environment | None = None

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> LmdbDriver:
        """See `Driver.from_address`; options are `fsync`, `max_bytes`, `deadline` and `poll` (seconds)."""
        address.only("fsync", "max_bytes", "deadline", "poll")
        return cls(
            directory_of(address),
            fsync=address.option("fsync", bool, False),
            max_bytes=address.option("max_bytes", int, 1 << 40),
            deadline=address.option("deadline", float, DEADLINE),
            poll=address.option("poll", float, POLL),
            hooks=hooks,
        )

    async def connect(self) -> None:
        """Open the environment, or share the one that is open."""
        with self._typed():
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory.resolve()
            uses, env = _OPEN.get(path, (0, None))
            if env is None:
                env = lmdb.open(
                    str(path),
                    map_size=min(_FIRST_BYTES, self._max_bytes),
                    sync=self._fsync,
                    max_readers=1024,
                    max_dbs=0,
                    mode=0o600,
                )
                env.reader_check()
            _OPEN[path] = uses + 1, env
            self._env = env

    async def close(self) -> None:
        """Close the environment when nobody uses it any more."""
        path = self._directory.resolve()
        uses, env = _OPEN[path]
        self._env = None
        if uses > 1:
            _OPEN[path] = uses - 1, env
            return
        del _OPEN[path]
        env.close()

    def now(self) -> int:
        """The host's clock, or the one handed in."""
        return self._clock()

    def where(self, space: Space, session_id: str) -> str:
        """The key and the directory."""
        return f"key {_key(space, session_id)!r} in {self._directory}"

    async def read(self, space: Space, session_id: str) -> Held:
        """The record's bytes, as they are; they are their own version."""
        with self._typed(), self._begin() as txn:
            found = txn.get(_key(space, session_id))
        data = None if found is None else bytes(found)
        return Held(data, data, self._clock())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Compare and put, in one write transaction; who finds the environment locked tries again."""
        key = _key(space, session_id)
        while True:
            if self._fsync:
                done = await asyncio.to_thread(self._swap, key, held.data, data, before)
            else:
                done = self._swap(key, held.data, data, before)
            if done is not _Done.FULL:
                return done is _Done.YES
            self._grow()

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Records in the order of their keys."""
        first = _key(space, prefix)
        start = first if cursor is None else _read_cursor(cursor)
        records: list[tuple[str, bytes]] = []
        with self._typed(), self._begin() as txn, txn.cursor() as at:
            found = at.set_range(start)
            if found and cursor is not None and at.key() == start:
                found = at.next()
            while found and (key := bytes(at.key())).startswith(first[:_CUT_KEY]):
                if len(records) == limit:
                    break
                records.append((f"key {key!r} in {self._directory}", bytes(at.value())))
                last = key
                found = at.next()
            else:
                return Found(records, None, self._clock())
        return Found(records, base64.urlsafe_b64encode(last).decode(), self._clock())

    def _environment(self) -> lmdb.Environment:
        if self._env is None:
            raise Unsent(f"{self._directory} was closed")
        return self._env

    @contextlib.contextmanager
    def _begin(self) -> Iterator[lmdb.Transaction]:
        env = self._environment()
        try:
            txn = env.begin()
        except lmdb.MapResizedError:
            # Another process let the map grow; LMDB refuses to take that over while a thread of ours writes.
            try:
                env.set_mapsize(0)
            except lmdb.Error:
                raise Unsent(f"the map of {self._directory} grew meanwhile") from None
            txn = env.begin()
        with txn:
            yield txn

    def _swap(self, key: bytes, expected: bytes | None, data: bytes | None, before: int) -> _Done:
        with self._typed(), try_lock(self._directory / "gridsession.lock") as locked:
            # LMDB's own lock has no deadline; whoever holds ours never waits for it.
            if not locked:
                return _Done.NO
            try:
                with self._environment().begin(write=True) as txn:
                    if txn.get(key) != expected or (before and self._clock() >= before):
                        txn.abort()
                        return _Done.NO
                    if data is None:
                        txn.delete(key)
                    else:
                        txn.put(key, data)
            except (lmdb.MapFullError, lmdb.MapResizedError):
                return _Done.FULL
        return _Done.YES

    def _grow(self) -> None:
        """Let the map grow, or take over that another process did; on the loop's thread, where nobody reads now."""
        with self._typed(), try_lock(self._directory / "gridsession.lock") as locked:
            if not locked:
                raise Unsent(f"{self._directory} is being written")
            env = self._environment()
            size = env.info()["map_size"]
            env.set_mapsize(0)
            if env.info()["map_size"] > size:
                return
            if size >= self._max_bytes:
                raise Unavailable(
                    f"{self._directory} holds max_bytes={self._max_bytes}; nothing was changed: raise it, or delete"
                    " sessions",
                    address=str(self._directory),
                )
            env.set_mapsize(min(size * 2, self._max_bytes))

    @contextlib.contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise Unavailable(
                f"{self._directory}: {type(error).__name__} ({error}); nothing was changed: see to the disk, or to the"
                " rights of this process",
                address=str(self._directory),
            ) from None


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
