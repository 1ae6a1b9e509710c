"""One command of a compare-and-swap driver on its way, and the queue before each id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from gridsession._commands import Change, Command, Commit, Delete, Install, Load, op_id_of
from gridsession._logs import hashed, logger
from gridsession._record import Record
from gridsession._reply import Reply, Status
from gridsession._rules import apply
from gridsession.drivers._swap_known import Held, Known, Line, Lines
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

__all__ = ["Held", "Known", "Line", "Lines", "Run", "Unanswered", "Unsent", "corrupt", "persist", "unreached"]

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05

_log = logger("drivers")


class Unsent(Exception):
    """Nothing was applied, and it may pass: nobody listens, a failover is under way. Its text says what."""


class Unanswered(Exception):
    """No answer came: what was sent may have been applied. Its text says why."""


class Run:
    """One command on its way: its attempts, and whether one of them may have been applied."""

    __slots__ = (
        "_doubt",
        "_driver",
        "_fault",
        "_line",
        "_may_expect",
        "_swapping",
        "attempts",
        "command",
        "session_id",
    )

    def __init__(self, driver: SwapDriver, line: Line, command: Command) -> None:
        self._driver = driver
        self._line = line
        self.session_id = line[1]
        self.command = command
        self.attempts = 0
        self._may_expect = driver.expects and self.changes
        self._doubt = False
        self._swapping = False
        self._fault: Exception | None = None

    @property
    def queues(self) -> bool:
        """Whether the command takes its turn with others of this process: not one that only reads, nor one of the
        lease's holder, for whom all those who ask for the lease are waiting."""
        command = self.command
        if isinstance(command, (Commit, Delete)):
            return not command.token
        return isinstance(command, Install) or (isinstance(command, Load) and self.changes)

    @property
    def changes(self) -> bool:
        """Whether the command may change something."""
        command = self.command
        return not isinstance(command, Load) or command.touch is not None or command.acquire is not None

    async def at_once(self) -> Reply | None:
        """The answer, if one attempt is enough."""
        try:
            return await self._attempt()
        except (Unsent, Unanswered) as fault:
            self._note(fault)
            return None

    async def answer(self, due: float) -> Reply:
        """Read, decide and swap until nobody else came first, or it is due (the loop's time)."""
        try:
            return await persist(self._driver, self._attempt, due, self._note)
        except TimeoutError:
            raise self.overdue() from None
        except (Unavailable, StoreClosed):
            if self._doubt:
                raise self._unknown("the place can no longer be reached") from None
            raise

    async def _attempt(self) -> Reply | None:
        driver = self._driver
        driver.check()
        self.attempts += 1
        expected = driver.known.expected(self._line) if self._may_expect else None
        self._may_expect = False
        if expected is not None:
            # Nothing was read, so only a write, which compares, can be believed. If another came first, it is read.
            outcome = await self._decide(expected, believed=False)
            outcome = outcome or await driver.read(*self._line)
        else:
            outcome = await self._decide(await driver.read(*self._line), believed=True)
        if isinstance(outcome, Held):
            # Another came first, and the place told what stands there now: that is as good as reading it.
            outcome = await self._decide(outcome, believed=True)
        return outcome if isinstance(outcome, Reply) else None

    async def _decide(self, held: Held, *, believed: bool) -> Reply | Held | None:
        """Apply the rules to what is held and swap what they made; the reply, or what is held instead, if known."""
        driver, data = self._driver, held.data
        stored = None if data is None else self._record(data)
        after, reply = apply(stored, self.command, held.now, self.session_id, driver.limits)
        unchanged = after is None or after is stored
        if unchanged and not believed:
            return await driver.read(*self._line)
        if reply.status is Status.TOO_LATE and self.attempts > 1:
            # It was in time at first. This attempt was surely not applied; an earlier one may have been.
            raise self._unknown("a later attempt came too late") if self._doubt else self.overdue()
        if after is None or (unchanged and not (driver.ships_again and (self._doubt or reply.duplicate))):
            return reply
        if not unchanged:
            data = after.encode()
        before = _holds_until(stored, self.command, held.now)
        self._swapping = True
        done = await driver.swap(*self._line, held, data, keep_until=after.retained_until, before=before)
        self._swapping = False
        if done is False or (isinstance(done, Held) and done.data is not data):
            return done or None
        if data is not None:
            driver.known.learn(self._line, done if isinstance(done, Held) else Held(data, data, held.now), after)
        return reply

    def _record(self, data: bytes) -> Record:
        known = self._driver.known.record(self._line, data)
        if known is not None:
            return known
        try:
            return Record.decode(data, expected_id=self.session_id)
        except CorruptRecord:
            raise corrupt(self._driver.where(*self._line), self.session_id) from None

    def _note(self, fault: Unsent | Unanswered) -> None:
        """Remember what went wrong; after a swap without an answer the command is a retry."""
        self._fault = fault
        if self._swapping and isinstance(fault, Unanswered):
            self._doubt = True
            self._driver.known.forget(self._line)
            if isinstance(self.command, Change) and not self.command.retry:
                self.command = replace(self.command, retry=True)
        self._swapping = False
        driver = self._driver
        if driver.hooks:
            name = type(self.command).__name__
            driver.hooks(CommandRetried(self._line[0].namespace, self.session_id, name, self.attempts, str(fault)))
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


async def persist(
    driver: SwapDriver,
    ask: Callable[[], Awaitable[T | None]],
    due: float,
    note: Callable[[Unsent | Unanswered], None],
) -> T:
    """Ask until there is an answer, pausing in between; `note` is told of each attempt that failed.

    Raises:
        TimeoutError: none came until it was due, by the loop's clock: a cancellation can get lost in what a client
            awaits.
    """
    loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
    while True:
        ends = min(loop.time() + driver.patience, due)
        try:
            with driver.deadlines.by(ends):
                answer = await ask()
            if answer is not None:
                return answer
        except (Unsent, Unanswered) as fault:
            note(fault)
        except TimeoutError:
            if ends == due:
                raise
            note(Unanswered(f"no answer within {driver.patience:g} s"))
        # Jitter keeps those who met from meeting again in step.
        await asyncio.sleep(min(random.uniform(0, pause), due - loop.time()))  # noqa: S311 - not a secret
        if loop.time() >= due:
            raise TimeoutError
        pause = min(pause * 2, _LONGEST_PAUSE)


def _holds_until(stored: Record | None, command: Command, now: int) -> int:
    """Until when what was decided at `now` would be decided again, ms; 0 = for ever."""
    times = [command.not_after]
    if stored is not None:
        times += [ended.until for ended in stored.previous]
        times += [waiter.until for waiter in stored.queue]
        if stored.lease is not None:
            times.append(stored.lease.until)
        if stored.live:
            times.append(stored.expires_at or 0)
    return min([time for time in times if time > now], default=0)


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
