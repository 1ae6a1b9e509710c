"""Opening, closing and addressing a store, and what it does over many sessions."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from gridsession import Policy, Revision, SessionChange, SessionStore, Turn
from gridsession._commands import Command
from gridsession.drivers import Address, Driver, driver_class, parse_url
from gridsession.drivers.file import FileDriver
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import (
    Conflict,
    ConnectFailed,
    InvalidOption,
    Leased,
    StoreClosed,
    Unavailable,
    UsageError,
    WrongLoop,
)
from gridsession.testing.clock import ManualClock

ID = "test:1"


@pytest.fixture(autouse=True)
def _no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRIDSESSION_URL", raising=False)


# --- where to ---------------------------------------------------------------------------------------------------------


def test_without_a_url_a_store_is_alone_in_this_process_and_says_so() -> None:
    with pytest.warns(RuntimeWarning, match=r"GRIDSESSION_URL.*memory://"):
        store = SessionStore.open()
    assert (store.namespace, store.policy) == ("default", Policy())


def test_the_warning_points_at_the_callers_line() -> None:
    with pytest.warns(RuntimeWarning) as told:
        SessionStore.open()
    assert told[0].filename == __file__


def test_the_environment_gives_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDSESSION_URL", "memory://?ttl=900&namespace=shop")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = SessionStore.open()
        assert (store.namespace, store.policy.ttl) == ("shop", 900)
        assert SessionStore.open("memory://?namespace=other").namespace == "other"


def test_an_argument_beats_the_url_and_the_url_the_default() -> None:
    url = "memory://?ttl=900&namespace=shop&max_size=5"
    assert SessionStore.open(url).policy.ttl == 900
    assert SessionStore.open(url, namespace="mine").namespace == "mine"
    assert SessionStore.open(url, policy=Policy(ttl=60)).policy.ttl == 60
    # A policy that says nothing of the ttl does not make the URL's sessions live for ever.
    mixed = SessionStore.open(url, policy=Policy(wait=5)).policy
    assert (mixed.ttl, mixed.wait) == (900, 5)
    assert SessionStore.open(url + "&deadline=3").policy.deadline == 3
    mixed = SessionStore.open(url + "&deadline=3", policy=Policy(ttl=60)).policy
    assert (mixed.ttl, mixed.deadline) == (60, 3)
    assert SessionStore.open(url + "&deadline=3", policy=Policy(deadline=4)).policy.deadline == 4
    assert SessionStore.open("memory://").policy.ttl is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memory", "no scheme"),
        ("localhost:5701", "no scheme"),
        ("nothing://x", "no driver.*hazelcast.*memory"),
        ("memory://host", "takes no place"),
        ("memory://?max_size=many", "max_size"),
        ("memory://?max_size=0", "max_size"),
        ("memory://?maxsize=5", "unknown option"),
        ("memory://?ttl=soon", "ttl"),
        ("memory://?ttl=0", "ttl"),
        ("memory://?ttl=nan", "ttl"),
        ("memory://?ttl=1&ttl=2", "twice"),
        ("memory://?namespace=a.b", "namespace"),
        ("memory://?namespace=", "namespace"),
        ("hazelcast://", "host:port"),
        ("hazelcast://host:port/x", "host:port"),
        ("hazelcast://user:secret@host:5701/x", "without user or password"),
        ("hazelcast://host:5701/x?deadline=0", "deadline"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str, why: str) -> None:
    with pytest.raises(InvalidOption, match=why) as refused:
        SessionStore.open(url)
    assert "secret" not in str(refused.value)


def test_a_url_and_a_driver_are_not_both_given(driver: MemoryDriver) -> None:
    with pytest.raises(InvalidOption):
        SessionStore.open("memory://", driver=driver)


@pytest.mark.parametrize("namespace", ["a.b", "a b", "-a", "a" * 65, "é", "a/b"])
def test_a_namespace_names_a_map(namespace: str, driver: MemoryDriver) -> None:
    with pytest.raises(InvalidOption):
        SessionStore.open(driver=driver, namespace=namespace)


def test_a_urls_parts() -> None:
    address = parse_url("hazelcast://a:1,b:2/cluster?x=1&y=yes&z=")
    assert address == Address(address.url, "hazelcast", "a:1,b:2/cluster", {"x": "1", "y": "yes", "z": ""})
    assert address.option("x", int, 5) == 1
    assert address.option("w", int, 5) == 5
    assert address.option("y", bool, False) is True
    for name, kind in (("y", int), ("z", bool)):
        with pytest.raises(InvalidOption, match=name):
            address.option(name, kind, None)
    assert issubclass(driver_class("memory"), Driver)


# --- open and closed --------------------------------------------------------------------------------------------------


class _Watched(MemoryDriver):
    """The memory driver; counts who opens and closes it, and may refuse to open."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.opened = self.closed = 0
        self._error = error

    async def open(self) -> None:
        self.opened += 1
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


