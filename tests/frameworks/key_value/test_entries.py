"""What py-key-value asks of a store: values, times, many at once, opaque keys, and whose the store is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from key_value.aio.errors import InvalidTTLError, SerializationError
from key_value.aio.protocols import AsyncKeyValue
from key_value.aio.stores.base import BaseStore

from gridsession import Policy, SessionStore
from gridsession.dialects.key_value import GridKeyValueStore, session_id
from gridsession.errors import StoreClosed, TooLarge
from gridsession.testing.local_grid import LocalGrid

pytestmark = pytest.mark.frameworks

KEYS = [
    "plain",
    "a",
    "a/b",
    "b/a/b",
    "a%2Fb",
    "%",
    "/",
    " ",
    "tab\tand\nline",
    '!@#$%^&*()_+??><":QASD~',
    "สวัสดี 🦆",
    "a:b:c",
    "nul\0inside",
    "lone \ud800 surrogate",
    "k" * 1_500,
    "ก" * 1_500,
    "../../etc",
]
VALUES: list[dict[str, Any]] = [
    {},
    {"none": None, "yes": True, "no": False, "int": 2**62, "negative": -1, "float": 1.5, "large": 10**30},
    {"text": "สวัสดี 🦆", "empty": "", "long": "a" * 10_000},
    {"list": [1, "two", [3.0, None]], "dict": {"deep": {"deeper": {"deepest": []}}}},
    {"": "empty name", "with space": 1, "ключ": 2},
]


@asynccontextmanager
async def opened(url: str, namespace: str) -> AsyncGenerator[GridKeyValueStore]:
    """A store of its own at that place."""
    async with GridKeyValueStore(f"{url}?namespace={namespace}") as store:
        yield store


async def test_values_come_back_equal_and_are_the_readers_own(url: str, namespace: str) -> None:
    async with opened(url, namespace) as store:
        assert isinstance(store, BaseStore)
        assert isinstance(store, AsyncKeyValue)
        for value in VALUES:
            await store.put("k", value)
            found = await store.get("k")
            assert found == value
            assert found is not None
            found["changed"] = True
            assert await store.get("k") == value
        for unfit in ({"when": object()}, {"bytes": b"b"}, {"set": {1}}):
            with pytest.raises(SerializationError):
                await store.put("k", unfit)
        assert await store.get("k") == VALUES[-1]
        with pytest.raises(TooLarge):
            await store.put("large", {"text": "x" * 300_000})
        assert await store.get("large") is None


async def test_an_entry_is_put_replaced_and_deleted_once(url: str, namespace: str) -> None:
    async with opened(url, namespace) as store:
        assert await store.get("k", collection="c") is None
        assert await store.ttl("k", collection="c") == (None, None)
        assert await store.delete("k", collection="c") is False
        await store.put("k", {"n": 1}, collection="c")
        await store.put("k", {"n": 2}, collection="c")
        assert await store.get("k", collection="c") == {"n": 2}
        assert await store.get("k") is None
        gone = await asyncio.gather(*(store.delete("k", collection="c") for _ in range(10)))
        assert sorted(gone) == [False] * 9 + [True]
        assert await store.get("k", collection="c") is None


async def test_many_at_once(url: str, namespace: str) -> None:
    async with opened(url, namespace) as store:
        keys, values = [f"k{n}" for n in range(150)], [{"n": n} for n in range(150)]
        await store.put_many(keys, values, collection="c", ttl=100)
        assert await store.get_many([*keys, "other"], collection="c") == [*values, None]
        times = await store.ttl_many([*keys, "other"], collection="c")
        assert times[-1] == (None, None)
        assert [value for value, _ in times[:-1]] == values
        assert all(left is not None and 98 < left <= 100 for _, left in times[:-1])
        assert await store.delete_many([*keys[:10], "other"], collection="c") == 10
        assert await store.get_many(keys[:11], collection="c") == [None] * 10 + [{"n": 10}]
        await store.put_many(["same", "same"], [{"n": 1}, {"n": 2}])
        assert await store.get("same") == {"n": 2}
        with pytest.raises(ValueError, match="different number"):
            await store.put_many(["a"], [])


async def test_times_to_live(url: str, namespace: str) -> None:
    async with opened(url, namespace) as store:
        await store.put("k", {"n": 1}, ttl=100)
        value, left = await store.ttl("k")
        assert value == {"n": 1}
        assert left is not None
        assert 98 < left <= 100
        await store.put("k", {"n": 2})
        assert await store.ttl("k") == ({"n": 2}, None)
        await store.put("k", {"n": 3}, ttl=0.2)
        async with asyncio.timeout(5):
            while await store.get("k") is not None:
                await asyncio.sleep(0.01)
        assert await store.ttl("k") == (None, None)
        assert await store.delete("k") is False
        for unfit in (-1, 0, True):
            with pytest.raises(InvalidTTLError):
                await store.put("k", {}, ttl=unfit)


async def test_the_stores_ttl_is_that_of_entries_without_one(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace, policy=Policy(ttl=50)) as lent:
        store = GridKeyValueStore(lent)
        await store.put("k", {}, ttl=1000)
        await store.put("k", {})
        _, left = await store.ttl("k")
        assert left is not None
        assert 48 < left <= 50


@pytest.mark.grid
async def test_a_readers_clock_that_is_wrong_ends_no_entry(grid: LocalGrid, namespace: str) -> None:
    """Their stores keep the end of an entry by the writer's clock and compare it with the reader's."""
    async with opened(grid.url, namespace) as store:
        await store.put("k", {"n": 1}, ttl=60)
        program = """
import asyncio, sys
import key_value.aio._utils.time_to_live as times, key_value.aio._utils.managed_entry as entries
from datetime import datetime, timedelta, timezone
times.now = entries.now = lambda: datetime.now(timezone.utc) + timedelta(hours=1)
from gridsession.dialects.key_value import GridKeyValueStore
async def main():
    async with GridKeyValueStore(sys.argv[1]) as store:
        print(await store.get("k"), 50 < (await store.ttl("k"))[1] <= 60)
asyncio.run(main())
"""
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, f"{grid.url}?namespace={namespace}", stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(reader.communicate(), 30)
        assert said.decode().strip() == "{'n': 1} True"


async def test_keys_and_collections_are_opaque(url: str, namespace: str) -> None:
    pairs = [(collection, key) for collection in KEYS for key in KEYS]
    assert len({session_id(collection, key).text for collection, key in pairs}) == len(pairs)
    async with opened(url, namespace) as store:
        await asyncio.gather(*(store.put(k, {"c": at}, collection=c) for at, (c, k) in enumerate(pairs)))
        found = await asyncio.gather(*(store.get(k, collection=c) for c, k in pairs))
        assert found == [{"c": at} for at in range(len(pairs))]


async def test_whose_the_store_is(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as lent:
        store = GridKeyValueStore(lent, default_collection="mine")
        await store.put("k", {"n": 1})
        await store.close()
        assert await GridKeyValueStore(lent).get("k", collection="mine") == {"n": 1}
        ours = GridKeyValueStore(f"{url}?namespace={namespace}")
        assert await ours.get("k") is None
        await ours.close()
        with pytest.raises(StoreClosed):
            await ours.get("k")
        assert await store.get("k") == {"n": 1}
