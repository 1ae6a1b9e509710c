"""One adapter for callers that await and callers that block: everything runs on the one loop of its store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from gridsession import SessionStore, sync
from gridsession.errors import StoreClosed, UsageError

T = TypeVar("T")
P = ParamSpec("P")


class TwoColours:
    """A store, lent or of our own, and the ways to its loop.

    Args:
        store: an open store (async or `gridsession.sync`), which stays its owner's; or a URL (None =
            `GRIDSESSION_URL`) of a store of our own with a loop of its own, opened at first use.
    """

    def __init__(self, store: SessionStore | sync.SessionStore | str | None) -> None:
        lent = isinstance(store, (SessionStore, sync.SessionStore))
        opened = store if isinstance(store, (SessionStore, sync.SessionStore)) else sync.SessionStore.open(store)
        self.store = opened.aio if isinstance(opened, sync.SessionStore) else opened
        self._ours = opened if isinstance(opened, sync.SessionStore) and not lent else None
        self._opened = lent

    def connect(self) -> None:
        """Open the store if it is ours and not open yet.

        Raises:
            Unavailable: it cannot be reached; the next call tries again.
        """
        if self._ours is not None:
            self._ours.connect()
        self._opened = True

    def close(self) -> None:
        """Close the store if it is ours."""
        if self._ours is not None:
            self._ours.close()

    async def reach(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work on the store's loop, from any loop."""
        if not self._opened:
            try:
                await asyncio.to_thread(self.connect)
            except BaseException:
                work.close()
                raise
        if self.store.loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop(work)))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for work on the store's loop, in a thread that may block.

        Raises:
            UsageError: on that very loop, where it would wait for itself.
        """
        if not self._opened:
            try:
                self.connect()
            except BaseException:
                work.close()
                raise
        loop = self._loop(work)
        if _running() is loop:
            work.close()
            raise UsageError("a blocking call on the store's own loop would wait for itself: await the async twin")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def enter(self, block: AbstractAsyncContextManager[T]) -> T:
        """Enter a block on the store's loop; whoever is cancelled at the moment it is granted has left it again."""
        entering = _Entering(block)
        try:
            return await self.reach(entering.enter())
        except asyncio.CancelledError as error:
            if self._opened:
                with contextlib.suppress(StoreClosed):
                    await self.reach(entering.leave(error))
            raise

    def enter_waiting(self, block: AbstractAsyncContextManager[T]) -> T:
        """`enter` for a thread that may block, and be interrupted."""
        entering = _Entering(block)
        try:
            return self.wait(entering.enter())
        except (KeyboardInterrupt, SystemExit) as error:
            if self._opened:
                with contextlib.suppress(StoreClosed):
                    self.wait(entering.leave(error))
            raise

    def each(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Iterate without awaiting."""
        end = object()
        while (item := self.wait(_next(items, end))) is not end:
            yield item  # type: ignore[misc]  # whatever is not the end came from `items`

    def _loop(self, work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
        if self.store.loop is None:
            work.close()
            raise StoreClosed("the store of this adapter is closed, or was not opened")
        return self.store.loop


class _Entering(Generic[T]):
    """Knows on the store's loop, where nobody's cancellation comes in between, whether a block was entered."""

    def __init__(self, block: AbstractAsyncContextManager[T]) -> None:
        self._block = block
        self._entered = False

    async def enter(self) -> T:
        inside = await self._block.__aenter__()
        self._entered = True
        return inside

    async def leave(self, error: BaseException) -> None:
        if self._entered:
            await self._block.__aexit__(type(error), error, None)


class Placed(Protocol):
    """An adapter that has such a place."""

    _at: TwoColours


S = TypeVar("S", bound=Placed)


def on_its_loop(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Let a method of an adapter be awaited from any loop."""

    @functools.wraps(method)
    async def call(adapter: S, /, *args: P.args, **named: P.kwargs) -> T:
        return await adapter._at.reach(method(adapter, *args, **named))

    return call


def blocking(method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[S, P], T]:
    """The blocking twin of a method of an adapter."""

    @functools.wraps(method)
    def call(adapter: S, /, *args: P.args, **named: P.kwargs) -> T:
        return adapter._at.wait(method(adapter, *args, **named))

    return call


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _next(items: AsyncIterator[T], end: object) -> T | object:
    return await anext(items, end)
