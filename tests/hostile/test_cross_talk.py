"""Calls that are given up between calls that go on: nobody ever gets an answer that was meant for somebody else.

(CVE-2023-28858: in a client of another store, a cancelled call left its answer on the connection for the next caller.)
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from types import FrameType

import pytest

from gridsession.errors import GridSessionError
from gridsession.sync import Session as BlockingSession
from tests.hostile.conftest import PLACES, Place

CANCELLED = 1_000
LIVE = 6
# Those whose calls can be given up half-way; files and LMDB answer from a thread, one after another.
KINDS = [kind for kind in PLACES if kind not in ("file", "lmdb")]


@pytest.mark.parametrize("place", KINDS, indirect=True)
async def test_a_thousand_cancelled_calls_between_live_ones(place: Place) -> None:
    draw = random.Random(6)
    async with place.open() as store:

        async def live(caller: int) -> int:
            session, calls = store.session(f"test:live-{caller}"), 0
            while not done.is_set() or not calls:
                await session.set("mine", f"live-{caller}-{calls}")
                assert await session.get("mine") == f"live-{caller}-{calls}"
                assert (await session.load()).get("mine") == f"live-{caller}-{calls}"
                calls += 1
                # Memory answers at once, and would let nobody else in.
                await asyncio.sleep(0)
            return calls

        async def doomed(number: int) -> None:
            session = store.session(f"test:doomed-{number % 50}")
            for step in range(10):
                await session.set("mine", f"doomed-{number % 50}-{number}-{step}")
                assert str(await session.get("mine")).startswith(f"doomed-{number % 50}-")
                await asyncio.sleep(0)

        done = asyncio.Event()
        callers = [asyncio.create_task(live(caller)) for caller in range(LIVE)]
        cancelled = 0
        while cancelled < CANCELLED:
            batch = [asyncio.create_task(doomed(cancelled + index)) for index in range(50)]
            for task in batch:
                # At all moments of a call: before it is sent, under way, while others are answered.
                if draw.random() < 0.2:
                    await asyncio.sleep(draw.choice((0, 0, 0.0002)))
                task.cancel()
            ended = await asyncio.gather(*batch, return_exceptions=True)
            faults = [end for end in ended if not isinstance(end, asyncio.CancelledError | None)]
            assert faults == []
            cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ended)
        done.set()
        calls = await asyncio.gather(*callers)
        assert min(calls) >= 1
        assert sum(calls) >= LIVE
        for number in range(50):
            found = await store.session(f"test:doomed-{number}").get("mine")
            assert found is None or found.startswith(f"doomed-{number}-")


class Interrupted(Exception):
    """What the signal raises in whatever the main thread does, as Ctrl-C would."""


class Interrupts:
    """Breaks off what the main thread does between `begin` and `end`, after a while, and never outside of them."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._armed = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._main = threading.get_ident()

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGUSR1, self._raise)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._armed.set()
        self._thread.join()
        signal.signal(signal.SIGUSR1, self._before)

    def begin(self) -> None:
        """From now on."""
        self._armed.set()

    def end(self) -> None:
        """No more; returns when none is under way."""
        self._armed.clear()
        with self._lock:
            pass

    def _run(self) -> None:
        while not self._over:
            self._armed.wait()
            time.sleep(self._draw.uniform(0.00005, 0.002))
            with self._lock:
                if self._armed.is_set() and not self._over:
                    self._armed.clear()
                    signal.pthread_kill(self._main, signal.SIGUSR1)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        raise Interrupted


# An exception out of nowhere may hit a coroutine that has not begun, or the end of one: Python then warns of it.
@pytest.mark.parametrize("place", KINDS, indirect=True)
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupted_blocking_calls_between_live_ones(place: Place) -> None:
    """One blocking store for several threads; in the main one, calls are broken off by a signal as by Ctrl-C."""
    done, faults, calls = threading.Event(), list[str](), list[int]()
    broken = 0
    with place.open_blocking() as store:

        def live(caller: int) -> None:
            session, count = store.session(f"test:live-{caller}"), 0
            try:
                while not done.is_set() or not count:
                    session.set("mine", f"live-{caller}-{count}")
                    found = session.get("mine")
                    if found != f"live-{caller}-{count}":
                        faults.append(f"{caller} got {found}")
                    count += 1
            except GridSessionError as error:
                faults.append(f"{caller} got {error!r}")
            calls.append(count)

        threads = [threading.Thread(target=live, args=(caller,)) for caller in range(4)]
        for thread in threads:
            thread.start()
        try:
            with Interrupts(random.Random(7)) as interrupts:
                for number in range(150):
                    broken += _broken_off(store.session(f"test:doomed-{number % 10}"), number, interrupts)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        for number in range(10):
            found = store.session(f"test:doomed-{number}").get("mine")
            assert found is None or found.startswith(f"doomed-{number}-")
    assert faults == []
    assert broken >= 20
    assert len(calls) == 4


def _broken_off(session: BlockingSession, number: int, interrupts: Interrupts) -> bool:
    """Write and read back until it is done or broken off; whether it was."""
    try:
        interrupts.begin()
        session.set("mine", f"doomed-{number % 10}-{number}")
        found = session.get("mine")
        interrupts.end()
    except Interrupted:
        interrupts.end()
        return True
    assert found == f"doomed-{number % 10}-{number}"
    return False
