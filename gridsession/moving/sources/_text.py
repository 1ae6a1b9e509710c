"""JSON that others wrote: bounded before it is read, and a reason instead of a traceback."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from gridsession.errors import ConnectFailed, InvalidOption

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""A drive of Windows is one letter."""
MAX_BYTES: Final = 4_194_304
"""Longest text that is read at all; what a record may hold is far less."""


class Unreadable(Exception):
    """Text that is no JSON, or too much of it. Its text says which, never what."""


def host_now() -> int:
    """This host's clock, ms since 1970."""
    return time.time_ns() // 1_000_000


def parse(text: str | bytes, most: int = MAX_BYTES) -> Any:
    """The value of JSON text of at most so many bytes.

    Raises:
        Unreadable: it has none.
    """
    if len(text) > most:
        raise Unreadable(f"it is longer than {most} bytes")
    try:
        return json.loads(text)
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except ValueError as error:
        raise Unreadable(f"it is not JSON ({type(error).__name__})") from None


def mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        Unreadable: it is something else.
    """
    if not isinstance(value, dict):
        raise Unreadable(f"it is not an object but {type(value).__name__}")
    return value


def whole(value: Any) -> int | None:
    """A number as whole ms, or None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**53:
        return None
    return int(value)


def directory(place: str) -> Path:
    """The folder to read.

    Raises:
        InvalidOption: there is no such folder, or it is a URL.
    """
    folder = local(place)
    if not folder.is_dir():
        raise InvalidOption(f"{place} is not a directory that can be read")
    return folder


def local(place: str) -> Path:
    """A path on this machine.

    Raises:
        InvalidOption: it is a URL, which is not told again, for it may hold a password.
    """
    if _URL.match(place):
        raise InvalidOption("this is read from a path on this machine, and what was given is a URL")
    return Path(place)


async def files(folder: Path, suffix: str) -> AsyncIterator[Path]:
    """The files of a folder with this suffix, by name.

    Raises:
        ConnectFailed: the folder cannot be read.
    """
    try:
        found = await asyncio.to_thread(lambda: sorted(path for path in folder.iterdir() if path.suffix == suffix))
    except OSError as error:
        raise ConnectFailed(f"{folder} cannot be read ({type(error).__name__})", address=str(folder)) from None
    for path in found:
        yield path


async def content(path: Path, most: int = MAX_BYTES) -> Any:
    """The JSON value of a file of at most so many bytes.

    Raises:
        Unreadable: it cannot be read, or is no JSON.
    """

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(most + 1)

    try:
        return parse(await asyncio.to_thread(read), most)
    except OSError as error:
        raise Unreadable(f"its file cannot be read ({type(error).__name__})") from None
