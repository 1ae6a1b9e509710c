"""A session as toolbot's handlers hold it: an object whose attributes are what the bot remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gridsession import Turn
from gridsession.dialects.bottender._shape import IDENTITY, identity
from gridsession.dialects.bottender._state import frozen, thawed
from gridsession.dialects.toolbot._stores import FROZEN
from gridsession.errors import UsageError


class Session:
    """A conversation's attributes, by name or by item: `session.nickname = "Tim"`, `session["nickname"]`.

    One that is not there reads as None. Values may be nested and changed in place; all is saved after the handler.
    `id`, `platform`, and who takes part (`user` and the like) can only be read. A copy by `copy` is a
    plain dict of the attributes.

    Raises:
        UsageError: on a change of what can only be read, or after the session was saved.
    """

    # The class has no names of its own beyond these: any other is the bot's to choose.
    __slots__ = ("__closed", "__identity", "__turn")

    def __init__(self, turn: Turn, closed: Callable[[], bool]) -> None:
        object.__setattr__(self, "_Session__turn", turn)
        object.__setattr__(self, "_Session__identity", identity(turn.id))
        object.__setattr__(self, "_Session__closed", closed)

    def __repr__(self) -> str:
        # Names may be logged, values never.
        return f"<Session {self['id']!a} with {', '.join(map(ascii, self)) or 'nothing'}>"

    def __getitem__(self, name: str) -> Any:
        if name in IDENTITY:
            return self.__identity.get(name)
        if name in self.__turn.props and (name in FROZEN or name not in self.__turn.state):
            return frozen(self.__turn.props[name])
        return self.__turn.state.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.__check(name)
        self.__turn.state[name] = value

    def __delitem__(self, name: str) -> None:
        self.__check(name)
        self.__turn.state.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            # Python's own protocols ask for these; None would be an answer.
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.__turn.state))

    def __contains__(self, name: object) -> bool:
        return name in self.__turn.state

    def __len__(self) -> int:
        return len(self.__turn.state)

    def __bool__(self) -> bool:
        return True

    def __copy__(self) -> dict[str, Any]:
        return {name: thawed(value) for name, value in self.__turn.state.items()}

    def __deepcopy__(self, _memo: object) -> dict[str, Any]:
        return self.__copy__()

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return dict, (self.__copy__(),)

    def __check(self, name: str) -> None:
        if name in IDENTITY or name in FROZEN:
            raise UsageError(f"session.{name} can only be read: it says whose session this is", session_id=self["id"])
        if self.__closed():
            raise UsageError(
                f"session.{name} was set after the session was saved: did you forget to await in the handler?",
                session_id=self["id"],
            )
