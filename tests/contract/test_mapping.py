"""The contract, kept by the mapping driver over stores of each shape; and what only this driver does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession import SessionStore
from gridsession._document import from_document, to_document
from gridsession._identity import Space
from gridsession._record import Record
from gridsession.drivers import Driver
from gridsession.drivers._clock import host_clock
from gridsession.drivers.mapping import MappingDriver
from gridsession.errors import (
    Conflict,
    CorruptRecord,
    InvalidOption,
    InvalidSessionId,
    OutcomeUnknown,
    Unavailable,
    Unsupported,
)
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract
from tests.strategies import records


class Keyv:
    """An asynchronous store of JSON text, as keyv is one."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.ttls: dict[str, float] = {}

    async def get(self, key: str) -> Any:
        await asyncio.sleep(0)
        return json.loads(self.texts[key]) if key in self.texts else None

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        await asyncio.sleep(0)
        self.texts[key] = json.dumps(value)
        if ttl is not None:
            self.ttls[key] = ttl

    async def delete(self, key: str) -> None:
        self.texts.pop(key, None)

    async def keys(self) -> AsyncIterator[str]:
        for key in list(self.texts):
            yield key


class Toolbot:
    """The four methods of a toolbot store."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.ready = False

    def init(self) -> Toolbot:
        self.ready = True
        return self

    def read(self, key: str) -> Any:
        return json.loads(self.found.get(key, "null"))

    def write(self, key: str, session: Any) -> None:
        self.found[key] = json.dumps(session)

    def destroy(self, key: str) -> None:
        self.found.pop(key, None)


class Bottender(Toolbot):
    """The five methods of a Bottender store, asynchronous."""

    async def all(self) -> list[Any]:
        return [json.loads(text) for text in self.found.values()]


class _MappingContract(DriverContract):
    store: type[Any]

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """A store of its own."""
        return MappingDriver(self.store(), clock=clock or host_clock)


class TestDict(_MappingContract):
    """A plain dict."""

    store = dict


class TestKeyv(_MappingContract):
    """An asynchronous Map-like store of JSON."""

    store = Keyv


class TestBottender(_MappingContract):
    """Bottender's five methods."""

    store = Bottender


SPACE = Space("shop")


@given(records())
def test_a_document_gives_back_every_byte(record: Record) -> None:
    document = json.loads(json.dumps(to_document(record, SPACE)))
    assert from_document(document).encode() == record.encode()


async def test_what_is_stored_can_be_read_by_people() -> None:
    found: dict[str, Any] = {}
    async with SessionStore.open(driver=MappingDriver(found)) as store:
        await store.session("line:U1").update(
            step="address", n=1, price=Decimal("10.50"), tags=["a"], deep={"a": [1.5]}
        )
    assert list(found) == ["line:U1"]
    document = found["line:U1"]
    assert document["id"] == "line:U1"
    assert document["state"] == {
        "step": "address",
        "n": 1,
        "price": {"$decimal": "10.50"},
        "tags": ["a"],
        "deep": {"a": [1.5]},
    }
    assert document["props"] == {}
    assert (document["platform"], document["lastActivity"]) == ("line", document["_gridsession"]["touched"])
    assert set(document) == {"id", "platform", "state", "props", "lastActivity", "_gridsession"}


async def test_a_value_changed_by_hand_is_read_as_it_is_now() -> None:
    found: dict[str, Any] = {}
    async with SessionStore.open(driver=MappingDriver(found)) as store:
        session = store.session("line:U1")
        await session.set("step", "address")
        found["line:U1"]["state"]["step"] = {"changed": [1, 2]}
        assert await session.get("step") == {"changed": [1, 2]}


async def test_toolbots_four_methods_hold_sessions_that_cannot_be_listed() -> None:
    found = Toolbot()
    async with SessionStore.open(driver=MappingDriver(found)) as store:
        assert found.ready
        await store.session("line:U1").set("a", 1)
        assert await store.session("line:U1").get("a") == 1
        with pytest.raises(Unsupported, match="all"):
            [session_id async for session_id in store.ids()]
    assert list(found.found) == ["line:U1"]


async def test_a_store_with_a_ttl_is_told_it() -> None:
    found = Keyv()
    driver = MappingDriver(found, ttl="milliseconds", clock=ManualClock())
    async with SessionStore.open(driver=driver) as store:
        session = store.session("line:U1")
        await session.commit(ttl=900)
        assert 900_000 <= found.ttls["line:U1"] <= 912_000


async def test_what_is_not_ours_is_refused_and_left() -> None:
    found: dict[str, Any] = {"line:U1": {"theirs": 1}, "other": 5}
    async with SessionStore.open(driver=MappingDriver(found)) as store:
        with pytest.raises(CorruptRecord, match="line:U1"):
            await store.session("line:U1").set("a", 1)
        await store.session("line:U2").set("a", 1)
        assert [session_id async for session_id in store.ids()] == ["line:U2"]
    assert found["line:U1"] == {"theirs": 1}


