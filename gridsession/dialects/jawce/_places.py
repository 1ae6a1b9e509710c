"""Where a manager and all its views keep sessions: a store of their own, opened at first use, or one handed in."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from gridsession import Policy, SessionStore, sync
from gridsession.errors import InvalidOption, StoreClosed
from gridsession.policy import Duration

S = TypeVar("S", SessionStore, sync.SessionStore)


class Place(Protocol):
    """What the logic needs of a place."""

    async def store(self) -> SessionStore:
        """The store, open."""


def _maker(kind: type[S], given: object, user_ttl: Duration | None, namespace: str | None) -> Callable[[], S]:
    """What makes a store of this kind.

    Raises:
        InvalidOption: what is given is neither this kind of store nor a URL, or a store and options of a store.
    """
    if isinstance(given, kind) and (user_ttl is not None or namespace is not None):
        raise InvalidOption(
            "a store that is handed in has a policy and a namespace of its own: give them to SessionStore.open, as in "
            "SessionStore.open(url, policy=Policy(ttl=600), namespace='shop')"
        )
    if given is not None and not isinstance(given, (str, kind)):
        home = "gridsession" if kind is SessionStore else "gridsession.sync"
        raise InvalidOption(
            f"this manager takes a URL or a {home}.SessionStore, not a {type(given).__module__}."
            f"{type(given).__name__}: SessionManager blocks, AsyncSessionManager does not"
        )
    url = given if isinstance(given, str) else None
    policy = None if user_ttl is None else Policy(ttl=user_ttl)
    return lambda: kind.open(url, policy=policy, namespace=namespace)


_CLOSED: Final = "the session manager is closed; make another one"


class AsyncPlace:
    """For the manager that does not block: opened on the loop that first uses it."""

    def __init__(
        self, url_or_store: str | SessionStore | None, user_ttl: Duration | None, namespace: str | None
    ) -> None:
        self._make = _maker(SessionStore, url_or_store, user_ttl, namespace)
        # Made now: a wrong URL is an error where it is written, not at the first message.
        self._store = url_or_store if isinstance(url_or_store, SessionStore) else self._make()
        self._ready = self._handed_in = isinstance(url_or_store, SessionStore)
        self._closed = False
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return repr(self._store)

    async def store(self) -> SessionStore:
        """See `Place.store`; a connection that fails is tried again by the next call."""
        if not self._ready or self._closed:
            async with self._lock:
                await self._connect()
        return self._store

    async def aclose(self) -> None:
        """Close the store unless it was handed in."""
        async with self._lock:
            self._closed = True
            if not self._handed_in:
                await self._store.aclose()

    async def _connect(self) -> None:
        if self._closed:
            raise StoreClosed(_CLOSED)
        if not self._ready:
            try:
                await self._store.connect()
            except BaseException:
                self._store = self._make()
                raise
            self._ready = True


class BlockingPlace:
    """For the blocking manager: opened by whichever thread uses it first, in a forked process if that is the first."""

    def __init__(
        self, url_or_store: str | sync.SessionStore | None, user_ttl: Duration | None, namespace: str | None
    ) -> None:
        self._make = _maker(sync.SessionStore, url_or_store, user_ttl, namespace)
        self._store = url_or_store if isinstance(url_or_store, sync.SessionStore) else self._make()
        self._pid = os.getpid()
        self._ready = self._handed_in = isinstance(url_or_store, sync.SessionStore)
        self._closed = False
        self.lock = threading.Lock()

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
        if not self._ready or self._closed:
            with self.lock:
                self._connect()
        return self._store

    def close(self) -> None:
        """Close the store unless it was handed in."""
        with self.lock:
            self._closed = True
            if not self._handed_in:
                self._store.close()

    def _connect(self) -> None:
        if self._closed:
            raise StoreClosed(_CLOSED)
        if not self._ready:
            if self._pid != os.getpid():
                self._store, self._pid = self._make(), os.getpid()
            try:
                self._store.connect()
            except BaseException:
                self._store = self._make()
                raise
            self._ready = True
