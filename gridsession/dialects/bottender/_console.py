"""A bot on a console: what is typed is an event, what the handler sends is yielded. The same code runs in tests."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from gridsession import SessionId, SessionStore, Turn
from gridsession.dialects.bottender._console_event import ConsoleEvent, as_json
from gridsession.dialects.bottender._context import Context
from gridsession.dialects.bottender._shape import STATE, shown_id
from gridsession.dialects.bottender._state import storable
from gridsession.dialects.bottender._stores import GridSessionStore, MemorySessionStore
from gridsession.drivers import Driver
from gridsession.errors import UsageError

C = TypeVar("C")
Send = Callable[[str], None]

_QUIT: Final = ("/quit", "/exit")
DEFAULT_SIZE: Final = 500
"""Sessions that a bot without a store keeps, as theirs does."""


class Console(ABC, Generic[C]):
    """A conversation of one user with a bot, line by line: events, commands and replies.

    `/state` answers with the session's state as JSON and `/session` with the whole session, `{}` if there is none;
    neither extends its life. `/payload x` is an event with the payload `x`. `/quit` and `/exit` set `ended`. All else
    goes to the handler.

    Attributes:
        ended: the user typed `/quit` or `/exit`.
        pretty: answer `/state` and `/session` on several lines, indented by two.
    """

    def __init__(self, store: GridSessionStore, *, owned: bool, platform: str, user: str, pretty: bool) -> None:
        self.ended = False
        self.pretty = pretty
        self._store = store
        self._owns = owned
        self._named = SessionId.parse(SessionId(platform, user))
        self._handler: Callable[[C], object] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_id!a}>"

    async def __aenter__(self) -> Self:
        await self._store.init()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session store, unless it was handed in."""
        if self._owns:
            await self._store.aclose()

    @property
    def session_id(self) -> str:
        """Whose conversation this is, `console:1` unless another platform or user is played."""
        return shown_id(self._named)

    @property
    def store(self) -> GridSessionStore:
        """Where its sessions are."""
        return self._store

    def on_event(self, handler: Callable[[C], object]) -> Callable[[C], object]:
        """Call this for each event, with a context; also as a decorator. The last one given counts.

        Args:
            handler: a function of one argument, a coroutine function or a plain one. What it raises is raised to who
                typed the line, and then nothing of its session was written.
        """
        self._handler = handler
        return handler

    onEvent = on_event  # noqa: N815 - their name

    async def say(self, line: str) -> list[str]:
        """Type one line; all replies to it, once the session is written."""
        return [reply async for reply in self.hear(line)]

    async def hear(self, line: str) -> AsyncGenerator[str, None]:
        """Type one line; each reply as it is sent. The iteration ends when the session is written.

        Raises:
            UsageError: no handler was given by `on_event`.
        """
        command = line.strip()
        if command in _QUIT:
            self.ended = True
        elif command in ("/state", "/session"):
            await self._store.init()
            session = await self._store.read(self.session_id) or {}
            yield as_json(self._state(session) if command == "/state" else session, pretty=self.pretty)
        else:
            async with aclosing(self._handled(ConsoleEvent.of_line(line, self._named))) as replies:
                async for reply in replies:
                    yield reply

    async def _handled(self, event: ConsoleEvent) -> AsyncGenerator[str, None]:
        if self._handler is None:
            raise UsageError("the bot has no handler: give it one with bot.on_event(handler)")
        await self._store.init()
        replies: asyncio.Queue[str | None] = asyncio.Queue()
        handling = asyncio.create_task(self._handle(self._handler, event, replies.put_nowait))
        handling.add_done_callback(lambda _: replies.put_nowait(None))
        try:
            while (reply := await replies.get()) is not None:
                yield reply
            await handling
        finally:
            # Who stops listening, or is cancelled, leaves no handler behind.
            if not handling.done():
                handling.cancel()
                await asyncio.wait([handling])

    async def _handle(self, handler: Callable[[C], object], event: ConsoleEvent, send: Send) -> None:
        async with self._exchange(event, send) as context:
            answer = handler(context)
            if inspect.isawaitable(answer):
                await answer

    @abstractmethod
    def _exchange(self, event: ConsoleEvent, send: Send) -> AbstractAsyncContextManager[C]:
        """The context of one event; leaving it writes the session."""

    @abstractmethod
    def _state(self, session: Mapping[str, Any]) -> Any:
        """What `/state` shows of a session."""


class ConsoleContext(Context):
    """What a handler is given for a typed line: Bottender's context, and `send_text`."""

    def __init__(
        self,
        platform: str,
        event: ConsoleEvent,
        turn: Turn,
        *,
        initial_state: Mapping[str, Any],
        send: Send,
    ) -> None:
        super().__init__(platform, event, turn, initial_state=initial_state)
        self._send = send

    async def send_text(self, text: str) -> None:
        """Reply."""
        self._send(text)

    sendText = send_text  # noqa: N815 - their name


class ConsoleBot(Console[ConsoleContext]):
    """A bot to type at, in a terminal or in a test: `await bot.say("Hi")` gives its replies.

    ::

        async with ConsoleBot(initial_state={"count": 0}) as bot:

            @bot.on_event
            async def count(context):
                context.set_state({"count": context.state["count"] + 1})
                await context.send_text(f"Count: {context.state['count']}")

            assert await bot.say("Hi") == ["Count: 1"]
            assert await bot.say("/state") == ['{ "count": 1 }']

    Args:
        session_store: one of Bottender's stores, a `SessionStore`, a driver, the URL of any driver, or a user's own
            store with init, read, write and destroy; what was made by others stays open. None: 500 sessions in this
            process.
        initial_state: the state of new sessions.
        platform, user: whose conversation this is: session `console:1` unless another is played.
        pretty: answer `/state` and `/session` on several lines.

    Raises:
        InvalidOption: no store.
        InvalidValue: an initial state that cannot be stored.
    """

    def __init__(
        self,
        session_store: GridSessionStore | SessionStore | Driver | str | object | None = None,
        initial_state: Mapping[str, Any] | None = None,
        *,
        platform: str = "console",
        user: str = "1",
        pretty: bool = False,
    ) -> None:
        store = MemorySessionStore(DEFAULT_SIZE) if session_store is None else session_store
        if not isinstance(store, GridSessionStore):
            store = GridSessionStore(store)
        super().__init__(store, owned=store is not session_store, platform=platform, user=user, pretty=pretty)
        self._initial_state = storable(initial_state or {}, "initial_state")

    def _exchange(self, event: ConsoleEvent, send: Send) -> ConsoleContext:
        turn, platform = self._store.turn(self._named), self._named.platform
        return ConsoleContext(platform, event, turn, initial_state=self._initial_state, send=send)

    def _state(self, session: Mapping[str, Any]) -> Any:
        return session.get(STATE, {})
