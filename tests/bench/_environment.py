"""Where a run took place: what a reader must know to judge its figures."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gridsession.errors import GridSessionError
from gridsession.node.java import find_java
from tests.bench._places import MEMBERS, cores, echo_language, heap_megabytes
from tests.bench._plan import Part

_PACKAGES: Final = (
    "gridsession", "hazelcast-python-client", "redis", "hiredis", "pymongo", "lmdb", "aiogram", "python-telegram-bot",
    "msgpack", "uvloop",
)  # fmt: skip


def loop_name(wanted: str) -> str:
    """The event loop to use: uvloop if it is installed, unless asyncio's own was asked for."""
    return "uvloop" if wanted != "asyncio" and importlib.util.find_spec("uvloop") else "asyncio"


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes loops of this name."""
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def surroundings(loop: str) -> str:
    """Under what recorded ratios are kept: they differ with these."""
    return f"python {'.'.join(platform.python_version_tuple()[:2])}, {loop}"


def load_average() -> str:
    """Of the last minute; work of others on the machine shows here."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def environment(parts: Sequence[Part], loop: str) -> dict[str, object]:
    """Before anything runs."""
    found: dict[str, object] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "Python": platform.python_version(),
        "loop": loop,
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(cores()) or os.cpu_count(),
        "pinned": "clients to the first cores, all servers to the last" if len(cores()) > 1 else "no",
        "members": MEMBERS,
        "backups": 1,
        "heap of each": " / ".join(dict.fromkeys(f"{heap_megabytes(part.setting)} MB" for part in parts)),
        "deadline": f"{parts[0].setting.deadline:g} s",
        "Java": _java(),
        "echo server": echo_language(),
        "Redis": _said("redis-server", "--version", r"v=(\S+)") or "none",
        "MongoDB": _said("mongod", "--version", r"v(\S+)") or "mongo-java-server",
    }
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):
        named = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if named:
            return named[1]
    return platform.processor() or platform.machine()


def _java() -> str:
    try:
        java = find_java()
    except GridSessionError:
        return "none"
    return str(java.version)


def _said(program: str, option: str, pattern: str) -> str:
    path = shutil.which(program)
    if path is None:
        return ""
    said = re.search(pattern, subprocess.run([path, option], capture_output=True, text=True).stdout)
    return said[1] if said else "unknown"
