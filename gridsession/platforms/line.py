"""LINE Messaging API: a body holds a list of events, each from a user, a group or a room.

The session is the source's: a group or a room shares one, whoever speaks. The two dummy events of the old webhook
verification are dropped. `strict` gives None where the source is missing, of an unknown type or without its id;
`bottender` gives `line:undefined` for the last and raises `UnknownEvent` for the others, where Bottender fails too.

Before 1.1.3 Bottender gave every event of a request the first one's session (`rules` 0.15, 1.0, toolbot).
"""

from __future__ import annotations

from typing import Final

from gridsession.platforms import _javascript
from gridsession.platforms._events import (
    Fields,
    Identified,
    Platform,
    Source,
    at,
    first_word,
    listed,
    plain_word,
    session_of,
)
from gridsession.platforms._options import Mode, Options

_ID_FIELDS: Final = {"user": "userId", "group": "groupId", "room": "roomId"}
_DUMMY_REPLY_TOKENS: Final = ("0" * 32, "f" * 32)


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    received = listed("line", body, "events")
    if mode == "strict":
        tenant = first_word(body, ("destination",))
        return [
            (session_of("line:", _source(event, tenant), options), event) for event in received if not _dummy(event)
        ]
    head = f"line:{options.session_key_prefix}"
    if options.rules != "1.5":
        session_id = _javascript.session_id(head, _request_key(received, options.rules))
        return [(session_id, event) for event in received if options.rules == "toolbot" or not _dummy(event)]
    identified: Identified = []
    for event in received:
        if not _dummy(event):
            key = options.session_key_prefix + _javascript.text(_key(event))
            # Bottender joins before it asks whether there is a key: a prefix alone is one there.
            identified.append((_javascript.session_id("line:", key), event))
    return identified


def _dummy(event: Fields) -> bool:
    return event.get("replyToken") in _DUMMY_REPLY_TOKENS


def _source(event: Fields, tenant: str | None) -> Source:
    kind = at(event, "source", "type")
    field = _ID_FIELDS.get(kind) if isinstance(kind, str) else None
    chat = plain_word(at(event, "source", field)) if field else None
    user = plain_word(at(event, "source", "userId")) if chat else None
    return Source(chat, user, tenant=tenant)


def _key(event: object) -> object:
    source = _javascript.member(event, "source")
    kind = _javascript.member(source, "type")
    if not (isinstance(kind, str) and kind in _ID_FIELDS):
        raise _javascript.RaisesTypeError("source.type")
    return _javascript.member(source, _ID_FIELDS[kind])


def _request_key(received: list[Fields], rules: str) -> object:
    if rules == "0.15" and all(_dummy(event) for event in received):
        return ""
    return _key(_javascript.first(received))


def _message_id(event: Fields) -> str | None:
    own = plain_word(at(event, "webhookEventId"))
    if own is None and at(event, "type") == "message":
        own = plain_word(at(event, "message", "id"))
    return own


LINE: Final = Platform(
    identify=_identify,
    message_id=_message_id,
    rules=("1.5", "1.0", "0.15", "toolbot"),
    names_tenant=True,
    batch="events",
    enclose=lambda event: {"events": [event]},
)
