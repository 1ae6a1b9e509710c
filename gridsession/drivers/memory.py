"""Sessions in this process: for developing, for tests, and as the reference every other driver is compared with."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from typing import ClassVar, Final

from gridsession._commands import Command
from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._logs import logger
from gridsession._record import Record
from gridsession._reply import Reply
from gridsession._rules import apply
from gridsession.drivers import Address, Change, Driver, Due, Page, Promise, Reach
from gridsession.drivers._clock import host_clock
from gridsession.drivers._eviction import EVICTIONS, Eviction, make_eviction
from gridsession.errors import InvalidOption, StoreClosed
from gridsession.hooks import CommandDone, Evicted, Expired, Hooks

__all__ = ["MemoryDriver"]

_WATCH_QUEUE: Final = 1_024
_SLACK: Final = 1_000
"""Entries of the schedule that may be out of date beside as many as are not."""
_SAY_EVERY: Final = 60_000
"""ms between two lines of the log about evictions."""
_RESERVED: Final = 5_000
"""For so many ms an expired session that was told of is not told of again."""
_ASK_AGAIN: Final = 0.1

_log = logger("drivers")


class MemoryDriver(Driver):
    """`memory://?max_size=500&eviction=tinylfu`: a dict per space, of at most `max_size` records each.

    What is evicted is lost: `evicted` counts the sessions that still lived, each is an `Evicted` event, and the log
    says so once a minute. A session that is held is never evicted, so there may be more for as long as leases last.

    Args:
        max_size: records per space; None = unlimited.
        eviction: who leaves: `lru`, the least recently used, or `tinylfu`, by W-TinyLFU, where sessions that are used
            often survive a crowd that comes once; it needs the extra `gridsession[tinylfu]`.
        clock: milliseconds since 1970; a test hands in its own.
        limits: what a record may grow to.
        hooks: told of each command.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.PROCESS, survives=(), expires_within=None, own_clock=True, pushes=True, tells_within=0.5
    )

    def __init__(
        self,
        *,
        max_size: int | None = None,
        eviction: str = "lru",
        clock: Callable[[], int] = host_clock,
        limits: Limits = DEFAULT_LIMITS,
        hooks: Hooks | None = None,
    ) -> None:
        if max_size is not None and max_size < 1:
            raise InvalidOption(f"max_size must be at least 1, not {max_size}")
        # Asked for here, so that what is wrong with it shows when the store is made.
        make_eviction(eviction, max_size or 1)
        if max_size is None and eviction != EVICTIONS[0]:
            raise InvalidOption(f"eviction={eviction} evicts nothing without max_size: say how many may be there")
        self.evicted = 0
        self._max_size = max_size
        self._eviction = eviction
        self._said = 0
        self._clock = clock
        self._limits = limits
        self._hooks = hooks or Hooks()
        self._spaces: dict[Space, dict[str, Record]] = {}
        self._evictions: dict[Space, Eviction] = {}
        self._due: list[tuple[int, Space, str]] = []
        self._scheduled: dict[tuple[Space, str], int] = {}
        self._announced: dict[Space, _Agenda] = {}
        self._watches: set[_Watch] = set()
        self._waiting: dict[bytes, Callable[[], None]] = {}

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> MemoryDriver:
        """See `Driver.from_address`; options are `max_size` and `eviction`."""
        address.only("max_size", "eviction")
        if address.location:
            raise InvalidOption("memory:// takes no place: write memory://, with options after a question mark")
        eviction = address.option("eviction", str, EVICTIONS[0])
        return cls(max_size=address.option("max_size", int, None), eviction=eviction, hooks=hooks)

    async def open(self) -> None:
        """Nothing to connect to."""

    def now(self) -> int:
        """The host's clock, or the one handed in."""
        return self._clock()

    def not_after(self, deadline: int) -> int:
        """At most a second: a command is applied at once and never sent again."""
        return self._clock() + min(deadline, 1_000)

    async def execute(
        self,
        space: Space,
        session_id: str,
        command: Command,
        *,
        deadline: float | None = None,
    ) -> Reply:
        """Apply the rules; nothing else runs in between."""
        now = self._clock()
        self._sweep(now)
        records = self._spaces.setdefault(space, {})
        stored = records.get(session_id)
        after, reply = apply(stored, command, now, session_id, self._limits)
        if after is not stored and after is not None:
            records[session_id] = after
            self._schedule(space, after)
            self._announce(space, after)
            self._tell(space, after)
        if self._max_size is not None and session_id in records:
            self._evict(space, records, session_id, now)
        if self._hooks:
            name, status = type(command).__name__, reply.status.name.lower()
            self._hooks(CommandDone(space.namespace, session_id, name, status, 0.0, 1, reply.duplicate, space.kind))
        return reply

    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        """Pages in the order of ids, so that a cursor stays good while sessions come and go."""
        now = self._clock()
        found = heapq.nsmallest(
            limit + 1,
            (
                name
                for name, record in self._spaces.get(space, {}).items()
                if name.startswith(prefix) and (cursor is None or name > cursor) and _lives(record, now)
            ),
        )
        return Page(found[:limit], found[limit - 1] if len(found) > limit else None)

    async def due(self, space: Space, *, limit: int = 256) -> Due:
        """Expired sessions, from a list of what is to come; as `Driver.due`."""
        now, agenda = self._clock(), self._announced.get(space)
        ids: list[str] = []
        while agenda is not None and len(ids) < limit and (name := agenda.pop(now)) is not None:
            record = self._spaces.get(space, {}).get(name)
            at = None if record is None else record.announce_at
            if at is not None and at <= now:
                ids.append(name)
                at = now + _RESERVED
            if at is not None:
                agenda.put(name, at)
        return Due(ids, 0 if len(ids) == limit else _ASK_AGAIN)

    async def stored(self, space: Space, session_id: str) -> bytes | None:
        """The record as another driver would hold it; as `Driver.stored`."""
        record = self._spaces.get(space, {}).get(session_id)
        return None if record is None else record.encode()

    async def namespaces(self) -> frozenset[str]:
        """The namespaces with records; as `Driver.namespaces`."""
        return frozenset(space.namespace for space, records in self._spaces.items() if records)

    async def watch(self, space: Space, prefix: str = "", *, session_id: str | None = None) -> AsyncIterator[Change]:
        """Changes as they are applied."""
        watch = _Watch(space, prefix, session_id)
        self._watches.add(watch)
        try:
            yield Change(None)
            while True:
                change = await watch.queue.get()
                if change is None:
                    raise StoreClosed("the store was closed while it was watched")
                yield change
        finally:
            self._watches.discard(watch)

    def expect_grant(self, request_id: bytes, wake: Callable[[], None]) -> bool:
        """Told with the change that frees the session; as `Driver.expect_grant`."""
        self._waiting[request_id] = wake
        return True

    def forget_grant(self, request_id: bytes) -> None:
        """As `Driver.forget_grant`."""
        self._waiting.pop(request_id, None)

    async def aclose(self) -> None:
        """Forget everything; watches end in an error."""
        for watch in self._watches:
            watch.queue.put_nowait(None)
        self._spaces.clear()
        self._evictions.clear()
        self._due.clear()
        self._scheduled.clear()
        self._announced.clear()

    def _tell(self, space: Space, record: Record) -> None:
        if record.queue and record.lease is None:
            self._waiting.get(record.queue[0].request_id, _nobody)()
        for watch in self._watches:
            if watch.concerns(space, record.id):
                watch.put(Change(record.id, (record.epoch, record.revision)))

    def _schedule(self, space: Space, record: Record) -> None:
        # One entry per id, looked at again when it comes up: writes that push the due time back cost nothing.
        due = record.retained_until
        known = self._scheduled.get((space, record.id))
        if due is not None and (known is None or due < known):
            self._scheduled[space, record.id] = due
            heapq.heappush(self._due, (due, space, record.id))

    def _announce(self, space: Space, record: Record) -> None:
        at = record.announce_at
        if at is not None:
            self._announced.setdefault(space, _Agenda()).put(record.id, at)
        else:
            self._forget(space, record.id)

    def _forget(self, space: Space, name: str) -> None:
        """Nothing is to be told of it any more."""
        if space in self._announced:
            self._announced[space].drop(name)

    def _sweep(self, now: int) -> None:
        while self._due and self._due[0][0] <= now:
            came_up, space, session_id = heapq.heappop(self._due)
            if self._scheduled.get((space, session_id)) != came_up:
                continue
            del self._scheduled[space, session_id]
            record = self._spaces[space].get(session_id)
            if record is None:
                continue
            due = record.retained_until
            if due is not None and due <= now:
                del self._spaces[space][session_id]
                self._forget(space, session_id)
                if self._hooks and record.live:
                    self._hooks(Expired(space.namespace, session_id))
                if space in self._evictions:
                    self._evictions[space].removed(session_id)
            else:
                self._schedule(space, record)

    def _evict(self, space: Space, records: dict[str, Record], used: str, now: int) -> None:
        """Take note of what was used, and let go of what is too much."""
        most = self._max_size or 1
        eviction = self._evictions.get(space)
        if eviction is None:
            eviction = self._evictions[space] = make_eviction(self._eviction, most)
        eviction.used(used)
        if len(records) <= most:
            return

        def is_held(name: str) -> bool:
            # Without its record, its lease would be granted again while someone holds it.
            lease = records[name].lease
            return name == used or (lease is not None and lease.until > now)

        for name in eviction.victims(len(records) - most, is_held):
            record = records.pop(name)
            self._scheduled.pop((space, name), None)
            self._forget(space, name)
            if _lives(record, now):
                self.evicted += 1
                if self._hooks:
                    self._hooks(Evicted(space.namespace, name))
                if not self._said or now - self._said >= _SAY_EVERY:
                    self._said = now
                    _log.warning("memory.full", max_size=most, evicted=self.evicted, namespace=space.namespace)
        if len(self._due) > 2 * len(self._scheduled) + _SLACK:
            # Else what was evicted would stand here until its ttl, which may be a year.
            self._due = [(due, *which) for which, due in self._scheduled.items()]
            heapq.heapify(self._due)


