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
from gridsession.drivers import Address, Change, Driver, Page, Promise, Reach
from gridsession.drivers._clock import host_clock
from gridsession.drivers._eviction import EVICTIONS, Eviction, make_eviction
from gridsession.errors import InvalidOption, StoreClosed
from gridsession.hooks import CommandDone, Evicted, Hooks

__all__ = ["MemoryDriver"]

_WATCH_QUEUE: Final = 1_024
_SLACK: Final = 1_000
"""Entries of the schedule that may be out of date beside as many as are not."""
_SAY_EVERY: Final = 60_000
"""ms between two lines of the log about evictions."""

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
        atomic=Reach.PROCESS, survives=(), expires_within=None, own_clock=True, pushes=True
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
        self._watches: set[_Watch] = set()

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
            self._tell(space, after)
        if self._max_size is not None and session_id in records:
            self._evict(space, records, session_id, now)
        if self._hooks:
            name, status = type(command).__name__, reply.status.name.lower()
            self._hooks(CommandDone(space.namespace, session_id, name, status, 0.0, 1, reply.duplicate))
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

    async def aclose(self) -> None:
        """Forget everything; watches end in an error."""
        for watch in self._watches:
            watch.queue.put_nowait(None)
        self._spaces.clear()
        self._evictions.clear()
        self._due.clear()
        self._scheduled.clear()

    def _tell(self, space: Space, record: Record) -> None:
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
            if _lives(record, now):
                self.evicted += 1
                self._hooks(Evicted(space.namespace, name))
                if not self._said or now - self._said >= _SAY_EVERY:
                    self._said = now
                    _log.warning("memory.full", max_size=most, evicted=self.evicted, namespace=space.namespace)
        if len(self._due) > 2 * len(self._scheduled) + _SLACK:
            # Else what was evicted would stand here until its ttl, which may be a year.
            self._due = [(due, *which) for which, due in self._scheduled.items()]
            heapq.heapify(self._due)


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


def _lives(record: Record, now: int) -> bool:
    due = record.expires_at
    return record.live and (due is None or due > now)
