"""Bottender's sessions for webhook handlers: from a request's body to contexts."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from gridsession import SessionId, SessionStore, Turn, platforms
from gridsession.dialects.bottender._config import Settings, is_store, read_config
from gridsession.dialects.bottender._context import Context
from gridsession.dialects.bottender._event import Event
from gridsession.dialects.bottender._places import Options, seconds_of
from gridsession.dialects.bottender._shape import BARE, shown_id, stored_id
from gridsession.dialects.bottender._stores import GridSessionStore, Lifetime
from gridsession.errors import InvalidOption, StoreClosed, UsageError
from gridsession.policy import Duration

Body: TypeAlias = Mapping[str, Any] | bytes | str
Prefix: TypeAlias = str | Callable[[Event], str]
"""Text before the key, or a function that tells it of an event."""

_MINUTE: Final = 60.0


class Sessions:
    """Sessions of a bot, configured as Bottender's: `async with Sessions("bottender.config.toml") as sessions`.

    ::

        for event in sessions.events("line", request.body):
            async with sessions.context("line", event) as context:
                context.set_state({"count": context.state.get("count", 0) + 1})

    The first context opens the place if nobody did; `aclose` or `async with` close it.

    Args:
        config: a mapping, the path of a TOML or JSON file, or None for Bottender's defaults. Names may be written in
            snake_case or in camelCase: `session.driver` (memory, file, redis, mongo, hazelcast, lmdb, a name found in
            `session.stores`, the URL of any driver, or a choice by environment), `session.expires_in` in minutes,
            `session.stores.<driver>`, `initial_state`, `channels.<platform>`. Where no driver is named it is
            `GRIDSESSION_URL`, else memory. Without `expires_in` new sessions never expire, unless the URL or store says
            so, and others keep the life they were given; `math.inf` makes them never expire.
        mode, session_key_prefix, scope, tenant, rules, include_bot_messages, mock_platform: as for
            `gridsession.platforms.session_ids`, for all platforms; what `channels` says of one of them beats it. A
            prefix may also be a function of the event, and two bots with one store need one, or a tenant each.

    Raises:
        InvalidOption: a name or value in the configuration that makes no sense; the message lists what is known.
        InvalidValue: an initial state that cannot be stored.
    """

    def __init__(
        self,
        config: Options | str | os.PathLike[str] | None = None,
        *,
        mode: platforms.Mode = "strict",
        session_key_prefix: Prefix = "",
        scope: platforms.Scope = "chat",
        tenant: str | bool | None = None,
        rules: platforms.Rules | None = None,
        include_bot_messages: bool = False,
        mock_platform: str | None = None,
    ) -> None:
        self._settings = read_config(config)
        self._options: dict[str, Any] = {
            "mode": mode,
            "session_key_prefix": session_key_prefix,
            "scope": scope,
            "tenant": tenant,
            "rules": rules,
            "include_bot_messages": include_bot_messages,
            "mock_platform": mock_platform,
        }
        self._life = seconds_of(self._settings.expires_in, _MINUTE)
        # What is made by calling waits until it is opened: it may have to be awaited.
        self._store = None if self._by_calling else _store(self._settings)
        self._state = "not open"
        self._opening = asyncio.Lock()

    @classmethod
    def over(
        cls,
        store: GridSessionStore | SessionStore | str | object,
        *,
        initial_state: Mapping[str, Any] | None = None,
        expires_in: Lifetime = None,
        channels: Mapping[str, Mapping[str, Any]] | None = None,
        mode: platforms.Mode = "strict",
        session_key_prefix: Prefix = "",
    ) -> Self:
        """Sessions in a store that is there: one of this module, a `SessionStore`, a URL, or a user's own.

        Args:
            store: one of this module or a `SessionStore` is opened here if it is not open, and left open.
            initial_state: the state of new sessions.
            expires_in: minutes or a timedelta; None = as the store has it.
            channels, mode, session_key_prefix: as in a configuration, and as for the class.

        Raises:
            InvalidOption: no store.
            InvalidValue: an initial state that cannot be stored.
        """
        session = {"driver": "given", "stores": {"given": store}, "expires_in": expires_in}
        config = {"session": session, "initial_state": initial_state or {}, "channels": channels or {}}
        return cls(config, mode=mode, session_key_prefix=session_key_prefix)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} ({self._state})>"

    def __await__(self) -> Generator[Any, None, Self]:
        return self.connect().__await__()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def connect(self) -> Self:
        """Open the store now; `async with` and `await sessions` do the same, and so does the first context.

        Raises:
            Unavailable: it cannot be reached.
        """
        async with self._opening:
            if self._state == "closed":
                raise UsageError("sessions that were closed are not opened again: make others with Sessions(...)")
            if self._store is None:
                self._store = _store(await _called(self._settings))
            await self._store.init()
            self._state = "open"
        return self

    async def aclose(self) -> None:
        """Close what was opened here; a store that was handed in stays open."""
        async with self._opening:
            self._state = "closed"
            if self._store is None or self._store is self._settings.place:
                return
            await self._store.aclose()
            if self._by_calling:
                await self._store.sessions.aclose()

    @property
    def store(self) -> GridSessionStore:
        """Where the sessions are, as a Bottender store; `store.sessions` is the same with our own API.

        Raises:
            StoreClosed: before it is opened, and after it was closed.
        """
        if self._store is None or self._state != "open":
            raise self._not_open()
        return self._store

    def _not_open(self) -> StoreClosed:
        return StoreClosed(f"the sessions are {self._state}: use them inside of `async with Sessions(...)`")

    def events(self, platform: str, body: Body) -> list[Event]:
        """The events in a request's body, in order, each with the id of its session.

        Args:
            platform: as for `gridsession.platforms.session_ids`.
            body: the parsed body, or its text as posted. Its signature must have been checked.

        Raises:
            UnknownEvent: the body is not one of this platform's.
            InvalidOption: unknown platform, or an option that it does not take.
        """
        options, prefix = self._channel(platform)
        return [
            _event(platform, fields, session_id, prefix)
            for session_id, fields in platforms.events(platform, body, **options)
        ]

    def context(
        self,
        platform: str,
        event: Body,
        *,
        session_id: str | SessionId | None = None,
        message: object | None = None,
        wait: Duration | None = None,
        request_context: object = None,
    ) -> Context:
        """The context of one event, for `async with`: it holds the event's session alone, and writes it at the end.

        Each event restarts the session's expiry, also when the handler changes nothing.

        Args:
            platform: as for `events`; any name if `session_id` is given.
            event: one that `events` gave, or as `gridsession.platforms.events` gives it, or a body that holds one.
            session_id: whose session it is, instead of what follows from the event.
            message: the platform's id of the message, `platforms.message_id(platform, event)`. It is remembered in the
                commit that writes the session, and `context.repeated` tells whether it was handled before.
            wait: how long to wait for the session; seconds or timedelta.
            request_context: handed on as `context.request_context`.

        Raises:
            InvalidInput: a body of several events: use `events`.
            UnknownEvent: neither an event nor a body of this platform.
            StoreClosed: the sessions were closed.
            Unavailable: on entering, when the store is not open yet and cannot be reached.
            Leased: on entering, when the wait ran out.
            Conflict, LeaseLost: on leaving; nothing was written.
        """
        if self._state == "closed":
            raise self._not_open()
        found = self._one(platform, event, session_id)
        turn = None if found.session is None else partial(self._turn, found.session, wait, message)
        return Context(
            platform, found, turn, initial_state=self._settings.initial_state, request_context=request_context
        )

    async def _turn(self, session: SessionId, wait: Duration | None, message: object | None) -> Turn:
        if self._state != "open":
            await self.connect()
        if self._settings.expires_in is None:
            return self.store.turn(session, wait=wait, message=message)
        return self.store.sessions.turn(session, wait=wait, message=message, ttl=self._life)

    @property
    def _by_calling(self) -> bool:
        return not isinstance(self._settings.place, str) and not is_store(self._settings.place)

    def _one(self, platform: str, event: Body, session_id: str | SessionId | None) -> Event:
        if session_id is not None:
            if not isinstance(event, Mapping):
                raise InvalidOption("an event whose session is told is a mapping, not text: parse it first")
            bare = platform == BARE and isinstance(session_id, str)
            told = stored_id(str(session_id)) if bare else SessionId.parse(session_id)
            return Event(event, told, shown_id(told))
        if isinstance(event, Event):
            return event
        options, prefix = self._channel(platform)
        found, fields = platforms.one_event(platform, event, **options)
        return _event(platform, fields, found, prefix)

    def _channel(self, platform: str) -> tuple[dict[str, Any], Callable[[Event], str] | None]:
        """The platform's options; a prefix that is told by a function stands apart."""
        options = dict(self._options)
        for name, only in (("include_bot_messages", "slack"), ("mock_platform", "console")):
            if platform != only:
                del options[name]
        options |= self._settings.channels.get(platform, {})
        if options["rules"] == "opengram":
            raise InvalidOption("rules 'opengram' are for gridsession.dialects.opengram: their ids name no platform")
        prefix = options["session_key_prefix"]
        if callable(prefix):
            options["session_key_prefix"] = ""
            return options, prefix
        return options, None


def _event(platform: str, fields: Mapping[str, Any], found: str | None, prefix: Callable[[Event], str] | None) -> Event:
    """The event with its session; a bare id is kept apart from `platform:key` ids inside of the store."""
    if found is None:
        return Event(fields, None, None)
    session = SessionId(BARE, found) if platform == BARE else SessionId.parse(found)
    if prefix is not None:
        text = prefix(Event(fields, session, found))
        if not isinstance(text, str) or len(text) > 512 or not text.isprintable():
            raise InvalidOption(
                f"session_key_prefix for platform {platform} must give printable text, at most 512 long"
            )
        session = SessionId(session.platform, text + session.key)
    return Event(fields, session, shown_id(session))


def _store(settings: Settings) -> GridSessionStore:
    place = settings.place
    return place if isinstance(place, GridSessionStore) else GridSessionStore(place, settings.expires_in)


async def _called(settings: Settings) -> Settings:
    """The settings with the store that a factory makes."""
    assert callable(settings.place)
    made = settings.place()
    return replace(settings, place=await made if inspect.isawaitable(made) else made)
