"""Two copies of everything in this process, of which the first dies now and then; and the ways to get that wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar, Final

from gridsession._commands import Command, Load
from gridsession._identity import Space
from gridsession._record import Record
from gridsession._reply import Reply
from gridsession.drivers.memory import MemoryDriver
from tests.faults.history import History
from tests.faults.places import RETRIED, Rough

_EVERY: Final = 0.12
"""Seconds between two faults."""


class Pair(Rough):
    """Correct: what was not copied is not acknowledged but sent again; a copy takes over when the first one dies."""

    # Faults come by the clock: enough calls for a dozen of them, however fast these are.
    answers = 4_000

    def __init__(self, seed: int, history: History | None = None) -> None:
        super().__init__(seed, history)
        self.copies: dict[tuple[Space, str], Record] = {}

    async def open(self) -> None:
        self._task(self._harm())

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        while True:
            reply = await self.memory.execute(space, session_id, command)
            if isinstance(command, Load) and not command.confirm:
                return reply
            if self.copy(space, session_id):
                return reply
            if self.acknowledges_anyway():
                return reply
            # Sent again under the same op id, as soon as somebody may answer.
            command = again(command)
            await asyncio.sleep(self.random.random() * 0.01)

    def copy(self, space: Space, session_id: str) -> bool:
        """Send the bytes of now to the second copy; whether they arrived."""
        if self.random.random() < 0.1:
            return False
        record = self.records(space).get(session_id)
        if record is not None:
            self.copies[space, session_id] = record
        return True

    def acknowledges_anyway(self) -> bool:
        """Whether an answer counts that has no copy: never."""
        return False

    def fail_over(self) -> None:
        """The first dies, its copy takes over and is copied anew."""
        for space, session_id in [(each, name) for each in self.memory._spaces for name in self.records(each)]:
            record = self.copies.get((space, session_id))
            if record is None:
                del self.records(space)[session_id]
            else:
                self.records(space)[session_id] = record

    async def _harm(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            if self.history is not None:
                self.history.fault("kill", "start", "first")
            self.fail_over()
            if self.history is not None:
                self.history.fault("kill", "end", "first")


def again(command: Command) -> Command:
    """As a driver sends it once more."""
    return replace(command, retry=True) if isinstance(command, RETRIED) else command


class AcknowledgesWithoutBackup(Pair):
    """Answers although the copy was not confirmed."""

    caught_by = frozenset({"I1"})
    shown_by = ("append", "increment", "fields")

    def acknowledges_anyway(self) -> bool:
        return True


class DedupesWithoutShipping(Pair):
    """Answers a command that is known already without sending its bytes to the copy again."""

    caught_by = frozenset({"I1"})
    shown_by = ("append", "increment", "fields")

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        reply = await self.memory.execute(space, session_id, command)
        if (isinstance(command, Load) and not command.confirm) or reply.duplicate or self.copy(space, session_id):
            return reply
        return await self.deliver(space, session_id, again(command))


class MergesAndResurrects(Pair):
    """After a split, takes what the other side still holds where this side holds nothing."""

    caught_by = frozenset({"I11"})
    shown_by = ("recreate",)

    def __init__(self, seed: int, history: History | None = None) -> None:
        super().__init__(seed, history)
        self._other: dict[Space, dict[str, Record]] = {}

    def fail_over(self) -> None:
        for space, records in self._other.items():
            for session_id, record in records.items():
                now = self.records(space).get(session_id)
                if now is None or not now.live:
                    self.records(space)[session_id] = record
                    self.copies[space, session_id] = record
        self._other = {space: dict(records) for space, records in self.memory._spaces.items()}


class IsolatedAnswers(Pair):
    """One that is cut off answers whatever changes nothing there, by a past that nobody else shares."""

    caught_by: ClassVar[frozenset[str]] = frozenset({"I8"})
    shown_by = ("revision", "cas", "remember")

    def __init__(self, seed: int, history: History | None = None) -> None:
        super().__init__(seed, history)
        self._isolated = MemoryDriver()

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        if self.random.random() < 0.3 and not isinstance(command, Load):
            records = self._isolated._spaces.setdefault(space, {})
            before = records.get(session_id)
            reply = await self._isolated.execute(space, session_id, command)
            if records.get(session_id) is before and not reply.duplicate:
                return reply
            command = again(command)
        return await super().deliver(space, session_id, command)

    def fail_over(self) -> None:
        self._isolated = MemoryDriver()
        self._isolated._spaces = {space: dict(records) for space, records in self.memory._spaces.items()}


class IsolatedKeepsQuiet(IsolatedAnswers):
    """Correct: what the one that is cut off does is never answered."""

    caught_by = frozenset()

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        if self.random.random() < 0.3 and not isinstance(command, Load):
            await self._isolated.execute(space, session_id, command)
            command = again(command)
        return await Pair.deliver(self, space, session_id, command)
