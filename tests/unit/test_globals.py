"""Globals as a caller meets them; what they do where they live is the contract's (tests/contract)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gridsession import Globals, Policy, SessionStore
from gridsession._commands import Command, Commit
from gridsession._identity import Space
from gridsession._record import Record
from gridsession.drivers import Mirror
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import ConnectFailed, InvalidInput, InvalidOption, InvalidValue, StoreClosed, WrongType
from gridsession.testing.clock import ManualClock

ONE_COMMAND: dict[str, Callable[[Globals], Awaitable[object]]] = {
    "get": lambda found: found.get("a"),
    "set": lambda found: found.set("a", 1),
    "increment": lambda found: found.increment("n"),
    "append": lambda found: found.append("log", 1, keep=3),
    "pop": lambda found: found.pop("log"),
    "take": lambda found: found.take("a"),
    "setdefault": lambda found: found.setdefault("a", 1),
    "compare_and_set": lambda found: found.compare_and_set("a", 1, 2),
    "remember": lambda found: found.remember("seen", "m1"),
    "allow": lambda found: found.allow("gate", every=1),
    "touch": lambda found: found.touch("a"),
    "ttl": lambda found: found.ttl("a"),
    "exists": lambda found: found.exists("a"),
    "delete": lambda found: found.delete("a"),
}


@pytest.mark.parametrize("verb", ONE_COMMAND)
async def test_each_verb_is_one_command(verb: str, driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        await ONE_COMMAND[verb](store.globals)
        assert len(sent) == 1


async def test_globals_are_not_sessions(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.globals.set("line:1", "global")
        await store.session("line:1").set("value", "session")
        assert await store.globals.get("line:1") == "global"
        assert [session_id async for session_id in store.ids()] == ["line:1"]
        assert [name async for name in store.globals.names()] == ["line:1"]


async def test_a_name_is_any_text(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        found: Any = store.globals
        for name in ("a", "a b", ":", "☕", "x" * 2048):
            await found.set(name, name)
            assert await found.get(name) == name
        sent.clear()
        for name in ("", None, 5, "a\0b", "\ud800", "x" * 2049):
            for verb in (found.get, found.delete, found.increment, found.ttl):
                with pytest.raises(InvalidInput):
                    await verb(name)
        assert sent == []


async def test_values_are_checked_like_a_sessions(driver: MemoryDriver, sent: list[Command]) -> None:
    async with SessionStore.open(driver=driver) as store:
        with pytest.raises(InvalidValue):
            await store.globals.set("a", object())
        with pytest.raises(InvalidValue):
            await store.globals.update(fine=1, bad=object())
        with pytest.raises(InvalidInput):
            await store.globals.clear(retain="abc")
        with pytest.raises(InvalidOption):
            await store.globals.set("a", 1, ttl=0)
        assert sent == [], "a part of an update was sent"
        await store.globals.set("a", "text")
        with pytest.raises(WrongType):
            await store.globals.increment("a")
        with pytest.raises(InvalidValue):
            await store.globals.get("a", type=int)
        assert await store.globals.get("a", type=str) == "text"
        assert await store.globals.get("missing", 3, type=int) == 3


async def test_the_policy_gives_globals_their_ttl_too_unless_one_is_set(
    driver: MemoryDriver, clock: ManualClock
) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.globals.set("a", 1)
        await store.globals.set("offer", 1, ttl=5)
        clock.advance(4.999)
        assert await store.globals.load() == {"a": 1, "offer": 1}
        clock.advance(0.001)
        assert await store.globals.load() == {"a": 1}
        assert await store.globals.get("offer", "over") == "over"
        assert not await store.globals.exists("offer")


async def test_what_was_read_is_ones_own(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.globals.set("a", [1])
        (await store.globals.get("a")).append(2)
        assert await store.globals.get("a") == [1]


async def test_remove_and_clear(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.globals.update(a=1, b=2, c=3)
        assert await store.globals.remove("a", "nothing")
        assert not await store.globals.remove("a")
        await store.globals.clear(retain=["b"])
        assert await store.globals.load() == {"b": 2}


async def test_nothing_shows_a_value(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        await store.globals.set("a", "SECRET")
        assert "SECRET" not in repr(store.globals)
        with pytest.raises(WrongType) as refused:
            await store.globals.increment("a")
        assert "SECRET" not in str(refused.value)


async def test_after_closing_nothing_is_read(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        found = store.globals
        await found.set("a", 1)
    for verb in (found.get("a"), found.load(), found.set("a", 2), found.exists("a")):
        with pytest.raises(StoreClosed):
            await verb


# --- with a local copy, as the grid pushes one ----------------------------------------------------------------------


class _Copy(Mirror):
    """Holds what it is offered, if newer."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.closed = False

    def offer(self, name: str, record: bytes) -> None:
        new = Record.decode(record)
        if name not in self.held or _age(new) > _age(Record.decode(self.held[name])):
            self.held[name] = record

    async def aclose(self) -> None:
        self.closed = True


def _age(record: Record) -> tuple[int, bool, int]:
    # A deleted record keeps its epoch and is newer than any revision of it.
    return (record.epoch, not record.live, record.revision)