async def test_a_store_that_fails_is_an_error_of_ours() -> None:
    class Broken(dict[str, Any]):
        broken = False

        def get(self, key: str, default: Any = None) -> Any:
            if self.broken:
                raise ZeroDivisionError
            return super().get(key, default)

        def __setitem__(self, key: str, value: Any) -> None:
            self.broken = True
            raise ZeroDivisionError

    async with SessionStore.open(driver=MappingDriver(Broken())) as store:
        with pytest.raises(OutcomeUnknown):
            await store.session("line:U1").set("a", 1)
        with pytest.raises(Unavailable, match="get"):
            await store.session("line:U1").load()


# --- bare keys, and no tombstones ------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    ["a", "b", "sessions", "globals", "default", "shop", "opengram", "line", ":", "/", "%", "1", " "]
)
KEYS = st.lists(PARTS, min_size=1, max_size=5).map("".join)
SPACES = st.builds(Space, st.sampled_from(["default", "shop"]), st.sampled_from(["sessions", "globals"]))
IDS = st.builds("{}:{}".format, st.sampled_from(["opengram", "line", "a"]), KEYS)


@settings(deadline=None)
@given(st.lists(st.tuples(SPACES, IDS), min_size=2, max_size=40, unique=True))
def test_no_two_ids_share_a_key(ids: list[tuple[Space, str]]) -> None:
    for driver in (MappingDriver({}, bare="opengram"), MappingDriver({})):
        assert len({driver.where(space, session_id) for space, session_id in ids}) == len(ids)


async def test_one_platforms_sessions_stand_under_their_bare_keys() -> None:
    found: dict[str, Any] = {}
    driver = MappingDriver(found, bare="opengram")
    ids = ["opengram:1:2", "line:U1", "opengram:line:U1", "opengram:sessions/default/line:U1", "opengram:globals/x"]
    async with SessionStore.open(driver=driver) as store, SessionStore.open(driver=driver, namespace="shop") as shop:
        for session_id in ids:
            await store.session(session_id).set("id", session_id)
        await shop.session("opengram:1:2").set("id", "of the shop")
        await store.globals.set("opengram:1:2", "a global")
        assert {one async for one in store.ids()} == set(ids)
        assert [one async for one in store.ids("opengram:1")] == ["opengram:1:2"]
        assert [one async for one in shop.ids()] == ["opengram:1:2"]
        assert [await store.session(one).get("id") for one in ids] == ids
    assert set(found) == {
        "1:2",
        "line:U1",
        "sessions/default/line:U1",
        "sessions/default/opengram:sessions/default/line:U1",
        "sessions/default/opengram:globals/x",
        "sessions/shop/opengram:1:2",
        "globals/default/opengram:1:2",
    }
    assert found["line:U1"]["id"] == "opengram:line:U1"


@pytest.mark.parametrize("bare", ["", "Opengram", "a:b", "a/b"])
def test_what_is_no_platform_cannot_be_bare(bare: str) -> None:
    with pytest.raises(InvalidSessionId):
        MappingDriver({}, bare=bare)


async def test_a_deleted_session_leaves_a_tombstone_only_where_it_is_wanted() -> None:
    for wanted in (True, False):
        found = Keyv()
        async with SessionStore.open(driver=MappingDriver(found, tombstones=wanted)) as store:
            session = store.session("line:U1")
            await session.set("a", 1)
            assert await session.delete()
            assert not await session.exists()
            assert list(found.texts) == (["line:U1"] if wanted else [])
            assert not await session.delete()
            await session.set("b", 2)
            assert dict(await session.load()) == {"b": 2}


async def test_without_tombstones_a_turn_that_began_before_a_delete_raises_nothing_from_the_dead() -> None:
    found = Keyv()
    async with SessionStore.open(driver=MappingDriver(found, tombstones=False)) as store:
        session = store.session("line:U1")
        await session.set("a", 1)
        with pytest.raises(Conflict):
            async with store.turn("line:U1", exclusive=False) as turn:
                turn.state["b"] = 2
                await session.delete()
        # A turn that holds the session keeps what its lease needs until it ends.
        async with store.turn("line:U1") as turn:
            assert not turn.exists
            assert list(found.texts) == ["line:U1"]
        assert found.texts == {}


def test_a_store_that_is_told_the_ttl_is_not_swept_from_here() -> None:
    assert MappingDriver(Keyv()).sweep_every is not None
    assert MappingDriver(Keyv(), ttl="seconds").sweep_every is None


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(InvalidOption, match="get and set"):
        MappingDriver(object())
