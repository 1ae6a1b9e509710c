"""Bottender's sessions: `{"id", "platform", "lastActivity", "_state", "user", ...}`, in files, Redis or MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from gridsession.dialects.bottender._shape import STATE, identity, stored_id
from gridsession.errors import InvalidSessionId
from gridsession.moving.sources import Corrupt, Found, Item, Options, Skipped
from gridsession.moving.sources._servers import mongo_documents, redis_entries
from gridsession.moving.sources._text import Unreadable, content, directory, files, host_now, mapping, parse, whole

_OWN: Final = frozenset({"_id", STATE})
_MINUTE: Final = 60_000
_NEAR: Final = 5_000
"""Redis tells what is left; with the last activity that gives whole minutes, up to this error (ms)."""


async def from_files(place: str, options: Options) -> AsyncIterator[Found]:
    """`<dir>/<id>.json`; where a colon cannot be in a file's name, `@` stands for the first one."""
    async for path in files(directory(place), ".json"):
        try:
            session = mapping(await content(path))
        except Unreadable as error:
            yield Corrupt(path.name, str(error))
            continue
        name = path.stem if ":" in path.stem else path.stem.replace("@", ":", 1)
        yield _item(path.name, session, options, name)


async def from_redis(place: str, options: Options) -> AsyncIterator[Found]:
    """The key is the session id, the value JSON text. Keys that hold no session of Bottender's are passed over."""
    async for entry in redis_entries(place):
        try:
            session = parse(entry.text) if entry.text is not None else None
        except Unreadable as error:
            # A Redis is shared: only what is called like a session is one that cannot be read.
            yield Corrupt(entry.key, str(error)) if _named_like_one(entry.text) else Skipped(entry.key)
            continue
        if not _is_session(session):
            yield Skipped(entry.key)
            continue
        found = _item(entry.key, session, options, entry.key)
        yield (
            found._replace(left=entry.left, ttl=_span(session, entry.left, options))
            if isinstance(found, Item)
            else found
        )


async def from_mongo(place: str, options: Options) -> AsyncIterator[Found]:
    """One document per session, in the collection `sessions`."""
    async for document in mongo_documents(place, "sessions"):
        key = str(document.get("id", document.get("_id")))
        if not _is_session(document):
            yield Skipped(key)
        else:
            yield _item(key, plain(document), options, key)


def plain(value: Any) -> Any:
    """What BSON adds to JSON's types, as Python has it; what Python has no word for is left and refused later."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    kind = type(value)
    if kind.__module__.partition(".")[0] == "bson":
        if isinstance(value, int):
            return int(value)
        if isinstance(value, bytes):
            return bytes(value)
        if kind.__name__ == "Decimal128":
            return value.to_decimal()
        if kind.__name__ == "ObjectId":
            return str(value)
    return value


def _is_session(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and {"platform", "lastActivity"} <= value.keys()


def _named_like_one(text: bytes | None) -> bool:
    return text is not None and b'"lastActivity"' in text


def _item(key: str, session: Any, options: Options, name: str) -> Found:
    state = session.get(STATE)
    if state is not None and not isinstance(state, dict):
        return Corrupt(key, "its _state is not an object")
    given = session.get("id")
    try:
        session_id = stored_id(given if isinstance(given, str) and given else name)
    except InvalidSessionId as error:
        return Corrupt(key, str(error))
    follows = _OWN | identity(session_id).keys()
    props = {field: value for field, value in session.items() if field not in follows}
    item = Item(key, session_id.text, state or {}, props)
    last = whole(session.get("lastActivity"))
    if options.expires_in is None or last is None:
        return item
    ttl = round(options.expires_in * _MINUTE)
    return item._replace(left=last + ttl - host_now(), ttl=ttl)


def _span(session: Any, left: int | None, options: Options) -> int | None:
    """How long it lives from one activity to the next: Bottender's setting is in minutes."""
    last = whole(session.get("lastActivity"))
    if options.expires_in is not None:
        return round(options.expires_in * _MINUTE)
    if left is None or last is None:
        return None
    span = host_now() + left - last
    minutes = round(span / _MINUTE)
    return minutes * _MINUTE if minutes > 0 and abs(span - minutes * _MINUTE) <= _NEAR else None


READERS: Final = {"file": from_files, "redis": from_redis, "mongo": from_mongo}