class _Pushing(MemoryDriver):
    """The memory driver with a copy to read from, as the grid's."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock=clock)
        self.copy = _Copy()
        self.sent: list[Command] = []

    async def mirror(self, space: Space) -> Mirror:
        assert space.kind == "globals"
        for name in self._spaces.get(space, {}):
            self.pushed(space, name)
        return self.copy

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Any:
        self.sent.append(command)
        return await super().execute(space, session_id, command, deadline=deadline)

    def pushed(self, space: Space, name: str) -> None:
        """What the members would push: the record as it stands."""
        self.copy.held[name] = self._spaces[space][name].encode()


async def test_reading_costs_no_round_trip(clock: ManualClock) -> None:
    driver = _Pushing(clock)
    async with SessionStore.open(driver=driver) as store:
        await store.globals.update(a=1, b=[2])
        driver.sent.clear()
        assert await store.globals.get("a") == 1
        assert await store.globals.get("c", "none") == "none"
        assert await store.globals.load() == {"a": 1, "b": [2]}
        assert driver.sent == []
        assert await store.globals.get("a", fresh=True) == 1
        assert len(driver.sent) == 1


async def test_ones_own_changes_are_read_at_once(clock: ManualClock) -> None:
    driver = _Pushing(clock)
    async with SessionStore.open(driver=driver) as store:
        found = store.globals
        assert await found.get("n") is None
        await found.set("n", 1)
        assert await found.get("n") == 1
        await found.increment("n", 4)
        assert await found.get("n") == 5
        assert await found.compare_and_set("n", 5, 6)
        assert await found.get("n") == 6
        await found.append("log", 1)
        await found.pop("log")
        assert await found.get("log") == []
        assert await found.take("n") == 6
        assert await found.get("n", "taken") == "taken"
        await found.set("n", 7)
        assert await found.get("n") == 7
        assert await found.delete("n")
        assert await found.get("n", "deleted") == "deleted"
        await found.set("n", 8)
        assert await found.get("n") == 8, "made anew after a delete"


async def test_ones_own_changes_while_the_copy_is_read_in_are_in_it(clock: ManualClock) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class _Slow(_Pushing):
        async def mirror(self, space: Space) -> Mirror:
            found = await super().mirror(space)
            begun.set()
            await go_on.wait()
            return found

    async with SessionStore.open(driver=_Slow(clock)) as store:
        found = store.globals
        await found.update(n=1, gone=1)
        first = asyncio.create_task(found.get("n"))
        await begun.wait()
        await found.set("n", 2)
        await found.set("n", 3)
        assert await found.delete("gone")
        second = asyncio.create_task(found.get("n"))
        go_on.set()
        assert await first == 3
        assert await second == 3
        assert await found.get("gone") is None


class _Hanging(MemoryDriver):
    """Reads its copy in when `go_on` is set, and fails then."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def mirror(self, space: Space) -> Mirror:
        self.tries += 1
        self.begun.set()
        await self.go_on.wait()
        raise ConnectFailed("no member is connected")


async def test_a_copy_that_cannot_be_read_in_is_tried_once_for_all_who_wait_for_it() -> None:
    driver = _Hanging()
    async with SessionStore.open(driver=driver) as store:
        asked = [asyncio.create_task(store.globals.get("n")) for _ in range(5)]
        await driver.begun.wait()
        asked.pop(0).cancel()
        await asyncio.sleep(0)
        driver.go_on.set()
        for each in asked:
            with pytest.raises(ConnectFailed):
                await each
        assert driver.tries == 1
        with pytest.raises(ConnectFailed):
            await store.globals.get("n")
        assert driver.tries == 2, "it is not tried again"


async def test_who_waits_for_the_copy_is_told_when_the_store_is_closed() -> None:
    driver = _Hanging()
    async with SessionStore.open(driver=driver) as store:
        waiting = asyncio.create_task(store.globals.get("n"))
        await driver.begun.wait()
    with pytest.raises(StoreClosed):
        await waiting


async def test_a_driver_that_has_no_copy_after_all_is_asked_each_time(clock: ManualClock) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class _None(MemoryDriver):
        async def mirror(self, space: Space) -> Mirror | None:
            begun.set()
            await go_on.wait()
            return None

    async with SessionStore.open(driver=_None(clock=clock)) as store:
        first = asyncio.create_task(store.globals.get("n"))
        await begun.wait()
        await store.globals.set("n", 2)
        go_on.set()
        assert await first == 2


async def test_what_another_changed_is_read_when_pushed_or_fresh(clock: ManualClock) -> None:
    driver = _Pushing(clock)
    space = Space("default", "globals")
    async with SessionStore.open(driver=driver) as store, SessionStore.open(driver=driver) as other:
        await store.globals.set("a", 1)
        assert await store.globals.get("a") == 1
        await other.globals.set("a", 2)
        assert await store.globals.get("a") == 1, "nothing was pushed yet"
        assert await store.globals.get("a", fresh=True) == 2
        assert await store.globals.get("a") == 2, "what was read fresh is known from then on"
        await other.globals.set("a", 3)
        driver.pushed(space, "a")
        assert await store.globals.get("a") == 3


async def test_the_end_of_a_global_is_judged_by_its_record(clock: ManualClock) -> None:
    driver = _Pushing(clock)
    async with SessionStore.open(driver=driver, policy=Policy(ttl=60)) as store:
        await store.globals.set("offer", 1, ttl=5)
        clock.advance(4.999)
        assert await store.globals.get("offer") == 1
        clock.advance(0.001)
        assert await store.globals.get("offer", "over") == "over"
        assert await store.globals.load() == {}


async def test_closing_the_store_closes_the_copy(clock: ManualClock) -> None:
    driver = _Pushing(clock)
    async with SessionStore.open(driver=driver) as store:
        await store.globals.get("a")
    assert driver.copy.closed
    with pytest.raises(StoreClosed):
        await store.globals.get("a")


async def test_setting_gives_the_record_back_for_the_copy_and_nothing_more(clock: ManualClock) -> None:
    driver = _Pushing(clock)
    async with SessionStore.open(driver=driver) as store:
        await store.globals.set("a", 1)
        assert [type(command) for command in driver.sent] == [Commit]
