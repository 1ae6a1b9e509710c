"""The same store without `await`, for code that blocks: one thread, one loop, no logic of its own.

Every name, parameter and default is that of the async face, docstrings included; `aclose` is `close`, `async with` is
`with`. The thread's loop is uvloop's where that is installed. Handlers given to `run` run on the caller's thread, those
of `on_expire`, where nobody waits, on threads of their own. A forked child opens a store of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, overload

from gridsession import _expiry, _globals, _session, _store, _turn
from gridsession._leases import LeaseState
from gridsession._portal import Portal, call_back, on_thread
from gridsession._session import RESTART, Ttl
from gridsession._snapshot import Revision, Snapshot
from gridsession._store import SessionChange, SessionKey
from gridsession.drivers import Driver
from gridsession.errors import StoreClosed, UsageError
from gridsession.hooks import Hook
from gridsession.operations import Operation
from gridsession.policy import Duration, Policy

__all__ = ["Bag", "ExpiredSession", "Globals", "Session", "SessionStore", "Turn"]

T = TypeVar("T")
HandlerT = TypeVar("HandlerT", bound="Callable[[ExpiredSession], object]")


def _told_by(original: type) -> Callable[[type[T]], type[T]]:
    """Copy the docstrings of the async face: they are written once."""

    def copy(face: type[T]) -> type[T]:
        face.__doc__ = original.__doc__
        for name, member in vars(face).items():
            told = getattr(original, "aclose" if name == "close" else name, None)
            doc = getattr(told, "__doc__", None)
            target = member.__func__ if isinstance(member, classmethod) else member
            if not name.startswith("_") and doc is not None:
                target.__doc__ = doc
        return face

    return copy


def _each(portal: Portal, items: AsyncIterator[T]) -> Iterator[T]:
    end = object()
    try:
        while (item := portal.call(_next(items, end))) is not end:
            yield item  # type: ignore[misc]  # whatever is not the end came from `items`
    finally:
        with suppress(StoreClosed):
            portal.call(items.aclose())  # type: ignore[attr-defined]  # they are all async generators


def _faces(portal: Portal, items: AsyncIterator[_expiry.ExpiredSession]) -> Generator[ExpiredSession, None, None]:
    for expired in _each(portal, items):
        yield ExpiredSession(portal, expired)


def _check_blocking(handler: Callable[..., object]) -> None:
    """Refuse what would only make a coroutine here: its session would count as taken care of, and nothing was done.

    Raises:
        UsageError: a coroutine function.
    """
    if inspect.iscoroutinefunction(handler):
        raise UsageError("a blocking store calls plain functions: give this handler to the async store")


def _on_loop(portal: Portal, store: _store.SessionStore, work: Callable[[], object]) -> None:
    """Do on the store's loop what needs it; here, while there is none."""
    if store.loop is None:
        work()
        return

    async def done() -> None:
        work()

    portal.call(done())


async def _next(items: AsyncIterator[T], end: object) -> T | object:
    return await anext(items, end)


@_told_by(_session.Bag)
class Bag:
    def __init__(self, portal: Portal, aio: _session.Bag) -> None:
        self._portal = portal
        self._aio = aio

    def __repr__(self) -> str:
        return repr(self._aio)

    def load(self) -> Snapshot:
        return self._portal.call(self._aio.load())

    @overload
    def get(self, name: str, default: None = None, *, last: int | None = None) -> Any: ...

    @overload
    def get(self, name: str, default: T, *, last: int | None = None) -> Any | T: ...

    @overload
    def get(self, name: str, default: T, *, type: type[T], last: int | None = None) -> T: ...

    @overload
    def get(self, name: str, default: None = None, *, type: type[T], last: int | None = None) -> T | None: ...

    def get(self, name: str, default: Any = None, *, type: Any = None, last: int | None = None) -> Any:
        return self._portal.call(self._aio.get(name, default, type=type, last=last))

    def set(self, name: str, value: object, *, ttl: Ttl = RESTART) -> None:
        return self._portal.call(self._aio.set(name, value, ttl=ttl))

    def update(self, mapping: Mapping[str, object] = {}, /, **fields: object) -> Snapshot:
        return self._portal.call(self._aio.update(mapping, **fields))

    def remove(self, *names: str) -> bool:
        return self._portal.call(self._aio.remove(*names))

    def clear(self, retain: Iterable[str] = ()) -> None:
        return self._portal.call(self._aio.clear(retain))

    def increment(self, name: str, by: float = 1) -> Any:
        return self._portal.call(self._aio.increment(name, by))

    def append(self, name: str, *values: object, keep: int | None = None) -> int:
        return self._portal.call(self._aio.append(name, *values, keep=keep))

    def pop(self, name: str, default: Any = None, *, first: bool = False) -> Any:
        return self._portal.call(self._aio.pop(name, default, first=first))

    def take(self, name: str, default: Any = None) -> Any:
        return self._portal.call(self._aio.take(name, default))

    def setdefault(self, name: str, value: object) -> Any:
        return self._portal.call(self._aio.setdefault(name, value))

    def compare_and_set(self, name: str, expected: object, value: object) -> bool:
        return self._portal.call(self._aio.compare_and_set(name, expected, value))


