"""A process that takes turns on a grid's sessions as it is told, by lines of JSON: `python -m tests.grid.taking_turns`.

Asked `{"id", "lease", "wait", "times", "blocking"}` it takes a turn, says `entered`, waits for a line, appends its
process id to `log` and says how the turn ended: `ok` or the error's name. With `times` it takes so many turns at once,
without waiting for a line, and says how each ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from gridsession import Policy, SessionStore, _turn, _waiting, sync
from gridsession.errors import GridSessionError

SECONDS = 60.0
"""Longest wait for what a process says; a machine may be busy."""


class Process:
    """One of them, from outside; made by `processes`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def say(self, **what: Any) -> Self:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        return self

    async def hear(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            line = await self._process.stdout.readline()
        assert line, "the process ended: what it said stands above"
        return json.loads(line)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def processes(count: int, url: str, namespace: str, *, only_told: bool = False) -> AsyncIterator[list[Process]]:
    """So many of them, connected; `only_told`: in these nobody asks again by himself."""
    started = [
        Process(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                json.dumps([url, namespace, only_told]),
                cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )
        for _ in range(count)
    ]
    try:
        for process in started:
            assert await process.hear() == "ready"
        yield started
    finally:
        for process in started:
            await process.end()


# --- inside ---------------------------------------------------------------------------------------------------------


def _say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def _take(store: SessionStore, asked: dict[str, Any], *, told_to_go: bool = True) -> str:
    try:
        async with store.turn(asked["id"], lease=asked["lease"], wait=asked["wait"]) as turn:
            if told_to_go:
                _say("entered")
                await asyncio.to_thread(sys.stdin.readline)
            turn.state["log"] = [*turn.state.get("log", []), os.getpid()]
    except GridSessionError as error:
        return type(error).__name__
    return "ok"


def _take_blocking(store: sync.SessionStore, asked: dict[str, Any]) -> str:
    try:
        with store.turn(asked["id"], lease=asked["lease"], wait=asked["wait"]) as turn:
            _say("entered")
            sys.stdin.readline()
            turn.state["log"] = [*turn.state.get("log", []), os.getpid()]
    except GridSessionError as error:
        return type(error).__name__
    return "ok"


async def _serve(url: str, namespace: str) -> None:
    policy = Policy(deadline=SECONDS)
    async with SessionStore.open(url, namespace=namespace, policy=policy) as store:
        _say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = {"lease": 30, "wait": SECONDS, "times": 0, "blocking": False} | json.loads(line)
            if asked["blocking"]:
                with sync.SessionStore.open(url, namespace=namespace, policy=policy) as blocking:
                    _say(_take_blocking(blocking, asked))
            elif asked["times"]:
                takes = (_take(store, asked, told_to_go=False) for _ in range(asked["times"]))
                _say(await asyncio.gather(*takes))
            else:
                _say(await _take(store, asked))


if __name__ == "__main__":
    _url, _namespace, _only_told = json.loads(sys.argv[1])
    if _only_told:
        _waiting._TOLD_PAUSE = SECONDS  # type: ignore[misc]
        _turn.PATIENCE_MS = 1000 * int(SECONDS)  # type: ignore[misc]
    asyncio.run(_serve(_url, _namespace))
