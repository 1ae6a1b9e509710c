"""Sessions in an object that a user has: anything with get and set, Bottender's stores, toolbot's stores, a dict."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final, Literal, NamedTuple

from gridsession._document import HEADER, from_document, to_document
from gridsession._identity import SessionId, Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._record import Record
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import host_clock
from gridsession.drivers._swap import DEADLINE, POLL, Found, Held, SwapDriver, Unanswered
from gridsession.drivers._swap_run import Lines
from gridsession.errors import CorruptRecord, InvalidOption, Unavailable, Unsupported
from gridsession.hooks import Hooks

__all__ = ["MappingDriver"]

_DEFAULT_SPACE: Final = Space("default", "sessions")
_HEADS: Final = ("sessions/", "globals/")


class MappingDriver(SwapDriver):
    """Wraps a store and keeps readable documents in it (see `gridsession._document`), under the session id.

    It takes a mutable mapping; an object with `get(key)` and `set(key, value)` or `put(key, value)`, and where it has
    them `delete(key)` and `keys()`; or one with `read(key)`, `write(key, value)`, `destroy(key)`, and where it has them
    `init()` and `all()`. Each may be a coroutine function. A plain function runs on the event loop: one that waits for
    a network must be made asynchronous first. Without `keys` or `all` sessions cannot be listed.

    A change is atomic among those who use this very driver, and no further: not between two drivers, two processes,
    or with who writes to the store directly.

    Args:
        store: it is never closed here.
        ttl: hand `ttl=` to set or put, in this unit, so that the store removes what has ended. None = it is not told;
            what has ended is then removed from here each minute, where the store can list and delete.
        bare: sessions of this platform (in the namespace "default") stand under their key alone, without `platform:`.
            All else then stands under a longer name, so that no two ids ever meet; one store has one `bare` for life.
        tombstones: what is left of a deleted session stays until its last change is forgotten (seconds). False: it is
            removed at once, for one who makes one change after the other: a change that is repeated because its answer
            was lost is not known for one any more after a delete.
        clock: milliseconds since 1970.
        deadline, poll, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.PROCESS,
        survives=("what the wrapped store survives",),
        expires_within=None,
        own_clock=True,
        pushes=False,
        tells_within=3.0,
    )

    def __init__(
        self,
        store: object,
        *,
        ttl: Literal["seconds", "milliseconds"] | None = None,
        bare: str | None = None,
        tombstones: bool = True,
        clock: Callable[[], int] = host_clock,
        deadline: float = DEADLINE,
        poll: float = POLL,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(deadline=deadline, poll=poll, hooks=hooks, limits=limits)
        self._store = _shape(store)
        self._name = type(store).__name__
        self._ttl = ttl
        self._keys = _Keys(None if bare is None else SessionId.parse(SessionId(bare, "-")).platform)
        self._tombstones = tombstones
        self._clock = clock
        self._writing = Lines()
        if ttl is None and self._store.remove is not None and (self._store.keys or self._store.all):
            self.sweep_every = 60.0

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> MappingDriver:
        """A store is an object, so it has no URL.

        Raises:
            InvalidOption: always; the message says how to hand the store in.
        """
        raise InvalidOption("a wrapped store has no URL: SessionStore.open(driver=MappingDriver(store))")

    async def connect(self) -> None:
        """Call the store's `init`, if it has one."""
        if self._store.init is not None:
            await self._call(self._store.init)

    def now(self) -> int:
        """The host's clock, or the one handed in."""
        return self._clock()

    def where(self, space: Space, session_id: str) -> str:
        """The key in the store."""
        return f"key {self._keys.of(space, session_id)!a} of the wrapped {self._name}"

    async def read(self, space: Space, session_id: str) -> Held:
        """The document as a record; the record's bytes are its version."""
        data = await self._data(self._keys.of(space, session_id), session_id)
        return Held(data, data, self._clock())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Look again and store, while no one else of this driver does."""
        key, line = self._keys.of(space, session_id), (space, session_id)
        await self._writing.enter(line)
        try:
            now = self._clock()
            if await self._data(key, session_id) != held.data or (before and now >= before):
                return False
            try:
                record = None if data is None else Record.decode(data)
                if record is not None and not self._is_needless(record):
                    await self._call(self._store.put, key, to_document(record, space), **self._left(keep_until, now))
                elif self._store.remove is not None:
                    await self._call(self._store.remove, key)
            except Unavailable as error:
                raise Unanswered(str(error)) from error.__cause__
        finally:
            self._writing.leave(line)
        return True

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Documents in the order of their ids; all keys are asked for again for each page."""
        ids: dict[str, Any] = {}
        if self._store.keys is not None:
            for key in await self._many(self._store.keys):
                session_id = self._keys.id_of(space, key) if isinstance(key, str) else None
                if session_id is not None:
                    ids[session_id] = None
        elif self._store.all is not None:
            for document in await self._many(self._store.all):
                if _is_of(document, space):
                    ids[document["id"]] = document
        else:
            raise Unsupported(f"the wrapped {self._name} has neither keys() nor all(): its sessions cannot be listed")
        found = sorted(name for name in ids if name.startswith(prefix) and (cursor is None or name > cursor))
        records = []
        for session_id in found[:limit]:
            key = self._keys.of(space, session_id)
            document = ids[session_id] or await self._call(self._store.get, key)
            # Others may keep what is not ours under keys of their own.
            if _is_of(document, space):
                records.append((self.where(space, session_id), self._encoded(document, key, session_id)))
        return Found(records, found[limit - 1] if len(found) > limit else None, self._clock())

    async def _data(self, key: str, session_id: str) -> bytes | None:
        document = await self._call(self._store.get, key)
        return None if document is None else self._encoded(document, key, session_id)

    def _encoded(self, document: object, key: str, session_id: str) -> bytes:
        try:
            return from_document(document).encode()
        except (CorruptRecord, ValueError, TypeError, AttributeError, ArithmeticError):
            raise CorruptRecord(
                f"what stands under {key!a} in the wrapped {self._name} was not written by gridsession; it was left as"
                " it is: import it, or use another store",
                session_id=session_id,
            ) from None

    def _is_needless(self, record: Record) -> bool:
        if self._tombstones or self._store.remove is None:
            return False
        return not (record.live or record.lease or record.queue or record.previous)

    def _left(self, keep_until: int | None, now: int) -> dict[str, float]:
        if self._ttl is None or keep_until is None:
            return {}
        left = max(keep_until - now, 1)
        return {"ttl": left / 1000 if self._ttl == "seconds" else left}

    async def _many(self, ask: Callable[[], Any]) -> list[Any]:
        found = await self._call(ask)
        if isinstance(found, AsyncIterable):
            return [item async for item in found]
        return list(found)

    async def _call(self, function: Callable[..., Any], *args: object, **more: object) -> Any:
        try:
            answer = function(*args, **more)
            return await answer if isinstance(answer, Awaitable) else answer
        except Exception as error:  # a stranger's store raises what it likes
            name = getattr(function, "__name__", "call")
            raise Unavailable(f"{name}() of the wrapped {self._name} failed ({type(error).__name__})") from error


class _Shape(NamedTuple):
    """What a store can do, whatever it calls it."""

    get: Callable[[str], Any]
    put: Callable[..., Any]
    remove: Callable[[str], Any] | None = None
    keys: Callable[[], Any] | None = None
    all: Callable[[], Any] | None = None
    init: Callable[[], Any] | None = None


def _shape(store: Any) -> _Shape:
    if isinstance(store, MutableMapping):
        return _Shape(store.get, store.__setitem__, lambda key: store.pop(key, None), lambda: list(store))
    if hasattr(store, "read") and hasattr(store, "write"):
        return _Shape(store.read, store.write, _has(store, "destroy"), None, _has(store, "all"), _has(store, "init"))
    put = _has(store, "set") or _has(store, "put")
    if put is None or not hasattr(store, "get"):
        raise InvalidOption(
            f"a {type(store).__name__} cannot be wrapped: it needs get and set (or put), or read and write"
        )
    return _Shape(store.get, put, _has(store, "delete"), _has(store, "keys"))


def _has(store: object, name: str) -> Callable[..., Any] | None:
    found = getattr(store, name, None)
    return found if callable(found) else None


def _is_of(document: Any, space: Space) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get(HEADER), dict):
        return False
    return bool(document[HEADER].get("space") == f"{space.kind}/{space.namespace}")


class _Keys(NamedTuple):
    """Which key an id stands under. No two ids share one: a platform has no slash, and a bare key that begins like the
    head of another id is not left bare."""

    bare: str | None

    def of(self, space: Space, session_id: str) -> str:
        """The key of an id."""
        head = _head(space)
        if space != _DEFAULT_SPACE:
            return head + session_id
        if self.bare is None:
            return session_id
        platform, _, key = session_id.partition(":")
        return key if platform == self.bare and not key.startswith(_HEADS) else head + session_id

    def id_of(self, space: Space, key: str) -> str | None:
        """The id under a key, or None if it is none of that space."""
        head = _head(space)
        if space == _DEFAULT_SPACE and (self.bare is None or not key.startswith(_HEADS)):
            return key if self.bare is None else f"{self.bare}:{key}"
        return key[len(head) :] if key.startswith(head) else None


def _head(space: Space) -> str:
    return f"{space.kind}/{space.namespace}/"
