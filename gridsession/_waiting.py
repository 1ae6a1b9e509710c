"""When a waiter for a session's lease asks again. The order is the place's queue alone; this only saves time.

Where the driver tells its waiters that it is their turn, a waiter asks when it is told, and now and then by itself: to
keep its place, and because what is told may be lost. Elsewhere a turn that ends in this process wakes the next waiters
of this process; the first in the queue asks often, and those far behind when about half of the turns before them should
be over. Either way the first ask again when the lease ends by its time, for then nobody says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from gridsession._reply import Grant

if TYPE_CHECKING:
    from gridsession._link import Link

PATIENCE_MS: Final = 3_000
"""How long a waiter that stopped asking keeps its place: longer than the longest pause between two questions."""

_NEAR: Final = 2
_TOLD_PAUSE: Final = 0.8
"""Longest pause of one who is told. A place is kept up by a question that finds less than half of its time left, so of
all pauses this one leaves the most of it: 1.4 s."""
_QUICK: Final = (0.001, 0.002, 0.004, 0.008)
_POLL: Final = 0.05
_LONGEST_PAUSE: Final = 0.5
_TURN_GUESS: Final = 0.005


class Waits:
    """Who waits in this process without being told by the driver, by session."""

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

    def __init__(self, link: Link, session_id: str, request_id: bytes) -> None:
        self._place = 0
        self._link = link
        self._id = session_id
        self._request_id = request_id
        self._woken = asyncio.Event()
        self._told = False
        self._quick = iter(_QUICK)
        self._pace = _TURN_GUESS
        self._last = 0.0

    def wake(self) -> None:
        """Asking again makes sense now."""
        self._woken.set()

    async def until_worth_asking(self, grant: Grant, now: int, left: float) -> None:
        """Wait, at most `left` seconds, until asking again makes sense.

        Args:
            grant: the last answer.
            now: the place's clock at that answer, ms.
        """
        told, began = self._link.driver.expect_grant(self._request_id, self.wake), not self._last
        if began or told != self._told:
            self._told = told
            (self._link.waits.remove if told else self._link.waits.add)(self._id, self)
        pause = self._pause(grant)
        if told:
            pause = _TOLD_PAUSE
        if grant.place <= _NEAR:
            # When the lease ends; or, if it is free and kept for who is first, when that one's place ends.
            pause = min(pause, max(grant.until - now, 0) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left)):
                await self._woken.wait()
        self._woken.clear()

    def _pause(self, grant: Grant) -> float:
        """How long to wait if nobody tells."""
        now = time.monotonic()
        moved = self._place - grant.place
        if self._last and moved > 0:
            self._pace = (now - self._last) / moved
        elif self._last:
            self._pace *= 2
        self._place, self._last = grant.place, now
        if grant.place > _NEAR:
            return min(self._pace * grant.place / 2, _LONGEST_PAUSE)
        return next(self._quick, _POLL)

    def close(self) -> None:
        """Stop waiting."""
        self._link.waits.remove(self._id, self)
        self._link.driver.forget_grant(self._request_id)
