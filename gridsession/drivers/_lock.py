"""Advisory locks between the processes of one host, by a file; the system frees the lock of a process that dies."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import TracebackType

if sys.platform == "win32":
    import msvcrt

    def _try(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _free(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _free(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


class try_lock:  # noqa: N801 - read as a verb: `with try_lock(path) as locked`
    """Hold the file's lock if it is free; whether it is held. Never waits, so it may be used on the event loop.

    Raises:
        OSError: the file cannot be opened.
    """

    __slots__ = ("_file",)

    def __init__(self, path: Path | str) -> None:
        # Opened anew each time: a lock belongs to an open file, so the tasks and drivers of one process exclude each
        # other too.
        self._file = os.open(path, _FLAGS, 0o600)

    def __enter__(self) -> bool:
        try:
            _try(self._file)
        except (BlockingIOError, PermissionError):
            return False
        except BaseException:
            os.close(self._file)
            raise
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


class OpenLock:
    """The lock of a file that stays open, for who takes it all the time; never waits.

    Raises:
        OSError: the file cannot be opened.
    """

    __slots__ = ("_file", "_here")

    def __init__(self, path: Path | str) -> None:
        self._file = os.open(path, _FLAGS, 0o600)
        # The system's lock belongs to the open file, which the threads of this process share.
        self._here = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether this process, or its parent when it forked, holds it."""
        return self._here.locked()

    def take(self) -> bool:
        """Whether it is held now; then it must be given back."""
        if not self._here.acquire(blocking=False):
            return False
        try:
            _try(self._file)
        except (BlockingIOError, PermissionError):
            self._here.release()
            return False
        except BaseException:
            self._here.release()
            raise
        return True

    def give_back(self) -> None:
        """Let others have it."""
        _free(self._file)
        self._here.release()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