@_told_by(_session.Session)
class Session(Bag):
    _aio: _session.Session

    def __init__(self, portal: Portal, aio: _session.Session) -> None:
        super().__init__(portal, aio)

    @property
    def id(self) -> str:
        return self._aio.id

    @property
    def props(self) -> Bag:
        return Bag(self._portal, self._aio.props)

    def exists(self) -> bool:
        return self._portal.call(self._aio.exists())

    def ttl(self) -> float | None:
        return self._portal.call(self._aio.ttl())

    def lease(self) -> LeaseState:
        return self._portal.call(self._aio.lease())

    def touch(self, ttl: Duration | None = None) -> bool:
        return self._portal.call(self._aio.touch(ttl))

    def remember(self, value: object, *, keep: int = 100, name: str = "messages") -> bool:
        return self._portal.call(self._aio.remember(value, keep=keep, name=name))

    def allow(self, name: str = "default", *, every: Duration) -> bool:
        return self._portal.call(self._aio.allow(name, every=every))

    def delete(self, if_revision: Revision | None = None) -> bool:
        return self._portal.call(self._aio.delete(if_revision))

    def commit(
        self,
        *made: Operation,
        clear: bool | Iterable[str] = False,
        clear_props: bool | Iterable[str] = False,
        if_absent: bool = False,
        if_revision: Revision | None = None,
        ttl: Ttl = RESTART,
    ) -> Snapshot:
        return self._portal.call(
            self._aio.commit(
                *made, clear=clear, clear_props=clear_props, if_absent=if_absent, if_revision=if_revision, ttl=ttl
            )
        )


@_told_by(_turn.Turn)
class Turn:
    def __init__(self, portal: Portal, aio: _turn.Turn) -> None:
        self._portal = portal
        self._aio = aio

    @property
    def id(self) -> str:
        return self._aio.id

    @property
    def state(self) -> dict[str, Any]:
        """The state as a plain dict, decoded whole; change it as you like, only changed fields are sent."""
        return self._aio.state

    @state.setter
    def state(self, values: dict[str, Any]) -> None:
        self._aio.state = values

    @property
    def props(self) -> dict[str, Any]:
        """The second bag, likewise."""
        return self._aio.props

    @props.setter
    def props(self, values: dict[str, Any]) -> None:
        self._aio.props = values

    @property
    def repeated(self) -> bool:
        """The message this turn is for was handled before."""
        return self._aio.repeated

    @property
    def revision(self) -> Revision:
        return self._aio.revision

    @property
    def exists(self) -> bool:
        return self._aio.exists

    @property
    def session(self) -> Session:
        return Session(self._portal, self._aio.session)

    def __enter__(self) -> Turn:
        try:
            self._portal.call(self._aio.__aenter__())
        except BaseException as error:
            with suppress(UsageError):
                self._portal.call(self._aio._undo_entering(error))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(self._aio.__aexit__(kind, error, trace))

    def commit(self) -> Revision:
        return self._portal.call(self._aio.commit())

    def delete(self) -> bool:
        return self._portal.call(self._aio.delete())


@_told_by(_globals.Globals)
class Globals:
    def __init__(self, portal: Portal, aio: _globals.Globals) -> None:
        self._portal = portal
        self._aio = aio

    def __repr__(self) -> str:
        return repr(self._aio)

    def get(self, name: str, default: Any = None, *, type: Any = None, fresh: bool = False) -> Any:
        return self._portal.call(self._aio.get(name, default, type=type, fresh=fresh))

    def load(self, *, fresh: bool = False) -> dict[str, Any]:
        return self._portal.call(self._aio.load(fresh=fresh))

    def names(self) -> Iterator[str]:
        return _each(self._portal, self._aio.names())

    def set(self, name: str, value: object, *, ttl: Ttl = RESTART) -> None:
        return self._portal.call(self._aio.set(name, value, ttl=ttl))

    def update(self, mapping: Mapping[str, object] = {}, /, **values: object) -> None:
        return self._portal.call(self._aio.update(mapping, **values))

    def remove(self, *names: str) -> bool:
        return self._portal.call(self._aio.remove(*names))

    def clear(self, retain: Iterable[str] = ()) -> None:
        return self._portal.call(self._aio.clear(retain))

    def increment(self, name: str, by: float = 1) -> Any:
        return self._portal.call(self._aio.increment(name, by))

    def append(self, name: str, *values: object, keep: int | None = None) -> int:
        return self._portal.call(self._aio.append(name, *values, keep=keep))

    def pop(self, name: str, default: Any = None, *, first: bool = False) -> Any:
        return self._portal.call(self._aio.pop(name, default, first=first))

    def take(self, name: str, default: Any = None) -> Any:
        return self._portal.call(self._aio.take(name, default))

    def setdefault(self, name: str, value: object) -> Any:
        return self._portal.call(self._aio.setdefault(name, value))

    def compare_and_set(self, name: str, expected: object, value: object) -> bool:
        return self._portal.call(self._aio.compare_and_set(name, expected, value))

    def remember(self, name: str, value: object, *, keep: int = 100) -> bool:
        return self._portal.call(self._aio.remember(name, value, keep=keep))

    def allow(self, name: str, *, every: Any) -> bool:
        return self._portal.call(self._aio.allow(name, every=every))

    def touch(self, name: str, ttl: Any = None) -> bool:
        return self._portal.call(self._aio.touch(name, ttl))

    def ttl(self, name: str) -> float | None:
        return self._portal.call(self._aio.ttl(name))

    def exists(self, name: str) -> bool:
        return self._portal.call(self._aio.exists(name))

    def delete(self, name: str) -> bool:
        return self._portal.call(self._aio.delete(name))

    def close(self) -> None:
        return self._portal.call(self._aio.aclose())


