"""GridStorage: one session for a conversation, each call one atomic command."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import aiogram
import pytest
import redis
from aiogram.exceptions import DataNotDictLikeError
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import BaseStorage, StorageKey
from aiogram.fsm.storage.redis import RedisStorage

from gridsession import Policy, SessionStore
from gridsession.dialects.aiogram import GridStorage, session_id
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidOption, InvalidValue, StoreClosed, Unavailable
from tests.contract.servers import redis_server, running
from tests.frameworks.figures import FIGURES

pytestmark = pytest.mark.frameworks

KEY = StorageKey(bot_id=42, chat_id=-100, user_id=7)


class Order(StatesGroup):
    item = State()


async def survivors(storage: BaseStorage, writers: int = 50) -> int:
    """How many of so many updates of different names, made at once, are there afterwards."""
    await asyncio.gather(*(storage.update_data(KEY, {f"field{number}": number}) for number in range(writers)))
    return len(await storage.get_data(KEY))


async def test_updates_of_different_names_at_once_all_survive_and_with_their_redis_storage_they_do_not(
    url: str, namespace: str, tmp_path: Path
) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        ours = await survivors(GridStorage(store))
    server = redis_server(tmp_path / "redis")
    with running(server):
        stock = RedisStorage.from_url(f"redis://127.0.0.1:{server.port}/0")
        left = await survivors(stock)
        await stock.close()
    told = f"aiogram {aiogram.__version__}: fields left of 50 written at once"
    FIGURES[f"{told}, GridStorage on {url.partition(':')[0]}"] = ours
    FIGURES[f"{told}, RedisStorage with redis-py {redis.__version__}"] = left
    assert ours == 50
    assert left < 50


async def test_state_and_data_are_one_session_with_one_ttl(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace, policy=Policy(ttl=900)) as store:
        storage = GridStorage(store)
        await storage.set_data(KEY, {"item": "tea"})
        await storage.set_state(KEY, Order.item)
        assert [found async for found in store.ids()] == ["aiogram:42:-100:7"]
        assert await storage.get_state(KEY) == "Order:item"
        assert 890 < (await store.session(session_id(KEY)).ttl() or 0) <= 900
        await storage.set_data(KEY, {"count": 2})
        assert await storage.get_state(KEY) == "Order:item"
        await storage.set_state(KEY)
        assert await storage.get_data(KEY) == {"count": 2}


async def test_every_part_of_a_key_tells_conversations_apart(url: str, namespace: str) -> None:
    texts = ("", "a", "b", "default", ":", "a:destiny=b", "thread=1", "%3A", "é\N{SNOWMAN}", "a" * 200)
    keys = [
        StorageKey(bot_id=bot, chat_id=chat, user_id=user, thread_id=thread, business_connection_id=business)
        for bot, chat, user, thread, business in itertools.product(
            (1, 12), (2, -2), (3, 23), (None, 0, 3), (None, *texts)
        )
    ]
    keys += [StorageKey(1, 2, 3, destiny=destiny) for destiny in texts if destiny != "default"]
    keys += [
        StorageKey(1, 2, 3, business_connection_id="a", destiny=destiny) for destiny in texts if destiny != "default"
    ]
    assert len({session_id(key).text for key in keys}) == len(set(keys)) == len(keys)
    async with SessionStore.open(url, namespace=namespace) as store:
        storage = GridStorage(store)
        some = keys[:: len(keys) // 24]
        for number, key in enumerate(some):
            await storage.set_data(key, {"number": number})
        assert [await storage.get_value(key, "number") for key in some] == list(range(len(some)))


async def test_what_is_read_and_written_is_the_callers_own(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage, given = GridStorage(store), {"list": [1]}
        for write in (storage.set_data, storage.update_data):
            await write(KEY, given)
            given["list"].append(2)
            (await storage.get_data(KEY))["list"].append(3)
            assert await storage.get_data(KEY) == {"list": [1]}
            given["list"].pop()
        async with storage.create_isolation().lock(KEY):
            for write in (storage.set_data, storage.update_data):
                await write(KEY, given)
                given["list"].append(2)
                (await storage.get_data(KEY))["list"].append(3)
                assert await storage.get_data(KEY) == {"list": [1]}
                given["list"].pop()


async def test_what_cannot_be_stored_is_refused_where_it_is_written(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage, other = GridStorage(store), StorageKey(bot_id=42, chat_id=7, user_id=7)
        async with storage.create_isolation().lock(KEY):
            for key in (KEY, other):  # in a turn, and by itself
                for write in (storage.set_data, storage.update_data):
                    with pytest.raises(InvalidValue, match=r"\$\.item\[0\]"):
                        await write(key, {"fine": 1, "item": [object()]})
                with pytest.raises(DataNotDictLikeError):
                    await storage.set_data(key, [("item", 1)])  # type: ignore[arg-type]
                assert await storage.get_data(key) == {}


async def test_a_store_that_was_lent_stays_open_and_one_of_its_own_is_closed(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace) as store:
        storage = GridStorage(store)
        await storage.close()
        await storage.set_state(KEY, "open")
    storage = GridStorage("memory://")
    await asyncio.gather(*(storage.set_state(KEY, "open") for _ in range(5)))
    await storage.close()
    await storage.close()
    with pytest.raises(StoreClosed):
        await storage.get_state(KEY)
    with pytest.raises(InvalidOption, match="not MemoryDriver"):
        GridStorage(MemoryDriver())  # type: ignore[arg-type]


async def test_a_place_that_cannot_be_reached_at_first_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("in the way")
    storage = GridStorage((tmp_path / "place" / "sessions").as_uri())
    for _ in range(2):
        with pytest.raises(Unavailable):
            await storage.get_data(KEY)
    (tmp_path / "place").unlink()
    await storage.set_data(KEY, {"item": "tea"})
    assert await storage.get_data(KEY) == {"item": "tea"}
    await storage.close()
