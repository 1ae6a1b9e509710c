"""Compare-and-swap drivers: the rules run here, in Python, and what they made is stored if nothing changed meanwhile.

A driver over a store that cannot run our rules supplies three things: `read`, `swap` (store or remove, if the record is
still the one that was read and the place's clock is still before a given time) and `page`. Everything else is here: the
loop that tries again, deadlines, unknown outcomes, one writer at a time per id within the process, scanning, polling
for changes, finding expired sessions and sweeping.

A swap whose answer was lost is tried again with the same op id: the ring of the record tells whether it was applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from gridsession._commands import Command
from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._logs import logger
from gridsession._record import Record
from gridsession._reply import Reply
from gridsession.drivers import Change, Driver, Due, Page
from gridsession.drivers._deadlines import Deadlines
from gridsession.drivers._swap_due import LOOK_EVERY, DueFinder
from gridsession.drivers._swap_run import Held, Known, Line, Lines, Run, Unanswered, Unsent, corrupt, persist, unreached
from gridsession.drivers._swap_settings import DEADLINE, OPTIONS, POLL, Settings, chosen
from gridsession.errors import CorruptRecord, GridSessionError, InvalidOption, StoreClosed, Unavailable
from gridsession.hooks import CommandDone, Expired, Hooks

__all__ = ["DEADLINE", "OPTIONS", "POLL", "Found", "Held", "Settings", "SwapDriver", "Unanswered", "Unsent", "chosen"]

T = TypeVar("T")
_Seen = dict[str, tuple[int, tuple[int, int]]]

_SWEEP_PAGE: Final = 100

_log = logger("drivers")


class Found(NamedTuple):
    """One page of records: where each lies (for messages) and its bytes, the next cursor, the place's time (ms)."""

    records: Sequence[tuple[str, bytes]]
    cursor: str | None
    now: int


