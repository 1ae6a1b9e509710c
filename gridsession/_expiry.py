"""Telling users of expired sessions: to handlers and to loops. How they are claimed: `_claimer.py`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Callable

from gridsession._claimer import Claimer, ExpiredSession
from gridsession._link import Link
from gridsession.errors import StoreClosed

__all__ = ["ExpiredSession", "Expiry", "Handler"]

Handler = Callable[[ExpiredSession], object]


class Feed:
    """Expired sessions for one `async for`: each is acknowledged when the next one is asked for."""

    def __init__(self, link: Link, *, ahead: int, claim: int) -> None:
        self._ready: deque[tuple[ExpiredSession, asyncio.Future[bool]]] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._handed: asyncio.Future[bool] | None = None
        self._claimer = Claimer(link, self._put, at_once=ahead, claim=claim, ended=self._end)

    async def _put(self, expired: ExpiredSession) -> bool:
        if self._ended:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._ready.append((expired, done))
        self._news.set()
        return await done

    async def each(self) -> AsyncGenerator[ExpiredSession, None]:
        """Those that are claimed, one by one.

        Raises:
            StoreClosed: the store was closed meanwhile.
        """
        try:
            while True:
                while not self._ready:
                    if self._ended:
                        raise StoreClosed("the store was closed while its expired sessions were waited for")
                    self._news.clear()
                    await self._news.wait()
                expired, handed = self._ready.popleft()
                self._handed = handed
                yield expired
                _settle(handed, taken=True)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Give back what was claimed and not acknowledged, and claim no more."""
        self._end()
        if self._handed is not None:
            # Its user may be the one who closes: waiting for the end of that would be for ever.
            _settle(self._handed, taken=False)
        await self._claimer.aclose()

    def _end(self) -> None:
        self._ended = True
        self._news.set()
        while self._ready:
            _settle(self._ready.popleft()[1], taken=False)


def _settle(done: asyncio.Future[bool], *, taken: bool) -> None:
    if not done.done():
        done.set_result(taken)


class Expiry:
    """What a store does about expired sessions: its handlers, and the iterators that are under way."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._handlers: list[Handler] = []
        self._at_once, self._claim = 1, 0
        self._claimer: Claimer | None = None
        self._feeds: set[Feed] = set()
        self._closed = False

    def add(self, handler: Handler, *, at_once: int, claim: int) -> None:
        """Another handler; all run for each expired session, in this order."""
        self._link.announce = True
        self._handlers.append(handler)
        self._at_once, self._claim = at_once, claim
        if self._claimer is not None:
            self._claimer.tune(at_once, claim)

    def start(self) -> None:
        """Begin, if there is anyone to tell."""
        if self._handlers and self._claimer is None:
            self._claimer = Claimer(self._link, self._handle, at_once=self._at_once, claim=self._claim)

    async def _handle(self, expired: ExpiredSession) -> bool:
        for handler in tuple(self._handlers):
            done = handler(expired)
            if inspect.isawaitable(done):
                await done
        return True

    async def each(self, *, ahead: int, claim: int) -> AsyncGenerator[ExpiredSession, None]:
        """As `SessionStore.expired`."""
        self._link.check()
        if self._closed:
            raise StoreClosed("the store is being closed: expired sessions are told of no more")
        feed = Feed(self._link, ahead=ahead, claim=claim)
        self._feeds.add(feed)
        try:
            async with contextlib.aclosing(feed.each()) as items:
                async for expired in items:
                    yield expired
        finally:
            self._feeds.discard(feed)

    async def aclose(self) -> None:
        """Claim no more; what was claimed is handled or given back before this returns, see `Claimer.aclose`."""
        # First: a loop that began while the others end would be ended by nobody.
        self._closed = True
        claimer, self._claimer = self._claimer, None
        async with contextlib.AsyncExitStack() as rest:
            if claimer is not None:
                rest.push_async_callback(claimer.aclose)
            for feed in self._feeds:
                rest.push_async_callback(feed.aclose)
