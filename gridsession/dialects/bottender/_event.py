"""An event as handlers read it: the posted fields, by item or by attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridsession import SessionId


class Fields(dict[str, Any]):
    """Fields that are read by item or by attribute: `fields.text` is `fields["text"]`.

    By item only where the name is also that of a dict's method (`items`, `keys`, ...) or no Python name (`from`).
    """

    __slots__ = ()

    def __repr__(self) -> str:
        # What users write is never logged; the names of fields may be.
        return f"<{type(self).__name__} of {', '.join(ascii(name)[:34] for name in list(self)[:10]) or 'nothing'}>"

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(f"the event has no field {name[:64]!a} here: see what kind of event it is") from None
        return Fields(value) if isinstance(value, dict) else value


class Event(Fields):
    """One event as the platform posted it, with its session: `event.message.text`, `event["source"]["userId"]`.

    Attributes:
        session: the session in the store; None if the event belongs to none.
        session_id: the session's id as it is shown to users, or None.
    """

    __slots__ = ("session", "session_id")

    def __init__(self, fields: Mapping[str, Any], session: SessionId | None, session_id: str | None) -> None:
        super().__init__(fields)
        self.session = session
        self.session_id = session_id
