"""Opengram's sessions, `{"session": {...}, "expires": ms}`, in keyv's `{"value": ..., "expires": ms}` or bare.

Keyv writes JSON text whose strings are escaped: one that begins with a colon gets another before it, and bytes are
`:base64:` and their text. Keys begin with keyv's namespace, by the adapters' ages in one of several ways.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from gridsession.errors import InvalidOption
from gridsession.moving.sources import Corrupt, Found, Item, Options, Skipped
from gridsession.moving.sources._servers import MONGO, REDIS, is_server, mongo_documents, redis_entries
from gridsession.moving.sources._text import Unreadable, content, host_now, local, parse, whole

_DEEPEST: Final = 4
_FILE_BYTES: Final = 268_435_456
_MINUTE: Final = 60_000
_BYTES: Final = ":base64:"


class _Held(NamedTuple):
    """One stored value: what it is called, what it is (text, or an object already) and the ms it lives by its store."""

    key: str
    value: Any
    left: int | None


async def from_keyv(place: str, options: Options) -> AsyncIterator[Found]:
    """From a Redis, a MongoDB (collection `keyv`) or a JSON file of keys and values."""
    async for held in _held(place):
        try:
            found = _session(held.value)
        except Unreadable as error:
            yield Corrupt(held.key, str(error))
            continue
        if found is None:
            yield Skipped(held.key)
            continue
        session, ends = found
        lefts = [end - host_now() for end in ends]
        if held.left is not None:
            lefts.append(held.left)
        ttl = None if options.expires_in is None else round(options.expires_in * _MINUTE)
        key = _bare(held.key, options.prefix or "keyv")
        yield Item(held.key, f"opengram:{key}", session, left=min(lefts, default=None), ttl=ttl)


async def _held(place: str) -> AsyncIterator[_Held]:
    if is_server(place, *REDIS):
        async for entry in redis_entries(place):
            yield _Held(entry.key, entry.text, entry.left)
    elif is_server(place, *MONGO):
        async for document in mongo_documents(place, "keyv"):
            yield _Held(str(document.get("key", document.get("_id"))), document.get("value"), None)
    else:
        async for held in _of_file(place):
            yield held


async def _of_file(place: str) -> AsyncIterator[_Held]:
    """`{"cache": [[key, value], ...]}` as keyv-file writes it, or an object of keys and values."""
    try:
        path = local(place.removeprefix("file://"))
    except InvalidOption:
        raise InvalidOption("keyv is read from redis:// and mongodb:// URLs and from JSON files") from None
    try:
        data = await content(path, _FILE_BYTES)
    except Unreadable as error:
        raise InvalidOption(f"{place} cannot be imported: {error}") from None
    pairs = data.get("cache") if isinstance(data, dict) else None
    if isinstance(pairs, list):
        for pair in pairs:
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
                yield _Held(pair[0], pair[1], None)
        return
    for key, value in data.items() if isinstance(data, dict) else ():
        yield _Held(key, value, None)


def _session(value: Any) -> tuple[dict[str, Any], list[int]] | None:
    """The session inside, and when it ends by each wrapper that says so; None if there is none."""
    ends: list[int] = []
    for _ in range(_DEEPEST):
        if isinstance(value, (str, bytes)):
            if b"session" not in (value.encode(errors="replace") if isinstance(value, str) else value):
                return None
            value = _unescaped(parse(value))
            continue
        if not isinstance(value, dict):
            return None
        ends += [end for name in ("expires", "expire") if (end := whole(value.get(name))) is not None]
        if isinstance(value.get("session"), dict):
            return value["session"], ends
        value = value.get("value")
    return None


def _unescaped(value: Any) -> Any:
    if isinstance(value, list):
        return [_unescaped(each) for each in value]
    if isinstance(value, dict):
        return {name: _unescaped(each) for name, each in value.items()}
    if not isinstance(value, str) or not value.startswith(":"):
        return value
    if not value.startswith(_BYTES):
        return value[1:]
    try:
        return base64.b64decode(value[len(_BYTES) :], validate=True)
    except binascii.Error:
        raise Unreadable("it holds bytes that are not base64") from None


def _bare(key: str, namespace: str) -> str:
    for prefix in (
        f"sets:namespace:{namespace}:{namespace}:",
        f"{namespace}::{namespace}:",
        f"{namespace}::",
        f"{namespace}:",
    ):
        if key.startswith(prefix):
            return key[len(prefix) :]
    return key


READERS: Final = {"keyv": from_keyv}