class SwapDriver(Driver):
    """A driver that reads, decides here, and swaps. A subclass gives `read`, `swap`, `page` and `now`.

    Args:
        deadline: seconds a call may take unless it says otherwise.
        poll: seconds between two looks of `watch` where changes are not pushed.
        limits: what a record may grow to; all who share a place must agree.

    Raises:
        InvalidOption: a deadline or poll that is no time.
    """

    sweep_every: float | None = None
    """Seconds between two sweeps for records that have ended; None = the place drops them by itself."""
    look_every: float = LOOK_EVERY
    """Seconds between two looks for expired sessions that are to be told of, while somebody asks; see `due`."""
    waits: bool = True
    """Whether `read` and `swap` may wait, for a network or a thread; where they never do, a call needs no timer."""
    patience: float = math.inf
    """Seconds that one attempt may wait for its answer; a place that fell silent is then asked anew."""
    expects: bool = False
    """Whether a change may begin with a swap instead of a read, where this process stored that record a moment ago."""
    ships_again: bool = False
    """A swap is answered only once it is copied or synced; one that was stored and not answered is swapped again."""

    def __init__(
        self,
        *,
        deadline: float = DEADLINE,
        poll: float = POLL,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        for name, seconds in (("deadline", deadline), ("poll", poll)):
            if not 0 < seconds < float("inf"):
                raise InvalidOption(f"{name}={seconds} must be more than 0 seconds")
        self.deadline = deadline
        self.poll = poll
        self.limits = limits
        self.hooks = hooks or Hooks()
        self.known = Known()
        self.deadlines = Deadlines()
        self._lines = Lines()
        self._spaces: set[Space] = set()
        self._finders: dict[Space, DueFinder] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._opened = False

    # --- what a driver supplies --------------------------------------------------------------------------------------

    @abstractmethod
    async def read(self, space: Space, session_id: str) -> Held:
        """What is held under an id.

        Raises:
            Unsent, Unanswered: no answer; it may be asked again.
            Unavailable: no answer, and asking again would not help.
        """

    @abstractmethod
    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool | Held:
        """Store the bytes (None = remove) if the record is still the one in `held`.

        Args:
            keep_until: when the place may drop the record, ms of its clock; None = never.
            before: store only while the place's clock shows less than this; 0 = any time.

        Returns:
            Whether they were stored; or, where the place tells it on the way, what it holds now: these bytes if so.

        Raises:
            Unsent: not stored, and it may pass.
            Unanswered: stored or not.
            Unavailable: not stored, and trying again would not help.
        """

    @abstractmethod
    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """At most `limit` records, ended ones among them; none whose id begins with the prefix may be left out.

        Raises:
            InvalidOption: a cursor that is not of this driver.
            Unsent, Unanswered, Unavailable: as `read`.
        """

    async def connect(self) -> None:
        """Reach the place, once.

        Raises:
            Unavailable: it cannot be reached or is unfit; the message names it and the remedy.
        """

    async def close(self) -> None:
        """Give back what `connect` took."""

    @abstractmethod
    def where(self, space: Space, session_id: str) -> str:
        """Where a record lies, for messages: a file's name, a key."""

    # --- what every driver gives -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect; as `Driver.open`."""
        if self._opened:
            return
        await self.connect()
        self._opened = True
        if self.sweep_every is not None:
            self._sweeper = asyncio.create_task(self._sweep(self.sweep_every), name="gridsession-sweep")

    async def aclose(self) -> None:
        """Give everything back; calls under way end in an error."""
        if not self._opened:
            return
        self._opened = False
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        self.known.forget_all()
        await self.close()

    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        """Apply one command; as `Driver.execute`."""
        self.check()
        self._spaces.add(space)
        line = space, session_id
        run = Run(self, line, command)
        limit = self.deadline if deadline is None else deadline
        if not self.hooks:
            return await self._within(line, run, limit)
        loop = asyncio.get_running_loop()
        started, status, duplicate = loop.time(), "", False
        try:
            reply = await self._within(line, run, limit)
            status, duplicate = reply.status.name.lower(), reply.duplicate
            return reply
        except BaseException as error:
            status = type(error).__name__
            raise
        finally:
            seconds, name = loop.time() - started, type(command).__name__
            told = CommandDone(space.namespace, session_id, name, status, seconds, run.attempts, duplicate, space.kind)
            self.hooks(told)

    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        """One page of ids that exist; as `Driver.scan`."""
        self.check()
        found = await self.patiently(lambda: self.page(space, prefix, cursor, limit))
        records = [_decoded(where, data) for where, data in found.records]
        ids = [record.id for record in records if _lives(record, found.now) and record.id.startswith(prefix)]
        return Page(ids, found.cursor)

    async def due(self, space: Space, *, limit: int = 256) -> Due:
        """Expired sessions, found by looking at all records every `look_every` seconds; as `Driver.due`."""
        self.check()
        finder = self._finders.get(space)
        if finder is None:
            finder = self._finders[space] = DueFinder(self, space)
        return await finder.due(limit)

    async def stored(self, space: Space, session_id: str) -> bytes | None:
        """The bytes that the place holds under an id; as `Driver.stored`."""
        self.check()
        return (await self.patiently(lambda: self.read(space, session_id))).data

    async def watch(self, space: Space, prefix: str = "", *, session_id: str | None = None) -> AsyncIterator[Change]:
        """Changes found by looking again every `poll` seconds; as `Driver.watch`."""
        self.check()
        known: _Seen | None = await self._seen(space, prefix, session_id)
        yield Change(None)
        while True:
            await asyncio.sleep(self.poll)
            self.check()
            try:
                found = await self._seen(space, prefix, session_id)
            except Unavailable:
                known = None
                continue
            if known is None:
                yield Change(None)
            else:
                for name in found.keys() | known.keys():
                    if found.get(name) != known.get(name):
                        yield Change(name, found[name][1] if name in found else None)
            known = found

    # --- inside ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise unless the driver is open."""
        if not self._opened:
            raise StoreClosed("the store is not open: `await store.connect()` or `async with` it first")

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer or the deadline has come.

        Raises:
            Unavailable: no answer by the deadline.
        """
        faults: list[Exception] = []
        if not self.waits:
            # Else page after page would be read without anybody else on the loop coming in between.
            await asyncio.sleep(0)

        async def answered() -> tuple[T]:
            return (await ask(),)

        try:
            due = asyncio.get_running_loop().time() + self.deadline
            (answer,) = await persist(self, answered, due, faults.append)
        except TimeoutError:
            raise unreached(faults[-1] if faults else None, None) from None
        return answer

    async def _within(self, line: Line, run: Run, seconds: float) -> Reply:
        lines = self._lines
        taken = run.queues and lines.taken(line)
        if not (self.waits or taken):
            # Nothing waits, so nobody of this process can come in between: no place in the line, no timer.
            reply = await run.at_once()
            if reply is not None:
                return reply
        due = asyncio.get_running_loop().time() + seconds
        if not run.queues:
            return await run.answer(due)
        try:
            with self.deadlines.by(due) if taken else contextlib.nullcontext():
                await lines.enter(line)
        except TimeoutError:
            raise run.overdue() from None
        try:
            return await run.answer(due)
        finally:
            lines.leave(line)

    async def _seen(self, space: Space, prefix: str, session_id: str | None) -> _Seen:
        """What is there now: of each id a mark of its bytes, and its (epoch, revision)."""
        if session_id is not None:
            held = await self.patiently(lambda: self.read(space, session_id))
            records = [] if held.data is None else [(self.where(space, session_id), held.data)]
        else:
            records, cursor = [], None
            while True:
                # Bound here: a lambda would see the next page's cursor.
                found = await self.patiently(lambda at=cursor: self.page(space, prefix, at, 500))  # type: ignore[misc]
                records += found.records
                cursor = found.cursor
                if cursor is None:
                    break
        seen = {}
        for where, data in records:
            record = _decoded(where, data)
            if record.id.startswith(prefix):
                seen[record.id] = hash(data), (record.epoch, record.revision)
        return seen

    async def _sweep(self, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            for space in tuple(self._spaces):
                try:
                    await self._sweep_space(space)
                except (GridSessionError, Unsent, Unanswered) as error:
                    _log.warning("sweep.failed", namespace=space.namespace, error=type(error).__name__)

    async def _sweep_space(self, space: Space) -> None:
        cursor: str | None = None
        while True:
            found = await self.page(space, "", cursor, _SWEEP_PAGE)
            for _, data in found.records:
                try:
                    record = Record.decode(data)
                except CorruptRecord:
                    continue
                due = record.retained_until
                if due is not None and due <= found.now:
                    held = await self.read(space, record.id)
                    if held.data == data:
                        done = await self.swap(space, record.id, held, None, keep_until=None, before=0)
                        if done is True and record.live and self.hooks:
                            self.hooks(Expired(space.namespace, record.id))
            cursor = found.cursor
            if cursor is None:
                return
            await asyncio.sleep(0)


def _decoded(where: str, data: bytes) -> Record:
    try:
        return Record.decode(data)
    except CorruptRecord:
        raise corrupt(where, None) from None


def _lives(record: Record, now: int) -> bool:
    due = record.expires_at
    return record.live and (due is None or due > now)
