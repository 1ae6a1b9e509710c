"""`t` of a typed get: a class converts as Jackson does for JAWCE, any other callable is called as it is.

Text becomes numbers, dates and Enums, dicts become dataclasses and models, "False" is not True. What does not convert
is an error that names the place and never the value.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, get_args, get_origin

from gridsession.errors import InvalidOption, InvalidValue

_REFUSALS: Final = (ArithmeticError, LookupError, TypeError, ValueError)
"""How constructors refuse a value; their messages quote it, so they are not shown."""
_MISSING: Final = dataclasses.MISSING


def convert(value: Any, t: Any, path: str) -> Any:
    """A stored value as `t`; None stays None, and without `t` any value stays what it is.

    Args:
        t: a class, or a type like `list[int]` or `Color | None`, converts; another callable is called with the value
            and what it gives or raises is its own affair.
        path: what the errors call the value, as in `$.cart`.

    Raises:
        InvalidValue: the value does not convert; `path` of the error says which part of it.
        InvalidOption: `t` is neither a type nor callable.
    """
    if value is None or t is None:
        return value
    if t is Any or isinstance(t, type) or get_origin(t) is not None:
        return _as(value, t, path)
    if callable(t):
        return t(value)
    raise InvalidOption(f"t is a class, a type or a callable, not a {type(t).__name__}")


def _as(value: Any, kind: Any, path: str) -> Any:
    # A stored None stays one inside of lists and objects too, as Jackson's null does.
    if value is None or kind is Any or kind is object:
        return value
    origin = get_origin(kind)
    if origin is not None:
        parts, generic = get_args(kind), _GENERIC.get(origin)
        if not parts and isinstance(origin, type):
            return _as(value, origin, path)  # `List` says no more than `list`
        if generic is None:
            raise _no_type(kind)
        return generic(value, parts, path)
    exact = _EXACT.get(kind)
    if exact is not None:
        return _tried(lambda: exact(value), value, kind, path)
    if typing.is_typeddict(kind) or getattr(kind, "_is_protocol", False):
        raise _no_type(kind)  # they have neither instances of their own nor a way to make one
    if isinstance(value, kind):
        return value
    if issubclass(kind, enum.Enum):
        return _enum(value, kind, path)
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, path)
    validate = getattr(kind, "model_validate", None)
    if callable(validate):
        return _model(value, kind, validate, path)
    return _tried(lambda: kind(value), value, kind, path)


def _tried(build: Callable[[], Any], value: Any, kind: Any, path: str) -> Any:
    try:
        return build()
    except _REFUSALS:
        raise _refused(value, kind, path) from None


def _no_type(kind: Any) -> InvalidOption:
    return InvalidOption(f"t={kind!r} is not a type that values convert to")


def _refused(value: Any, kind: Any, path: str) -> InvalidValue:
    wanted = kind.__name__ if isinstance(kind, type) else str(kind)
    return InvalidValue(f"{path} is a {type(value).__name__} that does not convert to {wanted}", path=path)


# --- plain classes ----------------------------------------------------------------------------------------------------


def _no() -> Any:
    raise TypeError


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else _no()


def _number(value: Any) -> Any:
    """What is a number or the text of one; a truth value is none."""
    if isinstance(value, str):
        return _no() if "_" in value else value.strip()
    return _no() if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) else value


def _bool(value: Any) -> bool:
    return bool(value) if isinstance(value, int) else {"true": True, "false": False}[_text(value).lower()]


def _str(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, (str, int, float, Decimal, uuid.UUID)) else _no()


def _decimal(value: Any) -> Decimal:
    number = _number(value)
    # By way of its text: 0.1 shall be 0.1, not the nearest binary fraction.
    return Decimal(str(number)) if isinstance(number, float) else Decimal(number)


def _datetime(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value.strip())
    try:
        return dt.datetime.fromtimestamp(float(_number(value)) / 1000, dt.UTC)
    except OSError:
        raise ValueError from None


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    return _datetime(value).date()


def _time(value: Any) -> dt.time:
    return value if isinstance(value, dt.time) else dt.time.fromisoformat(_text(value))


def _timedelta(value: Any) -> dt.timedelta:
    return value if isinstance(value, dt.timedelta) else dt.timedelta(seconds=float(_number(value)))


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(_text(value))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _no()


def _dict(value: Any) -> dict[Any, Any]:
    return dict(value) if isinstance(value, Mapping) else _no()


def _collected(container: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def collect(value: Any) -> Any:
        return container(value) if isinstance(value, (list, tuple, set, frozenset)) else _no()

    return collect


_EXACT: Final[Mapping[Any, Callable[[Any], Any]]] = {
    bool: _bool,
    int: lambda value: int(_number(value)),
    float: lambda value: float(_number(value)),
    str: _str,
    bytes: _bytes,
    Decimal: _decimal,
    uuid.UUID: _uuid,
    dt.datetime: _datetime,
    dt.date: _date,
    dt.time: _time,
    dt.timedelta: _timedelta,
    dict: _dict,
    **{container: _collected(container) for container in (list, tuple, set, frozenset)},
}


# --- what is built from parts -----------------------------------------------------------------------------------------


def _enum(value: Any, kind: type[enum.Enum], path: str) -> enum.Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    if isinstance(value, str) and value in kind.__members__:
        return kind.__members__[value]
    raise _refused(value, kind, path)


def _dataclass(value: Any, kind: Any, path: str) -> Any:
    values = _tried(lambda: _dict(value), value, kind, path)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise InvalidValue(f"{path}.{name} is no field of {kind.__name__}", path=f"{path}.{name}")
    for name, field in fields.items():
        needed = field.init and field.default is _MISSING and field.default_factory is _MISSING
        if needed and name not in values:
            raise InvalidValue(f"{path}.{name} is missing; {kind.__name__} needs it", path=f"{path}.{name}")
    made = {name: _as(item, hints[name], f"{path}.{name}") for name, item in values.items() if fields[name].init}
    return _tried(lambda: kind(**made), value, kind, path)


def _model(value: Any, kind: type[Any], validate: Callable[[Any], Any], path: str) -> Any:
    try:
        return validate(value)
    except ValueError as error:
        problems: list[Any] = getattr(error, "errors", list)()
        places = ", ".join(".".join(map(str, problem["loc"])) + ": " + problem["type"] for problem in problems)
        raise InvalidValue(f"{path} does not convert to {kind.__name__} ({places})", path=path) from None


def _sequence(container: type[Any]) -> Callable[[Any, tuple[Any, ...], str], Any]:
    def build(value: Any, args: tuple[Any, ...], path: str) -> Any:
        items = _tried(lambda: _EXACT[list](value), value, container, path)
        return container(_as(item, args[0], f"{path}[{index}]") for index, item in enumerate(items))

    return build


def _tuple(value: Any, args: tuple[Any, ...], path: str) -> Any:
    items = _tried(lambda: _EXACT[list](value), value, tuple, path)
    kinds = [args[0]] * len(items) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(kinds) != len(items):
        raise InvalidValue(f"{path} has {len(items)} elements, not {len(kinds)}", path=path)
    return tuple(
        _as(item, kind, f"{path}[{index}]") for index, (item, kind) in enumerate(zip(items, kinds, strict=True))
    )


def _mapping(value: Any, args: tuple[Any, ...], path: str) -> Any:
    values = _tried(lambda: _dict(value), value, dict, path)
    return {_as(key, args[0], path): _as(item, args[1], f"{path}.{key}") for key, item in values.items()}


def _union(value: Any, args: tuple[Any, ...], path: str) -> Any:
    for kind in args:
        plain = get_origin(kind) or kind
        if isinstance(plain, type) and type(value) is plain:
            return _as(value, kind, path)
    for kind in args:
        try:
            return _as(value, kind, path)
        except InvalidValue:
            continue
    raise _refused(value, " | ".join(getattr(kind, "__name__", str(kind)) for kind in args), path)


def _literal(value: Any, args: tuple[Any, ...], path: str) -> Any:
    for choice in args:
        if type(choice) is type(value) and choice == value:
            return value
    raise InvalidValue(f"{path} is none of the {len(args)} values allowed", path=path)


_GENERIC: Final[Mapping[Any, Callable[[Any, tuple[Any, ...], str], Any]]] = {
    list: _sequence(list),
    Sequence: _sequence(list),
    set: _sequence(set),
    frozenset: _sequence(frozenset),
    tuple: _tuple,
    dict: _mapping,
    Mapping: _mapping,
    typing.Union: _union,
    types.UnionType: _union,
    typing.Literal: _literal,
    typing.Annotated: lambda value, args, path: _as(value, args[0], path),
}
