"""Who an event is from and where: what Bottender records in the session at each event, without asking the platform.

Each part is `{"id": ..., "_updatedAt": ISO text}`, a LINE group or room also has `members`, whose ids only the platform
knows: they stay as an earlier writer left them. Bodies are untrusted, so a part that is not of the right type is none.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Props: TypeAlias = dict[str, Any]
"""The session's fields beside its state; changed in place."""
Recorder: TypeAlias = Callable[[Mapping[str, Any], Props, str], None]

PARTS: Final = ("user", "group", "room", "channel", "team", "page")
"""What may be recorded, besides `type`."""

_LONGEST: Final = 512
_FROM_A_CHANNEL: Final = ("channel_post", "edited_channel_post")
_FROM_A_GROUP: Final = (("message",), ("edited_message",), ("callback_query", "message"))
_FROM_A_USER: Final = (
    "message",
    "edited_message",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
)


def record(platform: str, event: Mapping[str, Any], key: str, props: Props, now: dt.datetime) -> None:
    """Put what the event tells of its user and place into the session's fields.

    Args:
        platform: as `gridsession.platforms` names it; of others nothing is known.
        event: as `gridsession.platforms.events` gives it.
        key: the session's key, which is all that is known of who types at a console.
        now: aware, in UTC.
    """
    stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if platform == "console":
        if not props.get("user"):
            props["user"] = {"id": key, "name": "you", "_updatedAt": stamp}
    elif platform in _RECORDERS:
        _RECORDERS[platform](event, props, stamp)


def _line(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    source = _at(event, "source")
    kind = _at(source, "type")
    if kind not in ("user", "group", "room"):
        return
    if not props.get("type"):
        props["type"] = kind
    user = _part(_at(source, "userId"), stamp)
    if kind == "user":
        if user and not props.get("user"):
            props["user"] = user
        return
    props["user"] = user
    place = _part(_at(source, f"{kind}Id"), stamp)
    if place:
        before = _at(props.get(kind), "members")
        props[kind] = {**place, "members": before if isinstance(before, list) else []}


def _telegram(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    for name in _FROM_A_CHANNEL:
        _put(props, "channel", _at(event, name, "chat", "id"), stamp)
    for path in _FROM_A_GROUP:
        if _at(event, *path, "chat", "type") == "group":
            _put(props, "group", _at(event, *path, "chat", "id"), stamp)
    for name in _FROM_A_USER:
        _put(props, "user", _at(event, name, "from", "id"), stamp)


def _slack(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    proper = event["event"] if isinstance(event.get("event"), Mapping) else event
    if proper.get("bot_id") or proper.get("subtype") == "bot_message":
        return
    user = _first(_at(proper, "user", "id"), _at(proper, "user"), _at(proper, "user_id"))
    if user is None or user == _at(props.get("user"), "id"):
        return
    channel = _first(
        _at(proper, "channel", "id"),
        _at(proper, "channel_id"),
        _metadata_channel(proper),
        _at(proper, "item", "channel"),
        _at(proper, "channel"),
    )
    _put(props, "user", user, stamp)
    _put(props, "channel", channel, stamp)
    _put(props, "team", _first(_at(event, "team_id"), _at(event, "team", "id"), _at(event, "team")), stamp)


def _metadata_channel(event: Mapping[str, Any]) -> object:
    metadata = _at(event, "view", "private_metadata")
    try:
        return _at(json.loads(metadata), "channelId") if isinstance(metadata, str) else None
    except (ValueError, RecursionError):
        return None  # the app keeps something else there


def _messenger(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    own, person = "recipient", "sender"
    if _at(event, "message", "is_echo") is True:
        own, person = person, own
    _put(props, "page", _at(event, own, "id"), stamp)
    _put(props, "user", _at(event, person, "id"), stamp)


def _viber(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    user = _first(_at(event, "sender", "id"), _at(event, "user", "id"), _at(event, "user_id"))
    _put(props, "user", user, stamp)


def _twilio(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    status = _first(_at(event, "SmsStatus"), _at(event, "MessageStatus"))
    _put(props, "user", _at(event, "From" if status in ("received", "receiving") else "To"), stamp)


def _whatsapp_cloud(event: Mapping[str, Any], props: Props, stamp: str) -> None:
    _put(props, "user", _first(_at(event, "from"), _at(event, "from_user_id")), stamp)
    _put(props, "group", _at(event, "group_id"), stamp)


_RECORDERS: Final[dict[str, Recorder]] = {
    "facebook": _messenger,
    "line": _line,
    "messenger": _messenger,
    "slack": _slack,
    "telegram": _telegram,
    "viber": _viber,
    "whatsapp": _twilio,
    "whatsapp-cloud": _whatsapp_cloud,
}


def _at(value: object, *path: str) -> Any:
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _first(*values: object) -> str | int | None:
    return next((value for value in values if _is_id(value)), None)  # type: ignore[return-value]  # _is_id tells


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _part(value: object, stamp: str) -> dict[str, Any] | None:
    return {"id": value, "_updatedAt": stamp} if _is_id(value) else None


def _put(props: Props, name: str, value: object, stamp: str) -> None:
    part = _part(value, stamp)
    if part is not None:
        props[name] = part
