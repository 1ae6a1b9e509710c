"""Viber: a body is one event, named by its field `event`, and concerns one user.

A kind of event that names no user, as `webhook` (Viber's check of the address), belongs to nobody.
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
    not_of,
    session_of,
    whole_number,
)
from gridsession.platforms._options import Mode, Options

_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "message": ("sender", "id"),
    "subscribed": ("user", "id"),
    "conversation_started": ("user", "id"),
    "unsubscribed": ("user_id",),
    "delivered": ("user_id",),
    "seen": ("user_id",),
    "failed": ("user_id",),
}


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    kind = body.get("event")
    place = _PLACES.get(kind, ()) if isinstance(kind, str) else ()
    if mode == "bottender":
        key: object = body if place else ""
        for name in place:
            key = _javascript.member(key, name)
        return [(_javascript.session_id(f"viber:{options.session_key_prefix}", key), body)]
    if not isinstance(kind, str):
        raise not_of("viber", "event")
    user = first_word(body, place) if place else None
    return [(session_of("viber:", Source(user, user), options), body)]


def _message_id(event: Fields) -> str | None:
    # A receipt carries the token of the message it is about, so the token alone would be the same three times.
    kind, token = first_word(event, ("event",)), whole_number(at(event, "message_token"))
    return f"{kind}:{token}" if kind and token else None


VIBER: Final = Platform(identify=_identify, message_id=_message_id, rules=("1.5", "1.0", "0.15"))
