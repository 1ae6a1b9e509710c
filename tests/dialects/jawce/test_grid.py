"""Managers of several processes on real members: what they share, and what stands when a member dies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gridsession import sync
from gridsession.dialects.jawce import DEFAULT_PROP_KEY, HazelcastSessionManager
from gridsession.testing.local_grid import LocalGrid
from tests.dialects.jawce import workers
from tests.dialects.jawce.waiting import eventually
from tests.grid.driving import replicated

pytestmark = pytest.mark.grid


def _stand_in(grid: LocalGrid, number: int, namespace: str, globals_: dict[str, Any]) -> None:
    def stand() -> bool:
        return asyncio.run(replicated(grid, number, f"gridsession.globals.{namespace}")) == globals_

    eventually(stand, f"member {number} holds {sorted(globals_)}")


def test_what_one_process_saves_for_all_is_read_by_another_and_stands_in_every_member_also_when_one_is_killed(
    own_grid: LocalGrid, namespace: str
) -> None:
    names = [f"global{number}" for number in range(6)]
    expected = {name: {"by": 0} for name in names}
    with (
        HazelcastSessionManager(own_grid.url, namespace=namespace) as manager,
        workers.started(own_grid.url, namespace, 1) as work,
    ):
        assert manager.fetch_all("1", True) == {}
        work(workers.save_globals, names)
        eventually(lambda: manager.fetch_all("1", True) == expected, "the other process reads all globals")
        assert manager.get_global("global3", dict[str, str]) == {"by": "0"}
        assert manager.key_in_session("1", "global3")
        manager.save("1", "own", "kept")
        for number in range(3):
            _stand_in(own_grid, number, namespace, expected)

        own_grid.kill(0)
        for number in (1, 2):
            _stand_in(own_grid, number, namespace, expected)
        assert manager.fetch_all("1", is_global=True) == expected
        assert manager.get("1", "own") == "kept"
        manager.save_global("after", 1)
        assert manager.get_global("after") == 1
        own_grid.start(0)
        own_grid.wait_for_members()
        for number in range(3):
            _stand_in(own_grid, number, namespace, {**expected, "after": 1})


def test_savers_and_clearers_in_several_processes_lose_nothing(own_grid: LocalGrid, namespace: str) -> None:
    """Each finds, after each of its changes, exactly what it saved last, whatever the others clear meanwhile."""
    with workers.started(own_grid.url, namespace, 3) as work:
        assert work(workers.progress, "1") == [[], [], []]
    done = {f"progress{number}": workers.TIMES for number in range(3)}
    with HazelcastSessionManager(own_grid.url, namespace=namespace) as manager:
        found = manager.fetch_all("1")
        assert found.pop(DEFAULT_PROP_KEY) == done
        assert {name: value for name, value in found.items() if not name.startswith("junk")} == done


def test_user_data_is_really_stored_in_the_grid(own_grid: LocalGrid, namespace: str) -> None:
    """Where JAWCE's manager changed a copy and threw it away: read by another connection, as what it is."""
    url = f"{own_grid.url}?namespace={namespace}"
    with HazelcastSessionManager(url) as manager:
        manager.save("263770000000", "cart", ["tea"])
        manager.save_prop("263770000000", "name", "Tino")
    with sync.SessionStore.open(url) as store:
        assert list(store.ids()) == ["whatsapp-cloud:263770000000"]
        found = store.session("whatsapp-cloud:263770000000").load()
        assert (dict(found), dict(found.props)) == ({"cart": ["tea"]}, {"name": "Tino"})
