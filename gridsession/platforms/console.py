"""The console: whoever types is the one user, and every line is `{"message": {"text": ...}}` or `{"payload": ...}`."""

from __future__ import annotations

from typing import Final

from gridsession.platforms import _javascript
from gridsession.platforms._events import Fields, Identified, Platform, Source, not_of, session_of
from gridsession.platforms._options import Mode, Options

_KEY: Final = "1"


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    head = f"{options.mock_platform}:"
    if mode == "bottender":
        return [(_javascript.session_id(head + options.session_key_prefix, _KEY), body)]
    if "message" not in body and "payload" not in body:
        raise not_of("console", "message or payload")
    return [(session_of(head, Source(_KEY, _KEY), options), body)]


def _no_message_id(_event: Fields) -> str | None:
    return None


CONSOLE: Final = Platform(identify=_identify, message_id=_no_message_id, rules=("1.5", "1.0", "0.15", "toolbot"))
