"""A memory driver whose clock stands still, and what was sent to it."""

from __future__ import annotations

import pytest

from gridsession._commands import Command
from gridsession._identity import Space
from gridsession._reply import Reply
from gridsession.drivers.memory import MemoryDriver
from gridsession.testing.clock import ManualClock


class TappedDriver(MemoryDriver):
    """The memory driver; `sent` lists the commands it was given."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.sent: list[Command] = []

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        self.sent.append(command)
        return await super().execute(space, session_id, command, deadline=deadline)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def driver(clock: ManualClock) -> TappedDriver:
    return TappedDriver(clock)


@pytest.fixture
def sent(driver: TappedDriver) -> list[Command]:
    """The commands sent so far."""
    return driver.sent
