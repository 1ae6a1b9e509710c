"""Bottender's sessions: `context.state`, `set_state`, its configuration and its stores, on any driver."""

from __future__ import annotations

from gridsession.dialects.bottender._console import ConsoleBot, ConsoleContext
from gridsession.dialects.bottender._console_event import ConsoleEvent
from gridsession.dialects.bottender._context import Context, ContextSession
from gridsession.dialects.bottender._event import Event
from gridsession.dialects.bottender._sessions import Sessions
from gridsession.dialects.bottender._stores import (
    FileSessionStore,
    GridSessionStore,
    MemorySessionStore,
    MongoSessionStore,
    RedisSessionStore,
)

__all__ = [
    "ConsoleBot",
    "ConsoleContext",
    "ConsoleEvent",
    "Context",
    "ContextSession",
    "Event",
    "FileSessionStore",
    "GridSessionStore",
    "MemorySessionStore",
    "MongoSessionStore",
    "RedisSessionStore",
    "Sessions",
]
