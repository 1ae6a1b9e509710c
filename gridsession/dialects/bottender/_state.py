"""What `context.state` shows: plain values that refuse to be changed in place, at every depth."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from gridsession import operations
from gridsession.errors import InvalidValue, UsageError

_DEPTH: Final = 64
"""Beyond what the codec takes, so that it can say where in the value that is."""


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
        raise UsageError(
            f"read-only: {name} would not be saved. The state changes by context.set_state({{...}}), a deeper merge by"
            " context.set_state({'a': {**context.state['a'], 'key': value}}); who speaks is recorded from the event"
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def _to_plain(self: object, *_: object) -> Any:
    """Copies are the reader's own: plain, and to be changed at will."""
    return thawed(self)


def _reduced(self: Any, _protocol: object = None) -> tuple[Any, ...]:
    return _same, (thawed(self),)


def _same(value: object) -> object:
    return value


class ReadOnlyDict(dict[str, Any]):
    """A dict whose every way to change it raises `UsageError`; otherwise a dict like any other."""

    __slots__ = ()
    __setitem__ = __delitem__ = _refusing("item assignment or deletion")
    __ior__ = _refusing("|=")
    clear, pop, popitem, setdefault, update = map(_refusing, ("clear", "pop", "popitem", "setdefault", "update"))
    __copy__ = __deepcopy__ = _to_plain
    __reduce_ex__ = _reduced


class ReadOnlyList(list[Any]):
    """A list whose every way to change it raises `UsageError`; otherwise a list like any other."""

    __slots__ = ()
    __setitem__ = __delitem__ = _refusing("item assignment or deletion")
    __iadd__ = __imul__ = _refusing("+= or *=")
    append, clear, extend, insert, pop, remove, reverse, sort = map(
        _refusing, ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort")
    )
    __copy__ = __deepcopy__ = _to_plain
    __reduce_ex__ = _reduced


class ReadOnlySet(set[Any]):
    """A set whose every way to change it raises `UsageError`; otherwise a set like any other."""

    __slots__ = ()
    __ior__ = __iand__ = __isub__ = __ixor__ = _refusing("|=, &=, -= or ^=")
    add, clear, discard, pop, remove, update = map(_refusing, ("add", "clear", "discard", "pop", "remove", "update"))
    difference_update, intersection_update, symmetric_difference_update = map(
        _refusing, ("difference_update", "intersection_update", "symmetric_difference_update")
    )
    __copy__ = __deepcopy__ = _to_plain
    __reduce_ex__ = _reduced


EMPTY: Final = ReadOnlyDict()


def frozen(value: Any) -> Any:
    """A read-only copy of a plain value, at every depth."""
    kind = type(value)
    if kind is dict:
        return ReadOnlyDict({name: frozen(item) for name, item in value.items()})
    if kind is list:
        return ReadOnlyList([frozen(item) for item in value])
    if kind is set:
        return ReadOnlySet(value)
    if kind is tuple:
        return tuple(frozen(item) for item in value)
    return copy.deepcopy(value)


def thawed(value: Any, depth: int = 0) -> Any:
    """A plain copy of a value, at every depth: of what can be stored it shares nothing that can be changed.

    Any mapping becomes a dict, read-only or not; so do parts of an event. What cannot be stored stays what it is, to
    be refused by its path.

    Raises:
        InvalidValue: nested deeper than what can be stored, or it contains itself.
    """
    if depth > _DEPTH:
        raise InvalidValue(f"a value is nested deeper than {_DEPTH} levels, or contains itself")
    if isinstance(value, Mapping):
        return {name: thawed(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [thawed(item, depth + 1) for item in value]
    if isinstance(value, set):
        return set(value)
    if type(value) is tuple:
        return tuple(thawed(item, depth + 1) for item in value)
    if not dataclasses.is_dataclass(value) and not hasattr(type(value), "model_dump"):
        return value  # of the other kinds that can be stored, none can be changed
    try:
        return copy.deepcopy(value)
    except (RecursionError, TypeError, ValueError):
        return value


def storable(fields: object, what: str) -> dict[str, Any]:
    """A plain copy of some of a state's fields, checked now: where the caller stands, not when the block ends.

    Args:
        what: what the fields were given to, for the error.

    Raises:
        InvalidValue: not a mapping, a name that is none, or a value that cannot be stored; `path` says where.
    """
    if not isinstance(fields, Mapping):
        raise InvalidValue(f"{what} takes a mapping, not {type(fields).__name__}")
    copied = {name: thawed(value) for name, value in fields.items()}
    for name, value in copied.items():
        operations.set(name, value)
    return copied
