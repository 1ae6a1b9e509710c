"""The blocking face: the same store in a thread of its own; Ctrl-C, fork, closing and handlers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gridsession import Policy
from gridsession._portal import Portal
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import Conflict, ConnectFailed, StoreClosed, Unavailable, UsageError, WrongLoop
from gridsession.sync import SessionStore, Turn

ID = "line:U1"


@pytest.fixture(params=["uvloop", "asyncio"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionStore]:
    if request.param == "asyncio":
        # As where uvloop is not installed.
        monkeypatch.setitem(sys.modules, "uvloop", None)
    with SessionStore.open("memory://", policy=Policy(lease=5, wait=5)) as opened:
        yield opened


def _portals() -> int:
    return sum(thread.name == "gridsession-portal" for thread in threading.enumerate())


def test_verbs_turns_globals_and_iterators_do_as_the_async_ones(store: SessionStore) -> None:
    session = store.session(ID)
    assert dict(session.update(a=1)) == {"a": 1}
    with store.turn(ID) as turn:
        turn.state["b"] = turn.state["a"] + 1
        assert turn.session.get("a", type=int) == 1
    assert (session.increment("b"), session.props.setdefault("vip", True)) == (3, True)
    store.globals.set("rate", 2.5)
    assert store.globals.get("rate", type=float) == 2.5
    assert list(store.ids("line:")) == [ID]
    changes = store.watch()
    assert next(changes).id is None
    session.set("a", 2)
    assert next(changes).id == ID
    changes.close()


def test_a_coroutine_of_the_async_face_is_run_on_the_stores_loop(store: SessionStore) -> None:
    async def work() -> int:
        async with store.aio.turn(ID) as turn:
            turn.state["n"] = 1
        return int(await store.aio.session(ID).increment("n"))

    assert store.call(work()) == 2


def test_what_is_no_coroutine_is_refused_and_not_waited_for(store: SessionStore) -> None:
    wrong: Any
    for wrong in (5, None, store.aio.session("line:U1").load):
        with pytest.raises(UsageError, match="a coroutine is run here"):
            store.call(wrong)
    assert store.session("line:U1").get("a") is None


def test_a_handler_runs_on_the_callers_thread_and_again_on_conflict(store: SessionStore) -> None:
    threads, runs = [], 0

    def handler(turn: Turn) -> str:
        nonlocal runs
        threads.append(threading.current_thread())
        runs += 1
        turn.state["n"] = turn.state.get("n", 0) + 1
        if runs == 1:
            store.session(ID).set("n", 10)
        return f"Count: {turn.state['n']}"

    assert store.run(ID, handler) == "Count: 11"
    assert (runs, set(threads)) == (2, {threading.current_thread()})


@pytest.mark.parametrize("error", [ValueError, StopIteration, Conflict])
def test_what_a_handler_raises_ends_the_run_and_writes_nothing(store: SessionStore, error: type[Exception]) -> None:
    def handler(turn: Turn) -> None:
        turn.state["n"] = 1
        raise error("of the handler")

    expected = RuntimeError if error is StopIteration else error
    with pytest.raises(expected):
        store.run(ID, handler, wait=0)
    assert not store.session(ID).exists()


def test_a_hundred_turns_from_ten_threads_are_a_hundred(store: SessionStore) -> None:
    def work() -> None:
        for _ in range(10):
            with store.turn(ID, wait=30) as turn:
                turn.state["n"] = turn.state.get("n", 0) + 1

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.session(ID).get("n") == 100


def test_ctrl_c_ends_the_call_and_leaves_nothing_held(store: SessionStore) -> None:
    # A shell's background jobs ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with store.turn(ID):
            pressed = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            pressed.start()
            with pytest.raises(KeyboardInterrupt), store.turn(ID, wait=30):
                pytest.fail("the session is held")
    finally:
        signal.signal(signal.SIGINT, before)
    with store.turn(ID, wait=0):
        pass


def test_interrupted_when_it_was_just_entered_a_turn_is_left(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Portal.call

    def interrupted(portal: Portal, work: Any) -> Any:
        call(portal, work)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Portal, "call", interrupted)
    with pytest.raises(KeyboardInterrupt), store.turn(ID):
        pytest.fail("the block ran")
    with store.turn(ID, wait=0):
        pass


def test_what_ends_a_program_ends_its_call_alone(store: SessionStore) -> None:
    async def leave() -> None:
        sys.exit(3)

    with pytest.raises(SystemExit, match="3"):
        store.call(leave())
    assert store.session(ID).increment("n") == 1


def test_closing_ends_what_other_threads_wait_for() -> None:
    store = SessionStore.open("memory://", policy=Policy(lease=60, wait=60)).connect()
    outcomes: list[BaseException] = []
    waiting = threading.Event()

    def wait_for_the_session() -> None:
        waiting.set()
        try:
            with store.turn(ID):
                pass
        except Exception as error:  # noqa: BLE001 - looked at below
            outcomes.append(error)

    def watch() -> None:
        try:
            for _ in store.watch():
                pass
        except Exception as error:  # noqa: BLE001 - looked at below
            outcomes.append(error)

    held = store.turn(ID)
    held.__enter__()
    threads = [threading.Thread(target=wait_for_the_session), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    waiting.wait()
    store.close()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert [type(error) for error in outcomes] == [StoreClosed, StoreClosed]


def test_calls_that_race_with_close_end_in_an_answer_or_an_error() -> None:
    for _ in range(30):
        store = SessionStore.open("memory://").connect()
        barrier = threading.Barrier(3)

        def call(store: SessionStore = store, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                while True:
                    store.session(ID).exists()
            except StoreClosed:
                pass

        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        barrier.wait()
        store.close()
        for thread in threads:
            thread.join(timeout=20)
            assert not thread.is_alive()


def test_a_connect_that_fails_leaves_no_thread() -> None:
    class Unreachable(MemoryDriver):
        async def open(self) -> None:
            raise ConnectFailed("nobody listens")

    before = _portals()
    with pytest.raises(ConnectFailed), SessionStore.open(driver=Unreachable()):
        pytest.fail("it cannot be entered")
    SessionStore.open("memory://")
    assert _portals() == before


def test_a_place_that_was_down_is_opened_again_also_by_threads_at_once(tmp_path: Path) -> None:
    place = tmp_path / "sessions"
    place.write_text("in the way")
    store = SessionStore.open(f"file://{place}")
    before = _portals()
    session = store.session(ID)
    with pytest.raises(Unavailable):
        store.connect()
    assert _portals() == before
    place.unlink()
    with ThreadPoolExecutor(4) as threads:
        for connecting in [threads.submit(store.connect) for _ in range(4)]:
            assert connecting.result(timeout=20) is store
    assert session.increment("n") == 1
    store.close()
    assert _portals() == before


def test_a_coroutine_function_is_no_handler_of_a_blocking_store(store: SessionStore) -> None:
    async def handler(expired: object) -> None:
        pytest.fail("nobody could await this")

    with pytest.raises(UsageError, match="plain functions"):
        store.on_expire(handler)


def test_before_and_after_it_is_open_every_call_says_so() -> None:
    store = SessionStore.open("memory://")
    with pytest.raises(StoreClosed):
        store.session(ID).load()
    with store:
        assert store.session(ID).load() == {}
    with pytest.raises(StoreClosed):
        store.session(ID).load()
    store.close()


def test_on_its_own_thread_a_blocking_call_is_refused(store: SessionStore) -> None:
    refused: list[BaseException] = []

    def on_loop() -> None:
        try:
            store.session(ID).load()
        except UsageError as error:
            refused.append(error)

    assert store.aio.loop is not None
    store.aio.loop.call_soon_threadsafe(on_loop)
    until = time.monotonic() + 10
    while not refused:
        assert time.monotonic() < until
    assert "would wait for itself" in str(refused[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_and_opens_a_store_of_its_own(store: SessionStore) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = b"no error"
        try:
            store.session(ID).load()
        except WrongLoop:
            with SessionStore.open("memory://") as own:
                outcome = str(own.session(ID).increment("n")).encode()
        finally:
            os.write(writing, outcome)
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_another_thread_makes_a_call_is_told_too(store: SessionStore) -> None:
    reading, writing = os.pipe()
    with store._portal._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            try:
                store.session(ID).load()
            except WrongLoop:
                os.write(writing, b"told")
            finally:
                os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"told"
