"""Bottender's store methods on every place of ours: what their own tests hold them to, and what theirs get wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession import SessionStore
from gridsession.dialects import toolbot
from gridsession.dialects.bottender import ConsoleBot, GridSessionStore
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidSessionId, InvalidValue, StoreClosed
from gridsession.testing.local_grid import LocalGrid
from tests.contract.servers import redis_server, running
from tests.dialects.stores import OwnStore, until

Make = Callable[..., GridSessionStore]
ID = "line:U4af4980629"
SESSION = {"id": ID, "platform": "line", "lastActivity": 1_700_000_000_000, "_state": {"count": 1}}
VALUES: dict[str, Any] = {
    "none": None,
    "yes": True,
    "no": False,
    "zero": 0,
    "number": -1.5,
    "whole float": 2.0,
    "text": "สวัสดี \U0001f44b",
    "empty": "",
    "list": [1, "two", [], {"deep": [None]}],
    "dict": {"$count": 1, "_state": {"a": {}}, "": 0},
}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def grid_url(grid: LocalGrid) -> str:
    """Three real members."""
    return grid.url


@pytest.fixture(params=["memory", "own", "file", "lmdb", "redis", pytest.param("grid", marks=pytest.mark.grid)])
def make(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Make:
    """Makes stores over one place: two of them share its sessions. `own` is a user's own store of five methods."""
    kind = request.param
    place: Any = {"memory": MemoryDriver, "own": OwnStore}.get(kind, lambda: f"{kind}://{tmp_path}")()
    if kind in ("redis", "grid"):
        place = f"{request.getfixturevalue(f'{kind}_url')}?namespace={namespace}"
    return lambda expires_in=None: GridSessionStore(place, expires_in)


# --- init, read, write, destroy -----------------------------------------------------------------------------------


async def test_init_gives_the_store_itself_and_may_be_called_again(make: Make) -> None:
    store = make()
    first, second = await asyncio.gather(store.init(), store.init())
    assert first is second is store
    assert await store.init() is store
    await store.aclose()


async def test_before_init_and_after_close_a_store_says_so(make: Make) -> None:
    store = make()
    with pytest.raises(StoreClosed):
        await store.read(ID)
    await store.init()
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.write(ID, SESSION)
    await store.aclose()


async def test_an_unknown_session_reads_as_none(make: Make) -> None:
    async with make() as store:
        assert await store.read(ID) is None
        assert await store.all() == []


async def test_what_is_written_is_read_also_by_another_store(make: Make) -> None:
    async with make() as store, make() as other:
        await store.write(ID, {**SESSION, "_state": VALUES, "user": {"id": "U1", "name": "Ploy"}, **VALUES})
        found = await other.read(ID)
        assert found == {**SESSION, "_state": VALUES, "user": {"id": "U1", "name": "Ploy"}, **VALUES}
        # 1 and True, 2 and 2.0 are equal to Python; what comes back is of the same kind.
        assert json.dumps(found["_state"], sort_keys=True) == json.dumps(VALUES, sort_keys=True)


async def test_each_read_gives_a_session_of_its_own(make: Make) -> None:
    async with make() as store:
        await store.write(ID, {**SESSION, "_state": {"deep": {"list": [1]}}})
        first, second = await store.read(ID), await store.read(ID)
        assert first is not None
        assert second is not None
        first["_state"]["deep"]["list"].append(2)
        first["more"] = 1
        assert second == await store.read(ID) == {**SESSION, "_state": {"deep": {"list": [1]}}}


async def test_what_was_written_is_not_the_callers_object(make: Make) -> None:
    async with make() as store:
        session = {**SESSION, "_state": {"list": [1]}}
        await store.write(ID, session)
        session["_state"]["list"].append(2)
        assert (await store.read(ID) or {})["_state"] == {"list": [1]}


async def test_a_read_only_session_becomes_one_that_can_be_changed(make: Make) -> None:
    frozen = MappingProxyType({**SESSION, "user": MappingProxyType({"id": "U1"}), "_state": MappingProxyType({"a": 1})})
    async with make() as store:
        await store.write(ID, frozen)
        found = await store.read(ID)
        assert found == {**SESSION, "user": {"id": "U1"}, "_state": {"a": 1}}
        found["user"]["name"] = "Ploy"
        found["_state"]["b"] = 2


async def test_a_write_replaces_the_session_whole(make: Make) -> None:
    async with make() as store:
        await store.write(ID, {**SESSION, "user": {"id": "U1"}, "_state": {"old": 1, "kept": 1}})
        await store.write(ID, {**SESSION, "_state": {"kept": 2}})
        assert await store.read(ID) == {**SESSION, "_state": {"kept": 2}}
        await store.write(ID, {})
        assert await store.read(ID) == {"id": ID, "platform": "line", "_state": {}}


