"""What the MongoDB driver does when things go wrong: typed errors, nothing applied twice, the next call works."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator
from typing import Any

import bson
import pytest

from gridsession import SessionStore
from gridsession.drivers import parse_url
from gridsession.drivers.mongo import MongoDriver
from gridsession.errors import (
    ConnectFailed,
    CorruptRecord,
    GridSessionError,
    InvalidOption,
    OutcomeUnknown,
    Unavailable,
)
from gridsession.hooks import Hooks
from gridsession.node.ports import free_ports
from gridsession.policy import Policy
from tests.contract.proxy import Proxy
from tests.contract.servers import Server, mongo_server, running

pytestmark = pytest.mark.servers

ID = "line:U1"
_HEAD = struct.Struct("<iiii")
_OP_MSG = 2013
_CHANGES = ("findAndModify", "insert")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own, which the tests leave running."""
    started = mongo_server(tmp_path_factory.mktemp("mongo"))
    with running(started):
        yield started


def open_store(server: Server, port: int | None = None, deadline: float = 5) -> SessionStore:
    """A store in a namespace of its own."""
    namespace = f"n{time.monotonic_ns()}"
    url = f"mongodb://127.0.0.1:{port or server.port}/faults?namespace={namespace}&serverSelectionTimeoutMS=500"
    return SessionStore.open(url, policy=Policy(deadline=deadline))


class StepDown(Proxy):
    """Answers the next changes with an error code, instead of the server or after it has applied them."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.codes: list[int] = []
        self.apply = False
        self.asked = 0

    async def request(self, data: bytes, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> bool:
        command = _command(data)
        if self.codes and command and next(iter(command)) in _CHANGES:
            code = self.codes.pop(0)
            self.asked += 1
            if self.apply:
                await self._apply(data)
            _, request_id, _, _ = _HEAD.unpack_from(data)
            body = bytes(4) + b"\0" + bson.encode({"ok": 0.0, "code": code, "errmsg": "not primary", "codeName": "No"})
            client.write(_HEAD.pack(16 + len(body), 1, request_id, _OP_MSG) + body)
            await client.drain()
            return False
        return await super().request(data, client, server)

    async def _apply(self, data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(data)
        await reader.read(65536)
        writer.close()


def _command(data: bytes) -> dict[str, Any]:
    _, _, _, kind = _HEAD.unpack_from(data)
    if kind != _OP_MSG:
        return {}
    size = int.from_bytes(data[21:25], "little")
    return dict(bson.decode(data[21 : 21 + size]))


async def test_a_reset_in_the_middle_of_a_reply_applies_nothing_twice(server: Server) -> None:
    async with Proxy(server.port) as proxy, open_store(server, proxy.port) as store:
        session = store.session(ID)
        proxy.spare = lambda request: next(iter(_command(request)), "") not in _CHANGES
        for number in range(1, 8):
            proxy.cut_replies = number % 2
            assert await session.increment("n") == number
        assert proxy.cut == 4


@pytest.mark.parametrize("apply", [False, True])
@pytest.mark.parametrize("code", [10107, 13435, 189, 91, 11600, 11602])
async def test_a_step_down_is_waited_for_and_nothing_is_applied_twice(server: Server, code: int, apply: bool) -> None:
    async with StepDown(server.port) as proxy, open_store(server, proxy.port, deadline=20) as store:
        session = store.session(ID)
        await session.set("n", 0)
        proxy.apply = apply and code not in (10107, 13435)
        proxy.codes = [code]
        assert await session.increment("n") == 1
        assert await session.increment("n") == 2
        assert proxy.asked == 1


async def test_a_step_down_without_end_ends_by_the_deadline_and_applies_nothing(server: Server) -> None:
    async with StepDown(server.port) as proxy, open_store(server, proxy.port, deadline=1) as store:
        session = store.session(ID)
        await session.set("n", 0)
        # Not primary is a definite no, unless the deadline finds an attempt under way.
        for code, ends in ((10107, (ConnectFailed, OutcomeUnknown)), (11602, (OutcomeUnknown,))):
            proxy.codes = [code] * 1000
            with pytest.raises(ends):
                await session.increment("n")
            proxy.codes = []
            assert await session.get("n") == 0


async def test_an_error_that_does_not_pass_is_said_at_once(server: Server) -> None:
    async with StepDown(server.port) as proxy, open_store(server, proxy.port) as store:
        proxy.codes = [13]
        with pytest.raises(Unavailable, match="readWrite"):
            await store.session(ID).set("a", 1)
        await store.session(ID).set("a", 2)


async def test_after_a_restart_the_next_call_works(server: Server) -> None:
    async with open_store(server, deadline=1) as store:
        session = store.session(ID)
        await session.set("a", 1)
        server.kill()
        try:
            with pytest.raises(GridSessionError):
                await session.load()
            with pytest.raises(GridSessionError):
                await session.set("a", 2)
        finally:
            await asyncio.to_thread(server.start)
        await session.set("a", 3)
        assert await session.get("a") == 3


async def test_what_is_no_record_is_an_error_that_names_the_document(server: Server) -> None:
    async with open_store(server) as store:
        await store.session(ID).set("a", 1)
        driver = store._driver
        assert isinstance(driver, MongoDriver)
        for broken in ({"record": b"nonsense"}, {"record": "text"}, {"record": None}):
            await driver._collection.replace_one({"_id": f"sessions:{store.namespace}:{ID}"}, broken)
            for call in (store.session(ID).load(), store.session(ID).set("a", 2)):
                with pytest.raises(CorruptRecord, match=ID):
                    await call


async def test_who_only_writes_asks_the_time_again_too(server: Server) -> None:
    async with open_store(server) as store:
        driver = store._driver
        assert isinstance(driver, MongoDriver)
        await store.session(ID).set("a", 1)
        driver._heard = long_ago = driver._heard - 60
        # One round trip without a read, as this process stored the session a moment ago.
        await store.session(ID).set("a", 2)
        assert driver._heard > long_ago


async def test_nobody_listening_is_said() -> None:
    url = f"mongodb://127.0.0.1:{free_ports(1)[0]}/?serverSelectionTimeoutMS=100&deadline=0.3"
    with pytest.raises(ConnectFailed, match="MongoDB"):
        await MongoDriver.from_address(parse_url(url), Hooks()).open()


def test_a_url_that_makes_no_sense_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidOption) as told:
        MongoDriver.from_address(parse_url("mongodb://user:sec%ret@/:x"), Hooks())
    assert "sec" not in str(told.value)


async def test_a_client_handed_in_is_never_closed(server: Server) -> None:
    from pymongo import AsyncMongoClient

    async with AsyncMongoClient("127.0.0.1", server.port) as client:
        driver = MongoDriver(client, database="mine", collection="here")
        async with SessionStore.open(driver=driver) as store:
            await store.session(ID).set("a", 1)
        await driver.aclose()
        assert await client["mine"]["here"].find_one({"_id": "sessions:default:line:U1"})
        assert "until" in await client["mine"]["here"].index_information()
