"""What `context.state` shows: plain values that refuse to be changed in place, at every depth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from gridsession import operations
from gridsession.errors import InvalidValue, UsageError


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


def thawed(value: Any) -> Any:
    """A plain copy of a value, read-only or not, at every depth: it shares nothing that can be changed."""
    kind = type(value)
    if kind is dict or kind is ReadOnlyDict:
        return {name: thawed(item) for name, item in value.items()}
    if kind is list or kind is ReadOnlyList:
        return [thawed(item) for item in value]
    if kind is set or kind is ReadOnlySet:
        return set(value)
    if kind is tuple:
        return tuple(thawed(item) for item in value)
    return copy.deepcopy(value)


def storable(fields: object, what: str) -> dict[str, Any]:
    """A plain copy of some of a state's fields, checked now: where the caller stands, not when the block ends.

    Args:
        what: what the fields were given to, for the error.

    Raises:
        InvalidValue: not a mapping, a name that is none, or a value that cannot be stored; `path` says where.
    """
    if not isinstance(fields, Mapping):
        raise InvalidValue(f"{what} takes a mapping, not {type(fields).__name__}")
    try:
        copied = {name: thawed(value) for name, value in fields.items()}
    except RecursionError:
        raise InvalidValue(f"{what} was given a value that is nested too deep, or holds itself") from None
    for name, value in copied.items():
        operations.set(name, value)
    return copied