class _Agenda:
    """Names and when to look at each, the earliest first; a later time than the one known is not noted: who looks at a
    name and finds it is not yet time puts it back."""

    __slots__ = ("_heap", "_known")

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._known: dict[str, int] = {}

    def put(self, name: str, at: int) -> None:
        known = self._known.get(name)
        if known is None or at < known:
            self._known[name] = at
            heapq.heappush(self._heap, (at, name))

    def drop(self, name: str) -> None:
        if self._known.pop(name, None) is not None and len(self._heap) > 2 * len(self._known) + _SLACK:
            # Else it would stand here until its time.
            self._heap = [(at, known) for known, at in self._known.items()]
            heapq.heapify(self._heap)

    def pop(self, now: int) -> str | None:
        while self._heap and self._heap[0][0] <= now:
            at, name = heapq.heappop(self._heap)
            if self._known.get(name) == at:
                del self._known[name]
                return name
        return None


class _Watch:
    """One watcher's bounded queue; what does not fit is a gap, and a gap is said."""

    def __init__(self, space: Space, prefix: str, session_id: str | None) -> None:
        self.queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._space = space
        self._prefix = prefix
        self._session_id = session_id

    def concerns(self, space: Space, session_id: str) -> bool:
        if space != self._space:
            return False
        return session_id == self._session_id if self._session_id is not None else session_id.startswith(self._prefix)

    def put(self, change: Change) -> None:
        if self.queue.qsize() >= _WATCH_QUEUE:
            while not self.queue.empty():
                self.queue.get_nowait()
            change = Change(None)
        self.queue.put_nowait(change)


def _nobody() -> None:
    """Who waits no longer is told by nothing."""


def _lives(record: Record, now: int) -> bool:
    due = record.expires_at
    return record.live and (due is None or due > now)
