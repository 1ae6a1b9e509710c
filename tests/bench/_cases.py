"""What is measured. Each case opens its place, fills it, and gives a coroutine function that does one turn."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgpack
import redis.asyncio

from gridsession import Policy, SessionStore
from gridsession.cli._measuring import Turn, change, session, session_id

SESSIONS = 10_000
TTL = 1_800

_LUA = """
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
"""


@contextlib.asynccontextmanager
async def grid_update(url: str) -> AsyncIterator[Turn]:
    """`session.update`: one round trip that merges, restarts the ttl, copies and returns the record."""
    async with SessionStore.open(url, policy=Policy(ttl=TTL)) as store:
        handles = [store.session(session_id(index)) for index in range(SESSIONS)]

        async def turn(index: int, number: int) -> object:
            snapshot = await handles[index].update(change(number))
            return snapshot["step"]

        for index, handle in enumerate(handles):
            await handle.update(session(index))
        yield turn


@contextlib.asynccontextmanager
async def grid_turn(url: str) -> AsyncIterator[Turn]:
    """`store.turn`: load under a lease, change, commit and release; two round trips."""
    async with SessionStore.open(url, policy=Policy(ttl=TTL)) as store:

        async def turn(index: int, number: int) -> object:
            async with store.turn(session_id(index)) as held:
                held.state.update(change(number))
            return held.state["step"]

        yield turn


@contextlib.asynccontextmanager
async def redis_lua(port: int) -> AsyncIterator[Turn]:
    """The same turn as one Lua script on one Redis, without a copy: redis-py with hiredis, as its users call it."""
    client = redis.asyncio.Redis(port=port, protocol=2, max_connections=256)
    async with client:
        script = await client.script_load(_LUA)
        keys = [session_id(index) for index in range(SESSIONS)]

        async def turn(index: int, number: int) -> object:
            arguments: list[str | bytes | int] = [TTL]
            for name, value in change(number).items():
                arguments += (name, msgpack.packb(value))
            flat = iter(await client.evalsha(script, 1, keys[index], *arguments))
            return msgpack.unpackb(dict(zip(flat, flat, strict=True))[b"step"])

        for index, key in enumerate(keys):
            await client.hset(key, mapping={name: msgpack.packb(value) for name, value in session(index).items()})
        yield turn
