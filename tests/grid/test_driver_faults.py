"""The Hazelcast driver while members are killed, frozen and gone: short runs on members of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from gridsession._commands import Load, Want
from gridsession._identity import Space
from gridsession._reply import Status
from gridsession.drivers import Change
from gridsession.drivers.hazelcast import HazelcastDriver
from gridsession.drivers.hazelcast._link import PATHS
from gridsession.errors import (
    ConnectFailed,
    DeadlineExceeded,
    MemberUnfit,
    OutcomeUnknown,
    Unavailable,
    UnderReplicated,
)
from gridsession.hooks import MembersChanged
from gridsession.node.config import NodeConfig
from gridsession.node.ports import free_ports
from gridsession.node.process import MemberProcess
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import a_space, count, eventually, increment, opened

pytestmark = pytest.mark.grid


def test_a_member_that_was_told_other_things_is_named_with_the_remedy() -> None:
    async def scenario(grid: LocalGrid) -> None:
        space = a_space()
        async with opened(grid.url) as driver:
            await driver.execute(space, "line:1", increment(driver))
            await asyncio.to_thread(other.start)
            await asyncio.to_thread(other.wait_ready, members=2)

            async def refused() -> bool:
                # Until the members were heard; on a busy machine half a second may be too short for an answer.
                with suppress(UnderReplicated, OutcomeUnknown, DeadlineExceeded):
                    await driver.execute(space, "line:1", increment(driver), deadline=0.5)
                return False

            with pytest.raises(MemberUnfit, match=r"start all with .*--members-declared"):
                await eventually(refused, "the remedy for members that were told different things")

    with LocalGrid(1) as grid:
        join = (f"127.0.0.1:{grid.ports[0]}",)
        (port,) = free_ports(1)
        other = MemberProcess(
            NodeConfig(port=port, join=join, members_declared=2, backups=0, cluster_name=grid.cluster_name)
        )
        try:
            asyncio.run(scenario(grid))
        finally:
            other.kill()


async def works(driver: HazelcastDriver, space: Space) -> bool:
    """A confirmed command to each of many partitions succeeds at once."""
    try:
        for index in range(40):
            await driver.execute(space, f"check:{index}", increment(driver), deadline=0.5)
    except (Unavailable, OutcomeUnknown):
        return False
    return True


@pytest.mark.parametrize("path", PATHS)
def test_a_member_killed_under_load_loses_and_repeats_nothing_acknowledged(own_grid: LocalGrid, path: str) -> None:
    async def scenario() -> None:
        acknowledged: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        gaps: list[float] = []
        killed = asyncio.Event()
        finished = asyncio.Event()
        loop = asyncio.get_running_loop()
        seen: list[MembersChanged] = []

        def hook(event: Any) -> None:
            if isinstance(event, MembersChanged):
                seen.append(event)

        async with opened(f"{own_grid.url}?path={path}", hook) as driver:
            space = a_space()

            async def worker(number: int) -> None:
                turn = last = 0.0
                while not finished.is_set():
                    session_id = f"line:{number}-{int(turn) % 20}"
                    turn += 1
                    try:
                        reply = await driver.execute(space, session_id, increment(driver))
                        assert reply.status is Status.OK
                        acknowledged[session_id] += 1
                    except OutcomeUnknown:
                        unknown[session_id] += 1
                    if last and killed.is_set():
                        gaps.append(loop.time() - last)
                    last = loop.time()

            async def more(than: int) -> None:
                async def enough() -> bool:
                    return sum(acknowledged.values()) > than

                await eventually(enough, f"more than {than} acknowledged")

            workers = [asyncio.create_task(worker(number)) for number in range(8)]
            await more(500)
            killed.set()
            await asyncio.to_thread(own_grid.kill, 1)
            await more(sum(acknowledged.values()) + 2_000)
            finished.set()
            await asyncio.gather(*workers)

            for session_id in acknowledged | unknown:
                found = await count(driver, space, session_id)
                assert acknowledged[session_id] <= found <= acknowledged[session_id] + unknown[session_id], session_id
            assert max(gaps) < 5.0, "service is back within 5 s"
            assert MembersChanged(2, 2) in seen

            await asyncio.to_thread(own_grid.start, 1)

            async def probed() -> bool:
                return len(driver._client._reports) == 3  # type: ignore[union-attr]

            await eventually(probed, "the new member asked what it is")
            await eventually(lambda: works(driver, space), "three members again")

    asyncio.run(scenario())


def test_a_scan_misses_nothing_while_partitions_move(own_grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(own_grid.url) as driver:
            space = a_space()
            await asyncio.to_thread(own_grid.kill, 0)
            await eventually(lambda: works(driver, space), "two members at work")
            ids = {f"line:{number}" for number in range(1_000)}
            await asyncio.gather(*(driver.execute(space, each, increment(driver)) for each in ids))
            joining = asyncio.ensure_future(asyncio.to_thread(own_grid.start, 0))
            scans = 0
            while not joining.done() or scans < 3:
                found: set[str] = set()
                cursor = None
                while True:
                    page = await driver.scan(space, "line:", cursor=cursor, limit=50)
                    found.update(page.ids)
                    cursor = page.cursor
                    if cursor is None:
                        break
                assert found == ids
                scans += 1
            await joining
            await eventually(lambda: works(driver, space), "three members again")

    asyncio.run(scenario())


@pytest.mark.parametrize("path", PATHS)
def test_a_frozen_owner_ends_calls_by_their_deadline(own_grid: LocalGrid, path: str) -> None:
    async def scenario() -> None:
        async with opened(f"{own_grid.url}?path={path}") as driver:
            space, loop = a_space(), asyncio.get_running_loop()
            await eventually(lambda: works(driver, space), "all members at work")
            own_grid.pause(2)
            try:
                started = loop.time()
                calls = [driver.execute(space, f"line:{n}", increment(driver), deadline=1.0) for n in range(40)]
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                assert loop.time() - started < 1.5
                failed = [each for each in outcomes if isinstance(each, BaseException)]
                assert failed, "the frozen member owns or backs up some of them"
                assert all(isinstance(each, OutcomeUnknown) for each in failed)
            finally:
                own_grid.resume(2)
            await eventually(lambda: works(driver, space), "the member thawed")
            for number, outcome in enumerate(outcomes):
                found = await count(driver, space, f"line:{number}")
                assert found == 1 if not isinstance(outcome, BaseException) else found in {0, 1}

    asyncio.run(scenario())


def test_without_a_majority_nothing_is_applied_and_it_is_said(own_grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(own_grid.url) as driver:
            space = a_space()
            await driver.execute(space, "line:1", increment(driver))
            await asyncio.to_thread(own_grid.kill, 1)
            await asyncio.to_thread(own_grid.kill, 2)
            ended: list[type[BaseException]] = []

            async def refused() -> bool:
                try:
                    await driver.execute(space, "line:2", increment(driver), deadline=0.5)
                except (OutcomeUnknown, Unavailable) as error:
                    ended.append(type(error))
                return bool(ended) and ended[-1] is UnderReplicated

            await eventually(refused, "the survivor noticed that it is alone")
            # It may have lost a session with the others: to say that there is none would be a lie.
            with pytest.raises(Unavailable):
                await driver.execute(space, "line:1", Load(Want.RECORD), deadline=0.5)
            await asyncio.to_thread(own_grid.start, 1)
            await asyncio.to_thread(own_grid.start, 2)
            await eventually(lambda: works(driver, space), "three members again")

    asyncio.run(scenario())


def test_after_all_members_were_gone_the_client_comes_back_and_watchers_are_told(
    own_grid: LocalGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the supervisor replaces the client at least once while nobody is there.
    monkeypatch.setattr("gridsession.drivers.hazelcast._client._STUCK", 1.0)

    async def scenario() -> None:
        async with opened(own_grid.url) as driver:
            space, globals_ = a_space(), a_space("globals")
            await eventually(lambda: works(driver, space), "all members at work")
            client = driver._client
            assert client is not None
            first = client.link
            watch = driver.watch(space, "line:")
            assert await anext(watch) == Change(None)
            mirror = await driver.mirror(globals_)
            assert mirror is not None
            for number in range(3):
                await asyncio.to_thread(own_grid.kill, number)
            # A call that was on its way when the last member went may end either way.
            with suppress(OutcomeUnknown, Unavailable):
                await driver.execute(space, "line:1", increment(driver), deadline=0.5)
            with pytest.raises(ConnectFailed, match=f"127.0.0.1:{own_grid.ports[0]}") as caught:
                await driver.execute(space, "line:1", increment(driver), deadline=0.5)
            assert caught.value.session_id == "line:1"

            async def given_up() -> bool:
                return not first.running

            async def replaced() -> bool:
                return client.link is not first

            await eventually(given_up, "the client that finds nobody given up")
            starting = [asyncio.to_thread(own_grid.start, number) for number in range(3)]
            await asyncio.gather(*starting)
            await eventually(lambda: works(driver, space), "new members at work")
            await eventually(replaced, "the client replaced")

            heard: list[Change] = []

            async def listen() -> None:
                async for change in watch:
                    heard.insert(len(heard), change)

            async def hinted() -> bool:
                # What changed before the new client listened is covered by the gap it tells of.
                await driver.execute(space, "line:1", increment(driver))
                return any(change.id == "line:1" for change in heard)

            listening = asyncio.create_task(listen())
            await eventually(hinted, "a change is hinted again")
            assert heard[0] == Change(None)
            listening.cancel()
            await asyncio.wait({listening})
            await driver.execute(globals_, "mood", increment(driver))

            async def arrived() -> bool:
                return mirror.held.get("mood") is not None

            await eventually(arrived, "the global pushed")
            await mirror.aclose()
            await watch.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())
