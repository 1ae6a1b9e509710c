"""The example: a bot in two processes on three members, one of them killed; nothing is lost or handled twice."""

from __future__ import annotations

import pytest

from gridsession import SessionStore
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import recorded, two_workers_one_killed

pytestmark = [pytest.mark.frameworks, pytest.mark.grid]


async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    FIGURES["python-telegram-bot example, a worker killed"] = await two_workers_one_killed(
        "ptb_bot.py", grid.url, namespace
    )
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        customers = {update["message"]["chat"]["id"] for update in recorded()}
        assert len(customers) == 10
        for customer in customers:
            assert dict(await store.session(f"ptb:42:{customer}").load()) == {
                "user:messages": 9,
                "user:orders": [["green tea", 2], ["coffee", 3]],
            }