def test_open_does_nothing_yet_and_needs_no_loop() -> None:
    driver = _Watched()
    store = SessionStore.open(driver=driver)
    assert driver.opened == 0
    assert store.loop is None
    assert "new" in repr(store)


async def test_awaited_or_entered_it_is_open() -> None:
    driver = _Watched()
    store = await SessionStore.open(driver=driver)
    assert driver.opened == 1
    assert store.loop is asyncio.get_running_loop()
    await store.session(ID).set("a", 1)
    assert await store is store
    assert driver.opened == 1
    await store.aclose()
    await store.aclose()
    async with SessionStore.open(driver=driver) as other:
        assert await other.session(ID).get("a") == 1, "a driver handed in was closed"
    assert driver.closed == 0


async def test_a_driver_made_from_a_url_is_closed_with_its_store() -> None:
    store = await SessionStore.open("memory://")
    await store.session(ID).set("a", 1)
    driver = store._driver
    await store.aclose()
    async with SessionStore.open(driver=driver) as other:
        assert not await other.session(ID).exists()


@pytest.mark.parametrize("error", [InvalidOption("no"), asyncio.CancelledError()])
async def test_what_fails_to_open_stays_closed_until_it_is_tried_again(error: BaseException) -> None:
    driver = _Watched(error)
    store = SessionStore.open(driver=driver)
    with pytest.raises(type(error)):
        await store
    with pytest.raises(StoreClosed):
        await store.session(ID).load()
    driver._error = None
    async with store:
        assert await store.session(ID).increment("n") == 1
    assert driver.opened == 2


async def test_a_store_that_is_not_open_answers_nothing(driver: MemoryDriver, sent: list[Command]) -> None:
    new = SessionStore.open(driver=driver)
    async with SessionStore.open(driver=driver) as closed:
        turn = closed.turn(ID)
        await turn.__aenter__()
        sent.clear()
    for store in (new, closed):
        calls = (
            store.session(ID).load(),
            store.session(ID).set("a", 1),
            store.session(ID).delete(),
            store.turn(ID).__aenter__(),
            store.run(ID, _nothing),
            store.globals.get("a"),
            anext(aiter(store.ids())),
            anext(aiter(store.watch())),
        )
        for call in calls:
            with pytest.raises(StoreClosed):
                await call
    with pytest.raises(UsageError):
        await closed
    assert sent == []
    # A turn that outlives its store cannot commit, and says so.
    turn.state["a"] = 1
    with pytest.raises(StoreClosed):
        await turn.__aexit__(None, None, None)


async def _nothing(turn: Turn) -> None:
    return None


