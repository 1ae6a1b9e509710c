"""A session while an update holds it, and what handlers see of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal

from gridsession import Turn
from gridsession.dialects.opengram._place import Place
from gridsession.errors import InvalidValue, UsageError

OnNone = Literal["delete", "empty"]


class Held:
    """One session, held by a turn; every property of the context that shows it shows this.

    Attributes:
        touched: it was read, written or assigned.
        deleted: None was assigned and nothing since.
        open: its update still runs.
    """

    def __init__(self, turn: Turn, place: Place, key: str) -> None:
        self.turn = turn
        self.place = place
        self.key = key
        self.touched = False
        self.deleted = False
        self.open = True

    def fields(self, *, write: bool = False) -> dict[str, Any]:
        """The fields to read, or to change.

        Raises:
            UsageError: to change what was deleted in this update.
        """
        self.touched = True
        if not self.open:
            # Not saved any more: whoever writes gets a copy, so that the readers still see what was saved.
            _warn_closed()
            return dict(self.turn.state)
        if write and self.deleted:
            raise UsageError("this session was deleted by assigning None: assign an object to begin another")
        return self.turn.state

    def assign(self, value: object, on_none: OnNone) -> None:
        """Replace the session by a copy of a mapping; None deletes it, or empties it.

        Raises:
            InvalidValue: neither a mapping with text keys nor None.
        """
        if value is not None and not isinstance(value, Mapping):
            raise InvalidValue(f"a session is replaced by a mapping or deleted by None, not by {type(value).__name__}")
        replacement = {} if value is None else {_name(name): item for name, item in value.items()}
        self.touched = True
        if not self.open:
            _warn_closed()
            return
        self.deleted = value is None and on_none == "delete"
        self.turn.state.clear()
        self.turn.state.update(replacement)

    def close(self) -> None:
        """The update is over."""
        self.open = False


class NoSession:
    """What stands in for a session where the key function gave no key: any use of it is an error."""

    deleted = False

    def __init__(self, property_name: str) -> None:
        self._property = property_name

    def fields(self, *, write: bool = False) -> dict[str, Any]:
        """Nothing.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"this update has no session under {self._property!r}: its key function gave no key (the default"
            " has none for channel posts, polls and inline queries); hand another get_session_key to session()"
        )

    def assign(self, value: object, on_none: OnNone) -> None:
        """Nothing.

        Raises:
            UsageError: always.
        """
        self.fields()


class SessionData(MutableMapping[str, Any]):
    """A session as handlers see it: fields as attributes and as items.

    A missing field reads as None by attribute and raises KeyError by item, as in a dict; `get`, `setdefault`, `pop` and
    the other methods of a dict are there too, so fields of their names are reached by item only. Values are plain:
    lists and dicts in it are changed in place and saved. A copy is a plain dict.

    Used after its update ended, it warns, reads as it was saved, and saves nothing.
    """

    __slots__ = ("__held__", "__weakref__")
    __held__: Held | NoSession

    def __init__(self, held: Held | NoSession) -> None:
        object.__setattr__(self, "__held__", held)

    def __getattr__(self, name: str) -> Any:
        if _is_special(name):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: object) -> None:
        if _is_special(name) or hasattr(type(self), name):
            raise UsageError(f"{name!r} is a name of sessions themselves: write session[{name!r}] instead")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(name)
        del self[name]

    def __getitem__(self, name: str) -> Any:
        return self.__held__.fields()[name]

    def __setitem__(self, name: str, value: object) -> None:
        self.__held__.fields(write=True)[_name(name)] = value

    def __delitem__(self, name: str) -> None:
        del self.__held__.fields(write=True)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__held__.fields())

    def __len__(self) -> int:
        return len(self.__held__.fields())

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)

    def __repr__(self) -> str:
        # Names may be shown, values never; and a look at it in a debugger touches nothing.
        held = self.__held__
        if isinstance(held, NoSession):
            return "<no session>"
        return f"<session of {', '.join(map(ascii, held.turn.state)) or 'nothing'}>"


class View:
    """One property of one context."""

    def __init__(self, held: Held | NoSession, on_none: OnNone) -> None:
        self.held = held
        self.data = SessionData(held)
        self._on_none = on_none

    def read(self) -> SessionData | None:
        """What the property reads as: None once the session was deleted.

        Raises:
            UsageError: there is no session.
        """
        if isinstance(self.held, NoSession):
            self.held.fields()
        elif self.held.open:
            self.held.touched = True
        return None if self.held.deleted else self.data

    def assign(self, value: object) -> None:
        """What assigning to the property does.

        Raises:
            InvalidValue: neither a mapping nor None.
            UsageError: there is no session.
        """
        if value is not self.data:
            self.held.assign(value, self._on_none)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidValue(f"the fields of a session have text for names, not {type(name).__name__}")
    return name


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _warn_closed() -> None:
    warnings.warn(
        "a session was used after its update ended: nothing of this is saved, and what is read may be stale (the"
        " promise chain is broken: await everything that the handler starts)",
        RuntimeWarning,
        stacklevel=4,
    )
