"""A place in this process that behaves like a network of members, for testing the checker. It is correct."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from typing import Any, ClassVar, Final

from gridsession._commands import AckExpired, Command, Commit, Delete
from gridsession._identity import Space
from gridsession._record import Record
from gridsession._reply import Reply
from gridsession.drivers import Address, Change, Driver, Due, Page, Promise
from gridsession.drivers.memory import MemoryDriver
from gridsession.hooks import Hooks
from tests.faults.history import History

RETRIED: Final = (Commit, Delete, AckExpired)
"""Commands that drivers send again when they hear no answer."""
_LATE: Final = 0.15
"""Seconds by which a second delivery may be late."""


class Rough(Driver):
    """A correct place: commands arrive late, some twice, as of a driver that heard no answer, and cancelled ones too.

    Attributes:
        caught_by: invariants of which each must be violated, by one that is not correct.
        shown_by: the workloads that show it.
        answers: how many calls are answered until its fault must have shown.
    """

    promise: ClassVar[Promise] = MemoryDriver.promise
    caught_by: ClassVar[frozenset[str]] = frozenset()
    shown_by: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[int] = 400

    def __init__(self, seed: int, history: History | None = None) -> None:
        self.memory = MemoryDriver()
        self.random = Random(seed)
        self.history = history
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> Rough:
        """It is made by hand."""
        raise NotImplementedError

    async def open(self) -> None:
        """Nothing to connect to."""

    def now(self) -> int:
        """The memory driver's clock."""
        return self.memory.now()

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        """Deliver it; a caller that is cancelled leaves it on its way."""
        return await asyncio.shield(self._task(self._travel(space, session_id, command)))

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        """The command arrives. Bad places do here what they do wrong."""
        return await self.memory.execute(space, session_id, command)

    def late(self, command: Command) -> Command:
        """What arrives late, of a command that was delivered already."""
        return command

    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        """As in memory."""
        return await self.memory.scan(space, prefix, cursor=cursor, limit=limit)

    async def due(self, space: Space, *, limit: int = 256) -> Due:
        """As in memory."""
        return await self.memory.due(space, limit=limit)

    def watch(self, space: Space, prefix: str = "", *, session_id: str | None = None) -> AsyncIterator[Change]:
        """As in memory."""
        return self.memory.watch(space, prefix, session_id=session_id)

    async def aclose(self) -> None:
        """Forget what is still on its way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.memory.aclose()

    def records(self, space: Space) -> dict[str, Record]:
        """What is stored."""
        return self.memory._spaces.setdefault(space, {})

    async def _travel(self, space: Space, session_id: str, command: Command) -> Reply:
        await asyncio.sleep(self.random.random() * 0.003)
        if isinstance(command, RETRIED) and self.random.random() < 0.1:
            command = await self._lose_way(space, session_id, command)
        reply = await self.deliver(space, session_id, command)
        await asyncio.sleep(self.random.random() * 0.003)
        return reply

    async def _lose_way(self, space: Space, session_id: str, command: Commit | Delete | AckExpired) -> Command:
        """The first attempt's answer is lost, or the attempt itself arrives late; what is sent instead."""
        if self.random.random() < 0.5:
            await self.deliver(space, session_id, command)
            await asyncio.sleep(self.random.random() * 0.003)
            return self.late(replace(command, retry=True))
        self._task(self._arrive_late(space, session_id, self.late(command)))
        return replace(command, retry=True)

    async def _arrive_late(self, space: Space, session_id: str, command: Command) -> None:
        await asyncio.sleep(self.random.random() * _LATE)
        await self.deliver(space, session_id, command)

    def _task(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
