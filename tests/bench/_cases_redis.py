"""Peers on Redis, through redis-py with hiredis as their users call it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import msgpack
from redis.asyncio import Redis

from gridsession.cli._measuring import Turn, change, session_id
from tests.bench._work import TTL, Case, Context, NotRun

_CONNECTIONS: Final = 1_024
"""More than callers: redis-py's own limit of 100 raises an error at 128."""
_STEP: Final = "order:confirm"

MERGE: Final = """
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
"""


def _client(context: Context, place: str) -> Redis:
    return Redis(port=int(context.places[place]), protocol=2, max_connections=_CONNECTIONS)


def _arguments(number: int) -> list[Any]:
    arguments: list[Any] = [TTL]
    for name, value in change(number).items():
        arguments += (name, msgpack.packb(value))
    return arguments


def _step(flat: list[bytes]) -> object:
    pairs = iter(flat)
    return msgpack.unpackb(dict(zip(pairs, pairs, strict=True))[b"step"])


def _lua(place: str, *, wait: bool) -> Any:
    @contextlib.asynccontextmanager
    async def opening(context: Context) -> AsyncIterator[Turn]:
        async with _client(context, place) as client:
            script = await client.script_load(MERGE)
            keys = [f"lua:{session_id(index)}" for index in range(context.setting.sessions)]

            async def fill(index: int) -> None:
                packed: Any = {name: msgpack.packb(value) for name, value in context.session(index).items()}
                await client.hset(keys[index], mapping=packed)

            async def plain(index: int, number: int) -> object:
                return _step(await client.evalsha(script, 1, keys[index], *_arguments(number)))

            async def copied(index: int, number: int) -> object:
                both = client.pipeline(transaction=False)
                both.evalsha(script, 1, keys[index], *_arguments(number))
                both.execute_command("WAIT", 1, 1_000)
                flat, replicas = await both.execute()
                if replicas < 1:
                    raise NotRun("the replica did not confirm within a second")
                return _step(flat)

            await context.fill_once(f"lua {place}", fill)
            yield copied if wait else plain

    return opening


@contextlib.asynccontextmanager
async def _get_set_json(context: Context) -> AsyncIterator[Turn]:
    async with _client(context, "redis") as client:
        keys = [f"json:{session_id(index)}" for index in range(context.setting.sessions)]

        async def fill(index: int) -> None:
            await client.set(keys[index], json.dumps(context.session(index)), ex=TTL)

        async def turn(index: int, number: int) -> object:
            held = json.loads(await client.get(keys[index]) or b"{}")
            held.update(change(number))
            await client.set(keys[index], json.dumps(held), ex=TTL)
            return held["step"]

        await context.fill_once("json", fill)
        yield turn


def _aiogram(*, locked: bool) -> Any:
    @contextlib.asynccontextmanager
    async def opening(context: Context) -> AsyncIterator[Turn]:
        try:
            from aiogram.fsm.storage.base import StorageKey
            from aiogram.fsm.storage.redis import RedisStorage
        except ImportError:
            raise NotRun("aiogram is not installed: pip install -e '.[bench]'") from None
        async with _client(context, "redis") as client:
            storage = RedisStorage(client, state_ttl=TTL, data_ttl=TTL)
            isolation = storage.create_isolation()
            keys = [StorageKey(bot_id=1, chat_id=index, user_id=index) for index in range(context.setting.sessions)]

            async def fill(index: int) -> None:
                await storage.set_state(keys[index], _STEP)
                await storage.set_data(keys[index], context.session(index))

            async def turn(index: int, number: int) -> object:
                held = await storage.get_data(keys[index])
                await storage.update_data(keys[index], change(number))
                return held["step"]

            async def alone(index: int, number: int) -> object:
                # What its dispatcher does around a handler that reads and updates its data.
                async with isolation.lock(keys[index]):
                    await storage.get_state(keys[index])
                    return await turn(index, number)

            await context.fill_once("aiogram", fill)
            yield alone if locked else turn

    return opening


CASES: Final = (
    Case("redis-lua", "redis-py, one Lua script, no copy", _lua("redis", wait=False), ("redis",)),
    Case("redis-lua-wait", "redis-py, Lua + `WAIT 1`, copy", _lua("redis-pair", wait=True), ("redis-pair",)),
    Case("redis-json", "redis-py, GET + SET of JSON, no copy", _get_set_json, ("redis",)),
    Case("aiogram", "aiogram `RedisStorage`, no lock, no copy", _aiogram(locked=False), ("redis",)),
    Case("aiogram-locked", "aiogram `RedisStorage`, its lock, no copy", _aiogram(locked=True), ("redis",)),
)
