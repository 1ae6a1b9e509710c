"""The contract, kept by the mapping driver over stores of each shape; and what only this driver does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from gridsession import SessionStore
from gridsession._document import from_document, to_document
from gridsession._identity import Space
from gridsession._record import Record
from gridsession.drivers import Driver
from gridsession.drivers._clock import host_clock
from gridsession.drivers.mapping import MappingDriver
from gridsession.errors import CorruptRecord, InvalidOption, OutcomeUnknown, Unavailable, Unsupported
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


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(InvalidOption, match="get and set"):
        MappingDriver(object())
