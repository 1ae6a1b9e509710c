"""Where a manager and all its views keep sessions: a store of their own, opened at first use, or one handed in."""

from __future__ import annotations

from typing import Final, Protocol, TypeVar

from gridsession import Policy, SessionStore, sync
from gridsession.errors import InvalidOption, StoreClosed
from gridsession.policy import Duration

S = TypeVar("S", SessionStore, sync.SessionStore)


class Place(Protocol):
    """What the logic needs of a place."""

    async def store(self) -> SessionStore:
        """The store, open."""


def _store(kind: type[S], given: object, user_ttl: Duration | None, namespace: str | None) -> S:
    """The store of this kind that was handed in, or one for the URL; made now: a wrong URL fails where it stands.

    Raises:
        InvalidOption: what is given is neither this kind of store nor a URL, or a store and options of a store.
    """
    if isinstance(given, kind):
        if user_ttl is not None or namespace is not None:
            raise InvalidOption(
                "a store that is handed in has a policy and a namespace of its own: give them to SessionStore.open, as"
                " in SessionStore.open(url, policy=Policy(ttl=600), namespace='shop')"
            )
        return given
    if given is not None and not isinstance(given, str):
        home = "gridsession" if kind is SessionStore else "gridsession.sync"
        raise InvalidOption(
            f"this manager takes a URL or a {home}.SessionStore, not a {type(given).__module__}."
            f"{type(given).__name__}: SessionManager blocks, AsyncSessionManager does not"
        )
    return kind.open(given, policy=None if user_ttl is None else Policy(ttl=user_ttl), namespace=namespace)


_CLOSED: Final = "the session manager is closed; make another one"


class AsyncPlace:
    """For the manager that does not block: opened on the loop that first uses it."""

    def __init__(
        self, url_or_store: str | SessionStore | None, user_ttl: Duration | None, namespace: str | None
    ) -> None:
        self._store = _store(SessionStore, url_or_store, user_ttl, namespace)
        self._handed_in = self._store is url_or_store
        self._closed = False

    def __repr__(self) -> str:
        return repr(self._store)

    async def store(self) -> SessionStore:
        """See `Place.store`; a connection that fails is tried again by the next call."""
        if self._closed:
            raise StoreClosed(_CLOSED)
        return self._store if self._handed_in else await self._store.connect()

    async def aclose(self) -> None:
        """Close the store unless it was handed in."""
        self._closed = True
        if not self._handed_in:
            await self._store.aclose()


class BlockingPlace:
    """For the blocking manager: opened by whichever thread uses it first, in a forked process if that is the first."""

    def __init__(
        self, url_or_store: str | sync.SessionStore | None, user_ttl: Duration | None, namespace: str | None
    ) -> None:
        self._store = _store(sync.SessionStore, url_or_store, user_ttl, namespace)
        self._handed_in = self._store is url_or_store
        self._closed = False

    def __repr__(self) -> str:
        return repr(self._store)

    async def store(self) -> SessionStore:
        """See `Place.store`: on the loop of the store's thread, where `blocking().call` brings it."""
        return self._store.aio

    def blocking(self) -> sync.SessionStore:
        """The store, open; a connection that fails is tried again by the next call.

        Raises:
            StoreClosed: the manager was closed.
        """
        if self._closed:
            raise StoreClosed(_CLOSED)
        if not self._handed_in and self._store.aio.loop is None:
            self._store.connect()
        return self._store

    def close(self) -> None:
        """Close the store unless it was handed in."""
        self._closed = True
        if not self._handed_in:
            self._store.close()
