"""Clocks of places: this host's, and a server's as this process knows it."""

from __future__ import annotations

import time
from typing import Final

from gridsession.errors import StoreClosed

_DRIFT: Final = 50.0
"""What two clocks may drift apart between two answers, ms; more than that is a clock that was set."""


def host_clock() -> int:
    """This host's clock, ms since 1970."""
    return time.time_ns() // 1_000_000


class ServerClock:
    """A server's time: this process's monotonic clock and an offset kept between what the server's answers allow."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset: float | None = None

    def learn(self, now: int, sent: float, received: float) -> None:
        """The server said `now` (ms) in an answer that was asked for and came at these monotonic times (s)."""
        low, high = now - received * 1000, now + 1 - sent * 1000
        if self._offset is None or not low - _DRIFT <= self._offset <= high + _DRIFT:
            self._offset = low
        else:
            self._offset = min(max(self._offset, low), high)

    def now(self) -> int:
        """The server's time, ms since 1970.

        Raises:
            StoreClosed: the server was never heard of.
        """
        if self._offset is None:
            raise StoreClosed("the store is not open: `await store.connect()` or `async with` it first")
        return round(time.monotonic() * 1000 + self._offset)