async def test_a_session_says_whose_it_is_and_not_whose_it_was(make: Make) -> None:
    """`id` and `platform` follow from the id, so a session that is copied is the other's."""
    async with make() as store:
        await store.write(ID, SESSION)
        await store.write("telegram:16423", await store.read(ID))
        assert await store.read("telegram:16423") == {**SESSION, "id": "telegram:16423", "platform": "telegram"}
        assert await store.read(ID) == SESSION


async def test_what_others_named_id_does_not_hide_whose_session_it_is(make: Make) -> None:
    async with make() as store:
        await store.write(ID, SESSION)
        session = store.sessions.session(ID)
        assert set((await session.load()).props) == {"lastActivity"}
        await session.props.update(id="line:other", platform="other", _state={})
        assert await store.read(ID) == SESSION


async def test_a_destroyed_session_is_gone_and_no_other_is(make: Make) -> None:
    async with make() as store:
        await store.write(ID, SESSION)
        await store.write("line:other", SESSION)
        await store.destroy(ID)
        await store.destroy(ID)
        await store.destroy("line:never")
        assert await store.read(ID) is None
        assert [session["id"] for session in await store.all()] == ["line:other"]
        await store.write(ID, {"_state": {"anew": True}})
        assert (await store.read(ID) or {})["_state"] == {"anew": True}


async def test_all_is_a_list_of_sessions_the_latest_first(make: Make) -> None:
    async with make() as store:
        for number in (2, 40, 3, 1):
            await store.write(f"viber:{number}", {"lastActivity": number, "_state": {"n": number}})
        await store.write("viber:quiet", {"_state": {}})
        found = await store.all()
        assert [session["id"] for session in found] == ["viber:40", "viber:3", "viber:2", "viber:1", "viber:quiet"]
        assert found[0] == {"id": "viber:40", "platform": "viber", "lastActivity": 40, "_state": {"n": 40}}


async def test_writes_at_once_leave_one_whole_session(make: Make) -> None:
    """Never a mix of two: each is one commit."""
    async with make() as store, make() as other:
        sessions = [{"user": {"n": n}, "_state": {"n": n, f"only {n}": n}} for n in range(8)]
        await asyncio.gather(*((store, other)[n % 2].write(ID, session) for n, session in enumerate(sessions)))
        found = await store.read(ID) or {}
        n = found["_state"]["n"]
        assert found == {"id": ID, "platform": "line", **sessions[n]}


# --- ids ----------------------------------------------------------------------------------------------------------

IDS = [
    "viber:01234567890A=/+b/",
    "../../etc/passwd",
    "line:Ca/56f",
    "C:\\con",
    "line:a:b:c",
    "66812345678",
    "1642312:-100123",
    "whatsapp-cloud:66812345678",
    "whatsapp-cloud:whatsapp-cloud:1",
    "whatsapp-cloud:",
    "whatsapp-cloud:line:U1",
    "LINE:U1",
    "line:",
    ":",
    " ",
    "line:u1",
    "line:U1",
    "caf\u00e9",
    "cafe\u0301",
    "%2f",
    "\U0001f44b",
    "x" * 1_500,
]
# Biased to what the rule for bare ids turns on.
TEXTS = st.lists(
    st.sampled_from(["whatsapp-cloud", ":", "line", "1", "A", " ", "\u0301", "e"]), min_size=1, max_size=5
).map("".join)


async def test_ids_are_any_text_and_no_two_texts_one_session(make: Make) -> None:
    async with make() as store:
        await asyncio.gather(*(store.write(name, {"_state": {"n": n}}) for n, name in enumerate(IDS)))
        for n, name in enumerate(IDS):
            found = await store.read(name) or {}
            assert (found["id"], found["_state"]) == (name, {"n": n})
        assert sorted(session["id"] for session in await store.all()) == sorted(IDS)
        for name in IDS:
            await store.destroy(name)
        assert await store.all() == []


@settings(max_examples=50, deadline=None)
@given(st.sets(TEXTS, min_size=2, max_size=12))
def test_every_text_is_a_session_of_its_own(names: set[str]) -> None:
    async def write_and_read() -> None:
        async with GridSessionStore(MemoryDriver()) as store:
            for name in names:
                await store.write(name, {"_state": {"name": name}})
            assert {session["id"] for session in await store.all()} == names
            for name in names:
                assert (await store.read(name) or {})["_state"] == {"name": name}

    asyncio.run(write_and_read())


async def test_every_session_of_the_store_has_a_text(make: Make) -> None:
    """Also one that was made with our own API: what `all` shows is what `read` finds."""
    async with make() as store:
        for name in ("line:U1", "whatsapp-cloud:line:U1", "whatsapp-cloud:1", "whatsapp-cloud:whatsapp-cloud:1"):
            await store.sessions.session(name).set("name", name)
        found = await store.all()
        assert len({session["id"] for session in found}) == 4
        for session in found:
            assert await store.read(session["id"]) == session


