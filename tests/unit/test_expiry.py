"""Expired sessions told to users: what the store does around the rules, on the memory driver."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from gridsession import ExpiredSession, Policy, SessionStore, operations, sync
from gridsession._claims import expired as put_aside
from gridsession._commands import ClaimExpired
from gridsession._document import from_document, to_document
from gridsession._identity import Space
from gridsession._record import MOST_UNCLAIMED, Previous, Record, announce_at
from gridsession.drivers import Due
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidOption, StoreClosed
from gridsession.hooks import Announced, Event
from gridsession.testing import ManualClock

ID = "line:U1"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def _run(
    work: Callable[[SessionStore, ManualClock, list[Event]], Awaitable[None]], policy: Policy | None = None
) -> None:
    async def scenario() -> None:
        clock, events = ManualClock(), list[Event]()
        driver = MemoryDriver(clock=clock)
        async with SessionStore.open(driver=driver, policy=policy or Policy(ttl=60), hooks=[events.append]) as store:
            await work(store, clock, events)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_handler_is_told_what_the_session_held_and_how_it_ended() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        told: list[ExpiredSession] = []

        @store.on_expire
        async def remember(expired: ExpiredSession) -> None:
            told.append(expired)

        snapshot = await store.session(ID).update(step="address", cart=[1, 2])
        await store.session(ID).props.set("vip", True)
        due = clock() + 60_000
        clock.advance(61.5)
        await _until(lambda: bool(events))
        (one,) = told
        assert (one.id, one.reason, one.attempt, one.late) == (ID, "ttl", 1, 1.5)
        assert (dict(one.state), dict(one.props)) == ({"step": "address", "cart": [1, 2]}, {"vip": True})
        assert one.expired_at == dt.datetime.fromtimestamp(due / 1000, dt.UTC)
        assert (one.revision.epoch, one.revision.number) == (snapshot.revision.epoch, 2)
        assert events == [Announced("default", ID, "ttl", 1.5, 1, acknowledged=True)]
        assert not await one.acknowledge() or one.is_acknowledged
        assert "address" not in repr(one)

    _run(work)


def test_a_plain_function_is_a_handler_too() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        told: list[str] = []
        store.on_expire(lambda expired: told.append(expired.id))
        await store.session(ID).set("a", 1)
        clock.advance(61)
        await _until(lambda: bool(events))
        assert told == [ID]
        assert [getattr(event, "acknowledged", None) for event in events] == [True]

    _run(work)


def test_of_what_was_written_before_anyone_asked_nothing_is_told() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        await store.session("line:before").set("a", 1)
        stored = await store._driver.stored(Space("default"), "line:before")
        assert stored is not None
        assert announce_at(stored) == (None, "")
        told: list[str] = []

        @store.on_expire
        async def remember(expired: ExpiredSession) -> None:
            told.append(expired.id)

        await store.session("line:after").set("a", 1)
        clock.advance(60)
        await _until(lambda: bool(events))
        assert told == ["line:after"]

    _run(work)


def test_one_that_fails_is_told_to_all_handlers_again_and_its_values_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        calls: list[tuple[str, int]] = []

        @store.on_expire
        async def first(expired: ExpiredSession) -> None:
            calls.append(("first", expired.attempt))

        async def second(expired: ExpiredSession) -> None:
            calls.append(("second", expired.attempt))
            if expired.attempt == 1:
                raise ValueError(f"secret-{expired.state['a']}")

        store.on_expire(second, claim=7)
        await store.session(ID).set("a", "value-of-a")
        clock.advance(60)
        await _until(lambda: len(events) == 1)
        clock.advance(7)
        await _until(lambda: len(events) == 2)
        assert calls == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]
        assert [event.acknowledged for event in events if isinstance(event, Announced)] == [False, True]

    with caplog.at_level(logging.DEBUG):
        _run(work)
    assert any(record.msg == "expiry.handler_failed" for record in caplog.records)
    assert "value-of-a" not in caplog.text + str([vars(record) for record in caplog.records])


def test_several_ends_under_one_id_are_told_one_after_the_other() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        for number in range(3):
            await store.session(ID).set("n", number)
            clock.advance(60)
        told: list[int] = []

        @store.on_expire
        async def remember(expired: ExpiredSession) -> None:
            told.append(expired.state["n"])

        await _until(lambda: len(events) == 3)
        assert told == [0, 1, 2]

    _run(work, Policy(ttl=60, announce_expiry=True))


def test_at_most_so_many_are_handled_at_a_time() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        now = most = 0

        async def handle(_: ExpiredSession) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

        store.on_expire(handle, at_once=3)
        for number in range(20):
            await store.session(f"line:{number}").set("n", number)
        clock.advance(60)
        await _until(lambda: len(events) == 20)
        assert most == 3

    _run(work)


def test_one_that_is_slow_leaves_what_is_due_to_those_who_are_not() -> None:
    async def scenario() -> None:
        clock, told, busy, let_go = ManualClock(), list[str](), list[str](), asyncio.Event()
        driver, policy = MemoryDriver(clock=clock), Policy(ttl=60, announce_expiry=True)
        async with SessionStore.open(driver=driver, policy=policy) as slow:
            for number in range(120):
                await slow.session(f"line:{number}").set("n", number)
            clock.advance(60)

            @partial(slow.on_expire, at_once=1)
            async def handle(expired: ExpiredSession) -> None:
                busy.append(expired.id)
                await let_go.wait()

            await _until(lambda: bool(busy))
            async with SessionStore.open(driver=driver, policy=policy) as idle:

                @idle.on_expire
                async def remember(expired: ExpiredSession) -> None:
                    told.append(expired.id)

                # The clock stands still: what is kept from the idle one is kept for ever.
                await _until(lambda: len(told) == 119)
            let_go.set()
        assert sorted(told + busy) == sorted(f"line:{number}" for number in range(120))

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_any_number_may_be_handled_at_once() -> None:
    class Asked(MemoryDriver):
        async def due(self, space: Space, *, limit: int = 256) -> Due:
            asked.append(limit)
            return await super().due(space, limit=limit)

    async def scenario() -> None:
        async with SessionStore.open(driver=Asked(), policy=Policy(ttl=0.01)) as store:

            @partial(store.on_expire, at_once=1_000_000)
            async def handle(expired: ExpiredSession) -> None:
                told.append(expired.id)

            await store.session(ID).set("n", 1)
            await _until(lambda: bool(told))

    asked, told = list[int](), list[str]()
    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert max(asked) < 2**16


def test_a_handler_may_close_the_store() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        closed = asyncio.Event()

        @store.on_expire
        async def handle(_: ExpiredSession) -> None:
            # Some versions of wait_for run it in another task.
            await asyncio.create_task(store.aclose())
            closed.set()

        await store.session(ID).set("a", 1)
        clock.advance(60)
        async with asyncio.timeout(10):
            await closed.wait()

    _run(work)


def test_a_handler_may_close_the_blocking_store() -> None:
    clock, closed = ManualClock(), threading.Event()
    store = sync.SessionStore.open(driver=MemoryDriver(clock=clock), policy=Policy(ttl=60)).connect()

    @store.on_expire
    def handle(_: sync.ExpiredSession) -> None:
        store.close()
        closed.set()

    store.session(ID).set("a", 1)
    clock.advance(60)
    assert closed.wait(10)


def test_a_handler_that_hangs_is_ended_when_its_claim_would_be() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        ended = asyncio.Event()

        async def handle(_: ExpiredSession) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        begun = asyncio.Event()
        store.on_expire(handle, claim=1)
        await store.session(ID).set("a", 1)
        clock.advance(60)
        async with asyncio.timeout(10):
            await begun.wait()
            await store.aclose()
        assert ended.is_set()
        assert events == []

    _run(work)


def test_a_loop_that_begins_while_the_store_closes_ends() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        begun, let_go = asyncio.Event(), asyncio.Event()

        @store.on_expire
        async def handle(_: ExpiredSession) -> None:
            begun.set()
            await let_go.wait()

        await store.session(ID).set("a", 1)
        clock.advance(60)
        async with asyncio.timeout(10):
            await begun.wait()
            closing = asyncio.create_task(store.aclose())
            await asyncio.sleep(0)
            with pytest.raises(StoreClosed):
                await anext(store.expired())
            let_go.set()
            await closing

    _run(work)


def test_a_loop_ends_with_the_driver() -> None:
    class Closed(MemoryDriver):
        async def due(self, space: Space, *, limit: int = 256) -> Due:
            raise StoreClosed("this driver was closed")

    async def scenario() -> None:
        async with SessionStore.open(driver=Closed()) as store:
            with pytest.raises(StoreClosed):
                await anext(store.expired())

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_slow_handler_keeps_its_claim() -> None:
    async def scenario() -> None:
        driver, told = MemoryDriver(), list[int]()
        async with SessionStore.open(driver=driver, policy=Policy(ttl=0.05)) as store:

            async def handle(expired: ExpiredSession) -> None:
                told.append(expired.attempt)
                await asyncio.sleep(1.6)

            store.on_expire(handle, claim=1)
            await store.session(ID).set("a", 1)
            await _until(lambda: bool(told))
            link = store._links[0]
            loop = asyncio.get_running_loop()
            ends = loop.time() + 1.4
            while loop.time() < ends:
                reply = await link.ask(ID, ClaimExpired(bytes(16), 1_000, link.not_after()))
                assert reply.status.name == "LEASED"
                await asyncio.sleep(0.05)
        assert told == [1]

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_loop_may_acknowledge_by_itself_before_it_is_left() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        await store.session(ID).set("a", 1)
        clock.advance(60)
        async for expired in store.expired():
            assert not expired.is_acknowledged
            assert await expired.acknowledge()
            break
        await _until(lambda: bool(events))
        reply = await store._links[0].ask(ID, ClaimExpired(bytes(16), 1_000, clock() + 1_000))
        assert reply.status.name == "ABSENT"

    _run(work, Policy(ttl=60, announce_expiry=True))


def test_settings_that_make_no_sense_are_refused() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        async def handle(_: ExpiredSession) -> None: ...

        for settings in ({"at_once": 0}, {"claim": 0}, {"claim": 90_000}):
            with pytest.raises(InvalidOption):
                store.on_expire(handle, **settings)
        with pytest.raises(InvalidOption):
            await anext(store.expired(ahead=0))

    _run(work)


def test_the_blocking_face_tells_in_loops_and_on_threads_of_handlers() -> None:
    clock, threads, done = ManualClock(), list[str](), threading.Event()
    with sync.SessionStore.open(driver=MemoryDriver(clock=clock), policy=Policy(ttl=60, announce_expiry=True)) as store:
        store.session(ID).set("a", 1)
        clock.advance(60)
        loop = store.expired()
        expired = next(loop)
        assert (expired.id, dict(expired.state), expired.reason) == (ID, {"a": 1}, "ttl")
        assert expired.acknowledge()
        loop.close()

        @store.on_expire
        def told(expired: sync.ExpiredSession) -> None:
            threads.append(threading.current_thread().name)
            store.session("line:log").set("seen", expired.id)
            done.set()

        store.session("line:U2").set("a", 2)
        clock.advance(60)
        assert done.wait(20)
        assert store.session("line:log").get("seen") == "line:U2"
        waiting = store.expired()
    assert threads == ["gridsession-handler"]
    with pytest.raises(StoreClosed):
        next(waiting)


def test_the_oldest_give_way_by_their_number_and_their_weight() -> None:
    def end(previous: tuple[Previous, ...], number: int, size: int) -> tuple[Previous, ...]:
        made = Record(ID, number, True, 1, 0, number, 10, bags=({"a": b"\0" * size}, {}, {}), previous=previous)
        return put_aside(made, number + 10)

    previous: tuple[Previous, ...] = ()
    for number in range(MOST_UNCLAIMED + 1):
        previous = end(previous, number, 5)
    assert [ended.epoch for ended in previous] == list(range(1, MOST_UNCLAIMED + 1))
    for number in range(20, 23):
        previous = end(previous, number, 200_000)
    assert [ended.epoch for ended in previous] == [21, 22]
    assert [ended.epoch for ended in end(previous, 30, 600_000)] == [30]


def test_a_document_keeps_what_waits() -> None:
    ended = Previous(1, 2, 3, 4, True, b"c" * 16, 5, 6, ({"a": b"\0\x01"}, {"b": b"\0\x02"}))
    record = Record(ID, 7, True, 1, 10, 10, 60, announce=True, previous=(ended, Previous(2, 3, 4, 5)))
    assert from_document(to_document(record, Space("default"))) == record
    assert Record.decode(record.encode()) == record


def test_operations_that_set_a_ttl_ask_too() -> None:
    async def work(store: SessionStore, clock: ManualClock, events: list[Event]) -> None:
        async def handle(_: ExpiredSession) -> None: ...

        store.on_expire(handle)
        await store.session(ID).commit(operations.set("a", 1), ttl=5)
        async with store.turn("line:U2") as turn:
            turn.state["a"] = 1
        clock.advance(60)
        await _until(lambda: len(events) == 2)

    _run(work)


async def test_a_store_is_closed_also_when_who_closes_waits_no_longer_for_its_handlers() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(expired: ExpiredSession) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    store = SessionStore.open(driver=MemoryDriver())
    store.on_expire(hang)
    await store
    await store.session(ID).set("a", 1, ttl=0.05)
    async with asyncio.timeout(20):
        await begun.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.aclose(), 0.1)
        with pytest.raises(StoreClosed):
            await store.session(ID).load()
        await ended.wait()
