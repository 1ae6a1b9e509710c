"""A clock that stands still until a test moves it."""

from __future__ import annotations

from gridsession.policy import Duration, milliseconds

__all__ = ["ManualClock"]


class ManualClock:
    """Milliseconds since 1970, as drivers with a clock of their own take it: `MemoryDriver(clock=ManualClock())`.

    Args:
        start: where it begins, ms.
    """

    def __init__(self, start: int = 1_700_000_000_000) -> None:
        self._now = start

    def __call__(self) -> int:
        """The time, ms."""
        return self._now

    def __repr__(self) -> str:
        return f"<ManualClock {self._now}>"

    def advance(self, duration: Duration) -> int:
        """Move it on by seconds or a timedelta, in whole milliseconds; what it says then.

        Raises:
            InvalidOption: not a positive duration: this clock never goes back.
        """
        self._now += milliseconds(duration, "duration")
        return self._now
