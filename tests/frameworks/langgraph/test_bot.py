"""The example: an agent in two processes on three members, one of them killed; nothing is lost or handled twice."""

from __future__ import annotations

import pytest

from gridsession import SessionStore
from gridsession.dialects.langgraph import GridSaver
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import exchanged, two_workers_one_killed

pytestmark = [pytest.mark.frameworks, pytest.mark.grid]


async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    FIGURES["langgraph: updates with a worker killed"] = await two_workers_one_killed(
        "langgraph_bot.py", grid.url, namespace
    )
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        for chat, exchanges in exchanged().items():
            found = await GridSaver(store).aget_tuple({"configurable": {"thread_id": f"telegram:{chat}"}})
            assert found is not None
            assert found.checkpoint["channel_values"]["said"] == exchanges
