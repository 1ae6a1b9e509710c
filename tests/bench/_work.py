"""What is measured: the turn, the sessions it works on, and how one measured case is opened."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgpack

from gridsession.cli._measuring import Turn, session

TTL: Final = 1_800
KILOBYTE: Final = 1_024
_PATTERNS: Final = 256
"""Different contents of sessions: to invent each of a million would take longer than to store it."""
_AT_ONCE: Final = 64
"""Sessions filled at a time."""


class NotRun(Exception):
    """A case cannot be measured here; the text says why and is shown in its row."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the servers are started and the sessions made for.

    Attributes:
        size: of a session, bytes, about.
        sessions: how many there are.
        processes: client processes, each with as many callers as a row says.
        deadline: of gridsession's calls, s. Op ids are remembered that long, and a session here is changed far more
            often than any conversation changes one: a short deadline keeps what is remembered as small as it is there.
    """

    size: int = KILOBYTE
    sessions: int = 10_000
    processes: int = 1
    deadline: float = 2.0


@dataclass(slots=True)
class Context:
    """What a case finds when it is opened in a client process.

    Attributes:
        places: where the servers listen, by name: a URL, a port or a folder.
        fill: whether this process makes the sessions; of several, one does.
        shared: what cases of this process open once for all of them.
    """

    setting: Setting
    places: Mapping[str, str]
    folder: Path
    fill: bool
    stack: contextlib.AsyncExitStack
    shared: dict[str, Any] = field(default_factory=dict)

    async def once(self, name: str, opening: Callable[[], contextlib.AbstractAsyncContextManager[Any]]) -> Any:
        """What was opened under this name, or is now; it is closed when the process ends."""
        if name not in self.shared:
            self.shared[name] = await self.stack.enter_async_context(opening())
        return self.shared[name]

    async def fill_once(self, name: str, make: Callable[[int], Awaitable[object]]) -> None:
        """Make each session, once for all cases that name the same sessions."""
        if not self.fill or f"filled {name}" in self.shared:
            return
        self.shared[f"filled {name}"] = True
        indexes = iter(range(self.setting.sessions))

        async def maker() -> None:
            for index in indexes:
                await make(index)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(maker())

    def session(self, index: int) -> dict[str, Any]:
        """The session of an index, in this setting's size; parts of it are those of other sessions too."""
        made = _pattern(index % _PATTERNS, self.setting.size)
        return {**made, "user_id": made["user_id"][:1] + f"{index:0{len(made['user_id']) - 1}x}"}


Opening = Callable[[Context], contextlib.AbstractAsyncContextManager[Turn]]


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table.

    Attributes:
        key: its name on the command line.
        title: its name in the table.
        needs: the servers it talks to, by name.
        jvm: a JVM answers: it needs a long warm-up.
        most_callers: more would only wait for each other.
        alone: several client processes would overwrite each other's sessions, or do not share them at all.
    """

    key: str
    title: str
    open: Opening
    needs: tuple[str, ...] = ()
    jvm: bool = False
    most_callers: int = 1_000_000
    alone: bool = False


@functools.cache
def _pattern(index: int, size: int) -> dict[str, Any]:
    return sized(index, size)


def sized(index: int, size: int) -> dict[str, Any]:
    """Thirteen fields, about so many bytes encoded; the same for the same index."""
    made = session(index)
    if size < KILOBYTE:
        made.update(user_id=f"U{index:x}", slots={}, cart=[], history=[], flags={})
    elif size > KILOBYTE:
        source = random.Random(index)
        made["history"] = [source.randbytes(40).hex() for _ in range((size - KILOBYTE + 350) // 82)]
    return made


@contextlib.asynccontextmanager
async def bare_loop(context: Context) -> AsyncIterator[Turn]:
    """No place at all: a fixed piece of Python and one trip through the event loop, as a measure of the machine."""
    loop, state = asyncio.get_running_loop(), sized(0, KILOBYTE)

    async def turn(index: int, number: int) -> object:
        answer: asyncio.Future[int] = loop.create_future()
        loop.call_soon(answer.set_result, number)
        packed = msgpack.packb({**state, "step": await answer})
        return msgpack.unpackb(packed)["step"]

    yield turn
