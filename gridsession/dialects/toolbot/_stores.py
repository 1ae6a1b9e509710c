"""toolbot's session stores: Bottender's, told seconds, and giving sessions whose attributes stand beside `id`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gridsession.dialects import bottender
from gridsession.dialects.bottender._recorded import PARTS
from gridsession.dialects.bottender._shape import IDENTITY, LAST_ACTIVITY, STATE
from gridsession.errors import InvalidValue

FROZEN: Final = (*PARTS, LAST_ACTIVITY)
"""What handlers read and never change: who takes part, and when the session was last written."""


class GridSessionStore(bottender.GridSessionStore):
    """Any place of ours for code that expects a toolbot store: init, read, write, destroy (and Bottender's all).

    A session is a plain dict, `{"id": ..., "platform": ..., "nickname": "Tim", "user": {...}}`: what is
    neither `id`, `platform` nor one of those who take part is an attribute; attributes are Bottender's state.
    Arguments are as Bottender's have them, but `expires_in` is in seconds.
    """

    unit = 1.0

    def _kept(self, session: Any) -> Any:
        if not isinstance(session, Mapping):
            raise InvalidValue(f"a session is a mapping, not {type(session).__name__}")
        kept = {name: session[name] for name in (*IDENTITY, *FROZEN) if name in session}
        return {**kept, STATE: {name: value for name, value in session.items() if name not in kept}}

    def _shown(self, session: dict[str, Any]) -> dict[str, Any]:
        attributes = session.pop(STATE)
        follows = {name: session[name] for name in IDENTITY if name in session}
        return {**follows, **attributes, **session}


class MemorySessionStore(GridSessionStore, bottender.MemorySessionStore):
    """`MemorySessionStore(max_size, expires_in)`: in this process; `expires_in` in seconds, a year by default."""


class FileSessionStore(GridSessionStore, bottender.FileSessionStore):
    """`FileSessionStore(dirname, expires_in)`: in files; `expires_in` in seconds, a year by default."""


class MongoSessionStore(GridSessionStore, bottender.MongoSessionStore):
    """`MongoSessionStore(url, {"collectionName": ...}, expires_in)`; `expires_in` in seconds, a year by default."""


class RedisSessionStore(GridSessionStore, bottender.RedisSessionStore):
    """`RedisSessionStore(port_url_or_options, expires_in)`; `expires_in` in seconds, a year by default."""
