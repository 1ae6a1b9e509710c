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
from typing import Any, Final, Generic, TypeVar

from gridsession.errors import StoreClosed, UsageError, WrongLoop

T = TypeVar("T")
_Inbox = queue.SimpleQueue[Callable[[], None] | None]


class Portal:
    """One thread, one loop; both begin with `open`."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._closed = False

    def open(self, work: Coroutine[Any, Any, T]) -> T:
        """Start the thread and run on its loop what comes first; if that fails, the thread ends until the next try.

        Raises:
            Exception: as `call`, and what the work raises.
        """
        self._check_process()
        # One by one: whoever gives up stops the loop, which must not end what another thread waits for.
        with self._opening:
            began = self._start()
            try:
                return self.call(work)
            except BaseException:
                if began:
                    self.stop()
                raise

    def _start(self) -> bool:
        with self._lock:
            begins = self._thread is None and not self._closed
            if begins:
                self._pid = os.getpid()
                self._loop, self._ending = _new_loop(), threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop, self._ending), name="gridsession-portal", daemon=True
                )
                self._thread.start()
            return begins

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; Ctrl-C cancels it and waits for its end.

        Raises:
            StoreClosed: the portal is closed, was closed meanwhile, or was not started.
            WrongLoop: in a forked child.
            UsageError: on the portal's own thread, or not a coroutine.
        """
        if not isinstance(work, Coroutine):
            # On the loop nothing could begin, and the caller would wait for ever.
            raise UsageError(
                f"a coroutine is run here, as of an async function that was called, not {type(work).__name__}"
            )
        call: _Call[T] = _Call(work)
        try:
            self._check_process()
            # Under the lock: what is submitted before `close` comes to the loop before its end, and is ended there.
            with self._lock:
                self._checked().call_soon_threadsafe(call.start)
        except UsageError:
            work.close()
            raise
        try:
            call.serve()
        except BaseException:
            call.cancel()
            raise
        return call.result()

    def stop(self) -> None:
        """Stop the loop and end the thread until the next `open`; nothing happens in a forked child."""
        if self._pid != os.getpid():
            return
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._ending.set()
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def close(self) -> None:
        """`stop`, for good; a second call does nothing."""
        self._closed = True
        self.stop()

    def _check_process(self) -> None:
        # Before a lock is taken: the thread that had it when this process was forked does not live here.
        if self._thread is not None and self._pid != os.getpid():
            raise WrongLoop("this store was opened before the fork: open one in each process")

    def _checked(self) -> asyncio.AbstractEventLoop:
        if self._closed or self._loop is None:
            raise StoreClosed("the store is closed, or was not opened: use `with SessionStore.open(...)`")
        if threading.current_thread() is self._thread:
            raise UsageError("a blocking call on the store's own thread would wait for itself: use `store.aio` there")
        return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop, ending: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        while True:
            try:
                loop.run_forever()
                break
            except (SystemExit, KeyboardInterrupt):
                # What ends a program is the outcome of its task, raised where that is waited for; the others go on. A
                # request to stop that came in the same turn of the loop is lost.
                if ending.is_set():
                    loop.call_soon(loop.stop)
        remaining = asyncio.all_tasks(loop)
        for task in remaining:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*remaining, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())


def _new_loop() -> asyncio.AbstractEventLoop:
    # Nobody else runs on it; and with uvloop a call waits a third less for the two threads.
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_LOOK: Final = 0.05


class _Call(Generic[T]):
    """One coroutine on its way, and the thread that waits for it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._inbox: _Inbox = queue.SimpleQueue()
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        self._told = False

    def start(self) -> None:
        """On the loop: begin. When the task has really ended, the waiting thread is told."""
        context = contextvars.copy_context()
        context.run(_caller.set, self._inbox)
        self._task = asyncio.get_running_loop().create_task(self._work, context=context)
        self._task.add_done_callback(lambda _: self._inbox.put(None))
        if self._cancelled:
            self._task.cancel()

    def serve(self) -> None:
        """On the waiting thread: run what is called back, until the task has ended."""
        while (request := self._inbox.get()) is not None:
            request()

    def cancel(self) -> None:
        """On the waiting thread: end the task and wait for its end; nothing is called back any more."""
        # Set first: if there is no task yet, `start` finds the flag.
        self._cancelled = True
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        while not self._told:
            # With a limit: what tells the end may have been taken off just before Ctrl-C came.
            with contextlib.suppress(queue.Empty):
                self._told = self._inbox.get(timeout=_LOOK) is None
            self._told = self._told or (self._task is not None and self._task.done())

    def result(self) -> T:
        """What the task gave, once it has ended.

        Raises:
            StoreClosed: it was ended by the close of the store.
        """
        assert self._task is not None
        try:
            return self._task.result()
        except asyncio.CancelledError:
            raise StoreClosed("the store was closed before the call ended") from None


async def call_back(function: Callable[..., T], *args: Any) -> T:
    """Run a function on the thread that waits in `Portal.call` for the current coroutine."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    _caller.get().put(_answering(answer, function, args))
    return await answer


async def on_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a function on a thread of its own, where context variables are as they are here."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    work = _answering(answer, function, args)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="gridsession-handler", daemon=True).start()
    return await answer


def _answering(answer: asyncio.Future[T], function: Callable[..., T], args: tuple[Any, ...]) -> Callable[[], None]:
    loop = answer.get_loop()

    def tell(callback: Callable[..., object], *what: Any) -> None:
        # A handler may end after the store was closed, by itself perhaps: then nobody waits for its answer.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(callback, *what)

    def run() -> None:
        try:
            outcome = function(*args)
        except StopIteration as error:
            # A future takes no StopIteration; like a generator, it becomes a RuntimeError.
            failure = RuntimeError("the handler raised StopIteration")
            failure.__cause__ = error
            tell(_settle, answer, None, failure)
        except Exception as error:  # noqa: BLE001 - carried to the coroutine, raised there
            tell(_settle, answer, None, error)
        except BaseException:
            # Ctrl-C belongs to the caller's thread: on the loop it would end the portal for everybody.
            tell(answer.cancel)
            raise
        else:
            tell(_settle, answer, outcome, None)

    return run


def _settle(answer: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(outcome)
    else:
        answer.set_exception(error)


_caller: contextvars.ContextVar[_Inbox] = contextvars.ContextVar("gridsession_caller")
