"""Listeners that outlive connections and links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from gridsession._logs import logger

if TYPE_CHECKING:
    from gridsession.drivers.hazelcast._client import Client
    from gridsession.drivers.hazelcast._link import Link

T = TypeVar("T")
Codec = tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]
"""Of the client: the request for a listener, how its answer is read, what undoes it."""

_PAUSE: Final = 0.25

_log = logger("hazelcast")


class Listener(Generic[T]):
    """One listener on all members, over reconnects and clients.

    Args:
        codec: what to listen to.
        read: makes an event of a message.
        on_event: gets each event; what it raises is logged and goes no further.
        on_gap: called when the listener is installed and after each time events may have been missed.
        on_end: called when the client is closed.
    """

    def __init__(
        self,
        client: Client,
        codec: Codec,
        read: Callable[[Any], T],
        on_event: Callable[[T], None],
        on_gap: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._client = client
        self._codec = codec
        self._read = read
        self._on_event = on_event
        self._on_gap = on_gap
        self._on_end = on_end
        self._installing: asyncio.Task[None] | None = None
        self._installed: tuple[Link, str] | None = None
        self._stopped = False
        client.listeners.add(self)
        self.install()

    @property
    def installed(self) -> bool:
        """Whether events come."""
        return self._installed is not None

    def install(self) -> None:
        """Install on the client's link of now."""
        if self._installing is None or self._installing.done():
            self._installed = None
            self._installing = asyncio.create_task(self._install())

    def gap(self) -> None:
        """Events may have been missed."""
        if self._installed is not None and not self._stopped:
            self._on_gap()

    def end(self) -> None:
        """The client is closed."""
        self._stopped = True
        if self._installing is not None:
            self._installing.cancel()
        self._on_end()

    def stop(self) -> None:
        """Take the listener off the members, in the background."""
        self._stopped = True
        self._client.listeners.discard(self)
        self._installing = asyncio.create_task(self._uninstall(self._installing))

    async def _install(self) -> None:
        request, decode, remove = self._codec
        while not (self._stopped or self._client.closed):
            link = self._client.link
            try:
                registration = await link.listeners.register_listener(request, decode, remove, self._handle)
            except Exception as error:  # noqa: BLE001 - whatever it was, the answer is to try again
                _log.debug("listener.retried", error=type(error).__name__)
                await asyncio.sleep(_PAUSE)
                continue
            if link is self._client.link:
                self._installed = (link, registration)
                self._on_gap()
                return

    async def _uninstall(self, installing: asyncio.Task[None] | None) -> None:
        # A registration is never cancelled midway: the client would go on installing it on every new connection.
        if installing is not None:
            with suppress(asyncio.CancelledError, Exception):
                await installing
        if self._installed is not None:
            link, registration = self._installed
            with suppress(Exception):
                await link.listeners.deregister_listener(registration)

    def _handle(self, message: Any) -> None:
        if self._stopped:
            return
        try:
            self._on_event(self._read(message))
        except Exception as error:  # noqa: BLE001 - an exception here makes the client close the connection
            _log.warning("event.unreadable", error=type(error).__name__)
