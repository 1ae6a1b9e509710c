"""LINE Messaging API: a body holds a list of events, each from a user, a group or a room.

The session is the source's: a group or a room shares one, whoever speaks. The two dummy events of the old webhook
verification are dropped. `strict` gives None where the source is missing, of an unknown type or without its id;
`bottender` gives `line:undefined` for the last and raises `UnknownEvent` for the others, where Bottender fails too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gridsession.errors import InvalidOption
from gridsession.platforms import _javascript
from gridsession.platforms._events import Fields, Identified, Mode, Platform, at, not_of, plain_word

_ID_FIELDS: Final = {"user": "userId", "group": "groupId", "room": "roomId"}
_DUMMY_REPLY_TOKENS: Final = ("0" * 32, "f" * 32)


def _identify(body: Fields, mode: Mode, options: Fields) -> Identified:
    received = body.get("events")
    if not isinstance(received, list):
        raise not_of("line", "events")
    prefix = options.get("session_key_prefix", "")
    identified: Identified = []
    for place, event in enumerate(received):
        if not isinstance(event, Mapping):
            raise not_of("line", f"events[{place}]")
        if event.get("replyToken") in _DUMMY_REPLY_TOKENS:
            continue
        key = _strict_key(event) if mode == "strict" else _bottender_key(event, place)
        # Bottender joins before it asks whether there is a key: a prefix alone is one there.
        has_key = key is not None if mode == "strict" else bool(prefix or key)
        identified.append((f"line:{prefix}{key}" if has_key else None, event))
    return identified


def _strict_key(event: Fields) -> str | None:
    kind = at(event, "source", "type")
    field = _ID_FIELDS.get(kind) if isinstance(kind, str) else None
    return plain_word(at(event, "source", field)) if field else None


def _bottender_key(event: Fields, place: int) -> str:
    source = event.get("source")
    kind = at(source, "type")
    field = _ID_FIELDS.get(kind) if isinstance(kind, str) else None
    try:
        if field is None:
            raise _javascript.RaisesTypeError("type")
        return _javascript.text(_javascript.member(source, field))
    except _javascript.RaisesTypeError as failure:
        raise not_of("line", f"events[{place}].source.{failure}") from None


def _message_id(event: Fields) -> str | None:
    own = plain_word(at(event, "webhookEventId"))
    if own is None and at(event, "type") == "message":
        own = plain_word(at(event, "message", "id"))
    return own


def _prefix(value: object) -> str:
    if not isinstance(value, str) or len(value) > 512 or not value.isprintable():
        raise InvalidOption("session_key_prefix of platform line must be printable text of at most 512 characters")
    return value


LINE: Final = Platform(options={"session_key_prefix": _prefix}, identify=_identify, message_id=_message_id)
