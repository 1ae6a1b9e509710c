"""Which scene a conversation is in: kept in its session, and gone with it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from gridsession.dialects.opengram._attached import attached_to
from gridsession.dialects.opengram._context import part
from gridsession.errors import UsageError

_FIELD: Final = "__scenes"


class Scenes:
    """The current scene of a conversation and that scene's data, in the field `__scenes` of its session.

    They are saved, expire and are deleted with the session: who comes back after its ttl is in no scene.

    Args:
        property: under which name `session(property=...)` put the session on the context. It must be said again here.
    """

    def __init__(self, property: str = "session") -> None:  # noqa: A002 - Opengram's name for it
        self._property = property

    def current(self, ctx: object) -> str | None:
        """The scene's name, or None.

        Raises:
            UsageError: as for `enter`.
        """
        name: str | None = self._kept(ctx).get("current")
        return name

    def state(self, ctx: object) -> dict[str, Any]:
        """The scene's data, to be changed in place; it is lost when the scene is left.

        Raises:
            UsageError: the conversation is in no scene, or as for `enter`.
        """
        kept = self._kept(ctx)
        if "current" not in kept:
            raise UsageError("this conversation is in no scene: enter one first")
        state: dict[str, Any] = kept["state"]
        return state

    def enter(self, ctx: object, name: str, state: Mapping[str, Any] | None = None) -> None:
        """Go into a scene, with a copy of its first data; whatever scene it was in is left.

        Raises:
            UsageError: no session stands under this property on the context, or this update has none.
        """
        self._session(ctx)[_FIELD] = {"current": name, "state": dict(state or {})}

    def leave(self, ctx: object) -> None:
        """Be in no scene.

        Raises:
            UsageError: as for `enter`.
        """
        self._session(ctx).pop(_FIELD, None)

    def _kept(self, ctx: object) -> dict[str, Any]:
        kept: dict[str, Any] = self._session(ctx).get(_FIELD) or {}
        return kept

    def _session(self, ctx: object) -> MutableMapping[str, Any]:
        found = part(ctx, self._property)
        if isinstance(found, MutableMapping):
            return found
        names = [one.name for one in attached_to(ctx)]
        if self._property in names:
            raise UsageError("the session that scenes are kept in was deleted in this update: assign an object first")
        remedy = (
            f"the session of this context is {' or '.join(map(repr, names))}: write Scenes(property={names[0]!r})"
            if names
            else "let the middleware of session() run around the handlers that use scenes"
        )
        raise UsageError(f"scenes find no session under {self._property!r}; {remedy}")
