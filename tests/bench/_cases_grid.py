"""gridsession itself on each of its places, and the official Hazelcast client without it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import msgpack
from hazelcast.asyncio import HazelcastClient

from gridsession import Policy, SessionStore, sync
from gridsession import Turn as SessionTurn
from gridsession._commands import Commit, Set, Want
from gridsession._identity import Space
from gridsession._record import STATE, encode_field
from gridsession._reply import Status, decode_reply
from gridsession.cli._measuring import Turn, change, session_id
from gridsession.drivers import Driver, driver_class, parse_url
from gridsession.drivers.hazelcast._seam import data
from gridsession.drivers.hazelcast._wire import COMMAND_CLASS_ID, key_data, processor_data, records_map
from gridsession.hooks import Hooks
from tests.bench._work import TTL, Case, Context, NotRun

_NAMESPACE: Final = "bench"
_PATIENCE: Final = 30.0
_SLOW: Final = {"mongo": 10.0}
"""A deadline, s, for a place that would not keep a short one: nothing may fail under 128 callers."""
_REMADE: Final = 0.5
"""Seconds a prebuilt command is good for: its deadline moves on."""


def _url(context: Context, scheme: str) -> str:
    if scheme in {"file", "lmdb"}:
        return f"{scheme}://{context.folder}/{scheme}"
    port = context.places.get(scheme)
    return {
        "grid": context.places.get("grid", ""),
        "memory": "memory://",
        "redis": f"redis://127.0.0.1:{port}?max_in_flight=128",
        "mongo": f"mongodb://127.0.0.1:{port}/bench",
    }[scheme]


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Driver]:
    address = parse_url(url)
    driver = driver_class(address.scheme).from_address(address, Hooks())
    try:
        await driver.open()
        yield driver
    finally:
        await driver.aclose()


async def _store(context: Context, scheme: str) -> SessionStore:
    """The store of a place, one in each process, and all sessions in it."""
    url = _url(context, scheme)
    driver = await context.once(f"driver {scheme}", lambda: _opened(url))

    def store(deadline: float) -> SessionStore:
        return SessionStore.open(driver=driver, policy=Policy(ttl=TTL, deadline=deadline), namespace=_NAMESPACE)

    deadline = max(context.setting.deadline, _SLOW.get(scheme, 0.0))
    # What fills has more patience than what is measured: a JVM may still be cold.
    async with store(_PATIENCE) as filling:
        await context.fill_once(scheme, lambda index: filling.session(session_id(index)).update(context.session(index)))
    opened: SessionStore = await context.once(f"store {scheme}", lambda: store(deadline))
    return opened


def _update(scheme: str) -> Any:
    @contextlib.asynccontextmanager
    async def opening(context: Context) -> AsyncIterator[Turn]:
        store = await _store(context, scheme)
        handles = [store.session(session_id(index)) for index in range(context.setting.sessions)]

        async def turn(index: int, number: int) -> object:
            return (await handles[index].update(change(number)))["step"]

        yield turn

    return opening


@contextlib.asynccontextmanager
async def _blocking(context: Context) -> AsyncIterator[Turn]:
    """The same by `gridsession.sync`: this thread blocks, the store's loop is in another."""
    await _store(context, "grid")
    policy = Policy(ttl=TTL, deadline=context.setting.deadline)
    with sync.SessionStore.open(context.places["grid"], policy=policy, namespace=_NAMESPACE) as store:
        handles = [store.session(session_id(index)) for index in range(context.setting.sessions)]

        async def turn(index: int, number: int) -> object:
            step = handles[index].update(change(number))["step"]
            # The other cases' connections live in this thread's loop.
            await asyncio.sleep(0)
            return step

        yield turn


@contextlib.asynccontextmanager
async def _exclusive(context: Context) -> AsyncIterator[Turn]:
    store = await _store(context, "grid")

    async def turn(index: int, number: int) -> object:
        async with store.turn(session_id(index)) as held:
            held.state.update(change(number))
        return held.state["step"]

    yield turn


@contextlib.asynccontextmanager
async def _shared(context: Context) -> AsyncIterator[Turn]:
    """By `run`: when another caller changed the same field meanwhile, it reads and decides again."""
    store = await _store(context, "grid")

    async def turn(index: int, number: int) -> object:
        async def handle(held: SessionTurn) -> object:
            held.state.update(change(number))
            return held.state["step"]

        return await store.run(session_id(index), handle)

    yield turn


