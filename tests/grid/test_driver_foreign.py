"""What others may plant in the grid is never executed, never taken for data, and never stops the driver."""

from __future__ import annotations

import asyncio
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hazelcast.config import Config
from hazelcast.serialization.data import Data

from gridsession._commands import Load
from gridsession._record import Record
from gridsession._reply import Status
from gridsession.drivers import Change
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._link import PATHS
from gridsession.drivers.hazelcast._seam import refuse_pickle
from gridsession.errors import CodecError, CrossTalk
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import Answered, Deliver, a_space, increment, intercept, opened, stranger

pytestmark = pytest.mark.grid


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[Bomb]:
    """What must never go off; that it could is shown first, with the official client's own reading."""
    from hazelcast.serialization import SerializationServiceV1

    path = tmp_path / "went-off"
    planted = Bomb(path)
    service = SerializationServiceV1(Config())
    service.to_object(pickled(planted)).close()
    assert path.exists(), "the bomb must be live"
    path.unlink()
    yield planted
    assert not path.exists(), "a planted pickle was executed"


def pickled(value: object) -> Data:
    body = pickle.dumps(value, 0)
    return Data(struct.pack(">iii", 0, -120, len(body)) + body)


def bytes_data(value: bytes) -> Data:
    return Data(struct.pack(">iii", 0, -12, len(value)) + value)


def test_planted_under_an_id_it_is_corrupt_to_commands_and_no_session_to_scans(grid: LocalGrid, bomb: Bomb) -> None:
    async def scenario() -> None:
        space = a_space()
        async with opened(grid.url) as driver, stranger(grid) as other:
            await driver.execute(space, "line:good", increment(driver))
            theirs = await other.get_map(_wire.records_map(space))
            await theirs.set("line:bomb", pickled(bomb))
            await theirs.set(pickled(bomb), bytes_data(b"x"))
            await theirs.set("line:text", "text")
            await theirs.set("line:other", bytes_data(Record("line:good", epoch=1, live=True).encode()))

            for command in (Load(), increment(driver)):
                reply = await driver.execute(space, "line:bomb", command)
                assert reply.status is Status.CORRUPT
            page = await driver.scan(space)
            assert list(page.ids) == ["line:good"]
            assert page.cursor is None

    asyncio.run(scenario())


def test_in_an_event_it_is_a_hint_at_most_and_the_connection_lives_on(grid: LocalGrid, bomb: Bomb) -> None:
    async def scenario() -> None:
        space = a_space()
        async with opened(grid.url) as driver, stranger(grid) as other:
            assert driver._client is not None
            connections = set(driver._client.link._connections.active_connections.values())
            watch = driver.watch(space)
            assert await anext(watch) == Change(None)
            theirs = await other.get_map(_wire.records_map(space))
            await theirs.set(pickled(bomb), pickled(bomb))
            await theirs.set("line:bomb", pickled(bomb))
            await driver.execute(space, "line:good", increment(driver))
            assert await anext(watch) == Change("line:bomb")
            assert (await anext(watch)).id == "line:good"
            assert set(driver._client.link._connections.active_connections.values()) == connections
            await watch.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_among_published_globals_it_is_passed_over(grid: LocalGrid, bomb: Bomb) -> None:
    async def scenario() -> None:
        space = a_space("globals")
        async with opened(grid.url) as driver, stranger(grid) as other:
            theirs = await other.get_replicated_map(_wire.published_map(space))
            await theirs.put("before", pickled(bomb))
            await theirs.put(pickled(bomb), pickled(bomb))
            mirror = await driver.mirror(space)
            assert mirror is not None
            await theirs.put("after", pickled(bomb))
            await theirs.put("renamed", bytes_data(Record("mood", epoch=1, live=True).encode()))
            await driver.execute(space, "mood", increment(driver))
            loop = asyncio.get_running_loop()
            ends = loop.time() + 10
            while mirror.held.get("mood") is None:
                assert loop.time() < ends, "the global was not pushed within 10 s"
                await asyncio.sleep(0.02)
            assert list(mirror.held) == ["mood"]
            await mirror.aclose()

    asyncio.run(scenario())


def test_one_namespaces_foreign_values_do_not_keep_others_from_being_pushed(grid: LocalGrid, bomb: Bomb) -> None:
    async def scenario() -> None:
        poisoned = a_space("globals")
        async with opened(grid.url) as driver, stranger(grid) as other:
            await driver.execute(poisoned, "mood", increment(driver))
            theirs = await other.get_replicated_map(_wire.published_map(poisoned))
            await theirs.put(pickled(bomb), pickled(bomb))
            for _ in range(3):
                space = a_space("globals")
                mirror = await driver.mirror(space)
                assert mirror is not None
                await driver.execute(space, "mood", increment(driver))
                loop = asyncio.get_running_loop()
                ends = loop.time() + 10
                while mirror.held.get("mood") is None:
                    assert loop.time() < ends, "the global was not pushed within 10 s"
                    await asyncio.sleep(0.02)
                await mirror.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("path", PATHS)
def test_in_a_reply_it_is_refused(grid: LocalGrid, path: str, bomb: Bomb, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that answers with a pickle: the very bytes of a real reply, its type and content replaced."""

    def with_bomb(deliver: Deliver, call: Any, answered: Answered) -> None:
        deliver(call, (answered[0], bytes(pickled(bomb).buffer)))

    async def scenario() -> None:
        async with opened(f"{grid.url}?path={path}") as driver:
            intercept(driver, monkeypatch, with_bomb)
            with pytest.raises(CodecError, match="-120"):
                await driver.execute(a_space(), "line:1", Load())

    asyncio.run(scenario())


@pytest.mark.parametrize("path", PATHS)
def test_a_reply_for_another_id_is_fatal(grid: LocalGrid, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(deliver: Deliver, call: Any, answered: Answered) -> None:
        acks, data = answered
        assert data is not None
        deliver(call, (acks, data.replace(b"line:1", b"line:2")))

    async def scenario() -> None:
        async with opened(f"{grid.url}?path={path}") as driver:
            intercept(driver, monkeypatch, swapped)
            with pytest.raises(CrossTalk):
                await driver.execute(a_space(), "line:1", Load())

    asyncio.run(scenario())


def test_the_client_itself_neither_reads_nor_writes_pickles(grid: LocalGrid, bomb: Bomb) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            client = driver._client.link._client  # type: ignore[union-attr]
            service = client._serialization_service
            with pytest.raises(Exception, match="never reads pickles"):
                service.to_object(pickled(bomb))
            with pytest.raises(Exception, match="never writes pickles"):
                service.to_data({"a": 1})
            refuse_pickle(client)

    asyncio.run(scenario())
