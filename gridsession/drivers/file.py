"""Sessions in files: one file per session, shared by the processes of one host."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import unquote

from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import host_clock
from gridsession.drivers._lock import try_lock
from gridsession.drivers._swap import DEADLINE, POLL, Found, Held, SwapDriver, Unanswered
from gridsession.errors import InvalidOption, Unavailable
from gridsession.hooks import Hooks

__all__ = ["FileDriver", "directory_of"]

_SHARDS: Final = "0123456789abcdef"
_LONGEST_NAME: Final = 200
_STALE_SECONDS: Final = 60
_PLAIN: Final = re.compile(rb"[^a-z0-9_-]")
# Names that Windows gives to devices, whatever follows the dot.
_DEVICES: Final = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")


class FileDriver(SwapDriver):
    """`file:///dir`: each session a file below a directory, replaced whole, safe across the processes of one host.

    The directory must be on a file system of this host: locks and renames of network file systems are not enough.

    Args:
        directory: made if it is not there.
        fsync: wait for the disk before a change is acknowledged; then it survives the loss of power too.
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
        clock: Callable[[], int] = host_clock,
        deadline: float = DEADLINE,
        poll: float = POLL,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(deadline=deadline, poll=poll, hooks=hooks, limits=limits)
        self._directory = Path(directory)
        self._fsync = fsync
        self._clock = clock

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> FileDriver:
        """See `Driver.from_address`; options are `fsync`, `deadline` and `poll` (seconds)."""
        address.only("fsync", "deadline", "poll")
        return cls(
            directory_of(address),
            fsync=address.option("fsync", bool, False),
            deadline=address.option("deadline", float, DEADLINE),
            poll=address.option("poll", float, POLL),
            hooks=hooks,
        )

    async def connect(self) -> None:
        """Make the directory."""
        with _typed(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)

    def now(self) -> int:
        """The host's clock, or the one handed in."""
        return self._clock()

    def where(self, space: Space, session_id: str) -> str:
        """The file's name."""
        return str(self._file(space, session_id))

    async def read(self, space: Space, session_id: str) -> Held:
        """The file's bytes; they are their own version."""
        data = _bytes(self._file(space, session_id))
        return Held(data, data, self._clock())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Replace the file under its shard's lock; who finds the lock taken tries again."""
        file = self._file(space, session_id)
        if self._fsync:
            return await asyncio.to_thread(self._swap, file, held.data, data, before)
        return self._swap(file, held.data, data, before)

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Files in the order of their names, shard after shard."""
        shard, slash, name = (cursor or "0/").partition("/")
        if not slash or shard not in _SHARDS:
            raise InvalidOption("the cursor is not one of a file:// driver")
        records: list[tuple[str, bytes]] = []
        for at in _SHARDS[_SHARDS.index(shard) :]:
            folder = self._folder(space) / at
            for found in sorted(_names(folder)):
                if at == shard and found <= name:
                    continue
                data = _bytes(folder / found)
                if data is not None:
                    records.append((str(folder / found), data))
                if len(records) == limit:
                    return Found(records, f"{at}/{found}", self._clock())
        return Found(records, None, self._clock())

    def _folder(self, space: Space) -> Path:
        return self._directory / space.kind / _escaped(space.namespace)

    def _file(self, space: Space, session_id: str) -> Path:
        shard = f"{hashlib.sha256(session_id.encode()).digest()[0] & 15:x}"
        return self._folder(space) / shard / f"{_escaped(session_id)}.gsr"

    def _swap(self, file: Path, expected: bytes | None, data: bytes | None, before: int) -> bool:
        with _typed(file):
            if not file.parent.is_dir():
                self._make(file.parent)
            with try_lock(file.parent / ".lock") as locked:
                if not locked or _bytes(file) != expected or (before and self._clock() >= before):
                    return False
                if data is None:
                    file.unlink(missing_ok=True)
                    return True
                self._replace(file, data)
        if self._fsync:
            try:
                _sync_folder(file.parent)
            except OSError as error:
                raise Unanswered(f"{file} was replaced but not synced: {error.strerror}") from None
        return True

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        while self._fsync and folder != self._directory:
            folder = folder.parent
            _sync_folder(folder)

    def _replace(self, file: Path, data: bytes) -> None:
        fresh = file.parent / f".{secrets.token_hex(8)}.tmp"
        try:
            with open(fresh, "xb", buffering=0, opener=_private) as made:
                if made.write(data) != len(data):
                    raise OSError(28, "no space left on device")
                if self._fsync:
                    os.fsync(made.fileno())
            fresh.replace(file)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise

    async def _sweep_space(self, space: Space) -> None:
        await super()._sweep_space(space)
        # What a process that died in the middle of a write left behind.
        stale = time.time() - _STALE_SECONDS
        for fresh in self._folder(space).glob("*/.*.tmp"):
            with contextlib.suppress(OSError):
                if fresh.stat().st_mtime < stale:
                    fresh.unlink()


def directory_of(address: Address) -> Path:
    """The directory that a URL names.

    Raises:
        InvalidOption: none, or one that looks like a host.
    """
    text = unquote(address.location)
    if sys.platform == "win32":
        text = re.sub(r"^/([A-Za-z]:)", r"\1", text)
    if not text or not (Path(text).is_absolute() or text.startswith(".")):
        scheme = address.scheme
        raise InvalidOption(f"write the place as {scheme}:///absolute/directory or {scheme}://./relative/directory")
    return Path(text)


def _escaped(text: str) -> str:
    """A file name for any text: injective, also where case or Unicode forms are folded, and never too long."""
    name = _PLAIN.sub(lambda found: b"%%%02x" % found[0][0], text.encode()).decode()
    if _DEVICES.fullmatch(name):
        name = f"%{ord(name[0]):02x}{name[1:]}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}~{hashlib.sha256(text.encode()).hexdigest()}"
    return name


def _names(folder: Path) -> Iterator[str]:
    with _typed(folder):
        try:
            yield from (entry.name for entry in os.scandir(folder) if entry.name.endswith(".gsr"))
        except FileNotFoundError:
            return


def _bytes(file: Path) -> bytes | None:
    with _typed(file):
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _typed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{path}: {error.strerror or type(error).__name__}; nothing was changed: see to the disk, or to the rights"
            " of this process",
            address=str(path),
        ) from None
