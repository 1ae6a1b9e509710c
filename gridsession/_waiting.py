"""When a waiter for a session's lease asks again. The order is the place's queue alone; this only saves time.

Three things wake a waiter. A turn that ends in this process wakes the next waiters of this process at once. The first
in the queue is woken by a pushed event from wherever the session changes, once a few quick questions found the lease
taken. And each asks again by itself: those far behind when about half of the turns before them should be over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from gridsession._logs import hashed, logger
from gridsession._reply import Grant
from gridsession.errors import GridSessionError

if TYPE_CHECKING:
    from gridsession._link import Link

PATIENCE_MS: Final = 3_000
"""How long a waiter that stopped asking keeps its place: longer than the longest pause between two questions."""

_QUICK: Final = (0.001, 0.002, 0.004, 0.008)
_NEAR: Final = 2
_TURN_GUESS: Final = 0.005
_LONGEST_PAUSE: Final = 0.5
_POLL: Final = 0.05

_log = logger("turn")


class Waits:
    """Who waits in this process, by session."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[Wait]] = {}

    def add(self, session_id: str, wait: Wait) -> None:
        """A waiter begins to wait."""
        self._by_id.setdefault(session_id, []).append(wait)

    def remove(self, session_id: str, wait: Wait) -> None:
        """A waiter is done, if it had begun."""
        waits = self._by_id.get(session_id, [])
        if wait in waits:
            waits.remove(wait)
        if not waits:
            self._by_id.pop(session_id, None)

    def freed(self, session_id: str) -> None:
        """A turn of this process ended: wake the next two, one to have the lease and one to know that it is next."""
        # They stand in the order in which they queued: the places they were last told are of different times.
        for wait in self._by_id.get(session_id, ())[:_NEAR]:
            wait.wake()


class Wait:
    """One waiter's pauses between two questions."""

    def __init__(self, link: Link, session_id: str) -> None:
        self._place = 0
        self._link = link
        self._id = session_id
        self._woken = asyncio.Event()
        self._quick = iter(_QUICK)
        self._pace = _TURN_GUESS
        self._last = 0.0
        self._watching: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Asking again makes sense now."""
        self._woken.set()

    async def until_worth_asking(self, grant: Grant, left: float) -> None:
        """Wait, at most `left` seconds, until asking again makes sense."""
        if not self._last:
            self._link.waits.add(self._id, self)
        now = time.monotonic()
        moved = self._place - grant.place
        if self._last and moved > 0:
            self._pace = (now - self._last) / moved
        elif self._last:
            self._pace *= 2
        self._place, self._last = grant.place, now
        pause = self._near() if grant.place <= _NEAR else min(self._pace * grant.place / 2, _LONGEST_PAUSE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left)):
                await self._woken.wait()
        self._woken.clear()

    def _near(self) -> float:
        quick = next(self._quick, None)
        if quick is not None:
            return quick
        if not self._link.driver.promise.pushes:
            return _POLL
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="gridsession-wait")
        return _LONGEST_PAUSE

    async def _watch(self) -> None:
        try:
            async for _ in self._link.driver.watch(self._link.space, session_id=self._id):
                self.wake()
        except GridSessionError as error:
            # Asking again every half second is the fallback.
            _log.info("turn.not_pushed", session=hashed(self._id), error=type(error).__name__)

    async def aclose(self) -> None:
        """Stop waiting."""
        self._link.waits.remove(self._id, self)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
