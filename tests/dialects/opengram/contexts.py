"""Contexts as a bot's framework makes them, and updates as Telegram sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gridsession.dialects.opengram import SessionMiddleware


class Ctx:
    """A context of an ordinary class: its sender and its chat."""

    def __init__(self, user: int | None = 1, chat: int | None = 2) -> None:
        self.from_ = None if user is None else SimpleNamespace(id=user)
        self.chat = None if chat is None else SimpleNamespace(id=chat)


def raw(user: int = 1, chat: int = 2, **fields: Any) -> dict[str, Any]:
    """A raw update with a message."""
    message = {"message_id": 1, "date": 0, "from": {"id": user}, "chat": {"id": chat, "type": "group"}}
    return {"update_id": 1, "message": message, **fields}


async def update(use: SessionMiddleware, ctx: Any, handler: Callable[[Any], Any]) -> Any:
    """One update handled by a plain handler, behind the middleware."""
    return await use(ctx, lambda: handler(ctx))


def count(ctx: Any) -> int:
    """The handler of most bots: how many updates came."""
    ctx.session.counter = (ctx.session.counter or 0) + 1
    counter: int = ctx.session.counter
    return counter


def read(ctx: Any) -> dict[str, Any]:
    """All fields of the session."""
    return dict(ctx.session)


async def slow_count(ctx: Any) -> None:
    """Count, with others running between reading and writing."""
    counter = ctx.session.counter or 0
    await asyncio.sleep(0)
    ctx.session.counter = counter + 1


def assign(value: object) -> Callable[[Any], None]:
    """A handler that assigns the session."""
    return lambda ctx: setattr(ctx, "session", value)
