"""Turns of several processes on real members: order, who is told, who died, who was taken over, who it all was."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gridsession import LeaseState, Policy, SessionStore
from gridsession._commands import Acquire, Load, Release
from gridsession._identity import Space
from gridsession.drivers.hazelcast import _grants, _wire
from gridsession.drivers.hazelcast._call import ask
from gridsession.errors import Leased, LeaseLost
from gridsession.hooks import Event, LeaseRenewed
from gridsession.testing.local_grid import LocalGrid
from tests.grid.driving import Answered, Deliver, eventually, intercept, opened
from tests.grid.taking_turns import SECONDS, Process, processes
from tests.grid.test_driver_retries import cut

pytestmark = pytest.mark.grid

ID = "line:1"
LIST_OBJECTS = 0x000800
BRIEF = 2.0
"""A lease (s) that a process must outlive, or die with."""


@asynccontextmanager
async def _opened(grid: LocalGrid, namespace: str, **more: Any) -> AsyncIterator[SessionStore]:
    async with SessionStore.open(grid.url, namespace=namespace, policy=Policy(wait=SECONDS), **more) as store:
        yield store


def _pids(state: LeaseState) -> list[int]:
    return [int(owner.split(":")[1]) for owner in state.waiting]


def _waits(store: SessionStore, *pids: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return _pids(await store.session(ID).lease()) == list(pids)

    return holds


async def _queue(store: SessionStore, chosen: Sequence[Process], *, blocking: bool = False) -> None:
    """Have them wait for the session, in this order."""
    for count, process in enumerate(chosen, 1):
        # Blocking ones and others wait in the same queue.
        await process.say(id=ID, blocking=blocking and count % 2 == 1)
        await eventually(_waits(store, *(each.pid for each in chosen[:count])), "it waits behind those before it")


async def _log(store: SessionStore) -> Any:
    return await store.session(ID).get("log")


# --- order and hand-over --------------------------------------------------------------------------------------------


async def test_processes_are_served_in_their_order_and_each_is_told_when_it_is_next(
    own_grid: LocalGrid, namespace: str
) -> None:
    """They ask only when told, so that an order of any other making would take a minute."""
    started = processes(3, own_grid.url, namespace, only_told=True)
    async with _opened(own_grid, namespace) as store, started as chosen:
        async with store.turn(ID):
            await _queue(store, chosen, blocking=True)
            began = time.monotonic()
        for process in chosen:
            assert await process.hear() == "entered"
            await process.say()
            assert await process.hear() == "ok"
        assert await _log(store) == [process.pid for process in chosen]
        assert time.monotonic() - began < SECONDS / 2


async def test_who_never_waits_listens_to_nothing_and_who_waits_listens_once(
    own_grid: LocalGrid, namespace: str
) -> None:
    async with opened(own_grid.url) as driver, SessionStore.open(driver=driver, namespace=namespace) as store:
        client = driver._opened()
        for number in range(3):
            async with store.turn(f"line:{number}") as turn:
                turn.state["a"] = number
        assert not client.listeners
        async with _opened(own_grid, namespace) as other:
            for number in range(3):
                async with other.turn(f"line:{number}"):
                    waiting = asyncio.create_task(store.turn(f"line:{number}", wait=SECONDS).__aenter__())
                    session = other.session(f"line:{number}")

                    async def waits(session: Any = session) -> bool:
                        return bool((await session.lease()).waiting)

                    await eventually(waits, "it waits")
                await waiting
        assert len(client.listeners) == 1


async def test_owners_that_name_no_topic_make_none(own_grid: LocalGrid, namespace: str) -> None:
    """Members keep each topic for good, and an owner's text may be anything."""
    async with opened(own_grid.url) as driver:
        space = Space(namespace)
        async with _opened(own_grid, namespace) as store:
            for owner in ("", "x", ":", "zz", ":zz", "host:1:AB", "host:1:a", "host:1:abc", "host:1:é", "a" * 255):
                async with store.turn(ID):
                    asked = Acquire(owner, secrets.token_bytes(16), 1, 60_000)
                    await driver.execute(space, ID, Load(acquire=asked, not_after=driver.now() + 10_000))
                await driver.execute(space, ID, Release(driver.now() + 10_000, request_id=asked.request_id))
        found = await ask(
            driver._opened().link, _wire.request(LIST_OBJECTS, b""), asyncio.get_running_loop().time() + 10
        )
        names, frame = set[str](), found.start_frame.next
        while frame is not None:
            names.add(bytes(frame.buf).decode())
            frame = frame.next
        assert f"gridsession.sessions.{namespace}" in names
        made = {name for name in names if name.startswith("gridsession.grants.")}
        assert made <= {f"gridsession.grants.{number:02x}" for number in range(256)}


