"""aiogram 3's Redis storage with its `DefaultKeyBuilder`: `fsm:<chat>:<user>:state` is text, `...:data` JSON text.

The session is the one that `gridsession.dialects.aiogram` reads: `aiogram:<bot>:<chat>:<user>`, and after it, where
there is one, `:thread=`, `:business=` and `:destiny=`. The data is its state, the FSM's state its prop `state`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from gridsession.errors import InvalidOption
from gridsession.moving.sources import Corrupt, Found, Item, Options, Skipped
from gridsession.moving.sources._servers import Entry, redis_entries
from gridsession.moving.sources._text import Unreadable, mapping, parse

_PARTS: Final = ("state", "data")
_DESTINY: Final = "default"
_MINUTE: Final = 60_000
_NUMBER: Final = re.compile(r"-?[0-9]+")
_SPECIAL: Final = re.compile(r"([\\*?\[\]])")


class _Half(NamedTuple):
    """The state or the data of one key."""

    part: str
    entry: Entry


async def from_redis(place: str, options: Options) -> AsyncIterator[Found]:
    """Both halves of a key are one session; it lives as long as the longer of them."""
    if options.bot is None and not options.with_bot_id:
        raise InvalidOption("these keys do not hold the bot's id, which sessions are told apart by: give it (--bot)")
    prefix = options.prefix or "fsm"
    halves: dict[str, list[_Half]] = {}
    async for entry in redis_entries(place, _SPECIAL.sub(r"\\\1", prefix) + ":*"):
        session_id, part = _identity(entry.key, prefix, options)
        if session_id is None:
            yield Skipped(entry.key)
            continue
        halves.setdefault(session_id, []).append(_Half(part, entry))
        if len(halves[session_id]) == len(_PARTS):
            yield _item(session_id, halves.pop(session_id), options)
    for session_id, found in halves.items():
        yield _item(session_id, found, options)


def _item(session_id: str, halves: list[_Half], options: Options) -> Found:
    key = halves[0].entry.key.rpartition(":")[0]
    state: Any = {}
    props: dict[str, Any] = {}
    try:
        for part, entry in halves:
            if entry.text is None:
                raise Unreadable(f"its {part} is not a string")
            if part == "data":
                state = mapping(parse(entry.text))
            else:
                props["state"] = entry.text.decode()
    except Unreadable as error:
        return Corrupt(key, str(error))
    except UnicodeDecodeError:
        return Corrupt(key, "its state is not UTF-8")
    lefts = [entry.left for _, entry in halves]
    left = None if None in lefts else max(each for each in lefts if each is not None)
    ttl = None if options.expires_in is None else round(options.expires_in * _MINUTE)
    return Item(key, session_id, state, props, left=left, ttl=ttl)


def _identity(key: str, prefix: str, options: Options) -> tuple[str | None, str]:
    """The session id a key stands for, and which part it holds; None if the builder never made it."""
    parts = key[len(prefix) + 1 :].split(":")
    part = parts.pop()
    if part not in _PARTS or len(parts) < options.with_bot_id + options.with_destiny + 2:
        return None, part
    bot = parts.pop(0) if options.with_bot_id else str(options.bot)
    destiny = parts.pop() if options.with_destiny else _DESTINY
    # A chat and a user, and between them a thread; before them, only if it is there, a business connection.
    business = parts.pop(0) if options.with_business_connection_id and not _NUMBER.fullmatch(parts[0]) else ""
    thread = parts.pop(1) if len(parts) == 3 else ""
    if len(parts) != 2 or not all(_NUMBER.fullmatch(each) for each in (bot, *parts, thread or "0")):
        return None, part
    named = [bot, *parts]
    named += [f"thread={thread}"] if thread else []
    named += [f"business={quote(business, safe='')}"] if business else []
    named += [f"destiny={quote(destiny, safe='')}"] if destiny != _DESTINY else []
    return f"aiogram:{':'.join(named)}", part


READERS: Final = {"redis": from_redis}
