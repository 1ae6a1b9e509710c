"""The example: an agent in two processes on three members, one of them killed; nothing is lost or handled twice."""

from __future__ import annotations

import asyncio

import pytest

from gridsession import SessionStore
from gridsession.dialects.langgraph import GridSaver
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import Worker, deliver_all, recorded

pytestmark = [pytest.mark.frameworks, pytest.mark.grid]


async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    workers = await asyncio.gather(
        *(Worker.start("langgraph_bot.py", grid.url, "--namespace", namespace) for _ in range(2))
    )
    try:
        counts = await deliver_all(workers, kill=workers[0])
    finally:
        for worker in workers:
            await worker.stop()
    FIGURES["langgraph: updates with a worker killed"] = dict(counts)
    assert workers[0].done, "the one that was killed did something before"
    assert counts["again"] > 0, "it was killed in the middle of its work"
    assert counts["twice"] > 0
    assert not [error for worker in workers for error in worker.failed]
    said: dict[int, list[str]] = {}
    for update in recorded():
        said.setdefault(update["message"]["chat"]["id"], []).append(update["message"]["text"])
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        for chat, texts in said.items():
            exchanges = [line for at, text in enumerate(texts, 1) for line in (text, f"{at}: you said {text}")]
            found = await GridSaver(store).aget_tuple({"configurable": {"thread_id": f"telegram:{chat}"}})
            assert found is not None
            assert found.checkpoint["channel_values"]["said"] == exchanges
