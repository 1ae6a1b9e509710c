"""What README promises of a grid whose members die or are cut off, on members of this module's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config

from gridsession import Policy, SessionStore, operations
from gridsession.errors import OutcomeUnknown, Unavailable
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import a_space, eventually, is_sound, opened, replicated, reports_of_asyncio

pytestmark = pytest.mark.grid


async def _owner(grid: LocalGrid, name: str) -> int:
    """The number of the member that owns a name's record."""
    async with opened(grid.url) as driver:
        link = driver._opened().link
        owner = link.owner(link.keys.get(name).partition)
        port = next(member.address.port for member in link.members() if member.uuid == owner)
    return grid.ports.index(port)


async def _by_age(grid: LocalGrid) -> list[int]:
    """The members' numbers, the oldest, which leads the cluster, first."""
    async with opened(grid.url) as driver:
        return [grid.ports.index(member.address.port) for member in driver._opened().link.members()]


def test_a_global_stands_in_every_member_also_after_its_owner_died_right_after_acknowledging(
    own_grid: LocalGrid,
) -> None:
    async def scenario() -> None:
        namespace = a_space().namespace
        async with (
            SessionStore.open(own_grid.url, namespace=namespace) as writer,
            SessionStore.open(own_grid.url, namespace=namespace) as reader,
        ):
            await writer.globals.set("rate", 1)
            assert await reader.globals.get("rate", fresh=True) == 1
            owner = await _owner(own_grid, "rate")
            await writer.globals.set("rate", 2)
            own_grid.kill(owner)

            async def arrived() -> bool:
                return bool(await reader.globals.get("rate") == 2)

            await eventually(arrived, "the reader's own copy holds what was acknowledged")
            own_grid.start(owner)
            for number in range(3):

                async def holds(number: int = number) -> bool:
                    return await replicated(own_grid, number, f"gridsession.globals.{namespace}") == {"rate": 2}

                await eventually(holds, f"member {number} holds the global", seconds=60)

    asyncio.run(scenario())


@pytest.mark.parametrize("oldest", [False, True], ids=["youngest", "oldest"])
def test_a_member_cut_off_and_merged_back_changes_nothing_that_was_acknowledged_meanwhile(
    own_grid: LocalGrid, oldest: bool
) -> None:
    """The majority goes on without a frozen member; when it is back, the majority's records stand, whole.

    The oldest member leads the cluster: without it, the others must also agree on who leads now.
    """

    async def scenario() -> None:
        reported = reports_of_asyncio()
        by_age = await _by_age(own_grid)
        if oldest:
            own_grid.kill(by_age[0])
            own_grid.start(by_age[0])
            own_grid.wait_for_members()
            by_age = await _by_age(own_grid)
        # Without it before the others have their copies, they rightly wait for it.
        await eventually(lambda: is_sound(own_grid.url), "all copies are made", seconds=60)
        frozen = by_age[0 if oldest else -1]
        policy = Policy(ttl=600, deadline=20)
        async with SessionStore.open(own_grid.url, namespace=a_space().namespace, policy=policy) as store:
            sessions = [store.session(f"line:{index}") for index in range(60)]
            await asyncio.gather(*(session.update(count=1, gone=True) for session in sessions))
            own_grid.pause(frozen)
            try:
                acknowledged = await asyncio.gather(*(_change(session) for session in sessions))
            finally:
                own_grid.resume(frozen)

            async def whole() -> bool:
                return not await _has_gap(own_grid)

            await eventually(whole, "all three members are one cluster again", seconds=90)
            for index, (session, done) in enumerate(zip(sessions, acknowledged, strict=True)):
                assert done, index
                found = dict(await session.load())
                assert found == ({} if index % 3 == 0 else {"count": 2}), (index, found)
                left = await session.ttl()
                assert left is not None
                assert left == 0.0 if index % 3 == 0 else 400 < left <= 600
        assert reported() == [], "what failed while a member was silent is none of the program's errors"

    asyncio.run(scenario())


def test_who_restarted_makes_up_no_majority_that_forgot_what_was_acknowledged(own_grid: LocalGrid) -> None:
    """One member is cut off, one crashes and starts again: what had its copies on those two is with the first alone."""

    async def scenario() -> None:
        await eventually(lambda: is_sound(own_grid.url), "all copies are made", seconds=60)
        oldest, killed, frozen = await _by_age(own_grid)
        space = a_space()
        async with SessionStore.open(own_grid.url, namespace=space.namespace, policy=Policy(deadline=20)) as store:
            sessions = [store.session(f"line:{index}") for index in range(60)]
            await asyncio.gather(*(session.set("count", 1) for session in sessions))
            await store.globals.update({f"global-{index}": index for index in range(60)})
            assert len(await store.globals.load()) == 60
            own_grid.pause(frozen)
            try:
                own_grid.kill(killed)
                # It waits for all three.
                restarted = asyncio.create_task(asyncio.to_thread(own_grid.start, killed))

                async def without_the_frozen() -> bool:
                    return await _seen(own_grid, oldest) == {oldest, killed}

                await eventually(without_the_frozen, "the restarted member has taken the place of the frozen one", 60)
                hasty = Policy(deadline=2)
                async with SessionStore.open(own_grid.url, namespace=space.namespace, policy=hasty) as asking:
                    found = await asyncio.gather(
                        *(asking.session(session.id).get("count") for session in sessions), return_exceptions=True
                    )
                    assert [each for each in found if each != 1 and not isinstance(each, Unavailable)] == []
                    # Nor does what reads the maps take for all there is what is there by now.
                    with pytest.raises(Unavailable):
                        _ = [each async for each in asking.ids()]
                    with pytest.raises(Unavailable):
                        await asking.globals.load()
                    assert len(await store.globals.load()) == 60
            finally:
                own_grid.resume(frozen)
            await restarted

            async def all_there() -> bool:
                return all([await session.get("count") == 1 for session in sessions])

            await eventually(all_there, "what the frozen member held is served", seconds=90)

    asyncio.run(scenario())


async def _change(session: Any) -> bool:
    """Delete every third session, change the others; until the grid took it."""
    index = int(session.id.partition(":")[2])
    for _ in range(3):
        try:
            if index % 3 == 0:
                await session.delete()
            else:
                async with asyncio.timeout(30):
                    await session.commit(operations.set("count", 2), clear=True)
        except (OutcomeUnknown, Unavailable):
            continue
        return True
    return False


async def _has_gap(grid: LocalGrid) -> bool:
    """Whether some member does not see all three."""
    return any([len(await _seen(grid, number)) != 3 for number in range(3)])


async def _seen(grid: LocalGrid, number: int) -> set[int]:
    """The members, by number, that a member sees."""
    config = Config()
    config.cluster_members = [f"127.0.0.1:{grid.ports[number]}"]
    config.cluster_name = grid.cluster_name
    config.smart_routing = False
    client = await HazelcastClient.create_and_start(config)
    try:
        return {grid.ports.index(member.address.port) for member in client.cluster_service.get_members()}
    finally:
        await client.shutdown()
        for _ in range(3):
            await asyncio.sleep(0)
