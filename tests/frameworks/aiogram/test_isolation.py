"""GridEventIsolation: a handler runs in a turn; and `handle_once`: an update's effect happens once."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiogram import Bot, Dispatcher
from aiogram.fsm.context import FSMContext
from aiogram.fsm.storage.base import StorageKey
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.types import Message

from gridsession import SessionStore
from gridsession.dialects.aiogram import GridEventIsolation, GridStorage, handle_once, session_id
from gridsession.errors import Conflict, InvalidOption, Leased, StoreClosed
from gridsession.testing.local_grid import LocalGrid

pytestmark = pytest.mark.frameworks

KEY = StorageKey(bot_id=42, chat_id=7, user_id=7)
GROUP_KEY = StorageKey(bot_id=42, chat_id=-100, user_id=7)


async def test_what_a_handler_did_is_saved_in_one_step_at_its_end(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage = GridStorage(store)
        await storage.set_data(KEY, {"item": "tea", "old": 1})
        before = (await store.session(session_id(KEY)).load()).revision.number
        async with storage.create_isolation().lock(KEY):
            await storage.set_state(KEY, "count")
            assert await storage.update_data(KEY, {"count": 2}) == {"item": "tea", "old": 1, "count": 2}
            await storage.set_data(KEY, {"item": "tea", "count": 3})
            assert await storage.get_state(KEY) == "count"
            assert await storage.get_value(KEY, "count") == 3
            assert await storage.get_value(KEY, "none", "default") == "default"
            outside = await store.session(session_id(KEY)).load()
            assert dict(outside) == {"item": "tea", "old": 1}
            assert not outside.props
        after = await store.session(session_id(KEY)).load()
        assert dict(after) == {"item": "tea", "count": 3}
        assert after.revision.number == before + 1


async def test_what_a_handler_that_failed_did_is_not_saved(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage = GridStorage(store)
        with pytest.raises(ZeroDivisionError):
            async with storage.create_isolation().lock(KEY):
                await storage.set_state(KEY, "half")
                await storage.update_data(KEY, {"half": 1 / 0})
        assert await storage.get_state(KEY) is None
        async with storage.create_isolation(wait=5).lock(KEY):
            assert await storage.get_data(KEY) == {}


async def test_handlers_of_one_conversation_come_one_after_another(url: str, namespace: str) -> None:
    async with (
        SessionStore.open(url, namespace=namespace) as one,
        SessionStore.open(url, namespace=namespace) as other,
    ):
        storages = [GridStorage(one), GridStorage(one if url == "memory://" else other)]

        async def count(storage: GridStorage) -> None:
            async with storage.create_isolation().lock(KEY):
                found = await storage.get_value(KEY, "count", 0)
                await asyncio.sleep(0)
                await storage.set_data(KEY, {"count": found + 1})

        await asyncio.gather(*(count(storages[number % 2]) for number in range(40)))
        assert await storages[0].get_data(KEY) == {"count": 40}


async def test_a_handler_that_takes_longer_than_the_lease_keeps_it(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage = GridStorage(store)
        isolation = storage.create_isolation(lease=0.6, wait=0)
        async with isolation.lock(KEY):
            for _ in range(3):
                await asyncio.sleep(0.5)
                with pytest.raises(Leased):
                    async with isolation.lock(KEY):
                        pass
            await storage.set_state(KEY, "kept")
        assert await storage.get_state(KEY) == "kept"


@pytest.mark.grid
async def test_a_process_that_stood_still_past_its_lease_cannot_write(grid: LocalGrid, namespace: str) -> None:
    pipe = asyncio.subprocess.PIPE
    script = str(Path(__file__).with_name("overrunning.py"))
    late = await asyncio.create_subprocess_exec(
        sys.executable, script, grid.url, namespace, "0.5", stdin=pipe, stdout=pipe
    )
    assert late.stdin is not None
    assert late.stdout is not None
    try:
        assert await late.stdout.readline() == b"holding\n"
        late.send_signal(signal.SIGSTOP)
        async with SessionStore.open(grid.url, namespace=namespace) as store:
            storage = GridStorage(store)
            async with storage.create_isolation(wait=30).lock(GROUP_KEY):
                await storage.update_data(GROUP_KEY, {"by": "next"})
            late.send_signal(signal.SIGCONT)
            late.stdin.write(b"go on\n")
            await late.stdin.drain()
            assert await late.stdout.readline() == b"LeaseLost\n"
            assert await storage.get_data(GROUP_KEY) == {"by": "next"}
            assert await storage.get_state(GROUP_KEY) is None
    finally:
        if late.returncode is None:
            late.kill()
        await late.wait()


async def test_a_write_from_outside_is_not_overwritten_unseen(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage = GridStorage(store)
        with pytest.raises(Conflict):
            async with storage.create_isolation().lock(KEY):
                await storage.update_data(KEY, {"count": 1})
                await store.session(session_id(KEY)).update(count=9)
        async with storage.create_isolation().lock(KEY):
            await storage.update_data(KEY, {"mine": 1})
            await store.session(session_id(KEY)).update(theirs=2)
        assert await storage.get_data(KEY) == {"count": 9, "mine": 1, "theirs": 2}


async def test_other_conversations_and_later_tasks_write_by_themselves(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage, over = GridStorage(store), asyncio.Event()

        async def later() -> None:
            await over.wait()
            await storage.update_data(KEY, {"later": True})

        async with storage.create_isolation().lock(KEY):
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
            await storage.update_data(KEY, {"now": True})
            await storage.set_state(GROUP_KEY, "other")
            assert await store.session(session_id(GROUP_KEY)).props.get("state") == "other"
        over.set()
        await task
        assert await storage.get_data(KEY) == {"now": True, "later": True}


def update(number: int) -> dict[str, Any]:
    """A message of one customer."""
    user = {"id": 7, "is_bot": False, "first_name": "Ploy"}
    chat = {"id": 7, "type": "private"}
    return {"update_id": number, "message": {"message_id": 1, "from": user, "chat": chat, "date": 0, "text": "Hi"}}


class Bots:
    """Dispatchers over one store whose handler counts, and fails when it is told to."""

    def __init__(self, store: SessionStore) -> None:
        self.storage = GridStorage(store)
        self.bot = Bot("42:TEST")
        self.fails = 0
        self.handled = 0

    def dispatcher(self) -> Dispatcher:
        async def count(message: Message, state: FSMContext) -> None:
            self.handled += 1
            await state.update_data(count=await state.get_value("count", 0) + 1)
            self.fails -= 1
            if self.fails >= 0:
                raise ConnectionError("Telegram cannot be reached")

        made = Dispatcher(storage=self.storage, events_isolation=self.storage.create_isolation())
        handle_once(made)
        made.message.register(count)
        return made


async def test_an_update_that_is_delivered_again_is_handled_once(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        bots = Bots(store)
        one, other = bots.dispatcher(), bots.dispatcher()
        await asyncio.gather(*(each.feed_raw_update(bots.bot, update(1)) for each in (one, other, one)))
        await other.feed_raw_update(bots.bot, update(2))
        assert await bots.storage.get_data(KEY) == {"count": 2}
        assert bots.handled == 2


async def test_an_update_that_failed_is_handled_when_it_is_delivered_again(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        bots = Bots(store)
        dispatcher = bots.dispatcher()
        bots.fails = 2
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await dispatcher.feed_raw_update(bots.bot, update(1))
            assert await bots.storage.get_data(KEY) == {}
        for _ in range(2):
            await dispatcher.feed_raw_update(bots.bot, update(1))
        assert await bots.storage.get_data(KEY) == {"count": 1}


def test_handling_once_asks_for_our_isolation() -> None:
    storage = GridStorage("memory://")
    with pytest.raises(InvalidOption):
        handle_once(Dispatcher(storage=storage, events_isolation=SimpleEventIsolation()))
    with pytest.raises(InvalidOption):
        handle_once(Dispatcher(storage=storage, events_isolation=storage.create_isolation(), disable_fsm=True))


async def test_an_isolation_over_the_store_of_a_storage_is_that_of_the_storage(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        storage, isolation = GridStorage(store), GridEventIsolation(store)
        async with isolation.lock(KEY):
            await storage.update_data(KEY, {"count": 1})
            assert not await store.session(session_id(KEY)).load()
        assert await storage.get_data(KEY) == {"count": 1}
        await isolation.close()
        assert await storage.get_data(KEY) == {"count": 1}


async def test_what_is_handed_in_or_out_in_a_turn_is_a_copy(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace) as store:
        storage, given = GridStorage(store), {"list": [1]}
        async with storage.create_isolation().lock(KEY):
            await storage.set_data(KEY, given)
            given["list"].append(2)
            (await storage.get_data(KEY))["list"].append(3)
            (await storage.get_value(KEY, "list") or []).append(4)
            (await storage.update_data(KEY, {"more": given["list"]}))["more"].append(5)
            given["list"].append(6)
        assert await storage.get_data(KEY) == {"list": [1], "more": [1, 2]}


async def test_another_storage_is_no_part_of_a_turn(namespace: str) -> None:
    async with (
        SessionStore.open("memory://", namespace=namespace) as store,
        SessionStore.open("memory://", namespace=namespace) as elsewhere,
    ):
        async with GridStorage(store).create_isolation().lock(KEY):
            await GridStorage(elsewhere).update_data(KEY, {"there": 1})
            assert await elsewhere.session(session_id(KEY)).load() == {"there": 1}
        assert await store.session(session_id(KEY)).load() == {}


async def test_an_isolation_of_a_url_locks_and_closes_its_own_store(namespace: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRIDSESSION_URL", f"memory://?namespace={namespace}")
    for isolation in (GridEventIsolation(f"memory://?namespace={namespace}", wait=0), GridEventIsolation(wait=0)):
        async with isolation.lock(KEY):
            with pytest.raises(Leased):
                await asyncio.create_task(isolation.lock(KEY).__aenter__())
        async with isolation.lock(KEY):
            pass
        await isolation.close()
        with pytest.raises(StoreClosed):
            await isolation.lock(KEY).__aenter__()
    with pytest.raises(InvalidOption):
        GridEventIsolation(SimpleEventIsolation())  # type: ignore[arg-type]
