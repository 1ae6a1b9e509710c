"""The example: an agent in two processes on three members, one of them killed; nothing is lost or handled twice."""

from __future__ import annotations

import pytest

from gridsession import SessionStore
from gridsession.dialects.openai_agents import GridSession
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import exchanged, two_workers_one_killed

pytestmark = [pytest.mark.frameworks, pytest.mark.grid]


async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    FIGURES["openai_agents: updates with a worker killed"] = await two_workers_one_killed(
        "openai_agents_bot.py", grid.url, namespace
    )
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        for chat, exchanges in exchanged().items():
            items = await GridSession(f"telegram:{chat}", store).get_items()
            contents = [item["content"] for item in items]  # type: ignore[typeddict-item]
            assert [each if isinstance(each, str) else each[0]["text"] for each in contents] == exchanges
