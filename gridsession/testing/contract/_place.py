"""What the cases of the contract stand on: a place of their own, its clock, and an event loop for each case."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, Protocol

from gridsession._commands import NEVER, Acquire, Command, Commit, Guard, Load, Operation, TtlMode, Want
from gridsession._link import new_id
from gridsession._reply import Reply
from gridsession._store import SessionStore
from gridsession.drivers import Driver, Promise, Reach, Space
from gridsession.hooks import Hook
from gridsession.policy import Policy
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract._workers import Workers

ID: Final = "test:1"
CASE_SECONDS: Final = 60
"""When a case that hangs is ended."""
SOON: Final = 5.0
"""Seconds within which a change must be heard of."""


class Suite(Protocol):
    """What a subclass of the contract gives."""

    def make_driver(self, clock: ManualClock | None) -> Driver: ...

    def worker_url(self) -> str: ...

    workers: Workers


class Place:
    """One case's place: a driver, opened, and a namespace nobody else uses."""

    def __init__(self, suite: Suite, stack: contextlib.AsyncExitStack) -> None:
        clock = ManualClock()
        self.namespace = f"case-{secrets.token_hex(6)}"
        self.space = Space(self.namespace)
        self.driver: Driver = suite.make_driver(clock)
        self.clock = clock if self.driver.promise.own_clock else None
        self._suite = suite
        self._stack = stack

    @property
    def promise(self) -> Promise:
        return self.driver.promise

    @property
    def worker_url(self) -> str:
        return self._suite.worker_url()

    @property
    def workers(self) -> Workers:
        return self._suite.workers

    async def open(self, driver: Driver) -> Driver:
        self._stack.push_async_callback(driver.aclose)
        await driver.open()
        return driver

    async def another(self) -> Driver:
        """A second driver to the same place; where a place is inside its driver, that one."""
        if self.promise.atomic is Reach.PROCESS:
            return self.driver
        return await self.open(self._suite.make_driver(self.clock))

    async def in_real_time(self) -> Driver:
        """A driver to the same place that keeps the real time, as worker processes do."""
        if self.promise.atomic is Reach.PROCESS or not self.promise.own_clock:
            return self.driver
        return await self.open(self._suite.make_driver(None))

    async def store(
        self, policy: Policy | None = None, *, driver: Driver | None = None, hooks: Iterable[Hook] = ()
    ) -> SessionStore:
        store = SessionStore.open(driver=driver or self.driver, policy=policy, namespace=self.namespace, hooks=hooks)
        return await self._stack.enter_async_context(store)

    # --- commands by hand --------------------------------------------------------------------------------------------

    async def ask(self, command: Command, session_id: str = ID) -> Reply:
        return await self.driver.execute(self.space, session_id, command)

    def commit(self, *operations: Operation, guards: Iterable[Guard] = (), **more: Any) -> Commit:
        """A commit with a fresh op id that may be applied for a second."""
        more = {"want": Want.REVISION, **more}
        return Commit(new_id(), self.not_after(), operations, tuple(guards), **more)

    def not_after(self) -> int:
        return self.driver.not_after(1_000)

    async def inspect(self, session_id: str = ID) -> Reply:
        return await self.ask(Load(Want.REVISION), session_id)

    async def create(self, session_id: str = ID, *operations: Operation, ttl: int = NEVER) -> Reply:
        """A session made by hand; `ttl` in ms."""
        return await self.ask(self.commit(*operations, created_ttl=ttl, ttl_mode=TtlMode.RESTART), session_id)

    async def acquire(
        self, request_id: bytes | None = None, *, duration: int = 30_000, patience: int = 0, session_id: str = ID
    ) -> Reply:
        asked = Acquire("contract", request_id or new_id(), duration, patience)
        return await self.ask(Load(acquire=asked, confirm=True, not_after=self.not_after()), session_id)

    async def waiting(self, session_id: str = ID) -> int:
        """How many wait for a session that is held."""
        reply = await self.acquire(session_id=session_id)
        assert reply.grant is not None
        assert not reply.grant.token, "nobody held the session"
        return reply.grant.place - 1

    # --- time --------------------------------------------------------------------------------------------------------

    async def now(self, session_id: str = ID) -> int:
        """What the place stamps now on a command to that session. On a cluster each member has its own idea of the
        time, some ms apart, or more after a start on a busy machine; so it is asked where the session lives."""
        return (await self.inspect(session_id)).now

    async def moments(self, due: int, session_id: str = ID) -> AsyncIterator[None]:
        """Moments up to and beyond `due` (ms of the session's clock): with a clock of our own the last one before it
        and that very one, else whatever comes, as fast as the place answers."""
        if self.clock is not None:
            for moment in (due - 1, due):
                if moment > self.clock():
                    self.clock.advance((moment - self.clock()) / 1000)
                yield
            return
        while True:
            passed = await self.now(session_id) >= due
            yield
            if passed:
                return
            await asyncio.sleep(0.005)

    async def pass_until(self, due: int, session_id: str = ID) -> None:
        """Return once the session's clock shows `due`."""
        async for _ in self.moments(due, session_id):
            pass


def case(work: Callable[[Any, Place], Awaitable[None]]) -> Callable[[Any], None]:
    """A plain test method of an async case: a new loop, driver and namespace for each."""

    @functools.wraps(work)
    def test(suite: Any) -> None:
        asyncio.run(_run(suite, work))

    # pytest looks through it and would take `place` for a fixture.
    del test.__wrapped__
    return test


async def _run(suite: Any, work: Callable[[Any, Place], Awaitable[None]]) -> None:
    async with asyncio.timeout(CASE_SECONDS), contextlib.AsyncExitStack() as stack:
        place = Place(suite, stack)
        await place.open(place.driver)
        await work(suite, place)


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = SOON) -> None:
    """Wait for a condition, asked again and again; AssertionError if it does not come."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while not await condition():
        assert loop.time() < ends, f"did not come within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)
