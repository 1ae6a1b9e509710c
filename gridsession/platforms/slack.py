"""Slack: events (JSON), interactions (a form with a field `payload` of JSON) and slash commands (a form).

The session is the channel's (all members and all threads share it), else the user's: a file, a home tab or a modal has
no channel. A modal that was opened from a channel belongs there, if its `private_metadata` is JSON with a `channelId`.
What bots post is dropped, unless `include_bot_messages`: a bot that answers itself never ends.

The event handed out is the whole body of an event (the event proper is its field `event`), the parsed payload of an
interaction, the form of a command. Payloads of Socket Mode are taken too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    plain_word,
    read_json,
    session_of,
)
from gridsession.platforms._javascript import RaisesTypeError, either, has, member, truthy
from gridsession.platforms._options import Mode, Options

_CHANNEL: Final = (("channel", "id"), ("channel_id",))
_CHANNEL_ELSE: Final = (
    ("item", "channel"),
    ("channel",),
    ("container", "channel_id"),
    ("assistant_thread", "channel_id"),
)
_USER: Final = (
    ("user", "id"),
    ("user",),
    ("user_id",),
    ("assistant_thread", "user_id"),
    ("message", "user"),
    ("previous_message", "user"),
)
_THREAD: Final = (
    ("thread_ts",),
    ("message", "thread_ts"),
    ("previous_message", "thread_ts"),
    ("container", "thread_ts"),
    ("assistant_thread", "thread_ts"),
)
_TEAM: Final = (
    ("team_id",),
    ("team", "id"),
    ("team",),
    ("user", "team_id"),
    ("enterprise_id",),
    ("enterprise", "id"),
)
_WITH_USER_OBJECT: Final = ("interactive_message", "block_actions", "view_submission", "view_closed")
_TOOLBOT_KEY: Final = "U000000000"


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    if mode == "bottender":
        return _bottender(body, options)
    event, whole = _received(body)
    from_bot = truthy(event.get("bot_id")) or event.get("subtype") == "bot_message"
    if from_bot and not options.include_bot_messages:
        return []
    channel = first_word(event, *_CHANNEL) or _metadata_channel(event) or first_word(event, *_CHANNEL_ELSE)
    source = Source(channel, first_word(event, *_USER), first_word(event, *_THREAD), first_word(whole, *_TEAM))
    return [(session_of("slack:", source, options), whole)]


def _received(body: Fields) -> tuple[Fields, Fields]:
    """What says where the event comes from, and the event to hand out."""
    payload = body.get("payload")
    if isinstance(payload, str):
        parsed = read_json("slack", payload)
        return parsed, parsed
    if isinstance(payload, Mapping):
        body = payload
    event = body.get("event")
    if isinstance(event, Mapping):
        return event, body
    if "event" in body or body.get("type") == "event_callback":
        raise not_of("slack", "event")
    if not any(isinstance(body.get(name), str) for name in ("type", "command")):
        raise not_of("slack", "event, payload, command or type")
    return body, body


def _metadata_channel(event: Fields) -> str | None:
    metadata = at(event, "view", "private_metadata")
    if not isinstance(metadata, str):
        return None
    try:
        return plain_word(at(json.loads(metadata), "channelId"))
    except (ValueError, RecursionError):
        return None  # another app's view, or one of this app that keeps something else there


def _bottender(body: Fields, options: Options) -> Identified:
    raw, whole = _raw_event(body, options.rules)
    dropped = not options.include_bot_messages and _posted_by_bot(raw, options.rules)
    if dropped and options.rules == "1.5":
        return []
    # Older versions ask for the key first, so a key that cannot be had fails also where the event is dropped.
    session_id = _javascript.session_id(f"slack:{options.session_key_prefix}", _key(raw, options.rules))
    return [] if dropped else [(session_id, whole)]


def _key(raw: object, rules: str) -> object:
    if rules == "toolbot":
        channel = member(raw, "channel")
        return channel if isinstance(channel, str) and channel else _TOOLBOT_KEY
    channel = _channel_key(raw, with_view=rules == "1.5")
    return _user_key(raw) if rules == "1.5" and not truthy(channel) else channel


def _raw_event(body: Fields, rules: str) -> tuple[object, Fields]:
    event = member(body, "event")
    if rules == "toolbot" or (truthy(event) if rules == "0.15" else has(body, "event")):
        return event, body
    payload = member(body, "payload")
    if isinstance(payload, str) and payload:
        parsed = read_json("slack", payload)
        return parsed, parsed
    return body, body


def _posted_by_bot(raw: object, rules: str) -> bool:
    if truthy(member(raw, "bot_id")):
        return True
    return (rules in ("0.15", "toolbot") or has(raw, "subtype")) and member(raw, "subtype") == "bot_message"


def _channel_key(raw: object, *, with_view: bool) -> object:
    channel = member(raw, "channel")
    if isinstance(channel, Mapping) and truthy(inner := member(channel, "id")):
        return inner
    if truthy(direct := member(raw, "channel_id")):
        return direct
    view = member(raw, "view") if with_view else None
    if truthy(view) and truthy(metadata := member(view, "private_metadata")):
        found = member(_parsed(metadata), "channelId")
        if truthy(found):
            return found
    item = member(raw, "item")
    if isinstance(item, Mapping) and isinstance(inner := member(item, "channel"), str):
        return inner
    return channel


def _user_key(raw: object) -> object:
    user = member(raw, "user")
    if member(raw, "type") in _WITH_USER_OBJECT:
        return member(user, "id")
    return either(user, member(raw, "user_id"))


def _parsed(metadata: object) -> object:
    try:
        return json.loads(_javascript.text(metadata), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RaisesTypeError("view.private_metadata as JSON") from None


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _message_id(event: Fields) -> str | None:
    return first_word(event, ("event_id",), ("trigger_id",))


SLACK: Final = Platform(
    identify=_identify,
    message_id=_message_id,
    rules=("1.5", "1.0", "0.15", "toolbot"),
    names_tenant=True,
    takes_forms=True,
)