@contextlib.asynccontextmanager
async def _load(context: Context) -> AsyncIterator[Turn]:
    store = await _store(context, "grid")
    handles = [store.session(session_id(index)) for index in range(context.setting.sessions)]

    async def turn(index: int, number: int) -> object:
        return (await handles[index].load())["step"]

    yield turn


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[HazelcastClient]:
    """The official client, without gridsession."""
    hosts, _, cluster = parse_url(url).location.partition("/")
    client = await HazelcastClient.create_and_start(
        cluster_members=hosts.split(","), cluster_name=cluster, statistics_enabled=False
    )
    try:
        yield client
    finally:
        await client.shutdown()


def _prebuilt(deadline_ms: int) -> tuple[bytes, bytes]:
    """The processor's `Data` before and after the op id, which must be new each time."""
    op_id = os.urandom(16)
    operations = tuple(Set(STATE, name, encode_field(value)) for name, value in change(7).items())
    not_after = time.time_ns() // 1_000_000 + deadline_ms
    body = Commit(op_id, not_after, operations, want=Want.RECORD).encode()
    before, after = processor_data(COMMAND_CLASS_ID, body).split(op_id)
    return before, after


@contextlib.asynccontextmanager
async def _bare_execute(context: Context) -> AsyncIterator[Turn]:
    """The same command to the same member code by `execute_on_key` of the official client, the answer not decoded."""
    await _store(context, "grid")
    client = await context.once("hazelcast", lambda: connected(context.places["grid"]))
    records = await client.get_map(records_map(Space(_NAMESPACE)))
    keys = [data(key_data(session_id(index))) for index in range(context.setting.sessions)]
    patience = int(context.setting.deadline * 1_000)
    clock, made_at, before, after = time.monotonic, 0.0, b"", b""

    async def turn(index: int, number: int) -> object:
        nonlocal made_at, before, after
        if (now := clock()) > made_at + _REMADE:
            made_at, (before, after) = now, _prebuilt(patience)
        return await records.execute_on_key(keys[index], data(before + os.urandom(16) + after))

    answer = decode_reply(bytes(await turn(0, 0)), expected_id=session_id(0).encode())  # type: ignore[call-overload]
    if answer.status is not Status.OK:
        raise NotRun(f"the member answered {answer.status.name} to a prebuilt command")
    yield turn


@contextlib.asynccontextmanager
async def _get_and_set(context: Context) -> AsyncIterator[Turn]:
    """Read, merge here, write: two round trips, and what another wrote between them is lost."""
    client = await context.once("hazelcast", lambda: connected(context.places["grid"]))
    values = await client.get_map("bench")
    keys = [session_id(index) for index in range(context.setting.sessions)]

    async def put(index: int) -> None:
        await values.set(keys[index], bytearray(msgpack.packb(context.session(index))), ttl=TTL)

    async def turn(index: int, number: int) -> object:
        held = msgpack.unpackb(await values.get(keys[index]))
        held.update(change(number))
        await values.set(keys[index], bytearray(msgpack.packb(held)), ttl=TTL)
        return held["step"]

    await context.fill_once("hazelcast map", put)
    yield turn


CASES: Final = (
    Case("grid-update", "grid `update`, copy", _update("grid"), ("grid",), jvm=True),
    Case("grid-update-sync", "grid `update`, `gridsession.sync`, copy", _blocking, ("grid",), jvm=True, most_callers=1),
    Case("grid-turn", "grid `turn`, exclusive, copy", _exclusive, ("grid",), jvm=True),
    Case("grid-turn-shared", "grid `turn`, not exclusive, copy", _shared, ("grid",), jvm=True),
    Case("grid-load", "grid `load`, nothing written", _load, ("grid",), jvm=True),
    Case("memory", "`memory` driver, one process", _update("memory"), alone=True),
    Case("lmdb", "`lmdb` driver, one host", _update("lmdb")),
    Case("file", "`file` driver, one host", _update("file")),
    Case("redis", "`redis` driver, no copy", _update("redis"), ("redis",)),
    Case("mongo", "`mongo` driver, no copy", _update("mongo"), ("mongo",), jvm=True),
    Case("hazelcast-execute", "Hazelcast client, bare `execute_on_key`, copy", _bare_execute, ("grid",), jvm=True),
    Case("hazelcast-get-set", "Hazelcast client, `get` + `set`, copy", _get_and_set, ("grid",), jvm=True),
)
