"""What goes wrong around a store and what surrounds it: failed reads, expiry, several processes, a user's own store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.bottender import (
    ConsoleBot,
    ConsoleContext,
    FileSessionStore,
    GridSessionStore,
    MemorySessionStore,
    RedisSessionStore,
)
from gridsession.drivers.file import FileDriver
from gridsession.errors import ConnectFailed, CorruptRecord, OutcomeUnknown, Unavailable, Unsupported
from gridsession.testing.clock import ManualClock
from tests.contract.servers import redis_says, redis_server, running
from tests.dialects.stores import OwnStore, in_another_process, until

ID = "line:U1"
SESSION = {"id": ID, "platform": "line", "lastActivity": 5, "_state": {"count": 7}}


async def count(context: ConsoleContext) -> None:
    """A bot that would overwrite what it took for a new session."""
    count = context.state["count"] + 1
    context.set_state({"count": count})
    await context.send_text(f"Count: {count}")


def files(directory: Path) -> list[Path]:
    """The sessions' files."""
    return list(directory.rglob("*.gsr"))


# --- a failed read is no new session ----------------------------------------------------------------------------------


async def test_a_file_that_cannot_be_read_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    async with FileSessionStore(tmp_path) as store, ConsoleBot(store, {"count": 0}) as bot:
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 1"]
        (file,) = files(tmp_path)
        whole = file.read_bytes()
        file.write_bytes(whole[:-7])
        for attempt in (store.read("console:1"), store.all(), bot.say("Hi"), bot.say("/state")):
            with pytest.raises(CorruptRecord):
                await attempt
        assert file.read_bytes() == whole[:-7]
        file.write_bytes(whole)
        assert await bot.say("Hi") == ["Count: 2"]


async def test_a_server_that_is_gone_is_an_error_and_the_session_is_there_afterwards(tmp_path: Path) -> None:
    server = redis_server(tmp_path)
    url = f"redis://127.0.0.1:{server.port}/0?deadline=0.5"
    with running(server):
        async with GridSessionStore(url) as store, ConsoleBot(store, {"count": 0}) as bot:
            bot.on_event(count)
            assert await bot.say("Hi") == ["Count: 1"]
            server.kill()
            with pytest.raises(Unavailable):
                await store.read("console:1")
            # Whether a change on a connection that broke was applied, nobody can say.
            with pytest.raises((Unavailable, OutcomeUnknown)):
                await bot.say("Hi")
            server.start()
            assert await bot.say("Hi") == ["Count: 2"]


class Failing(OwnStore):
    """A user's own store that can fail."""

    fails = False

    async def init(self) -> OwnStore:
        """As its name says."""
        if self.fails:
            raise ConnectionError("geheim")
        return await super().init()

    async def read(self, session_id: str) -> Any:
        """As its name says."""
        if self.fails:
            raise ConnectionError("geheim")
        return await super().read(session_id)


async def test_an_own_store_that_fails_to_read_is_not_written_to() -> None:
    own = Failing()
    async with ConsoleBot(own, {"count": 0}) as bot:
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 1"]
        before = dict(own.texts)
        own.fails = True
        with pytest.raises(Unavailable) as raised:
            await bot.say("Hi")
        assert "geheim" not in str(raised.value)
        assert own.texts == before
        own.fails = False
        assert await bot.say("Hi") == ["Count: 2"]


async def test_what_cannot_be_made_ready_is_an_error_and_may_be_tried_again() -> None:
    own = Failing()
    own.fails = True
    store = GridSessionStore(own)
    for _ in range(2):
        with pytest.raises(Unavailable) as raised:
            await store.init()
        assert "geheim" not in str(raised.value)
    own.fails = False
    async with store:
        await store.write(ID, SESSION)
        assert await store.read(ID) == SESSION


async def test_what_others_wrote_into_an_own_store_is_no_new_session() -> None:
    own = OwnStore()
    own.texts[ID] = json.dumps(SESSION)
    async with GridSessionStore(own) as store:
        with pytest.raises(CorruptRecord, match="line:U1"):
            await store.read(ID)
        with pytest.raises(CorruptRecord):
            await store.write(ID, SESSION)
    assert json.loads(own.texts[ID]) == SESSION


# --- what has ended ---------------------------------------------------------------------------------------------------


async def test_files_of_expired_sessions_are_removed(tmp_path: Path) -> None:
    clock = ManualClock()
    driver = FileDriver(tmp_path, clock=clock)
    driver.sweep_every = 0.02
    async with GridSessionStore(driver, 10) as store:
        await store.write(ID, SESSION)
        await store.write("line:lasting", SESSION)
        assert len(files(tmp_path)) == 2
        clock.advance(540)
        await store.write("line:lasting", SESSION)
        clock.advance(180)

        async def removed() -> bool:
            return len(files(tmp_path)) == 1

        await until(removed, "the removal of an expired session's file")
        assert await store.read(ID) is None
        assert await store.read("line:lasting") is not None
    await driver.aclose()


async def test_memory_forgets_the_least_recently_used_beyond_its_size() -> None:
    async with MemorySessionStore(3) as store:
        for number in range(3):
            await store.write(f"line:{number}", {"lastActivity": number})
        await store.read("line:0")
        await store.write("line:3", {"lastActivity": 3})
        assert [session["id"] for session in await store.all()] == ["line:3", "line:2", "line:0"]