async def test_a_store_belongs_to_its_loop(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        refused: list[BaseException] = []

        def elsewhere() -> None:
            for call in (store.session(ID).load, store.globals.load, store.turn(ID).__aenter__):
                try:
                    asyncio.run(call())  # type: ignore[arg-type]  # each is a coroutine
                except WrongLoop as error:
                    refused.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert len(refused) == 3


def test_reprs_tell_place_and_state_and_no_more(driver: MemoryDriver) -> None:
    store = SessionStore.open("hazelcast://host:5701/private-cluster?namespace=shop")
    assert repr(store) == "<SessionStore HazelcastDriver shop (new)>"


# --- over many sessions -----------------------------------------------------------------------------------------------


async def test_ids_turns_pages(driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    scan = driver.scan

    async def paged(space: Any, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Any:
        limits.append(limit)
        return await scan(space, prefix, cursor=cursor, limit=3)

    monkeypatch.setattr(driver, "scan", paged)
    async with SessionStore.open(driver=driver) as store:
        for number in range(10):
            await store.session(f"line:{number}").set("a", 1)
        assert sorted([session_id async for session_id in store.ids("line:")]) == [f"line:{n}" for n in range(10)]
        assert len(limits) == 4


async def test_watch_begins_with_a_gap_and_hints_at_revisions(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        changes = store.watch("line:")
        assert await anext(changes) == SessionChange(None, None)
        await store.session("telegram:1").set("a", 1)
        made = await store.session("line:1").update(a=1)
        assert await anext(changes) == SessionChange("line:1", made.revision)
        await store.session("line:1").delete()
        hint = await anext(changes)
        assert hint.id == "line:1"
        assert isinstance(hint.revision, Revision)
        await changes.aclose()  # type: ignore[attr-defined]  # it is an async generator


async def test_a_watcher_that_falls_behind_is_told_of_the_gap(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        changes = store.watch()
        await anext(changes)
        for number in range(2_000):
            await store.session(f"line:{number}").set("a", 1)
        seen = [await anext(changes)]
        while seen[-1].id != "line:1999":
            seen.append(await anext(changes))
        assert seen[0] == SessionChange(None, None)
        assert len(seen) < 2_000
        await changes.aclose()  # type: ignore[attr-defined]  # it is an async generator


async def test_run_gives_what_the_handler_gives_and_raises_what_it_raises(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:

        async def count(turn: Turn) -> int:
            turn.state["n"] = turn.state.get("n", 0) + 1
            return int(turn.state["n"])

        async def fail(turn: Turn) -> None:
            turn.state["n"] = 100
            raise ZeroDivisionError

        assert [await store.run(ID, count), await store.run(ID, count)] == [1, 2]
        with pytest.raises(ZeroDivisionError):
            await store.run(ID, fail)
        assert await store.session(ID).get("n") == 2


async def test_run_does_not_wait_for_a_turn(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store, store.turn(ID) as turn:

        async def handler(shared: Turn) -> None:
            shared.state["b"] = 1

        await store.run(ID, handler, wait=0)
        turn.state["a"] = 1
        await turn.commit()
        assert dict(await store.session(ID).load()) == {"a": 1, "b": 1}


async def test_run_gives_up_when_its_time_is_over(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:
        for wait, least in ((0, 1), (0.05, 2)):
            runs = []

            async def handler(turn: Turn, runs: list[int] = runs) -> None:
                runs.append(1)
                await store.session(ID).increment("n")
                turn.state["n"] = 0

            with pytest.raises(Conflict):
                await store.run(ID, handler, wait=wait)
            assert len(runs) >= least
            if wait == 0:
                assert len(runs) == 1


async def test_run_of_a_message_takes_effect_once(driver: MemoryDriver) -> None:
    async with SessionStore.open(driver=driver) as store:

        async def handler(turn: Turn) -> bool:
            if not turn.repeated:
                turn.state["n"] = turn.state.get("n", 0) + 1
            return turn.repeated

        told = await asyncio.gather(*(store.run(ID, handler, message="m1") for _ in range(5)))
        assert sorted(told) == [False, True, True, True, True]
        assert await store.session(ID).get("n") == 1


# --- the memory driver ------------------------------------------------------------------------------------------------


async def test_the_least_recently_used_session_makes_room() -> None:
    driver = MemoryDriver(max_size=3)
    async with SessionStore.open(driver=driver) as store:
        for number in range(3):
            await store.session(f"line:{number}").set("a", 1)
        await store.session("line:0").get("a")
        await store.session("line:3").set("a", 1)
        assert sorted([session_id async for session_id in store.ids()]) == ["line:0", "line:2", "line:3"]
        assert driver.evicted == 1
        await store.globals.set("a", 1)
        assert driver.evicted == 1, "each space has its own room"


async def test_what_has_ended_is_forgotten(clock: ManualClock) -> None:
    driver = MemoryDriver(clock=clock)
    async with SessionStore.open(driver=driver, policy=Policy(ttl=60)) as store:
        for number in range(100):
            await store.session(f"line:{number}").set("a", 1)
        clock.advance(59)
        await store.session("line:0").set("a", 2)
        clock.advance(60)
        await store.session("line:100").set("a", 1)
        held = next(iter(driver._spaces.values()))
        assert set(held) == {"line:0", "line:100"}
        clock.advance(120)
        await store.session("line:101").set("a", 1)
        assert set(held) == {"line:101"}


class Failing(MemoryDriver):
    """Opens when `go` is set, or fails; remembers whether it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.error = error
        self.closed = False

    async def open(self) -> None:
        await self.go.wait()
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()


async def test_a_driver_handed_in_is_not_closed_also_when_opening_fails() -> None:
    driver = Failing(ConnectFailed("nobody listens"))
    driver.go.set()
    with pytest.raises(ConnectFailed):
        await SessionStore.open(driver=driver)
    assert not driver.closed


def test_what_a_driver_asks_by_itself_ends_by_the_stores_deadline_too(tmp_path: Path) -> None:
    def seconds(url: str, policy: Policy | None = None) -> object:
        driver = SessionStore.open(url, policy=policy)._driver
        assert isinstance(driver, FileDriver)
        return driver.deadline

    assert seconds(f"file://{tmp_path}") == 10
    assert seconds(f"file://{tmp_path}?deadline=3") == 3
    assert seconds(f"file://{tmp_path}?deadline=3", Policy(deadline=dt.timedelta(seconds=2))) == 2


async def test_a_store_closed_while_it_opens_stays_closed() -> None:
    driver = Failing()
    store = SessionStore.open(driver=driver)
    opening = [asyncio.ensure_future(store.connect()) for _ in range(2)]
    await asyncio.sleep(0)
    await store.aclose()
    driver.go.set()
    for each in opening:
        with pytest.raises(StoreClosed):
            await each
    with pytest.raises(StoreClosed):
        await store.session("line:U1").load()


async def test_who_connects_meanwhile_waits_and_after_a_failure_tries_again() -> None:
    driver = Failing(ConnectFailed("nobody listens"))
    store = SessionStore.open(driver=driver)
    first, second = (asyncio.ensure_future(store.connect()) for _ in range(2))
    await asyncio.sleep(0)
    driver.go.set()
    for each in (first, second):
        with pytest.raises(ConnectFailed):
            await each
    driver.error = None
    assert await store.connect() is store
    assert await store.session("line:U1").increment("n") == 1
    await store.aclose()
    with pytest.raises(StoreClosed, match="not opened again"):
        await store.connect()


async def test_a_place_that_was_down_is_opened_by_url_again(tmp_path: Path) -> None:
    place = tmp_path / "sessions"
    place.write_text("in the way")
    store = SessionStore.open(f"file://{place}")
    with pytest.raises(Unavailable):
        await store
    place.unlink()
    async with store:
        assert await store.session("line:U1").increment("n") == 1


async def test_a_watch_ends_when_its_store_is_closed() -> None:
    store = await SessionStore.open("memory://")
    changes = store.watch()
    assert (await anext(changes)).id is None
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await store.aclose()
    with pytest.raises(StoreClosed):
        await waiting


async def test_hooks_hear_of_commands_on_memory_too() -> None:
    heard: list[object] = []
    async with SessionStore.open("memory://", hooks=[heard.append]) as store:
        await store.session("line:U1").set("n", 1)
    assert [(type(event).__name__, getattr(event, "command", None)) for event in heard] == [("CommandDone", "Commit")]


async def test_memory_gives_room_back_when_sessions_end_early_and_never_drops_a_held_one() -> None:
    clock = ManualClock()
    driver = MemoryDriver(clock=clock, max_size=2)
    async with SessionStore.open(driver=driver, policy=Policy(ttl=30 * 86400)) as store:
        async with store.turn("line:held", wait=0):
            for number in range(5):
                await store.session(f"line:{number}").set("n", number)
            with pytest.raises(Leased):
                async with store.turn("line:held", wait=0):
                    pass
        assert driver.evicted == 4
        await store.session("line:4").delete()
        clock.advance(3_600)
        await store.session("line:other").exists()
        assert sum(map(len, driver._spaces.values())) == 0


# --- ids of operations ------------------------------------------------------------------------------------------------


def _op_ids(count: int) -> list[str]:
    """Of so many changes in a store of its own."""
    sent: list[str] = []

    class Noting(MemoryDriver):
        async def execute(self, space: Any, session_id: str, command: Any, *, deadline: float | None = None) -> Any:
            sent.append(command.op_id.hex())
            return await super().execute(space, session_id, command, deadline=deadline)

    async def change() -> None:
        async with SessionStore.open(driver=Noting()) as store:
            for _ in range(count):
                await store.session(ID).increment("n")

    asyncio.run(change())
    return sent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_no_op_id_comes_twice_also_in_a_forked_child() -> None:
    before = _op_ids(5)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, "".join(_op_ids(100)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    ours, theirs = before + _op_ids(200), [text[at : at + 32] for at in range(0, len(text), 32)]

    assert {len(op_id) for op_id in ours + theirs} == {32}
    assert len(set(ours + theirs)) == 305
