"""The example: a bot in two processes on three members, one of them killed; nothing is lost or handled twice."""

from __future__ import annotations

import json

import pytest
from aiogram import Bot
from aiogram.fsm.storage.base import StorageKey

from deploy.example.frameworks.aiogram_bot import Offline, dispatcher_for
from gridsession import SessionStore
from gridsession.dialects.aiogram import GridStorage
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import recorded, two_workers_one_killed

pytestmark = pytest.mark.frameworks


@pytest.mark.grid
async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    FIGURES["aiogram example, a worker killed"] = await two_workers_one_killed("aiogram_bot.py", grid.url, namespace)
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        storage = GridStorage(store)
        customers = {update["message"]["chat"]["id"] for update in recorded()}
        assert len(customers) == 10
        for customer in customers:
            key = StorageKey(bot_id=42, chat_id=customer, user_id=customer)
            data = await storage.get_data(key)
            assert (data["messages"], data["orders"]) == (9, [["green tea", 2], ["coffee", 3]])
            assert await storage.get_state(key) is None


async def test_a_bots_own_test_runs_on_memory(
    gridsession_store: SessionStore, capsys: pytest.CaptureFixture[str]
) -> None:
    async with gridsession_store as store:
        dispatcher, bot = dispatcher_for(store), Bot("42:TEST", session=Offline())
        for update in recorded():
            await dispatcher.feed_raw_update(bot, update)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["text"] for each in said if each["chat"] == recorded()[0]["message"]["chat"]["id"]] == [
        *("What would you like?", "How many?", "Ordered."),
        *("What would you like?", "How many?", "A number, please.", "Ordered."),
        "5 things in 2 orders",
    ]
