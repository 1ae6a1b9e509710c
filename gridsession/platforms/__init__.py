"""From the body a platform posts to the ids of the sessions it concerns.

::

    for session_id, event in events("line", request.body):
        if session_id is not None:
            async with store.turn(session_id, message=message_id("line", event)) as turn:
                ...

Bodies are untrusted: whatever they hold, the functions here return or raise `UnknownEvent`. They check no signature;
do that first, on the raw bytes. Platforms: `line`, `telegram`; each in the file of its name.
"""

from __future__ import annotations

from typing import Final

from gridsession.errors import InvalidOption
from gridsession.platforms._events import Fields, Mode, Platform, UnknownEvent, read_json
from gridsession.platforms.line import LINE
from gridsession.platforms.telegram import TELEGRAM

__all__ = ["UnknownEvent", "events", "message_id", "session_ids"]

_PLATFORMS: Final[dict[str, Platform]] = {"line": LINE, "telegram": TELEGRAM}


def session_ids(
    platform: str, body: Fields | bytes | str, *, mode: Mode = "strict", **options: object
) -> list[str | None]:
    """The session id of each event in the body, in order.

    None stands for an event that belongs to no session; an empty list means there is nothing to handle.

    Args:
        platform: `line` or `telegram`.
        body: the parsed body, or its JSON text as posted (at most 1 MiB, nested at most 64 deep).
        mode: `strict` never makes one session of conversations that have nothing to do with each other; `bottender`
            gives byte for byte the ids of Bottender 1.5, also where they are odd (`line:undefined`), and raises where
            Bottender fails.
        options: `session_key_prefix` (LINE): text put before the key, to keep several channels apart.

    Raises:
        UnknownEvent: the body is not one of this platform's, or unreadable.
        InvalidOption: unknown platform, mode or option, or a wrong value for one.
    """
    return [session_id for session_id, _ in events(platform, body, mode=mode, **options)]


def events(
    platform: str, body: Fields | bytes | str, *, mode: Mode = "strict", **options: object
) -> list[tuple[str | None, Fields]]:
    """Each event in the body with its session id, in order; arguments and errors as for `session_ids`.

    An event is the part of the body that belongs to one session, as it was posted: an element of `events` for LINE,
    the whole update for Telegram.
    """
    rules = _platform(platform)
    if mode not in ("strict", "bottender"):
        raise InvalidOption(f"mode must be 'strict' or 'bottender', not {_shown(mode)}")
    checked = {name: _option(platform, rules, name, value) for name, value in options.items()}
    return rules.identify(read_json(platform, body), mode, checked)


def message_id(platform: str, event: Fields) -> str | None:
    """The platform's own id of a delivered event, the same when it is delivered again; None if it has none.

    Made for `store.turn(..., message=...)`. LINE: `webhookEventId`, else `message.id` of a message event. Telegram:
    `update_id`, unique per bot.

    Args:
        platform: `line` or `telegram`.
        event: an event as `events` gives it.

    Raises:
        InvalidOption: unknown platform.
    """
    return _platform(platform).message_id(event)


def _platform(name: object) -> Platform:
    rules = _PLATFORMS.get(name) if isinstance(name, str) else None
    if rules is None:
        raise InvalidOption(f"no platform {_shown(name)}; known are: {', '.join(sorted(_PLATFORMS))}")
    return rules


def _option(platform: str, rules: Platform, name: str, value: object) -> object:
    check = rules.options.get(name)
    if check is None:
        known = ", ".join(sorted(rules.options)) or "none"
        raise InvalidOption(f"platform {platform} has no option {_shown(name)}; known are: {known}")
    return check(value)


def _shown(name: object) -> str:
    return ascii(name[:64]) if isinstance(name, str) else f"a {type(name).__name__}"
