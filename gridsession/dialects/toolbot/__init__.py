"""toolbot's sessions: `context.session.nickname = "Tim"`, saved after the handler, and its stores, on any driver."""

from __future__ import annotations

from gridsession.dialects.toolbot._bot import ConsoleBot, ConsoleContext, Context, Sessions
from gridsession.dialects.toolbot._session import Session
from gridsession.dialects.toolbot._stores import (
    FileSessionStore,
    GridSessionStore,
    MemorySessionStore,
    MongoSessionStore,
    RedisSessionStore,
)

__all__ = [
    "ConsoleBot",
    "ConsoleContext",
    "Context",
    "FileSessionStore",
    "GridSessionStore",
    "MemorySessionStore",
    "MongoSessionStore",
    "RedisSessionStore",
    "Session",
    "Sessions",
]
