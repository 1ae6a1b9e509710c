"""Where the sessions of a middleware are, whatever was handed in as its store."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakValueDictionary

from gridsession import Policy, SessionStore
from gridsession.drivers import Driver
from gridsession.drivers.mapping import MappingDriver
from gridsession.errors import InvalidOption, Leased, StoreClosed
from gridsession.policy import milliseconds

TtlUnit: TypeAlias = Literal["seconds", "milliseconds"]

PLATFORM: Final = "opengram"
_UNITS: Final = ("seconds", "milliseconds")


class Place:
    """A store and how updates come one after another there.

    In a store of ours an update holds a lease, across all processes. An object that is wrapped is safe within this
    process only, so there a queue in this process does as well, and spares the object two writes in each update: it
    sees one write for an update that changed something, and none for one that did not.

    Attributes:
        leases: updates hold a lease.
    """

    def __init__(self, store: object, policy: Policy | None, store_ttl: TtlUnit) -> None:
        if store_ttl not in _UNITS:
            raise InvalidOption(f"store_ttl must be one of {', '.join(_UNITS)}, not {store_ttl!r}")
        self.leases = True
        self._wrapping: Driver | None = None
        if isinstance(store, SessionStore):
            if policy is not None:
                raise InvalidOption("a SessionStore has a policy already: give it there, or hand in a URL instead")
            self.sessions = store
        else:
            self.sessions = self._opened(store, policy, store_ttl)
        self._lent = self.sessions is store
        self._closed = False
        self._store = store
        self._url = os.environ.get("GRIDSESSION_URL") if store is None else store
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _opened(self, store: object, policy: Policy | None, store_ttl: TtlUnit) -> SessionStore:
        if store is None or isinstance(store, str):
            return SessionStore.open(store, policy=policy)
        driver = store
        if not isinstance(driver, Driver):
            self.leases = False
            unit = store_ttl if _takes_ttl(store) else None
            driver = self._wrapping = MappingDriver(store, ttl=unit, bare=PLATFORM, tombstones=False)
        return SessionStore.open(driver=driver, policy=policy)

    @property
    def given(self) -> object:
        """What was handed in, or the store that was opened."""
        return self.sessions if self._store is None or isinstance(self._store, str) else self._store

    def is_same(self, other: Place) -> bool:
        """Whether both hold the same sessions. Memory that was asked for by URL is another's each time."""
        if self is other or self.given is other.given:
            return True
        url = self._url
        return isinstance(url, str) and url == other._url and not url.startswith("memory:")

    async def connect(self) -> None:
        """Connect, unless that was done.

        Raises:
            StoreClosed: after `aclose()`.
            Unavailable: the place cannot be reached; the next call tries again.
        """
        if self._lent or self.sessions.loop is not None:
            return
        if self._closed:
            raise StoreClosed("the session middleware was closed: make another one with session()")
        await self.sessions.connect()

    async def aclose(self) -> None:
        """Close what was opened here."""
        self._closed = True
        if not self._lent:
            await self.sessions.aclose()
        if self._wrapping is not None:
            await self._wrapping.aclose()

    @contextlib.asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Be the only one with this key in this process, first come first served; nothing where leases do it.

        Raises:
            Leased: not within the time to wait.
        """
        if self.leases:
            yield
            return
        queue = self._queues.setdefault(key, asyncio.Lock())
        seconds = milliseconds(self.sessions.policy.wait, "wait", zero=True) / 1000
        try:
            async with asyncio.timeout(seconds):
                await queue.acquire()
        except TimeoutError:
            raise Leased(
                f"session {PLATFORM}:{key!a} is held by another update; gave up after {seconds:g} s",
                session_id=f"{PLATFORM}:{key}",
            ) from None
        try:
            yield
        finally:
            queue.release()


def _takes_ttl(store: Any) -> bool:
    put = getattr(store, "set", None) or getattr(store, "put", None)
    try:
        return put is not None and "ttl" in inspect.signature(put).parameters
    except (TypeError, ValueError):
        return False
