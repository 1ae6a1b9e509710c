"""Opengram's session middleware, on any driver.

::

    use_session = session(ttl=60, store="hazelcast://localhost:5701/gridsession")

    async def handle(ctx):
        async def count():
            ctx.session.counter = (ctx.session.counter or 0) + 1

        await use_session(ctx, count)

Each update holds its session alone while its handlers run, across all processes, and what changed is saved once when
they end. The session's id in a store is `opengram:<key>`; in an object of yours with get and set it stands under the
bare key.
"""

from __future__ import annotations

from gridsession.dialects.opengram._context import Context, chat_of, sender_of, session_key
from gridsession.dialects.opengram._held import SessionData
from gridsession.dialects.opengram._middleware import SessionMiddleware, session
from gridsession.dialects.opengram._scenes import Scenes

__all__ = [
    "Context",
    "Scenes",
    "SessionData",
    "SessionMiddleware",
    "chat_of",
    "sender_of",
    "session",
    "session_key",
]
