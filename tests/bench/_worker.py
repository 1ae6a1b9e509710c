"""`python -m tests.bench._worker`: one client process, on one core; orders on standard input, answers on output.

Each is one line of JSON. `open` opens a case, `measure` lets callers do turns in one that is open; at the end of the
input everything is closed. What goes wrong with one case is its answer's `not_run`; the process goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import os
import sys
from collections.abc import Awaitable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from gridsession.cli._measuring import Turn, measure
from tests.bench._cases import CASES
from tests.bench._environment import loop_factory
from tests.bench._work import Context, NotRun, Setting

_PATIENCE: Final = 600.0
"""Seconds an order may take: a million sessions are made in less."""


class Worker:
    """The cases that are open in this process."""

    def __init__(self, context: Context, number: int) -> None:
        self._context = context
        self._turns: dict[str, Turn] = {}
        # Client processes pick their sessions in the same order: let each begin elsewhere.
        self._offset = number * (context.setting.sessions // context.setting.processes)

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        try:
            async with asyncio.timeout(_PATIENCE):
                if order["do"] == "open":
                    await self._open(order["case"])
                    return {}
                turn = self._turns[order["case"]]
                sessions = self._context.setting.sessions
                figure = await measure(turn, callers=order["callers"], seconds=order["seconds"], sessions=sessions)
                return asdict(figure)
        except NotRun as lacking:
            return {"not_run": str(lacking)}
        except Exception as error:  # noqa: BLE001 - told in the row of its case
            return {"not_run": f"failed: {type(error).__name__}: {error}"}

    async def _open(self, key: str) -> None:
        turn = await self._context.stack.enter_async_context(CASES[key].open(self._context))
        sessions, offset, numbers = self._context.setting.sessions, self._offset, itertools.count()

        def elsewhere(index: int, number: int) -> Awaitable[object]:
            # Numbers go on from stretch to stretch: one that merges what is there already would write nothing.
            return turn((index + offset) % sessions, next(numbers))

        self._turns[key] = elsewhere
        # What was filled stays to the end: the collector need not go through it in the middle of a measurement.
        gc.collect()
        gc.freeze()


async def serve(given: dict[str, Any]) -> None:
    """Until the input ends."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        context = Context(
            Setting(**given["setting"]), given["places"], Path(given["folder"]), given["number"] == 0, stack
        )
        worker = Worker(context, given["number"])
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            context.places = {**context.places, **order.get("places", {})}
            print(json.dumps(await worker.obey(order)), flush=True)


def main() -> None:
    """Tie this process to its core, then serve."""
    given = json.loads(sys.stdin.readline())
    if given["core"] is not None:
        os.sched_setaffinity(0, {given["core"]})
    with asyncio.Runner(loop_factory=loop_factory(given["loop"])) as runner:
        runner.run(serve(given))


if __name__ == "__main__":
    main()