async def test_memory_has_no_limit_unless_it_is_given_one() -> None:
    async with MemorySessionStore() as store:
        for number in range(1_200):
            await store.write(f"line:{number}", {})
        assert await store.read("line:0") == {"id": "line:0", "platform": "line", "_state": {}}
        assert len(await store.all()) == 1_200


async def test_a_bot_that_was_given_no_store_keeps_five_hundred() -> None:
    async with ConsoleBot(initial_state={"count": 0}) as bot:
        bot.on_event(count)
        await bot.say("Hi")
        for number in range(500):
            await bot.store.write(f"line:{number}", {})
        assert await bot.say("/state") == ["{}"]


# --- several processes ------------------------------------------------------------------------------------------------

WRITE = """
import asyncio, sys
from gridsession.dialects.bottender import GridSessionStore

async def main(url):
    async with GridSessionStore(url, 10) as store:
        found = await store.read("line:U1")
        found["_state"]["count"] += 1
        await store.write("line:U1", found)
        await store.write("66812345678", {"_state": {"bare": True}})
        print(*sorted(session["id"] for session in await store.all()))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("place", ["file", pytest.param("grid", marks=pytest.mark.grid)])
async def test_what_one_process_writes_another_reads(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str
) -> None:
    url = f"file://{tmp_path}"
    if place == "grid":
        url = f"{request.getfixturevalue('grid').url}?namespace={namespace}"
    async with GridSessionStore(url) as store:
        await store.write(ID, SESSION)
        assert await asyncio.to_thread(in_another_process, WRITE, url) == "66812345678 line:U1"
        assert await store.read(ID) == {**SESSION, "_state": {"count": 8}}
        assert await store.read("66812345678") == {"id": "66812345678", "_state": {"bare": True}}


# --- Redis as it is documented ----------------------------------------------------------------------------------------


async def test_redis_takes_a_port_a_url_or_parts(tmp_path: Path) -> None:
    server = redis_server(tmp_path)
    parts = {"host": "127.0.0.1", "port": server.port, "family": 4, "password": "p/a:s@s", "db": 4}
    with running(server):
        assert redis_says(server.port, "CONFIG", "SET", "requirepass", "p/a:s@s")
        async with RedisSessionStore(parts, 10) as store:
            await store.write(ID, SESSION)
            async with RedisSessionStore(f"redis://:p%2Fa%3As%40s@127.0.0.1:{server.port}/4") as other:
                assert await other.read(ID) == SESSION
            async with RedisSessionStore({**parts, "db": 3}) as other:
                assert await other.read(ID) is None
            async with RedisSessionStore({**parts, "keyPrefix": "bot:"}) as other:
                assert await other.read(ID) is None
        with pytest.raises(ConnectFailed, match="password") as raised:
            await RedisSessionStore(server.port).init()
        assert "p/a" not in str(raised.value)


# --- a user's own store -----------------------------------------------------------------------------------------------


class FourMethods:
    """toolbot's four methods, not asynchronous, and a dict inside."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def init(self) -> FourMethods:
        """Nothing to do."""
        return self

    def read(self, session_id: str) -> Any:
        """Or None."""
        return json.loads(self.found.get(session_id, "null"))

    def write(self, session_id: str, session: Any) -> None:
        """JSON only."""
        self.found[session_id] = json.dumps(session)

    def destroy(self, session_id: str) -> None:
        """For good."""
        del self.found[session_id]


async def test_an_own_store_is_given_readable_sessions_under_their_ids() -> None:
    own = OwnStore()
    async with ConsoleBot(own, {"count": 0}) as bot:
        bot.on_event(count)
        await bot.say("Hi")
        assert own.ready == 1
        assert list(own.texts) == ["console:1"]
        document = json.loads(own.texts["console:1"])
        assert document["id"] == "console:1"
        assert document["state"] == {"count": 1}
        assert document["props"]["user"]["id"] == "1"
        assert isinstance(document["props"]["lastActivity"], int)
        assert isinstance(document["_gridsession"], dict)


async def test_four_methods_are_enough_but_cannot_list() -> None:
    own = FourMethods()
    async with GridSessionStore(own, 10) as store:
        await store.write(ID, SESSION)
        assert await store.read(ID) == SESSION
        with pytest.raises(Unsupported):
            await store.all()
        await store.destroy(ID)
        assert await store.read(ID) is None
        assert own.found == {}


async def test_what_is_destroyed_is_destroyed_in_an_own_store() -> None:
    own = OwnStore()
    async with GridSessionStore(own) as store:
        await store.write(ID, SESSION)
        await store.destroy(ID)
        assert own.texts == {}
        await store.destroy(ID)


async def test_closing_gives_back_what_was_opened_and_leaves_what_was_handed_in(tmp_path: Path) -> None:
    async with SessionStore.open(f"file://{tmp_path}") as sessions:
        async with GridSessionStore(sessions) as store, GridSessionStore(store) as same:
            await store.write(ID, SESSION)
            assert await same.read(ID) == SESSION
        assert await sessions.session(ID).get("count") == 7
    before = asyncio.all_tasks()
    async with GridSessionStore(OwnStore()) as store:
        await store.write(ID, SESSION)
    assert asyncio.all_tasks() == before
