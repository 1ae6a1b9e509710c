"""One timer for all calls under way: a timer for each would cost more than the rest of a call does."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """Ends what takes too long, as `asyncio.timeout_at` does: `with deadlines.by(due): await ...`."""

    __slots__ = ("_due", "_loop", "_timer", "_waits")

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def by(self, due: float) -> _Wait:
        """A block of the running task that ends in TimeoutError once it is due, by the loop's clock."""
        return _Wait(self, due)

    def add(self, wait: _Wait) -> None:
        """See to it. Most waits are due after the one that the timer is set for, and need nothing."""
        self._waits.add(wait)
        if self._timer is None or wait.due < self._due or wait.loop is not self._loop:
            self._set(wait.loop, wait.due)

    def remove(self, wait: _Wait) -> None:
        """It is over. The timer stays: one that fires in vain now and then is cheaper than one set for each."""
        self._waits.discard(wait)

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop, self._due = loop, due
        self._timer = loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        left = [wait for wait in self._waits if not wait.end(self._due)]
        if left:
            first = min(left, key=lambda wait: wait.due)
            self._set(first.loop, first.due)


class _Wait:
    """One block under a deadline."""

    __slots__ = ("_cancelling", "_deadlines", "_ended", "_task", "due", "loop")

    def __init__(self, deadlines: Deadlines, due: float) -> None:
        self.due = due
        self._deadlines = deadlines
        self._ended = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self.loop = task.get_loop()
        self._deadlines.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.remove(self)
        # Only our own cancellation becomes a TimeoutError: somebody else may have cancelled the task, too.
        if self._ended and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self, now: float) -> bool:
        """Whether it is due, and then it is ended."""
        if self.due <= now and not self._ended:
            self._ended = True
            self._task.cancel()
        return self._ended
