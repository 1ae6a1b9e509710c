"""Where a compare-and-swap driver finds expired sessions that somebody wants to be told of: it looks at all records.

Each process looks for itself, so that several may find the same ones. They are given in the order in which they came
due, about, so that claimers who meet do not meet at each of them; who comes second finds them claimed and leaves them.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from typing import TYPE_CHECKING, Final

from gridsession._identity import Space
from gridsession._record import announce_at
from gridsession.drivers import Due

if TYPE_CHECKING:
    from gridsession.drivers._swap import SwapDriver

LOOK_EVERY: Final = 2.0
"""Seconds between two looks; longer if looking takes more than a tenth of that."""
_AHEAD: Final = 30_000
"""What is due within so many ms is kept, or before the next look if that is later."""
_PAGE: Final = 500
_MOST: Final = 20_000
_RESERVED: Final = 5_000
"""For so many ms what was given is not given again by this process."""
_STEP: Final = 1_000
"""Within so many ms their order does not count."""
_SOON: Final = 0.25


class DueFinder:
    """What one process knows of the expired sessions of one space."""

    def __init__(self, driver: SwapDriver, space: Space) -> None:
        self._driver = driver
        self._space = space
        self._at: dict[str, int] = {}
        self._next_look = 0.0
        self._clock = 0.0
        self._looking = asyncio.Lock()

    async def due(self, limit: int) -> Due:
        """Ids due by now, after a new look where it is time for one.

        Raises:
            Unavailable: the place gave no answer.
        """
        loop = asyncio.get_running_loop()
        async with self._looking:
            if loop.time() >= self._next_look:
                await self._look()
        now = int(loop.time() * 1000 + self._clock)
        ready = [name for name, at in self._at.items() if at <= now]
        ready = heapq.nsmallest(limit, ready, key=lambda name: (self._at[name] // _STEP, random.random()))  # noqa: S311
        for name in ready:
            self._at[name] = now + _RESERVED
        return Due(ready, 0 if len(ready) == limit else _SOON)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        began, cursor, now = loop.time(), None, 0
        found: dict[str, int] = {}
        while True:
            page = await self._driver.patiently(
                lambda at=cursor: self._driver.page(self._space, "", at, _PAGE)  # type: ignore[misc]  # bound here
            )
            now = page.now
            for _, data in page.records:
                at, name = announce_at(data)
                if at is not None:
                    found[name] = at
            if len(found) > 2 * _MOST:
                found = _first(found)
            cursor = page.cursor
            if cursor is None:
                break
        pause = max(self._driver.look_every, (loop.time() - began) * 10)
        # Only now is it known how long this has to do.
        until = now + max(_AHEAD, int(pause * 1000))
        # What was given a moment ago stays reserved; what is no longer there was taken care of.
        self._at = {name: max(at, self._reserved(name, now)) for name, at in _first(found).items() if at <= until}
        self._clock = now - loop.time() * 1000
        self._next_look = loop.time() + pause

    def _reserved(self, name: str, now: int) -> int:
        at = self._at.get(name, 0)
        return at if now < at <= now + _RESERVED else 0


def _first(found: dict[str, int]) -> dict[str, int]:
    """The earliest of them, as many as are kept."""
    if len(found) <= _MOST:
        return found
    return {name: found[name] for name in heapq.nsmallest(_MOST, found, key=found.__getitem__)}
