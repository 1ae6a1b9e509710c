"""Contexts of any kind: who wrote, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gridsession.dialects.opengram._held import SessionData
from gridsession.platforms import session_ids

_BOTH_NUMBERS: Final = re.compile(r"-?[0-9]+:-?[0-9]+")
_SENDERS: Final = ("from_user", "from_", "from", "effective_user", "event_from_user")
_CHATS: Final = ("chat", "effective_chat", "event_chat")


class Context:
    """A context over an update that cannot carry properties itself: one of python-telegram-bot, or a raw one.

    Whatever it does not have is looked up in the update, by attribute or (in a raw update) by item.

    Attributes:
        update: what it was made of.
    """

    def __init__(self, update: object) -> None:
        self.update = update

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "update" not in self.__dict__:
            raise AttributeError(name)
        found = part(self.update, name)
        if found is None and not has(self.update, name):
            raise AttributeError(f"neither the context nor its update has {name!r}")
        return found

    @property
    def from_(self) -> Any:
        """Who sent it, or None."""
        return sender_of(self.update)

    @property
    def chat(self) -> Any:
        """The chat it belongs to, or None."""
        return chat_of(self.update)


def session_key(ctx: object) -> str | None:
    """Opengram's default key, `from.id:chat.id`; None where the update has no sender or no chat with a whole number.

    Args:
        ctx: a raw update; the `data` of an aiogram middleware; or an object (or mapping) with a sender, called
            `from_user`, `from_`, `from` or `effective_user`, and a `chat` or `effective_chat`: events and updates of
            aiogram and of python-telegram-bot are such.
    """
    ctx = ctx.update if isinstance(ctx, Context) else ctx
    if isinstance(ctx, Mapping) and not any(name in ctx for name in (*_SENDERS, *_CHATS)):
        found = session_ids("telegram", ctx, rules="opengram")[0]
    else:
        found = f"{part(sender_of(ctx), 'id')}:{part(chat_of(ctx), 'id')}"
    return found if found and _BOTH_NUMBERS.fullmatch(found) else None


def sender_of(ctx: object) -> Any:
    """Who sent an update, as its framework gives it (in a raw update a mapping), or None."""
    ctx = _event(ctx)
    return next((found for name in _SENDERS if (found := part(ctx, name)) is not None), None)


def chat_of(ctx: object) -> Any:
    """The chat of an update, of a pressed button that of its message, as its framework gives it, or None."""
    ctx = _event(ctx)
    found = next((found for name in _CHATS if (found := part(ctx, name)) is not None), None)
    return found if found is not None else part(part(ctx, "message"), "chat")


def _event(ctx: object) -> object:
    """The part of an update that says who and where."""
    if isinstance(ctx, Context):
        ctx = ctx.update
    if any(part(ctx, name) is not None for name in (*_SENDERS, *_CHATS)):
        return ctx
    if isinstance(ctx, Mapping):
        return next((one for one in ctx.values() if isinstance(one, Mapping) and not isinstance(one, SessionData)), ctx)
    try:
        # An aiogram update has its event under this name, and raises for one of a type it does not know.
        return part(ctx, "event") or ctx
    except LookupError:
        return ctx


def part(holder: object, name: str) -> Any:
    """An item of a mapping, an attribute of anything else, or None."""
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def has(holder: object, name: str) -> bool:
    """Whether there is such an item or attribute."""
    return name in holder if isinstance(holder, Mapping) else hasattr(holder, name)
