"""The example: a bot in two processes on three members, one of them killed; nothing is lost or handled twice."""

from __future__ import annotations

import asyncio

import pytest

from gridsession import SessionStore
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import Worker, deliver_all, recorded

pytestmark = [pytest.mark.frameworks, pytest.mark.grid]


async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    bot = ("ptb_bot.py", grid.url, "--namespace", namespace)
    workers = await asyncio.gather(*(Worker.start(*bot) for _ in range(2)))
    try:
        counts = await deliver_all(workers, kill=workers[0])
    finally:
        for worker in workers:
            await worker.stop()
    FIGURES["python-telegram-bot example, a worker killed"] = dict(counts)
    assert workers[0].done, "the one that was killed did something before"
    assert counts["again"] > 0, "it was killed in the middle of its work"
    assert counts["twice"] > 0
    # On a machine that is slow enough, a living worker too may overrun its lease; that is said, and done again.
    assert {error for worker in workers for error in worker.failed} <= {"LeaseLost"}
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        customers = {update["message"]["chat"]["id"] for update in recorded()}
        assert len(customers) == 10
        for customer in customers:
            assert dict(await store.session(f"ptb:42:{customer}").load()) == {
                "user:messages": 9,
                "user:orders": [["green tea", 2], ["coffee", 3]],
            }