async def test_a_bare_id_keeps_what_the_session_says_of_its_platform(make: Make) -> None:
    async with make() as store:
        await store.write("66812345678", {"platform": "whatsapp-cloud", "_state": {}})
        await store.write("1", {"_state": {}})
        assert await store.read("66812345678") == {"id": "66812345678", "platform": "whatsapp-cloud", "_state": {}}
        assert await store.read("1") == {"id": "1", "_state": {}}


@pytest.mark.parametrize("name", ["", "line:\0", "\0", "\ud800", "x" * 3_000, None, 7])
async def test_what_names_no_session_is_refused(name: Any) -> None:
    async with GridSessionStore(MemoryDriver()) as store:
        for call in (store.read(name), store.write(name, {}), store.destroy(name)):
            with pytest.raises(InvalidSessionId, match="session id is text" if not name or name == 7 else None):
                await call


async def test_where_nobody_says_how_long_a_session_keeps_the_life_it_has() -> None:
    """A place without a ttl may hold sessions of others who gave them one."""
    async with SessionStore.open("memory://") as place:
        session = place.session(ID)
        for told, least, most in ((None, 90, 100), (1, 50, 60), (math.inf, None, None)):
            await session.update(a=1)
            await session.touch(100)
            await GridSessionStore(place, told).write(ID, SESSION)
            left = await session.ttl()
            assert left is None if least is None else least < (left or 0) <= most
        await session.touch(100)
        for bot in (
            ConsoleBot(place, platform="line", user="U1"),
            toolbot.ConsoleBot(place, platform="line", user="U1"),
        ):
            bot.on_event(lambda context: context.send_text("Hi"))
            assert await bot.say("Hi") == ["Hi"]
            assert 90 < (await session.ttl() or 0) <= 100


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "path"),
    [
        ([], "$"),
        (None, "$"),
        ({"_state": [1]}, "$._state"),
        ({"_state": {"cart": [1, {"f": print}]}}, "$.cart[1].f"),
        ({"user": {"f": print}}, "$.user.f"),
    ],
)
async def test_what_is_no_session_is_refused_and_changes_nothing(make: Make, session: Any, path: str) -> None:
    async with make() as store:
        await store.write(ID, SESSION)
        with pytest.raises(InvalidValue) as raised:
            await store.write(ID, session)
        assert raised.value.path == path
        assert await store.read(ID) == SESSION


async def test_a_session_that_holds_itself_is_refused() -> None:
    knot: dict[str, Any] = {}
    knot["self"] = knot
    async with GridSessionStore(MemoryDriver()) as store:
        with pytest.raises(InvalidValue):
            await store.write(ID, {"_state": knot})


async def test_more_than_json_comes_back_as_it_went_in(make: Make) -> None:
    state = {"when": dt.datetime(2024, 2, 29, tzinfo=dt.UTC), "raw": b"\0\xff", "tags": {1, 2}, "pair": (1, "a")}
    async with make() as store:
        await store.write(ID, {**SESSION, "_state": state})
        assert (await store.read(ID) or {})["_state"] == state


# --- expiry -------------------------------------------------------------------------------------------------------

SHORT = dt.timedelta(milliseconds=400)


async def test_five_minutes_are_three_hundred_seconds(make: Make) -> None:
    async with make(5) as store:
        assert store.expires_in == 300
        for _ in range(10):
            await store.write(ID, SESSION)
        assert 299 < (await store.sessions.session(ID).ttl() or 0) <= 300


async def test_an_expired_session_reads_as_none_and_is_in_no_list(make: Make) -> None:
    async with make(SHORT) as store, make() as lasting:
        await lasting.write("line:lasting", SESSION)
        await store.write(ID, SESSION)
        assert await store.read(ID) == SESSION

        async def gone() -> bool:
            return await store.read(ID) is None

        await until(gone, "the end of a session of 0.4 s")
        assert [session["id"] for session in await store.all()] == ["line:lasting"]
        assert await lasting.sessions.session("line:lasting").ttl() is None


async def test_a_read_does_not_extend_a_life_and_a_write_does(make: Make) -> None:
    async with make(100) as store, make(200) as other:
        await store.write(ID, SESSION)
        before = await store.sessions.session(ID).ttl()
        await store.read(ID)
        await store.all()
        after = await store.sessions.session(ID).ttl()
        assert before is not None
        assert after is not None
        assert after <= before <= 6_000
        await other.write(ID, SESSION)
        assert 11_990 < (await store.sessions.session(ID).ttl() or 0) <= 12_000
