"""A loop in a thread of its own, for code that blocks: behind every `gridsession.sync` store there is one.

It belongs to a store, never to the module. Calls from its own thread and from a forked child are refused with a clear
error, because neither could ever be answered. Work handed back to the caller (`call_back`) runs on the caller's thread
while that one waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gridsession.errors import StoreClosed, UsageError, WrongLoop

T = TypeVar("T")
_Inbox = queue.SimpleQueue[Callable[[], None] | None]


class Portal:
    """One thread, one loop."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gridsession-portal", daemon=True)
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the coroutines run."""
        return self._loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; Ctrl-C cancels it and waits for its end.

        Raises:
            StoreClosed: the portal was closed.
            WrongLoop: in a forked child.
            UsageError: on the portal's own thread.
        """
        try:
            self._check()
        except UsageError:
            work.close()
            raise
        inbox: _Inbox = queue.SimpleQueue()
        task = asyncio.run_coroutine_threadsafe(_with_inbox(work, inbox), self._loop)
        task.add_done_callback(lambda _: inbox.put(None))
        try:
            self._serve(inbox)
        except BaseException:
            task.cancel()
            with contextlib.suppress(BaseException):
                self._serve(inbox)
            raise
        return task.result()

    def close(self) -> None:
        """Stop the loop and end the thread; a second call does nothing, nor does one in a forked child."""
        if self._pid != os.getpid() or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise WrongLoop("this store was opened before the fork: open one in each process")
        if self._loop.is_closed():
            raise StoreClosed("the store is closed")
        if threading.current_thread() is self._thread:
            raise UsageError("a blocking call on the store's own thread would wait for itself: use `store.aio` there")

    @staticmethod
    def _serve(inbox: _Inbox) -> None:
        while (request := inbox.get()) is not None:
            request()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        remaining = asyncio.all_tasks(self._loop)
        for task in remaining:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*remaining, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())


async def _with_inbox(work: Coroutine[Any, Any, T], inbox: _Inbox) -> T:
    _caller.set(inbox)
    return await work


async def call_back(function: Callable[..., T], *args: Any) -> T:
    """Run a function on the thread that waits in `Portal.call` for the current coroutine."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            outcome = function(*args)
        except Exception as error:  # noqa: BLE001 - carried to the coroutine, raised there
            loop.call_soon_threadsafe(_settle, answer, None, error)
        except BaseException:
            # Ctrl-C belongs to the caller's thread: on the loop it would end the portal for everybody.
            loop.call_soon_threadsafe(answer.cancel)
            raise
        else:
            loop.call_soon_threadsafe(_settle, answer, outcome, None)

    _caller.get().put(run)
    return await answer


def _settle(answer: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(outcome)
    else:
        answer.set_exception(error)


_caller: contextvars.ContextVar[_Inbox] = contextvars.ContextVar("gridsession_caller")
