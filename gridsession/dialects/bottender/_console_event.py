"""What is typed at a console, as an event, and sessions as a console shows them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from gridsession import SessionId
from gridsession.dialects.bottender._event import Event
from gridsession.dialects.bottender._shape import shown_id

_PAYLOAD: Final = "/payload "


class ConsoleEvent(Event):
    """One event of a console: a line, `{"message": {"text": ...}}`, or a payload, `{"payload": ...}`."""

    __slots__ = ()

    @classmethod
    def of_line(cls, line: str, session_id: SessionId) -> ConsoleEvent:
        """The event of a typed line; `/payload x` is the payload `x`."""
        payload = line.startswith(_PAYLOAD)
        fields = {"payload": line.removeprefix(_PAYLOAD)} if payload else {"message": {"text": line}}
        return cls(fields, session_id, shown_id(session_id))

    def __repr__(self) -> str:
        # What users type is never logged.
        return f"<ConsoleEvent {'payload' if self.is_payload else 'message'}>"

    @property
    def raw_event(self) -> dict[str, Any]:
        """The event as a platform would post it."""
        return dict(self)

    @property
    def is_message(self) -> bool:
        """A line, no payload."""
        return "message" in self

    @property
    def is_text(self) -> bool:
        """A line of text: on a console each line is."""
        return "message" in self

    @property
    def is_payload(self) -> bool:
        """A payload, no line."""
        return "payload" in self

    @property
    def text(self) -> str | None:
        """The line's text, or None for a payload."""
        return self["message"]["text"] if self.is_message else None

    rawEvent = raw_event  # noqa: N815 - their name
    isMessage = is_message  # noqa: N815 - their name
    isText = is_text  # noqa: N815 - their name
    isPayload = is_payload  # noqa: N815 - their name


def as_json(value: Any, *, pretty: bool = False) -> str:
    """A session's values as a console shows them: on one line, `{ "count": 1 }`, or indented by two.

    What JSON has no word for is shown as text; it is for people to read, not to be read back.
    """
    if pretty:
        return json.dumps(_readable(value), indent=2, ensure_ascii=False)
    return _line(_readable(value))


def _line(value: Any) -> str:
    if isinstance(value, dict):
        fields = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {_line(item)}" for name, item in value.items())
        return f"{{ {fields} }}" if fields else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_line, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _readable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _readable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_readable(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
