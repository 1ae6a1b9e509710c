"""Who writes a thread of checkpoints: one owner at a time, in all processes, for a run or for one write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Self

from gridsession import Turn
from gridsession.dialects._two_colours import TwoColours
from gridsession.dialects.langgraph._checkpoints import NOTES, Entry, Threads
from gridsession.policy import Duration

Checkpoints = set[tuple[str, str]]
"""Which checkpoints of a thread: their namespaces and ids."""
Choice = Callable[[str, Sequence[Entry]], Awaitable[Checkpoints]]
"""Given a thread and its entries: the checkpoints to keep."""


class Hold:
    """A thread held by one owner. Its writes come one after another, because they share the index."""

    def __init__(self, at: TwoColours, threads: Threads, thread: str, turn: Turn) -> None:
        self.at, self.thread, self.turn = at, thread, turn
        self.threads = threads
        self.lock = asyncio.Lock()
        self.emptied = False

    async def __aenter__(self) -> Self:
        await self.turn.__aenter__()
        try:
            if any(name.startswith(NOTES) for name in self.turn.state):
                await self.threads.tidy(self.turn.session, self.thread)
        except BaseException as error:
            await self.turn.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object = None) -> None:
        try:
            if kind is None and self.emptied and not await self.turn.session.load():
                await self.turn.delete()
        except BaseException as failure:
            await self.turn.__aexit__(type(failure), failure, None)
            raise
        await self.turn.__aexit__(kind, error, None)


_holds: ContextVar[tuple[Hold, ...]] = ContextVar("gridsession_langgraph_holds", default=())


@contextmanager
def _holding(hold: Hold) -> Generator[None, None, None]:
    outer = _holds.set((*_holds.get(), hold))
    try:
        yield
    finally:
        _holds.reset(outer)


class Owners:
    """Writes threads, each under the turn of its owner: of the `own` block it happens in, else of its own.

    Args:
        at: where.
        threads: how.
        lease: for how long others wait for an owner that died.
        wait: how long a write waits for the owner before it.
    """

    def __init__(self, at: TwoColours, threads: Threads, lease: Duration, wait: Duration) -> None:
        self._at, self._threads = at, threads
        self._lease, self._wait = lease, wait

    @asynccontextmanager
    async def aown(self, thread: str, wait: Duration | None) -> AsyncGenerator[None, None]:
        """Own a thread inside of the block, from any loop."""
        hold = await self._at.enter(self._hold(thread, wait))
        with _holding(hold):
            try:
                yield
            except BaseException as error:
                await self._at.reach(hold.__aexit__(type(error), error))
                raise
            await self._at.reach(hold.__aexit__(None, None))

    @contextmanager
    def own(self, thread: str, wait: Duration | None) -> Generator[None, None, None]:
        """The same for code that blocks."""
        hold = self._at.enter_waiting(self._hold(thread, wait))
        with _holding(hold):
            try:
                yield
            except BaseException as error:
                self._at.wait(hold.__aexit__(type(error), error))
                raise
            self._at.wait(hold.__aexit__(None, None))

    async def add(self, thread: str, entry: Entry, body: bytes) -> None:
        """Add to the thread's end."""
        async with self._writing(thread) as hold:
            await self._threads.add(hold.turn.session, entry, body)

    async def keep(self, thread: str, choose: Choice) -> None:
        """Delete all but the chosen checkpoints, with the writes that belong to them."""
        async with self._writing(thread) as hold:
            entries = await self._threads.history(thread)
            kept = await choose(thread, entries)
            if kept != names(entries):
                left = [entry for entry in entries if (entry.ns, entry.id) in kept]
                await self._threads.replace(hold.turn.session, thread, left)
            hold.emptied = hold.emptied or not kept

    async def copy(self, source: str, target: str) -> None:
        """Copy all of a thread to the end of another, where it appears at once."""
        entries, bodies = await self._threads.everything(source)
        if not entries:
            return
        async with self._writing(target) as hold:
            made, _ = await self._threads.write(hold.turn.session, bodies)
            copies = [entry._replace(body=body) for entry, body in zip(entries, made, strict=True)]
            await self._threads.replace(hold.turn.session, target, await self._threads.history(target) + copies)

    def _hold(self, thread: str, wait: Duration | None = None) -> Hold:
        index = self._threads.index_id(thread)
        turn = self._at.store.turn(index, lease=self._lease, wait=self._wait if wait is None else wait)
        return Hold(self._at, self._threads, thread, turn)

    @asynccontextmanager
    async def _writing(self, thread: str) -> AsyncGenerator[Hold, None]:
        for hold in _holds.get():
            if hold.at is self._at and hold.thread == thread:
                async with hold.lock:
                    yield hold
                return
        async with self._hold(thread) as hold:
            yield hold


def names(entries: Iterable[Entry]) -> Checkpoints:
    """The checkpoints that entries are of."""
    return {(entry.ns, entry.id) for entry in entries}
