"""Globals: values shared by all sessions of a namespace, each a record of its own, read from a pushed local copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from gridsession import operations
from gridsession._commands import Operation, Want
from gridsession._fields import NEVER_CHANGE
from gridsession._identity import check_key_text
from gridsession._link import Link
from gridsession._logs import logger
from gridsession._record import STATE, Fields, Record, decode_field
from gridsession._reply import Reply
from gridsession._session import RESTART, Bag, Session, Ttl, value_of
from gridsession._typed import check
from gridsession.drivers import Mirror
from gridsession.errors import GridSessionError, InvalidInput, StoreClosed

T = TypeVar("T")
_FIELD = "value"

_log = logger("globals")


class Globals:
    """The globals of one namespace, by name. Each verb is atomic for its name, and for that name alone.

    Reading costs no round trip where the driver pushes (the grid): what another process wrote arrives within
    milliseconds, and `fresh=True` asks the record itself.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._mirror: Mirror | None = None
        self._opening: asyncio.Task[None] | None = None
        self._asked = False
        self._held: dict[str, _Held] = {}
        self._meanwhile: list[Record] | None = None
        """What this process wrote and read while the copy is being read in, which may have read it before."""

    def __repr__(self) -> str:
        return f"<Globals of {self._link.space.namespace}>"

    async def get(self, name: str, default: Any = None, *, type: Any = None, fresh: bool = False) -> Any:
        """One global, or the default where there is none.

        Args:
            type: what the value must be; checked, never cast.
            fresh: ask the record itself rather than the local copy.
        """
        mirror = None if fresh else self._mirror or await self._opened()
        if mirror is None:
            reply = await self._link.execute(self._name(name), self._link.load(want=Want.RECORD))
            self._learn(reply)
            raw = (reply.bags[STATE] or {}).get(_FIELD)
            value = _MISSING if raw is None else decode_field(raw)
        else:
            self._link.check()
            value = self._read(mirror, name)
        if value is _MISSING:
            return default
        return value if type is None else check(value, type, f"$.{name}")

    async def load(self, *, fresh: bool = False) -> dict[str, Any]:
        """All globals of the namespace."""
        mirror = None if fresh else await self._opened()
        if mirror is not None:
            self._link.check()
            values = {name: self._read(mirror, name) for name in list(mirror.held)}
        else:
            values = {name: await self.get(name, _MISSING, fresh=True) async for name in self.names()}
        return {name: value for name, value in values.items() if value is not _MISSING}

    async def names(self) -> AsyncIterator[str]:
        """The names of all globals that have a record, page by page, asked from the records.

        A record outlives its value where the value was taken, or where the global also remembers or allows.
        """
        cursor: str | None = None
        while True:
            self._link.check()
            page = await self._link.driver.scan(self._link.space, cursor=cursor)
            for name in page.ids:
                yield name
            cursor = page.cursor
            if cursor is None:
                return

    async def set(self, name: str, value: object, *, ttl: Ttl = RESTART) -> None:
        """Put one global; `ttl` gives it a life of its own."""
        await self._apply(name, operations.set(_FIELD, value), ttl=ttl)

    async def update(self, mapping: Mapping[str, object] = {}, /, **values: object) -> None:
        """Put several globals, one after another: each is atomic, all together are not."""
        changes = {**mapping, **values}
        made = {name: operations.set(_FIELD, value) for name, value in changes.items()}
        for name, operation in made.items():
            await self._apply(name, operation)

    async def remove(self, *names: str) -> bool:
        """Delete globals; whether any of them was there."""
        gone = [await self.delete(name) for name in names]
        return any(gone)

    async def clear(self, retain: Iterable[str] = ()) -> None:
        """Delete every global except the retained ones, one after another."""
        if isinstance(retain, str):
            raise InvalidInput(f"retain takes several names: write [{retain!r}]")
        kept = frozenset(retain)
        for name in [name async for name in self.names()]:
            if name not in kept:
                await self.delete(name)

    async def increment(self, name: str, by: float = 1) -> Any:
        """Add to a number, an absent one counting as 0; the new number."""
        return await self._apply(name, operations.increment(_FIELD, by))

    async def append(self, name: str, *values: object, keep: int | None = None) -> int:
        """Add to the end of a list and keep its last `keep` elements; its length."""
        length: int = await self._apply(name, operations.append(_FIELD, *values, keep=keep))
        return length

    async def pop(self, name: str, default: Any = None, *, first: bool = False) -> Any:
        """Remove and return the last (or first) element of a list; the default when there is none."""
        return await self._apply(name, operations.pop(_FIELD, first=first), default)

    async def take(self, name: str, default: Any = None) -> Any:
        """Remove and return a value; the default where there is none. Exactly one of several takers gets it."""
        return await self._apply(name, operations.take(_FIELD), default)

    async def setdefault(self, name: str, value: object) -> Any:
        """Put a global unless it is there; what stands afterwards."""
        return await self._apply(name, operations.setdefault(_FIELD, value))

    async def compare_and_set(self, name: str, expected: object, value: object) -> bool:
        """Put a global if it still equals `expected`; whether it did. `ABSENT` stands for none."""
        return bool(await self._apply(name, operations.compare_and_set(_FIELD, expected, value)))

    async def remember(self, name: str, value: object, *, keep: int = 100) -> bool:
        """Add a value to the global's set of the `keep` most recent ones; whether it was new."""
        return bool(await self._apply(name, operations.remember(value, keep=keep)))

    async def allow(self, name: str, *, every: Any) -> bool:
        """Yes at most once per `every` seconds across the cluster."""
        return bool(await self._apply(name, operations.allow(every=every)))

    async def touch(self, name: str, ttl: Any = None) -> bool:
        """Restart a global's ttl, or set a new one; whether it exists."""
        return await self._session(name).touch(ttl)

    async def ttl(self, name: str) -> float | None:
        """Seconds left; None = it never expires, 0.0 = there is none."""
        return await self._session(name).ttl()

    async def exists(self, name: str) -> bool:
        """Whether the global has a value, asked from its record."""
        return await self.get(name, _MISSING, fresh=True) is not _MISSING

    async def delete(self, name: str) -> bool:
        """Delete a global; true for exactly one caller."""
        deleted = await self._session(name).delete()
        try:
            await self._refresh(name)
        except GridSessionError as error:
            # The deletion is answered; the local copy hears of it by push.
            _log.info("globals.not_refreshed", error=type(error).__name__)
        return deleted

    async def aclose(self) -> None:
        """Stop listening to changes."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        mirror, self._mirror, self._asked = self._mirror, None, False
        self._held.clear()
        if mirror is not None:
            await mirror.aclose()

    def _session(self, name: str) -> Session:
        return Session(self._link, self._name(name))

    def _name(self, name: str) -> str:
        if not isinstance(name, str) or not name:
            raise InvalidInput("a global's name is text with at least one character")
        check_key_text(name)
        return name

    async def _apply(self, name: str, operation: Operation, default: Any = None, *, ttl: Ttl = RESTART) -> Any:
        value, reply = await _GlobalBag(self._link, self._name(name), STATE).run(operation, default, ttl)
        self._learn(reply)
        return value

    async def _opened(self) -> Mirror | None:
        if self._asked:
            return self._mirror
        self._link.check()
        # One for all who ask meanwhile: tried by each, one after another, they would wait for all tries before theirs.
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="gridsession-globals")
            # Whoever waits may be cancelled: then nobody asks what became of it.
            self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())
        opening = self._opening
        await asyncio.wait({opening})
        if opening.cancelled():
            raise StoreClosed("the store was closed before its globals were read")
        opening.result()
        return self._mirror

    async def _open(self) -> None:
        meanwhile = self._meanwhile = []
        try:
            self._mirror = await self._link.driver.mirror(self._link.space)
            self._asked = True
        finally:
            self._opening = self._meanwhile = None
        for record in meanwhile:
            self._offer(record)

    def _read(self, mirror: Mirror, name: str) -> Any:
        """The value in the local copy, `_MISSING` where there is none."""
        try:
            data = mirror.held[name]
        except (KeyError, TypeError):
            self._held.pop(self._name(name), None)
            return _MISSING
        held = self._held.get(name)
        if held is None or held.data is not data:
            held = self._held[name] = _hold(data, name)
        if held.due is not None and held.due <= self._link.driver.now():
            return _MISSING
        return held.value if held.raw is None else decode_field(held.raw)

    def _learn(self, reply: Reply) -> None:
        """One's own change is seen at once, not when it comes back."""
        if self._mirror is None and self._meanwhile is None:
            return
        life = reply.life
        if not reply.present or life is None:
            return
        touched = life.created
        if life.expires_at is not None and life.ttl is not None:
            # Capped by max_lifetime, the difference is no time at all; what counts is that it ends when it ends.
            touched = max(life.expires_at - life.ttl, 0)
        bags: tuple[Fields, Fields, Fields] = (reply.bags[STATE] or {}, {}, {})
        record = Record(
            reply.id, reply.epoch, True, reply.revision, life.created, touched, life.ttl, life.max_lifetime, bags=bags
        )
        self._offer(record)

    def _offer(self, record: Record) -> None:
        if self._mirror is not None:
            self._mirror.offer(record.id, record.encode())
        elif self._meanwhile is not None:
            self._meanwhile.append(record)

    async def _refresh(self, name: str) -> None:
        if self._mirror is not None or self._meanwhile is not None:
            reply = await self._link.execute(name, self._link.load(want=Want.REVISION))
            if not reply.present:
                self._offer(Record(name, reply.epoch))


class _Held(NamedTuple):
    """A global of the local copy.

    Attributes:
        data: the record's bytes that it was read from.
        due: when it ends, ms.
        raw: of a value that its reader may change; else it is decoded once for all.
    """

    data: bytes
    due: int | None
    raw: bytes | None
    value: Any


def _hold(data: bytes, name: str) -> _Held:
    record = Record.decode(data, expected_id=name)
    raw = record.bags[STATE].get(_FIELD)
    if raw is None:
        return _Held(data, None, None, _MISSING)
    value = decode_field(raw)
    return _Held(data, record.expires_at, None if type(value) in NEVER_CHANGE else raw, value)


class _GlobalBag(Bag):
    """The one field of a global's record."""

    __slots__ = ()

    async def run(self, operation: Operation, default: Any, ttl: Ttl) -> tuple[Any, Reply]:
        """Apply one operation; its value and the reply with the record as it is now."""
        reply = await self._commit((operation,), ttl=ttl, want=Want.RECORD)
        return value_of(operation, reply, 0, default), reply


_MISSING: Final = object()