async def test_waiters_that_hear_nothing_are_served_in_their_order_too(
    own_grid: LocalGrid, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(message: Any) -> bytes:
        raise AttributeError

    monkeypatch.setattr(_grants, "_request_id", unreadable)
    order: list[int] = []
    async with _opened(own_grid, namespace) as store, _opened(own_grid, namespace) as other:

        async def one(number: int) -> None:
            async with (store, other)[number % 2].turn(ID):
                order.append(number)

        tasks = []
        async with store.turn(ID):
            for number in range(6):
                tasks.append(asyncio.create_task(one(number)))
                await eventually(_waits(store, *[os.getpid()] * (number + 1)), "it waits")
        freed = time.monotonic()
        await asyncio.gather(*tasks)
    assert order == list(range(6))
    assert time.monotonic() - freed < SECONDS / 3


async def test_all_who_wait_are_served_though_a_member_is_killed(own_grid: LocalGrid, namespace: str) -> None:
    """Sixteen wait in two processes, the owner of the session dies with what it was to tell them."""
    started = processes(2, own_grid.url, namespace)
    async with _opened(own_grid, namespace) as store, started as chosen:
        async with store.turn(ID, lease=30):
            for process in chosen:
                await process.say(id=ID, times=8)

            async def all_wait() -> bool:
                return len((await store.session(ID).lease()).waiting) == 16

            await eventually(all_wait, "all wait")
            owner = await _owner(own_grid)
            own_grid.kill(owner)
        try:
            for process in chosen:
                assert await process.hear() == ["ok"] * 8
            assert sorted(await _log(store)) == sorted([process.pid for process in chosen] * 8)
            assert (await store.session(ID).lease()).waiting == ()
        finally:
            own_grid.start(owner)
            own_grid.wait_for_members()


async def _owner(grid: LocalGrid) -> int:
    """The number of the member that holds the session."""
    async with opened(grid.url) as driver:
        link = driver._opened().link
        owner = link.owner(link.keys.get(ID).partition)
        return grid.ports.index(next(member.address.port for member in link.members() if member.uuid == owner))


# --- lost answers ---------------------------------------------------------------------------------------------------


async def test_a_request_whose_answer_was_lost_has_the_lease_or_its_one_place(
    own_grid: LocalGrid, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks before the answer arrives: of the grant to one, of its place in the queue to another."""
    async with opened(own_grid.url) as driver, SessionStore.open(driver=driver, namespace=namespace) as store:
        lost = _lose_answers(driver, 2, monkeypatch)
        async with _opened(own_grid, namespace) as other:
            async with store.turn(ID, wait=SECONDS):
                assert lost == [1]
                held = await other.session(ID).lease()
                assert (held.owner, held.waiting) == (driver.owner, ())
            lost.append(0)
            async with other.turn(ID):
                waiting = asyncio.create_task(store.turn(ID, wait=SECONDS).__aenter__())
                await eventually(_waits(other, os.getpid()), "it waits, once")
                assert lost[-1] == 2
            await waiting


def _lose_answers(driver: Any, count: int, patch: pytest.MonkeyPatch) -> list[int]:
    """The first answer to each acquire is lost with its connection."""
    lost, seen = list[int](), set[bytes]()
    mark = driver.owner.encode()

    def see(deliver: Deliver, call: Any, answered: Answered) -> None:
        at = call.buf.find(mark)
        # After the owner's text comes the id of the request.
        request_id = call.buf[at + len(mark) : at + len(mark) + 16]
        if at >= 0 and request_id not in seen and len(seen) < count:
            seen.add(request_id)
            lost.append(len(seen))
            cut(call)
        else:
            deliver(call, answered)

    intercept(driver, patch, see)
    return lost


# --- renewal, and who is taken over ---------------------------------------------------------------------------------


async def test_a_busy_process_keeps_its_lease(own_grid: LocalGrid, namespace: str) -> None:
    """A hundred tasks that do not leave the loop a pause, for two and a half lease times."""
    renewed: list[LeaseRenewed] = []

    def hook(event: Event) -> None:
        if isinstance(event, LeaseRenewed):
            renewed.append(event)

    async with _opened(own_grid, namespace, hooks=[hook]) as store, _opened(own_grid, namespace) as other:
        async with store.turn(ID, lease=BRIEF) as turn:
            ends = time.monotonic() + 2.5 * BRIEF

            async def busy() -> None:
                while time.monotonic() < ends:
                    began = time.thread_time()
                    while time.thread_time() - began < 0.0002:
                        pass
                    await asyncio.sleep(0)

            before = await other.session(ID).lease()
            await asyncio.gather(*(busy() for _ in range(100)))
            with pytest.raises(Leased):
                await other.turn(ID, wait=0).__aenter__()
            after = await other.session(ID).lease()
            turn.state["a"] = 1
        assert await other.session(ID).get("a") == 1
    assert (after.token, after.since, after.owner) == (before.token, before.since, before.owner)
    assert before.until is not None
    assert after.until is not None
    assert after.until - before.until > dt.timedelta(seconds=BRIEF)
    assert len(renewed) >= 3
    assert not any(event.lost for event in renewed)


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
async def test_a_holder_that_was_paused_past_its_lease_has_lost_it_and_writes_nothing(
    own_grid: LocalGrid, namespace: str, blocking: bool
) -> None:
    async with _opened(own_grid, namespace) as store, processes(1, own_grid.url, namespace) as (paused,):
        await paused.say(id=ID, lease=BRIEF, blocking=blocking)
        assert await paused.hear() == "entered"
        held = await store.session(ID).lease()
        assert held.owner is not None
        assert int(held.owner.split(":")[1]) == paused.pid
        paused.signal(signal.SIGSTOP)
        async with store.turn(ID) as turn:
            taken = await store.session(ID).lease()
            turn.state["log"] = ["taken over"]
        written = turn.revision
        paused.signal(signal.SIGCONT)
        await paused.say()
        assert await paused.hear() == "LeaseLost"
        assert taken.token > held.token
        assert taken.since is not None
        assert held.until is not None
        assert taken.since >= held.until
        snapshot = await store.session(ID).load()
        assert (dict(snapshot), snapshot.revision) == ({"log": ["taken over"]}, written)


async def test_every_way_to_write_is_closed_to_who_was_taken_over(own_grid: LocalGrid, namespace: str) -> None:
    """The verbs of its turn, a commit midway, a deletion, the end of its block; also where nothing was changed."""
    async with _opened(own_grid, namespace) as store, _opened(own_grid, namespace) as other:
        before = await store.session(ID).update(a=1)
        turn = store.turn(ID, lease=0.05)
        await turn.__aenter__()
        assert turn._renewal_due is not None
        turn._renewal_due.cancel()  # as if its process stood still
        async with other.turn(ID) as taker:
            turn.state["a"] = 2
            ways: list[Callable[[], Awaitable[Any]]] = [
                lambda: turn.session.increment("n"),
                lambda: turn.session.remember("m1"),
                turn.delete,
                turn.commit,
                lambda: turn.__aexit__(None, None, None),
            ]
            for way in ways:
                with pytest.raises(LeaseLost):
                    await way()
            assert taker.state == {"a": 1}
        after = await store.session(ID).load()
        assert (dict(after), after.revision) == ({"a": 1}, before.revision)


# --- who died -------------------------------------------------------------------------------------------------------


async def test_a_killed_waiter_and_a_killed_holder_do_not_keep_the_others_out(
    own_grid: LocalGrid, namespace: str
) -> None:
    started = processes(3, own_grid.url, namespace)
    async with _opened(own_grid, namespace) as store, started as (holder, first, second):
        await holder.say(id=ID, lease=BRIEF)
        assert await holder.hear() == "entered"
        await _queue(store, [first, second])
        held = await store.session(ID).lease()
        first.signal(signal.SIGKILL)
        holder.signal(signal.SIGKILL)
        assert await second.hear() == "entered"
        taken = await store.session(ID).lease()
        await second.say()
        assert await second.hear() == "ok"
        assert await _log(store) == [second.pid]
        assert taken.since is not None
        assert held.until is not None
        # At the lease's end, or when the dead one's place was forgotten; and not as late as a full lease of 30 s.
        assert dt.timedelta(0) <= taken.since - held.until < dt.timedelta(seconds=BRIEF + 10)


# --- who it is ------------------------------------------------------------------------------------------------------


async def test_who_holds_a_session_and_who_waits_is_told_without_touching_it(
    own_grid: LocalGrid, namespace: str
) -> None:
    started = processes(2, own_grid.url, namespace)
    async with _opened(own_grid, namespace) as store, started as chosen:
        session = store.session(ID)
        assert await session.lease() == LeaseState()
        before = await session.update(a=1)
        async with store.turn(ID, lease=30):
            await _queue(store, chosen)
            state = await session.lease()
            assert state.owner is not None
            assert state.owner.split(":")[1] == str(os.getpid())
            assert _pids(state) == [process.pid for process in chosen]
            assert state.since is not None
            assert state.until is not None
            now = dt.datetime.now(dt.UTC)
            assert state.since < now < state.until <= state.since + dt.timedelta(seconds=60)
            assert state.token > 0
            assert (await session.load()).revision == before.revision
        for process in chosen:
            assert await process.hear() == "entered"
            await process.say()
            assert await process.hear() == "ok"
        assert await session.lease() == LeaseState()
