"""One command of a compare-and-swap driver on its way, and the queue before each id."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gridsession._commands import Command, Commit, Delete, Install, Load, op_id_of
from gridsession._identity import Space
from gridsession._logs import hashed, logger
from gridsession._record import Record
from gridsession._reply import Reply, Status
from gridsession._rules import apply
from gridsession.errors import (
    ConnectFailed,
    CorruptRecord,
    DeadlineExceeded,
    GridSessionError,
    OutcomeUnknown,
    StoreClosed,
    Unavailable,
)
from gridsession.hooks import CommandRetried

if TYPE_CHECKING:
    from gridsession.drivers._swap import SwapDriver

FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05

_log = logger("drivers")


class Unsent(Exception):
    """Nothing was applied, and it may pass: nobody listens, a failover is under way. Its text says what."""


class Unanswered(Exception):
    """No answer came: what was sent may have been applied. Its text says why."""


class Run:
    """One command on its way: its attempts, and whether one of them may have been applied."""

    __slots__ = ("_doubt", "_driver", "_fault", "_swapping", "attempts", "command", "session_id", "space")

    def __init__(self, driver: SwapDriver, space: Space, session_id: str, command: Command) -> None:
        self._driver = driver
        self.space = space
        self.session_id = session_id
        self.command = command
        self.attempts = 0
        self._doubt = False
        self._swapping = False
        self._fault: Exception | None = None

    @property
    def queues(self) -> bool:
        """Whether the command takes its turn with others of this process: not one that only reads, nor one of the
        lease's holder, for whom all those who ask for the lease are waiting."""
        command = self.command
        if isinstance(command, Load):
            return command.touch is not None or command.acquire is not None
        return isinstance(command, Install) or (isinstance(command, (Commit, Delete)) and not command.token)

    async def answer(self, due: float) -> Reply:
        """Read, decide and swap until nobody else came first, or TimeoutError once it is due (the loop's time)."""
        pause = FIRST_PAUSE
        while True:
            self.attempts += 1
            try:
                reply = await self._attempt()
                if reply is not None:
                    return reply
            except (Unsent, Unanswered) as fault:
                self._note(fault)
            except (Unavailable, StoreClosed):
                if self._doubt:
                    raise self._unknown("the place can no longer be reached") from None
                raise
            pause = await rest(pause, due)

    async def _attempt(self) -> Reply | None:
        driver, space, session_id = self._driver, self.space, self.session_id
        driver.check()
        held = await driver.read(space, session_id)
        stored = None
        if held.data is not None:
            try:
                stored = Record.decode(held.data, expected_id=session_id)
            except CorruptRecord:
                raise corrupt(driver.where(space, session_id), session_id) from None
        after, reply = apply(stored, self.command, held.now, session_id, driver.limits)
        if reply.status is Status.TOO_LATE and self._doubt:
            # This attempt was surely not applied; an earlier one may have been.
            raise self._unknown("a later attempt came too late")
        if after is None or (after is stored and not (self._doubt and driver.ships_again)):
            return reply
        data = held.data if after is stored else after.encode()
        before = _holds_until(stored, self.command, held.now)
        self._swapping = True
        done = await driver.swap(space, session_id, held, data, keep_until=after.retained_until, before=before)
        self._swapping = False
        return reply if done else None

    def _note(self, fault: Exception) -> None:
        """Remember what went wrong; after a swap without an answer the command is a retry."""
        self._fault = fault
        if self._swapping and isinstance(fault, Unanswered):
            self._doubt = True
            if isinstance(self.command, (Commit, Delete, Install)) and not self.command.retry:
                self.command = replace(self.command, retry=True)
        self._swapping = False
        driver = self._driver
        if driver.hooks:
            name = type(self.command).__name__
            driver.hooks(CommandRetried(self.space.namespace, self.session_id, name, self.attempts, str(fault)))
        _log.debug("command.retried", session=hashed(self.session_id), attempt=self.attempts, reason=str(fault))

    def overdue(self) -> GridSessionError:
        """The deadline came without an answer."""
        if self._doubt or self._swapping:
            return self._unknown("no answer by the deadline" if self._fault is None else str(self._fault))
        return unreached(self._fault, self.session_id)

    def _unknown(self, reason: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"no definite answer after {self.attempts} attempt(s) ({reason}): the change was applied once or not at"
            " all; read the session, or repeat the same operation under its op id",
            op_id=op_id_of(self.command),
            session_id=self.session_id,
        )


class Lines:
    """One writer at a time per id within the process, in order: tasks that swap against each other only burn time."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[tuple[Space, str], deque[asyncio.Future[None]]] = {}

    async def enter(self, key: tuple[Space, str]) -> None:
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
                waiting.remove(turn)
            else:
                # It was ours already when the cancellation came.
                self.leave(key)
            raise

    def leave(self, key: tuple[Space, str]) -> None:
        """Let the next one in."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting[0]
            waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]


async def rest(pause: float, due: float) -> float:
    """Pause at most so long; how long at most the next time.

    Raises:
        TimeoutError: it is due, by the loop's clock: a cancellation can get lost in what a client awaits.
    """
    if asyncio.get_running_loop().time() >= due:
        raise TimeoutError
    # Jitter keeps those who met from meeting again in step.
    await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - not a secret
    return min(pause * 2, _LONGEST_PAUSE)


def _holds_until(stored: Record | None, command: Command, now: int) -> int:
    """Until when what was decided at `now` would be decided again, ms; 0 = for ever."""
    times = [command.not_after]
    if stored is not None:
        times += [waiter.until for waiter in stored.queue]
        if stored.lease is not None:
            times.append(stored.lease.until)
        if stored.live:
            times.append(stored.expires_at or 0)
    return min((time for time in times if time > now), default=0)


def corrupt(where: str, session_id: str | None) -> CorruptRecord:
    """The error of bytes that are no record of this id."""
    return CorruptRecord(
        f"{where} holds no readable record of that id; it was left as it is: restore or remove it",
        session_id=session_id,
    )


def unreached(fault: Exception | None, session_id: str | None) -> Unavailable:
    """The error of a call that surely changed nothing when its deadline came."""
    if fault is None:
        return DeadlineExceeded(
            "the deadline passed and nothing was applied: others change this session all the time, or the place is"
            " slow; raise deadline=",
            session_id=session_id,
        )
    return ConnectFailed(f"no answer by the deadline, nothing was applied: {fault}", session_id=session_id)
