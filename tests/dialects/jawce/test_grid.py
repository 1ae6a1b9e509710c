"""Managers of several processes on real members: what they share, and what stands when a member dies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config

from gridsession import sync
from gridsession._record import Record, decode_field
from gridsession.dialects.jawce import DEFAULT_PROP_KEY, HazelcastSessionManager
from gridsession.errors import GridSessionError
from gridsession.testing.local_grid import LocalGrid
from tests.dialects.jawce import workers
from tests.dialects.jawce.waiting import eventually

pytestmark = pytest.mark.grid


@pytest.fixture(scope="module")
def members() -> Iterator[LocalGrid]:
    """Three members of this module's own: one gets killed."""
    started = LocalGrid(members=3)
    try:
        started.__enter__()
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")
    try:
        yield started
    finally:
        started.close()


async def _replicated(grid: LocalGrid, number: int, map_name: str) -> dict[str, Any]:
    """What one member's own ReplicatedMap holds, read by somebody else's client that talks to this member alone."""
    config = Config()
    config.cluster_members = [f"127.0.0.1:{grid.ports[number]}"]
    config.cluster_name = grid.cluster_name
    config.smart_routing = False
    client = await HazelcastClient.create_and_start(config)
    try:
        entries = await (await client.get_replicated_map(map_name)).entry_set()
    finally:
        await client.shutdown()
        for _ in range(3):
            await asyncio.sleep(0)
    return {name: decode_field(Record.decode(bytes(data)).bags[0]["value"]) for name, data in entries}


def _stand_in(grid: LocalGrid, number: int, namespace: str, globals_: dict[str, Any]) -> None:
    def stand() -> bool:
        return asyncio.run(_replicated(grid, number, f"gridsession.globals.{namespace}")) == globals_

    eventually(stand, f"member {number} holds {sorted(globals_)}")


def test_what_one_process_saves_for_all_is_read_by_another_and_stands_in_every_member_also_when_one_is_killed(
    members: LocalGrid, namespace: str
) -> None:
    names = [f"global{number}" for number in range(6)]
    expected = {name: {"by": 0} for name in names}
    with (
        HazelcastSessionManager(members.url, namespace=namespace) as manager,
        workers.started(members.url, namespace, 1) as work,
    ):
        assert manager.fetch_all("1", True) == {}
        work(workers.save_globals, names)
        eventually(lambda: manager.fetch_all("1", True) == expected, "the other process reads all globals")
        assert manager.get_global("global3", dict[str, str]) == {"by": "0"}
        assert manager.key_in_session("1", "global3")
        manager.save("1", "own", "kept")
        for number in range(3):
            _stand_in(members, number, namespace, expected)

        members.kill(0)
        for number in (1, 2):
            _stand_in(members, number, namespace, expected)
        assert manager.fetch_all("1", is_global=True) == expected
        assert manager.get("1", "own") == "kept"
        manager.save_global("after", 1)
        assert manager.get_global("after") == 1
        members.start(0)
        members.wait_for_members()
        for number in range(3):
            _stand_in(members, number, namespace, {**expected, "after": 1})


def test_savers_and_clearers_in_several_processes_lose_nothing(members: LocalGrid, namespace: str) -> None:
    """Each finds, after each of its changes, exactly what it saved last, whatever the others clear meanwhile."""
    with workers.started(members.url, namespace, 3) as work:
        assert work(workers.progress, "1") == [[], [], []]
    done = {f"progress{number}": workers.TIMES for number in range(3)}
    with HazelcastSessionManager(members.url, namespace=namespace) as manager:
        found = manager.fetch_all("1")
        assert found.pop(DEFAULT_PROP_KEY) == done
        assert {name: value for name, value in found.items() if not name.startswith("junk")} == done


def test_user_data_is_really_stored_in_the_grid(members: LocalGrid, namespace: str) -> None:
    """Where JAWCE's manager changed a copy and threw it away: read by another connection, as what it is."""
    url = f"{members.url}?namespace={namespace}"
    with HazelcastSessionManager(url) as manager:
        manager.save("263770000000", "cart", ["tea"])
        manager.save_prop("263770000000", "name", "Tino")
    with sync.SessionStore.open(url) as store:
        assert list(store.ids()) == ["whatsapp-cloud:263770000000"]
        found = store.session("whatsapp-cloud:263770000000").load()
        assert (dict(found), dict(found.props)) == ({"cart": ["tea"]}, {"name": "Tino"})