@_told_by(_expiry.ExpiredSession)
class ExpiredSession:
    def __init__(self, portal: Portal, aio: _expiry.ExpiredSession) -> None:
        self._portal = portal
        self._aio = aio
        self.id, self.state, self.props = aio.id, aio.state, aio.props
        self.reason, self.revision, self.attempt = aio.reason, aio.revision, aio.attempt
        self.expired_at, self.late = aio.expired_at, aio.late

    def __repr__(self) -> str:
        return repr(self._aio)

    @property
    def is_acknowledged(self) -> bool:
        return self._aio.is_acknowledged

    def acknowledge(self) -> bool:
        return self._portal.call(self._aio.acknowledge())


@_told_by(_store.SessionStore)
class SessionStore:
    def __init__(self, portal: Portal, aio: _store.SessionStore) -> None:
        self._portal = portal
        self._aio = aio

    @classmethod
    def open(
        cls,
        url: str | None = None,
        *,
        policy: Policy | None = None,
        namespace: str | None = None,
        driver: Driver | None = None,
        hooks: Iterable[Hook] = (),
    ) -> SessionStore:
        aio = _store.SessionStore.open(url, policy=policy, namespace=namespace, driver=driver, hooks=hooks)
        return cls(Portal(), aio)

    def __repr__(self) -> str:
        return repr(self._aio)

    @property
    def aio(self) -> _store.SessionStore:
        """The async face of this very store. It belongs to the loop of this store's thread, `aio.loop`: from another
        thread or loop hand its coroutines over with `asyncio.run_coroutine_threadsafe(..., store.aio.loop)`."""
        return self._aio

    @property
    def namespace(self) -> str:
        return self._aio.namespace

    @property
    def policy(self) -> Policy:
        return self._aio.policy

    @property
    def globals(self) -> Globals:
        return Globals(self._portal, self._aio.globals)

    def __enter__(self) -> SessionStore:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> SessionStore:
        self._portal.open(self._aio.connect())
        return self

    def close(self) -> None:
        try:
            with suppress(StoreClosed):
                self._portal.call(self._aio.aclose())
        finally:
            self._portal.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that uses `aio` on this store's loop, and wait for its outcome."""
        return self._portal.call(work)

    def session(self, session_id: SessionKey) -> Session:
        return Session(self._portal, self._aio.session(session_id))

    def turn(
        self,
        session_id: SessionKey,
        *,
        exclusive: bool = True,
        lease: Duration | None = None,
        wait: Duration | None = None,
        message: object | None = None,
        ttl: Ttl = RESTART,
    ) -> Turn:
        aio = self._aio.turn(session_id, exclusive=exclusive, lease=lease, wait=wait, message=message, ttl=ttl)
        return Turn(self._portal, aio)

    def run(
        self,
        session_id: SessionKey,
        handler: Callable[[Turn], T],
        *,
        wait: Duration | None = None,
        message: object | None = None,
    ) -> T:
        async def handled(turn: _turn.Turn) -> T:
            return await call_back(handler, Turn(self._portal, turn))

        return self._portal.call(self._aio.run(session_id, handled, wait=wait, message=message))

    def ids(self, prefix: str = "") -> Iterator[str]:
        return _each(self._portal, self._aio.ids(prefix))

    def expired(self, *, ahead: int = 16, claim: Duration = 30.0) -> Generator[ExpiredSession, None, None]:
        return _faces(self._portal, self._aio.expired(ahead=ahead, claim=claim))

    def on_expire(self, handler: HandlerT, *, at_once: int = 64, claim: Duration = 30.0) -> HandlerT:
        async def handled(expired: _expiry.ExpiredSession) -> object:
            return await on_thread(handler, ExpiredSession(self._portal, expired))

        _check_blocking(handler)
        _on_loop(self._portal, self._aio, partial(self._aio.on_expire, handled, at_once=at_once, claim=claim))
        return handler

    def watch(self, prefix: str = "") -> Iterator[SessionChange]:
        return _each(self._portal, self._aio.watch(prefix))
