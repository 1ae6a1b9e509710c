"""From an event to its session, as toolbot's bots do it: read, handed to the handler, saved afterwards."""

from __future__ import annotations

import datetime as dt
import inspect
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self

from gridsession import SessionStore
from gridsession.dialects import bottender
from gridsession.dialects.bottender._console import DEFAULT_SIZE, Console, Send
from gridsession.dialects.bottender._recorded import record
from gridsession.dialects.bottender._shape import IDENTITY, LAST_ACTIVITY, stored_id
from gridsession.dialects.bottender._state import thawed
from gridsession.dialects.toolbot._session import Session
from gridsession.dialects.toolbot._stores import FROZEN, GridSessionStore, MemorySessionStore
from gridsession.drivers import Driver
from gridsession.platforms import events

Fields = Mapping[str, object]
Store = bottender.GridSessionStore | SessionStore | Driver | str | object | None


class Context:
    """What a handler is given.

    Attributes:
        event: what happened, as the platform posted it.
        session: the conversation's attributes; None for an event that belongs to no conversation.
    """

    def __init__(self, event: Any, session: Session | None) -> None:
        self.event = event
        self.session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session!r}>"


class Sessions:
    """Sessions around handlers: read before, held alone meanwhile, saved whole afterwards, unless the handler raised.

    Args:
        session_store: one of this package's stores, a `SessionStore`, a driver, a URL, or a user's own store with init,
            read, write and destroy. None: 500 sessions in this process.
        rules: `toolbot` names sessions as toolbot did (Telegram's by the sender, say); None = by the strict rules of
            `gridsession.platforms`.
    """

    def __init__(self, session_store: Store = None, *, rules: Literal["toolbot"] | None = None) -> None:
        self._store = _store(session_store)
        self._owns = self._store is not session_store
        self._rules: Literal["toolbot"] | None = rules

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

    async def handle(self, platform: str, body: Fields | bytes | str, handler: Callable[[Context], object]) -> None:
        """Give each event of a webhook's body to the handler, in order, each with its session.

        Args:
            platform, body: as `gridsession.platforms.events` has them.
            handler: a function of one argument, a coroutine function or a plain one. What it raises is raised here:
                nothing of that event's session was written, and later events of the body were not handled.

        Raises:
            UnknownEvent: the body is none of that platform's.
        """
        for session_id, event in events(platform, body, rules=self._rules):
            async with self.context(session_id, event, platform=platform) as context:
                answer = handler(context)
                if inspect.isawaitable(answer):
                    await answer

    @asynccontextmanager
    async def context(
        self, session_id: str | None, event: Any = None, *, platform: str | None = None
    ) -> AsyncIterator[Context]:
        """The context of one event, with the session of an id; saved when the block ends, and its expiry restarts.

        Args:
            session_id: any text; None for an event without a session.
            event: what `context.event` gives.
            platform: whose event it is, to record who takes part (`session.user` and the like); None records nothing.

        Raises:
            Leased: another handler held the session for as long as one waits.
            InvalidValue: on leaving, an attribute cannot be stored; nothing was written.
        """
        if session_id is None:
            yield Context(event, None)
            return
        await self._store.init()
        named, saved = stored_id(session_id), False
        async with self._store.turn(named) as turn:
            if platform is not None:
                record(platform, event, named.key, turn.props, dt.datetime.now(dt.UTC))
            try:
                yield Context(event, Session(turn, lambda: saved))
            finally:
                saved = True
            # Who takes part and parts of the event may have become attributes: they are kept as plain values.
            turn.state.update(thawed(turn.state))
            # Also what says that it was active, so that a conversation in which nothing is set does not expire.
            turn.props[LAST_ACTIVITY] = time.time_ns() // 1_000_000


class ConsoleContext(Context):
    """What a handler is given for a typed line: `event.message.text`, `session`, `send_text`."""

    session: Session

    def __init__(self, event: bottender.ConsoleEvent, session: Session, send: Send) -> None:
        super().__init__(event, session)
        self._send = send

    async def send_text(self, text: str) -> None:
        """Reply."""
        self._send(text)

    sendText = send_text  # noqa: N815 - their name


class ConsoleBot(Console[ConsoleContext]):
    """A bot to type at, in a terminal or in a test: `await bot.say("Hi")` gives its replies.

    Args:
        session_store: as for `Sessions`.
        platform, user: whose conversation this is: session `console:1` unless another is played.
        pretty: answer `/state` and `/session` on several lines.
    """

    def __init__(
        self, session_store: Store = None, *, platform: str = "console", user: str = "1", pretty: bool = False
    ) -> None:
        store = _store(session_store)
        super().__init__(store, owned=store is not session_store, platform=platform, user=user, pretty=pretty)
        self._sessions = Sessions(store)

    @asynccontextmanager
    async def _exchange(self, event: bottender.ConsoleEvent, send: Send) -> AsyncIterator[ConsoleContext]:
        async with self._sessions.context(self.session_id, event, platform=self._named.platform) as context:
            assert context.session is not None  # it was asked for by its id
            yield ConsoleContext(event, context.session, send)

    def _state(self, session: Mapping[str, Any]) -> Any:
        return {name: value for name, value in session.items() if name not in IDENTITY and name not in FROZEN}


def _store(session_store: Store) -> bottender.GridSessionStore:
    if session_store is None:
        return MemorySessionStore(DEFAULT_SIZE)
    return session_store if isinstance(session_store, bottender.GridSessionStore) else GridSessionStore(session_store)
