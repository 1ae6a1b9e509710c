"""The contract, kept by the memory driver with each way to evict; and what it evicts when it is full."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

import gridsession
from gridsession import Policy, SessionStore
from gridsession.drivers import Driver
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidOption
from gridsession.hooks import Event, Evicted, Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract

EVICTIONS = ("lru", "tinylfu")


class TestMemory(DriverContract):
    """Shared within one process, so the two stores of a case share one driver."""

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """A place of its own."""
        return MemoryDriver() if clock is None else MemoryDriver(clock=clock)


class TestMemoryLru(DriverContract):
    """With room for all that a case makes, but kept in order."""

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """A place of its own."""
        return MemoryDriver(max_size=5_000) if clock is None else MemoryDriver(max_size=5_000, clock=clock)


class TestMemoryTinyLfu(DriverContract):
    """With room for all that a case makes, and W-TinyLFU watching."""

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """A place of its own."""
        if clock is None:
            return MemoryDriver(max_size=5_000, eviction="tinylfu")
        return MemoryDriver(max_size=5_000, eviction="tinylfu", clock=clock)


async def fill(store: SessionStore, names: Iterable[object]) -> None:
    """One session for each."""
    for name in names:
        await store.session(f"test:{name}").set("a", 1)


async def kept(store: SessionStore) -> set[str]:
    """The keys of the sessions that are there."""
    return {session_id.removeprefix("test:") async for session_id in store.ids()}


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_there_are_never_more_than_max_size_and_each_that_left_is_told(
    eviction: str, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    clock = ManualClock()
    driver = MemoryDriver(max_size=10, eviction=eviction, clock=clock, hooks=Hooks([events.append]))

    async def main() -> None:
        async with SessionStore.open(driver=driver) as store:
            await fill(store, range(25))
            assert len(await kept(store)) == 10
            assert "24" in await kept(store)  # what was just written is there
            assert driver.evicted == 15
            clock.advance(61)
            await fill(store, ["late"])
            await store.globals.set("rate", 1)  # globals have room of their own
            assert len(await kept(store)) == 10

    with caplog.at_level(logging.WARNING, "gridsession.drivers"):
        asyncio.run(main())
    gone = [event for event in events if isinstance(event, Evicted)]
    assert len(gone) == len({event.session_id for event in gone}) == driver.evicted == 16
    assert [record.__dict__["evicted"] for record in caplog.records if record.message == "memory.full"] == [1, 16]


def test_the_least_recently_used_session_leaves_first() -> None:
    async def main() -> None:
        async with SessionStore.open("memory://?max_size=3") as store:
            await fill(store, "abc")
            await store.session("test:a").load()
            await fill(store, "d")
            assert await kept(store) == set("acd")

    asyncio.run(main())


@pytest.mark.parametrize(("eviction", "least", "most"), [("lru", 0, 0), ("tinylfu", 20, 30)])
def test_a_crowd_that_comes_once_drives_out_regulars_only_with_lru(eviction: str, least: int, most: int) -> None:
    async def main() -> None:
        async with SessionStore.open(f"memory://?max_size=50&eviction={eviction}") as store:
            regulars = [f"regular{number}" for number in range(30)]
            for _ in range(5):
                await fill(store, regulars)
            await fill(store, range(500))
            assert least <= len(await kept(store) & set(regulars)) <= most

    asyncio.run(main())


@pytest.mark.parametrize("eviction", EVICTIONS)
@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_session_that_is_held_is_never_evicted(eviction: str, size: int) -> None:
    async def main() -> None:
        driver = MemoryDriver(max_size=size, eviction=eviction)
        async with SessionStore.open(driver=driver) as store:
            async with store.turn("test:held") as turn:
                turn.state["a"] = "mine"
                await turn.commit()
                await fill(store, range(100))
                assert {"held", "99"} <= await kept(store)
                turn.state["b"] = "too"
            assert dict(await store.session("test:held").load()) == {"a": "mine", "b": "too"}
            await fill(store, range(100, 200))
            assert len(await kept(store)) <= size

    asyncio.run(main())


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_what_was_deleted_or_has_ended_leaves_its_room(eviction: str) -> None:
    clock = ManualClock()
    driver = MemoryDriver(max_size=5, eviction=eviction, clock=clock)

    async def main() -> None:
        async with SessionStore.open(driver=driver, policy=Policy(ttl=60)) as store:
            await fill(store, "abcde")
            clock.advance(120)
            await fill(store, "fghij")
            assert await kept(store) == set("fghij")
            for name in "fg":
                await store.session(f"test:{name}").delete()
            clock.advance(30)
            await fill(store, "kl")
            assert await kept(store) == set("hijkl")
            assert driver.evicted == 0
            await fill(store, "mno")
            assert len(await kept(store)) == 5
            assert driver.evicted == 3

    asyncio.run(main())


@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("eviction", EVICTIONS)
def test_nothing_is_kept_of_what_was_evicted(eviction: str, announced: bool) -> None:
    driver = MemoryDriver(max_size=5, eviction=eviction)

    async def main() -> int:
        async with SessionStore.open(driver=driver, policy=Policy(ttl=1e6, announce_expiry=announced)) as store:
            await fill(store, range(3_000))
            tracemalloc.start()
            try:
                await fill(store, range(3_000, 9_000))
                return held()
            finally:
                tracemalloc.stop()

    assert asyncio.run(main()) < 400_000, "at least 100 bytes each are kept of what was evicted"


def test_nothing_is_kept_of_what_expired_and_nobody_asked_about() -> None:
    clock = ManualClock()

    async def main() -> int:
        async with SessionStore.open(
            driver=MemoryDriver(clock=clock), policy=Policy(ttl=60, announce_expiry=True)
        ) as store:
            tracemalloc.start()
            try:
                for number in range(60):
                    await fill(store, range(number * 100, number * 100 + 100))
                    clock.advance(2 * 86_400)
                await fill(store, ["last"])
                return held()
            finally:
                tracemalloc.stop()

    assert asyncio.run(main()) < 600_000, "at least 100 bytes each are kept of what expired"


def held() -> int:
    """Bytes that this package took and that are held; whoever watches the tests takes some too."""
    ours = tracemalloc.Filter(True, str(Path(gridsession.__file__).with_name("*")))
    return sum(line.size for line in tracemalloc.take_snapshot().filter_traces([ours]).statistics("filename"))


def test_what_was_deleted_is_no_session_lost_when_its_rest_leaves() -> None:
    driver = MemoryDriver(max_size=5)

    async def main() -> None:
        async with SessionStore.open(driver=driver) as store:
            await fill(store, "abcde")
            for name in "abcde":
                await store.session(f"test:{name}").delete()
            await fill(store, "fghij")
            assert await kept(store) == set("fghij")
            assert driver.evicted == 0

    asyncio.run(main())


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_access_expiry_is_a_policy_and_write_expiry_the_default(eviction: str) -> None:
    async def lives(policy: Policy, clock: ManualClock) -> bool:
        driver = MemoryDriver(max_size=5, eviction=eviction, clock=clock)
        async with SessionStore.open(driver=driver, policy=policy) as store:
            await fill(store, "a")
            for _ in range(5):
                clock.advance(40)
                await store.session("test:a").load()
            return await store.session("test:a").exists()

    assert asyncio.run(lives(Policy(ttl=60, touch_on_read=True), ManualClock()))
    assert not asyncio.run(lives(Policy(ttl=60), ManualClock()))


def test_an_eviction_nobody_knows_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidOption, match=r"eviction='fifo' is not known; write one of: lru, tinylfu"):
        SessionStore.open("memory://?max_size=5&eviction=fifo")
    with pytest.raises(InvalidOption, match="evicts nothing without max_size"):
        SessionStore.open("memory://?eviction=tinylfu")


def test_without_theine_core_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['theine_core'] = None\n"
        "from gridsession import SessionStore, errors\n"
        "SessionStore.open('memory://?max_size=5')\n"
        "try:\n    SessionStore.open('memory://?max_size=5&eviction=tinylfu')\n"
        "except errors.InvalidOption as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'gridsession[tinylfu]'" in ended.stdout
