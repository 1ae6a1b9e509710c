"""What tests of Bottender's and toolbot's stores share: places to keep sessions in, and a user's own store."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

PLACES = ("memory", "file", "lmdb", "own", "redis", "grid")


class OwnStore:
    """A user's own store, as Bottender's documents stub it: five asynchronous methods, JSON inside."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.ready = 0

    async def init(self) -> OwnStore:
        """Count how often it was made ready."""
        self.ready += 1
        return self

    async def read(self, session_id: str) -> Any:
        """A session of one's own, or None."""
        await asyncio.sleep(0)
        return json.loads(self.texts.get(session_id, "null"))

    async def write(self, session_id: str, session: Any) -> None:
        """Refuses what is no JSON."""
        await asyncio.sleep(0)
        self.texts[session_id] = json.dumps(session, allow_nan=False)

    async def destroy(self, session_id: str) -> None:
        """One that is not there is no error."""
        self.texts.pop(session_id, None)

    async def all(self) -> list[Any]:
        """All of them."""
        return [json.loads(text) for text in self.texts.values()]


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 10.0) -> float:
    """Wait until it holds; how long it took. AssertionError if it does not in time."""
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() - started < seconds, f"did not come within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def in_another_process(program: str, *arguments: str) -> str:
    """What a program of a process of its own printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
