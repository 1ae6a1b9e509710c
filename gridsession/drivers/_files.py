"""Files of records: names for any id, and whole files put in place of others."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gridsession.drivers._host import unusable

_LONGEST_NAME: Final = 200
_STALE_SECONDS: Final = 60
_PLAIN: Final = re.compile(rb"[^a-z0-9_-]")
# Names that Windows gives to devices, whatever follows the dot.
_DEVICES: Final = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")


def escaped(text: str) -> str:
    """A file name for any text: injective, also where case or Unicode forms are folded, and never too long."""
    name = _PLAIN.sub(lambda found: b"%%%02x" % found[0][0], text.encode()).decode()
    if _DEVICES.fullmatch(name):
        name = f"%{ord(name[0]):02x}{name[1:]}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}~{hashlib.sha256(text.encode()).hexdigest()}"
    return name


def names_in(folder: str) -> list[str]:
    """The names of the records in a folder, in order.

    Raises:
        Unavailable: the disk refuses.
    """
    with typed(folder), contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".gsr"))
    return []


def content(file: str) -> bytes | None:
    """The file's bytes; None if there is none.

    Raises:
        Unavailable: the disk refuses.
    """
    try:
        with Path(file).open("rb", buffering=0) as found:
            return found.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(file, error.strerror or type(error).__name__) from None


def put(file: str, data: bytes, *, fsync: bool) -> None:
    """Put the file in place of the one of that name, at once: others see the old one or the new one.

    Raises:
        OSError: the disk refuses; the old one stays.
    """
    fresh = Path(f"{folder_of(file)}/.{secrets.token_hex(8)}.tmp")
    try:
        with open(fresh, "xb", buffering=0, opener=_private) as made:
            if made.write(data) != len(data):
                raise OSError(28, "no space left on device")
            if fsync:
                os.fsync(made.fileno())
        fresh.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def remove_unfinished(folder: str) -> None:
    """Remove what a process that died in the middle of a write left below a folder."""
    stale = time.time() - _STALE_SECONDS
    for fresh in Path(folder).glob("*/.*.tmp"):
        with contextlib.suppress(OSError):
            if fresh.stat().st_mtime < stale:
                fresh.unlink()


def folder_of(file: str) -> str:
    """The folder that a file is in."""
    return file.rpartition("/")[0]


def make_folder(folder: Path, above: Path, *, fsync: bool) -> None:
    """Make a folder and those on the way to it, and see them on the disk.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while fsync and folder != above:
        folder = folder.parent
        sync_folder(folder)


def sync_folder(folder: str | Path) -> None:
    """Wait until the disk has what was renamed in a folder.

    Raises:
        OSError: the disk refuses.
    """
    if sys.platform == "win32":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextlib.contextmanager
def typed(path: Path | str) -> Iterator[None]:
    """Errors of the disk in our words."""
    try:
        yield
    except OSError as error:
        raise unusable(path, error.strerror or type(error).__name__) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
