"""One LMDB environment per directory and process: opened once, shared by its drivers, growing by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Final

from gridsession.drivers._host import unusable
from gridsession.drivers._lock import OpenLock
from gridsession.drivers._swap_run import Unsent
from gridsession.errors import InvalidOption, Unavailable

try:
    import lmdb
except ImportError as missing:
    raise InvalidOption("lmdb:// needs py-lmdb: pip install 'gridsession[lmdb]'") from missing

_FIRST_BYTES: Final = 16 * 1024 * 1024

# LMDB forbids a process to open one file twice, so its drivers share what is open.
_OPEN: Final[dict[Path, Environment]] = {}


class Done(Enum):
    """What became of a write."""

    YES = "stored"
    NO = "another came first"
    FULL = "the map is full, or another process let it grow"


class Environment:
    """An open environment of keys and values, which raises our own errors.

    LMDB's lock has no deadline. Ours never waits and is taken before each write: who holds it has LMDB's at once.
    """

    def __init__(self, path: Path, *, fsync: bool, max_bytes: int) -> None:
        self._path = path
        self._fsync = fsync
        self._uses = 0
        self._opened_by = os.getpid()
        self._lock = OpenLock(path / "gridsession.lock")
        try:
            self._env = lmdb.open(
                str(path),
                map_size=min(_FIRST_BYTES, max_bytes),
                sync=fsync,
                max_readers=1024,
                max_dbs=0,
                mode=0o600,
            )
            self._env.reader_check()
        except BaseException:
            self._lock.close()
            raise

    @classmethod
    def share(cls, directory: Path, *, fsync: bool, max_bytes: int) -> Environment:
        """The environment of a directory, made if it is not there; each who shares it closes it.

        Raises:
            Unavailable: the directory cannot be used.
            InvalidOption: it is open in this process with the other `fsync`.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory.resolve()
            found = _OPEN.get(path)
            if found is None:
                found = _OPEN[path] = cls(path, fsync=fsync, max_bytes=max_bytes)
        except (lmdb.Error, OSError) as error:
            raise _refused(directory, error) from None
        if found._fsync is not fsync:
            raise InvalidOption(
                f"{directory} is open in this process with fsync={str(found._fsync).lower()}, and all who share it wait"
                " for the disk, or nobody does: give each store the same fsync="
            )
        found._uses += 1
        return found

    def close(self) -> None:
        """Close it when nobody uses it any more."""
        self._uses -= 1
        if not self._uses and self._opened_by == os.getpid():
            del _OPEN[self._path]
            self._env.close()
            self._lock.close()

    def disown(self) -> None:
        """Leave it to the parent, in a forked child: LMDB forbids to use there what was opened before."""
        # Frees the name for an environment of the child's own; but a write of the parent's thread must not be undone.
        if not self._lock.held:
            self._env.close()
        # Else the parent's lock would live on here, were the parent killed while it holds it.
        self._lock.close()

    def get(self, key: bytes) -> bytes | None:
        """The value, or None.

        Raises:
            Unsent: the map is just growing.
            Unavailable: the place refuses.
        """
        try:
            with self._reading() as txn:
                found = txn.get(key)
        except (lmdb.Error, OSError) as error:
            raise _refused(self._path, error) from None
        return None if found is None else bytes(found)

    def after(
        self, key: bytes, *, inclusive: bool, prefix: bytes, limit: int
    ) -> tuple[list[tuple[bytes, bytes]], bool]:
        """At most so many keys and values from a key on that begin with the prefix; whether that was all.

        Raises:
            Unsent, Unavailable: as `get`.
        """
        records: list[tuple[bytes, bytes]] = []
        try:
            with self._reading() as txn, txn.cursor() as at:
                found = at.set_range(key)
                if found and not inclusive and at.key() == key:
                    found = at.next()
                while found and (name := bytes(at.key())).startswith(prefix):
                    if len(records) == limit:
                        return records, False
                    records.append((name, bytes(at.value())))
                    found = at.next()
        except (lmdb.Error, OSError) as error:
            raise _refused(self._path, error) from None
        return records, True

    def swap(self, key: bytes, expected: bytes | None, data: bytes | None, may: Callable[[], bool]) -> Done:
        """Put (None = delete) if the value is still the expected one and `may` says yes, in one transaction.

        Raises:
            Unavailable: the place refuses.
        """
        try:
            if not self._lock.take():
                return Done.NO
            try:
                with self._env.begin(write=True) as txn:
                    if txn.get(key) != expected or not may():
                        txn.abort()
                        return Done.NO
                    if data is None:
                        txn.delete(key)
                    else:
                        txn.put(key, data)
            finally:
                self._lock.give_back()
        except (lmdb.MapFullError, lmdb.MapResizedError):
            return Done.FULL
        except (lmdb.Error, OSError) as error:
            raise _refused(self._path, error) from None
        return Done.YES

    def grow(self, most: int) -> None:
        """Let the map grow, or take over that another process did; on the loop's thread, where nobody reads now.

        Raises:
            Unsent: somebody writes just now.
            Unavailable: it may not grow any more, or the place refuses.
        """
        try:
            if not self._lock.take():
                raise Unsent(f"{self._path} is being written")
            try:
                size = self._env.info()["map_size"]
                self._env.set_mapsize(0)
                if self._env.info()["map_size"] > size:
                    return
                if size >= most:
                    raise Unavailable(
                        f"{self._path} holds max_bytes={most}; nothing was changed: raise it, or delete sessions",
                        address=str(self._path),
                    )
                self._env.set_mapsize(min(size * 2, most))
            finally:
                self._lock.give_back()
        except (lmdb.Error, OSError) as error:
            raise _refused(self._path, error) from None

    def _reading(self) -> lmdb.Transaction:
        try:
            return self._env.begin()
        except lmdb.MapResizedError:
            # Another process let the map grow; LMDB refuses to take that over while a thread of ours writes.
            try:
                self._env.set_mapsize(0)
            except lmdb.Error:
                raise Unsent(f"the map of {self._path} grew meanwhile") from None
            return self._env.begin()


def _refused(path: Path, error: Exception) -> Unavailable:
    return unusable(path, f"{type(error).__name__} ({error})")


def _disown_all() -> None:
    for environment in _OPEN.values():
        environment.disown()
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
