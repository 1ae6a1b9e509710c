"""A session as Bottender's stores hand it out, and the record of ours it stands for.

Ids are any text without NUL. One of the form `platform:key` is the same session for all dialects; any other text is a
key of the platform whose ids are bare, `whatsapp-cloud`, where JAWCE has its sessions too. Each text names one
session and each session has one text; left is what users see, right what the store holds:

    line:U1                       line:U1
    66812345678                   whatsapp-cloud:66812345678
    whatsapp-cloud:66812345678    whatsapp-cloud:whatsapp-cloud:66812345678
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gridsession import SessionId, Snapshot, operations
from gridsession.dialects.bottender._state import thawed
from gridsession.errors import InvalidSessionId, InvalidValue

BARE: Final = "whatsapp-cloud"
"""The one platform whose ids have no `platform:` in front; inside of the store, that of all ids that name none."""
STATE: Final = "_state"
LAST_ACTIVITY: Final = "lastActivity"
IDENTITY: Final = ("id", "platform")


def stored_id(text: str) -> SessionId:
    """The session that any text names.

    Raises:
        InvalidSessionId: empty, with NUL, or too long.
    """
    if not isinstance(text, str) or not text:
        wrong = "empty" if text == "" else type(text).__name__
        raise InvalidSessionId(f"a session id is text like 'line:U123', not {wrong}")
    rest = text.removeprefix(f"{BARE}:")
    return SessionId.parse(text if _names_a_platform(rest) else SessionId(BARE, text))


def shown_id(session_id: str | SessionId) -> str:
    """The text that names a session: what `stored_id` was given."""
    found = SessionId.parse(session_id)
    return found.key if found.platform == BARE and not _names_a_platform(found.key) else found.text


def _names_a_platform(text: str) -> bool:
    """Whether it is an id by itself, and not of the platform that stands for none."""
    try:
        return SessionId.parse(text).platform != BARE
    except InvalidSessionId:
        return False


def identity(session_id: str | SessionId) -> dict[str, str]:
    """The two fields that follow from the id; a bare one says nothing of its platform."""
    found = SessionId.parse(session_id)
    shown = {"id": shown_id(found)}
    return shown if found.platform == BARE else {**shown, "platform": found.platform}


def session_of(session_id: SessionId, snapshot: Snapshot) -> dict[str, Any]:
    """What `read` gives: a dict of the reader's own."""
    follows = identity(session_id)
    return {**follows, **snapshot.props, **follows, STATE: dict(snapshot)}


def operations_of(session_id: SessionId, session: object) -> list[operations.Operation]:
    """What `write` puts into an emptied record.

    Raises:
        InvalidValue: not a mapping, or a value that cannot be stored.
    """
    if not isinstance(session, Mapping):
        raise InvalidValue(f"a session is a mapping, not {type(session).__name__}", session_id=session_id.text)
    state = session.get(STATE)
    if state is not None and not isinstance(state, Mapping):
        raise InvalidValue(
            f"{STATE} of a session is a mapping, not {type(state).__name__}",
            path=f"$.{STATE}",
            session_id=session_id.text,
        )
    follows = identity(session_id)
    props = {name: value for name, value in session.items() if name != STATE and name not in follows}
    if not props and not state:
        # A record without fields is no session; this one shows nothing that is not shown anyway.
        props = {"id": follows["id"]}
    made = [operations.set(name, thawed(value), bag="props") for name, value in props.items()]
    return made + [operations.set(name, thawed(value)) for name, value in (state or {}).items()]
