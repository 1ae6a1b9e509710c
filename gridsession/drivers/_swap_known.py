"""What a process knows of the records that it changes: who of it is at which one, and what it stored there last."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Any, Final, NamedTuple

from gridsession._identity import Space
from gridsession._record import Record

Line = tuple[Space, str]
_A_MOMENT: Final = 1.0
_MOST_KNOWN: Final = 1_024
_MOST_KNOWN_BYTES: Final = 16_384


class Held(NamedTuple):
    """What a place holds under an id: the record's bytes or None, a version for `swap`, and the place's time (ms)."""

    data: bytes | None
    version: Any
    now: int


class Known:
    """The records that this process stored last: who finds their bytes again need not decode them, and who changes one
    again a moment later may expect it unchanged. Bounded; what was stored longest ago is forgotten first."""

    __slots__ = ("_stored",)

    def __init__(self) -> None:
        self._stored: dict[Line, tuple[Held, Record, float]] = {}

    def record(self, line: Line, data: bytes) -> Record | None:
        """The record of these very bytes, if it is known."""
        found = self._stored.get(line)
        return found[1] if found is not None and found[0].data == data else None

    def expected(self, line: Line) -> Held | None:
        """What was stored a moment ago, so that likely nobody changed it since; and the time there by now."""
        found = self._stored.get(line)
        if found is None:
            return None
        held, _, stored = found
        passed = time.monotonic() - stored
        # The clock of the very server that stored it: in a cluster each has its own.
        return held._replace(now=held.now + int(passed * 1000)) if passed < _A_MOMENT else None

    def forget(self, line: Line) -> None:
        """What stands there is no longer known."""
        self._stored.pop(line, None)

    def forget_all(self) -> None:
        """Nothing is known any more."""
        self._stored.clear()

    def learn(self, line: Line, held: Held, record: Record) -> None:
        """This was stored just now."""
        stored = self._stored
        stored.pop(line, None)
        if held.data is not None and len(held.data) <= _MOST_KNOWN_BYTES:
            stored[line] = held, record, time.monotonic()
            if len(stored) > _MOST_KNOWN:
                del stored[next(iter(stored))]


class Lines:
    """One writer at a time per id within the process, in order: tasks that swap against each other only burn time."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Line, deque[asyncio.Future[None]]] = {}

    def taken(self, key: Line) -> bool:
        """Whether somebody is in."""
        return key in self._waiting

    async def enter(self, key: Line) -> None:
        """Wait for one's turn."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                # Whoever left meanwhile has taken it out.
                with contextlib.suppress(ValueError):
                    waiting.remove(turn)
            else:
                # It was ours already when the cancellation came.
                self.leave(key)
            raise

    def leave(self, key: Line) -> None:
        """Let the next one in."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting[0]
            waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]
