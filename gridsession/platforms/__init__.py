"""From the body a platform posts to the ids of the sessions it concerns.

::

    for session_id, event in events("line", request.body):
        if session_id is not None:
            async with store.turn(session_id, message=message_id("line", event)) as turn:
                ...

Bodies are untrusted: whatever they hold, the functions here return or raise `UnknownEvent`. They check no signature;
do that first, on the raw bytes. Each platform is in the file of its name: `line`, `telegram`, `messenger` (with
`facebook`), `slack`, `viber`, `whatsapp` (by Twilio), `whatsapp-cloud`, `console`. A package adds another by an entry
point of the group `gridsession.platforms`: the platform's name, and a `Platform`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from gridsession.errors import InvalidInput, InvalidOption, UnknownEvent
from gridsession.platforms._events import Fields, Platform, Source, not_of, read_body, session_of
from gridsession.platforms._javascript import RaisesTypeError
from gridsession.platforms._options import Mode, Options, Rules, Scope, read_options, shown
from gridsession.platforms.console import CONSOLE
from gridsession.platforms.line import LINE
from gridsession.platforms.messenger import FACEBOOK, MESSENGER
from gridsession.platforms.slack import SLACK
from gridsession.platforms.telegram import TELEGRAM
from gridsession.platforms.viber import VIBER
from gridsession.platforms.whatsapp import WHATSAPP
from gridsession.platforms.whatsapp_cloud import WHATSAPP_CLOUD

__all__ = [
    "Mode",
    "Options",
    "Platform",
    "Rules",
    "Scope",
    "Source",
    "UnknownEvent",
    "events",
    "message_id",
    "one_event",
    "session_ids",
    "session_of",
]

_GROUP: Final = "gridsession.platforms"
_PLATFORMS: Final[dict[str, Platform]] = {
    "console": CONSOLE,
    "facebook": FACEBOOK,
    "line": LINE,
    "messenger": MESSENGER,
    "slack": SLACK,
    "telegram": TELEGRAM,
    "viber": VIBER,
    "whatsapp": WHATSAPP,
    "whatsapp-cloud": WHATSAPP_CLOUD,
}


def session_ids(
    platform: str,
    body: Fields | bytes | str,
    *,
    mode: Mode = "strict",
    session_key_prefix: str = "",
    scope: Scope = "chat",
    tenant: str | bool | None = None,
    rules: Rules | None = None,
    include_bot_messages: bool = False,
    mock_platform: str | None = None,
) -> list[str | None]:
    """The session id of each event in the body, in order.

    None stands for an event that belongs to no session; an empty list means there is nothing to handle.

    Args:
        platform: `console`, `facebook`, `line`, `messenger`, `slack`, `telegram`, `viber`, `whatsapp` (Twilio's) or
            `whatsapp-cloud`, whose ids are bare numbers without `platform:`.
        body: the parsed body, or its text as posted, JSON or (Slack, Twilio) a form: at most 1 MiB, nested at most
            64 deep.
        mode: `strict` never makes one session of conversations that have nothing to do with each other; `bottender`
            gives byte for byte the ids of Bottender 1.5, also where they are odd (`line:undefined`), and raises where
            Bottender fails.
        session_key_prefix: text put before the key, to keep several bots of a platform apart.
        scope: whose session it is. `chat` is shared by all in a group, room or channel, and is the user's where there
            is no chat; `user` is the user's in all chats; `user_in_chat` is keyed `user:chat`, and None unless both
            are known; `thread` is keyed `chat:thread` inside a thread or topic, else as `chat`. Only in mode `strict`.
        tenant: whose bot it is, put before the key: a text (a bot's id, say), or True to take it from the body (Slack's
            team, Messenger's page, the bot's own id or number in LINE and WhatsApp), with None for an event whose body
            does not say it. Only in mode `strict`.
        rules: the rules of an older version, `0.15` or `1.0` (`1.5` is Bottender's last), `toolbot`, and for Telegram
            `opengram`, whose ids are bare keys. Asks for mode `bottender`.
        include_bot_messages: True to take also what bots post (Slack).
        mock_platform: the platform that is played (console).

    Raises:
        UnknownEvent: the body is not one of this platform's, or unreadable.
        InvalidOption: unknown platform or mode, or an option that the platform does not take or with a wrong value.
    """
    pairs = events(
        platform,
        body,
        mode=mode,
        session_key_prefix=session_key_prefix,
        scope=scope,
        tenant=tenant,
        rules=rules,
        include_bot_messages=include_bot_messages,
        mock_platform=mock_platform,
    )
    return [session_id for session_id, _ in pairs]


def events(
    platform: str,
    body: Fields | bytes | str,
    *,
    mode: Mode = "strict",
    session_key_prefix: str = "",
    scope: Scope = "chat",
    tenant: str | bool | None = None,
    rules: Rules | None = None,
    include_bot_messages: bool = False,
    mock_platform: str | None = None,
) -> list[tuple[str | None, Fields]]:
    """Each event in the body with its session id, in order; arguments and errors as for `session_ids`.

    An event is the part of the body that belongs to one session, as it was posted: an element of the list for LINE,
    Messenger and WhatsApp Cloud, the payload of a Slack interaction, and the whole body elsewhere.
    """
    asked = _platform(platform)
    checked_mode, options = read_options(
        platform,
        asked,
        mode,
        session_key_prefix=session_key_prefix,
        scope=scope,
        tenant=tenant,
        rules=rules,
        include_bot_messages=include_bot_messages,
        mock_platform=mock_platform,
    )
    fields = read_body(platform, body, takes_forms=asked.takes_forms)
    try:
        return asked.identify(fields, checked_mode, options)
    except RaisesTypeError as failure:
        raise not_of(platform, str(failure)) from None


def one_event(
    platform: str,
    event: Fields | bytes | str,
    *,
    mode: Mode = "strict",
    session_key_prefix: str = "",
    scope: Scope = "chat",
    tenant: str | bool | None = None,
    rules: Rules | None = None,
    include_bot_messages: bool = False,
    mock_platform: str | None = None,
) -> tuple[str | None, Fields]:
    """One event with its session id: an event as `events` gives it, or a body that holds exactly one.

    An event by itself says less than its body: `tenant=True` finds nothing in an event of LINE, Messenger or WhatsApp
    Cloud, and a WhatsApp number is the message's `from`, not the contact's `wa_id`. Where that counts, take the id from
    `events`.

    Args:
        event: an event, or a body; text and bytes are a body's.

    Raises:
        InvalidInput: a body of several events: go through `events`.
        UnknownEvent: neither an event nor a body of this platform, or a body without any.
        InvalidOption: as for `session_ids`.
    """
    asked = _platform(platform)
    if asked.batch and isinstance(event, Mapping) and asked.batch not in event:
        event = asked.enclose(event)
    found = events(
        platform,
        event,
        mode=mode,
        session_key_prefix=session_key_prefix,
        scope=scope,
        tenant=tenant,
        rules=rules,
        include_bot_messages=include_bot_messages,
        mock_platform=mock_platform,
    )
    if len(found) > 1:
        raise InvalidInput(f"the body for {platform} holds {len(found)} events: handle each that events() gives")
    if not found:
        raise UnknownEvent(
            f"the body for {platform} holds nothing to handle: events() gives an empty list for it",
            platform=platform,
            missing="an event",
        )
    return found[0]


def message_id(platform: str, event: Fields) -> str | None:
    """The platform's own id of a delivered event, the same when it is delivered again; None if it has none.

    Made for `store.turn(..., message=...)`. LINE: `webhookEventId`, else `message.id` of a message event. Telegram:
    `update_id`, unique per bot. Messenger: `mid`. Slack: `event_id`, of an interaction `trigger_id`. Viber: the event's
    name and `message_token`. Twilio: `MessageSid`, with the status where it is not a received message. WhatsApp Cloud:
    the message's `id`. Console: none.

    Args:
        platform: as for `session_ids`.
        event: an event as `events` gives it.

    Raises:
        InvalidOption: unknown platform.
    """
    return _platform(platform).message_id(event)


def _platform(name: object) -> Platform:
    rules = (_PLATFORMS.get(name) or _registered(name)) if isinstance(name, str) else None
    if rules is None:
        known = {*_PLATFORMS, *entry_points(group=_GROUP).names}
        raise InvalidOption(f"no platform {shown(name)}; known are: {', '.join(sorted(known))}")
    return rules


def _registered(name: str) -> Platform | None:
    for point in entry_points(group=_GROUP, name=name):
        found = point.load()
        if not isinstance(found, Platform):
            raise InvalidOption(f"what is registered as platform {shown(name)} is no gridsession.platforms.Platform")
        return found
    return None
