"""The same commands give the same replies and the same stored record, byte for byte, on every compare-and-swap driver.

The rules, applied by hand at the time that the driver stamped, say what each reply and each record must be.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gridsession._record import Record
from gridsession._rules import apply
from gridsession.drivers import Driver, Space, driver_class, parse_url
from gridsession.drivers._swap import SwapDriver
from gridsession.drivers.file import FileDriver
from gridsession.drivers.lmdb import LmdbDriver
from gridsession.drivers.mapping import MappingDriver
from gridsession.drivers.memory import MemoryDriver
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from tests.contract.servers import mongo_server, redis_server, running
from tests.strategies import START, scripts

pytestmark = pytest.mark.servers

ID = "line:U1"


class Place:
    """A driver that stays open over all examples, on a loop of its own."""

    def __init__(self, driver: Driver, clock: ManualClock | None) -> None:
        self.driver = driver
        self.clock = clock
        self.runner = asyncio.Runner()
        if isinstance(driver, SwapDriver):
            # What has ended must not go away in the middle of a script.
            driver.sweep_every = None
        self.runner.run(driver.open())

    def close(self) -> None:
        self.runner.run(self.driver.aclose())
        self.runner.close()

    def play(self, script: list[tuple[int, Any]]) -> None:
        self.runner.run(self._play(script))

    async def _play(self, script: list[tuple[int, Any]]) -> None:
        space = Space(f"t{secrets.token_hex(6)}")
        expected: Record | None = None
        for step, command in script:
            if self.clock is not None and step:
                self.clock.advance(step / 1000)
            if expected is not None and await self._forgotten(space, expected):
                expected = None
            reply = await self.driver.execute(space, ID, command)
            if self.clock is not None:
                assert reply.now == self.clock()
            expected, wanted = apply(expected, command, reply.now, ID)
            assert reply.encode() == wanted.encode(), command
            if isinstance(self.driver, SwapDriver):
                held = await self.driver.read(space, ID)
                assert held.data == (None if expected is None else expected.encode()), command

    async def _forgotten(self, space: Space, expected: Record) -> bool:
        """Whether the place dropped the record, as it may once nothing in it counts any more."""
        due = expected.retained_until
        if due is None or due > self.driver.now():
            return False
        return not isinstance(self.driver, SwapDriver) or (await self.driver.read(space, ID)).data is None


def _own_clock(name: str, folder: Path) -> Place:
    clock = ManualClock(START)
    makers: dict[str, Callable[[], Driver]] = {
        "memory": lambda: MemoryDriver(clock=clock),
        "file": lambda: FileDriver(folder, clock=clock),
        "lmdb": lambda: LmdbDriver(folder, clock=clock),
        "mapping": lambda: MappingDriver({}, clock=clock),
    }
    return Place(makers[name](), clock)


@pytest.fixture(scope="module", params=["memory", "file", "lmdb", "mapping"])
def own_clock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each driver that keeps time itself."""
    place = _own_clock(request.param, tmp_path_factory.mktemp(request.param))
    yield place
    place.close()


@pytest.fixture(scope="module", params=["redis", "mongodb"])
def server_clock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each driver whose server keeps the time."""
    make = redis_server if request.param == "redis" else mongo_server
    server = make(tmp_path_factory.mktemp(request.param))
    with running(server):
        url = f"{request.param}://127.0.0.1:{server.port}/"
        place = Place(driver_class(request.param).from_address(parse_url(url), Hooks()), None)
        yield place
        place.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts())
def test_on_a_clock_of_their_own(own_clock: Place, script: list[tuple[int, Any]]) -> None:
    # The clock goes on from example to example; the script's deadlines go with it.
    assert own_clock.clock is not None
    passed = own_clock.clock() - START
    own_clock.play([(step, _later(command, passed)) for step, command in script])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts())
def test_on_the_clock_of_a_server(server_clock: Place, script: list[tuple[int, Any]]) -> None:
    passed = server_clock.driver.now() - START
    server_clock.play([(0, _later(command, passed)) for step, command in script])


def _later(command: Any, milliseconds: int) -> Any:
    return replace(command, not_after=command.not_after + milliseconds) if command.not_after else command
