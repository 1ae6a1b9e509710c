"""The Hazelcast driver on three real members: commands, deadlines, scans, watches, globals."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from gridsession._commands import Acquire, Delete, Load
from gridsession._identity import Space
from gridsession._link import new_id
from gridsession._reply import Status
from gridsession.drivers import Change
from gridsession.drivers.hazelcast import HazelcastDriver
from gridsession.drivers.hazelcast._mirror import GlobalsMirror
from gridsession.errors import DeadlineExceeded, OutcomeUnknown, StoreClosed
from gridsession.hooks import CommandDone
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import a_space, count, eventually, increment, opened, stranger

pytestmark = pytest.mark.grid


def requests_sent(driver: HazelcastDriver) -> int:
    """Every request of a client takes the next correlation id, pings too; commands have numbers of their own."""
    link = driver._client.link  # type: ignore[union-attr]
    return int(link.service._next_correlation_id._counter) + link.commands


def test_one_command_is_one_round_trip(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()
            await driver.execute(space, "line:1", increment(driver))
            before = requests_sent(driver)
            for _ in range(100):
                await driver.execute(space, "line:1", increment(driver))
            # Pings of idle connections may fall in between.
            assert 100 <= requests_sent(driver) - before <= 110
            assert await count(driver, space, "line:1") == 101

    asyncio.run(scenario())


def test_an_answer_carries_as_many_backup_acks_as_the_map_has_backups(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            assert driver._client is not None
            assert driver._client.sync_backups == 1
            # Were one more asked for, nothing could be confirmed: the count is really looked at.
            driver._client.sync_backups = 2
            with pytest.raises(OutcomeUnknown):
                await driver.execute(a_space(), "line:1", increment(driver), deadline=0.3)

    asyncio.run(scenario())


def test_the_clock_is_the_clusters(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()
            before = driver.now()
            reply = await driver.execute(space, "line:1", Load())
            assert before - 100 <= reply.now <= driver.now() + 100
            assert isinstance(driver.now(), int)

    asyncio.run(scenario())


def test_a_cancelled_caller_leaves_nothing_and_no_one_gets_anothers_reply(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()

            async def one(index: int) -> str:
                reply = await driver.execute(space, f"line:{index}", increment(driver))
                return reply.id

            doomed = [asyncio.create_task(one(index)) for index in range(100)]
            kept = [asyncio.create_task(one(index)) for index in range(100, 200)]
            await asyncio.sleep(0)
            for task in doomed:
                task.cancel()
            assert await asyncio.gather(*kept) == [f"line:{index}" for index in range(100, 200)]
            assert all(task.cancelled() for task in await _settled(doomed))

            async def none_pending() -> bool:
                return not driver._client.link.service._pending  # type: ignore[union-attr]

            await eventually(none_pending, "every invocation forgotten")
            assert driver._executor._gate.free == 128  # type: ignore[union-attr]

    asyncio.run(scenario())


async def _settled(tasks: list[asyncio.Task[str]]) -> list[asyncio.Task[str]]:
    await asyncio.gather(*tasks, return_exceptions=True)
    return tasks


def test_commands_beyond_max_in_flight_wait_in_order_and_by_their_deadline(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(f"{grid.url}?max_in_flight=1") as driver:
            space = a_space()
            done: list[int] = []

            async def one(index: int) -> None:
                await driver.execute(space, f"line:{index}", increment(driver))
                done.append(index)

            await asyncio.gather(*(one(index) for index in range(30)))
            assert done == list(range(30))

            assert driver._executor is not None
            driver._executor._gate.free -= 1
            with pytest.raises(DeadlineExceeded, match="max_in_flight"):
                await driver.execute(space, "line:1", increment(driver), deadline=0.05)
            driver._executor._gate.leave()
            assert await count(driver, space, "line:1") == 1

    asyncio.run(scenario())


def test_hooks_hear_of_each_command(grid: LocalGrid) -> None:
    async def scenario() -> None:
        heard: list[Any] = []
        async with opened(grid.url, heard.append) as driver:
            space = a_space()
            command = increment(driver)
            await driver.execute(space, "line:1", command)
            await driver.execute(space, "line:1", command)
        first, second = (event for event in heard if isinstance(event, CommandDone))
        assert (first.command, first.status, first.attempts, first.duplicate) == ("Commit", "ok", 1, False)
        assert second.duplicate
        assert first.session_id == "line:1"

    asyncio.run(scenario())


def test_after_close_everything_says_so_and_nothing_is_left(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()
            hints = driver.watch(space)
            assert await anext(hints) == Change(None)
            waiting = asyncio.ensure_future(anext(hints))
            await asyncio.sleep(0)
        with pytest.raises(StoreClosed):
            await waiting
        with pytest.raises(StoreClosed):
            await driver.execute(space, "line:1", Load())
        with pytest.raises(StoreClosed):
            await driver.scan(space)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_a_scan_gives_each_id_that_lives_page_by_page(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()
            ids = [f"line:{index}" for index in range(300)]
            await asyncio.gather(*(driver.execute(space, each, increment(driver)) for each in [*ids, "viber:1"]))
            gone = Delete(secrets.token_bytes(16), driver.now() + 10_000)
            assert (await driver.execute(space, "line:7", gone)).status is Status.OK
            # A lease on a session that does not exist leaves a record, which is no session.
            asked = Acquire("a worker", secrets.token_bytes(16), 30_000, 0)
            await driver.execute(space, "line:none", Load(acquire=asked, not_after=driver.now() + 10_000))

            found: list[str] = []
            cursor = None
            while True:
                page = await driver.scan(space, "line:", cursor=cursor, limit=7)
                assert len(page.ids) <= 7
                found += page.ids
                cursor = page.cursor
                if cursor is None:
                    break
            assert sorted(found) == sorted(set(ids) - {"line:7"})

    asyncio.run(scenario())


def test_watches_of_one_id_share_a_listener_that_ends_with_the_last(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()
            assert driver._watches is not None
            assert driver._client is not None
            watches = [driver.watch(space, session_id="line:1") for _ in range(5)]
            for watch in watches:
                assert await anext(watch) == Change(None)
            assert len(driver._client.listeners) == 1
            await driver.execute(space, "line:1", increment(driver))
            await driver.execute(space, "line:2", increment(driver))
            for watch in watches:
                assert (await anext(watch)).id == "line:1"
                await watch.aclose()  # type: ignore[attr-defined]
            assert not driver._client.listeners

            # One registration is the client's own, for backups.
            async def one_left() -> bool:
                return len(driver._client.link.listeners._active_registrations) == 1  # type: ignore[union-attr]

            await eventually(one_left, "the listener taken off the members")

    asyncio.run(scenario())


def test_a_watch_by_prefix_tells_revisions_and_a_slow_watcher_a_gap(
    grid: LocalGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver:
            space = a_space()
            watch = driver.watch(space, "line:")
            assert await anext(watch) == Change(None)
            await driver.execute(space, "viber:1", increment(driver))
            reply = await driver.execute(space, "line:1", increment(driver))
            assert await anext(watch) == Change("line:1", (reply.epoch, reply.revision))

            monkeypatch.setattr("gridsession.drivers.hazelcast._watch._KEPT", 10)
            await asyncio.gather(*(driver.execute(space, f"line:{n}", increment(driver)) for n in range(50)))
            seen = []
            while not seen or seen[-1] != "line:last":
                if "line:last" not in seen:
                    await driver.execute(space, "line:last", increment(driver))
                seen.append((await anext(watch)).id)
            assert None in seen
            await watch.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())


def test_a_global_is_pushed_to_other_clients_and_read_without_a_round_trip(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as one, opened(grid.url) as two:
            space = a_space("globals")
            assert await one.mirror(Space(space.namespace)) is None
            mirror = await two.mirror(space)
            assert mirror is not None
            reply = await one.execute(space, "mood", increment(one))

            async def arrived() -> bool:
                return mirror.held.get("mood") is not None

            await eventually(arrived, "the global pushed")
            before = requests_sent(two)
            record = mirror.held.get("mood")
            assert requests_sent(two) == before
            assert record is not None
            assert reply.revision == 1

            # A late joiner reads what is there; an older record offered to it changes nothing.
            await one.execute(space, "mood", increment(one))
            late = await two.mirror(space)
            assert late is not None
            newest = late.held.get("mood")
            assert newest not in {None, record}
            late.offer("mood", record)
            assert late.held.get("mood") == newest
            assert list(late.held) == ["mood"]
            await mirror.aclose()
            await late.aclose()

    asyncio.run(scenario())


def test_each_change_of_a_global_is_pushed_and_not_only_found_by_a_sweep(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as one, opened(grid.url) as two:
            space = a_space("globals")
            mirror = await two.mirror(space)
            assert mirror is not None
            # Members look through a new namespace at once and after a second, then 30 s later.
            for number in range(1, 5):
                before = mirror.held.get("mood")
                await one.execute(space, "mood", increment(one))

                async def arrived(before: bytes | None = before) -> bool:
                    return mirror.held.get("mood") != before

                await eventually(arrived, f"change {number}", 10.0)
            await mirror.aclose()

    asyncio.run(scenario())


def test_a_global_whose_record_went_unseen_is_dropped_when_globals_are_read_again(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver, stranger(grid) as other:
            space = a_space("globals")
            await driver.execute(space, "gone", increment(driver))
            await driver.execute(space, "kept", increment(driver))
            mirror = await driver.mirror(space)
            assert isinstance(mirror, GlobalsMirror)
            assert mirror.held.get("gone") is not None
            # As a tombstone does when its time is over; the published map tells nothing of it.
            records = await other.get_map(f"gridsession.globals-records.{space.namespace}")
            await records.delete("gone")
            await mirror._refresh(asyncio.get_running_loop().time() + 10)
            assert list(mirror.held) == ["kept"]
            await mirror.aclose()

    asyncio.run(scenario())


def test_a_global_that_went_back_is_shown_as_it_stands_when_globals_are_read_again(grid: LocalGrid) -> None:
    async def scenario() -> None:
        async with opened(grid.url) as driver, stranger(grid) as other:
            space = a_space("globals")
            records = await other.get_map(f"gridsession.globals-records.{space.namespace}")
            names = ["restored", "deleted"]
            for name in names:
                await driver.execute(space, name, increment(driver))
            first = {name: await records.get(name) for name in names}
            mirror = await driver.mirror(space)
            assert isinstance(mirror, GlobalsMirror)
            await driver.execute(space, "restored", increment(driver))
            await driver.execute(space, "deleted", Delete(new_id(), driver.not_after(10_000)))

            async def heard() -> bool:
                return all(mirror.held.get(name) != first[name] for name in names)

            await eventually(heard, "both changes were heard of")
            # As after a restore, or when what was heard of was applied by a member that was cut off.
            for name in names:
                await records.set(name, first[name])
            await mirror._refresh(asyncio.get_running_loop().time() + 10)
            assert {name: mirror.held.get(name) for name in names} == first
            await mirror.aclose()

    asyncio.run(scenario())
