"""`type=` of a typed read: checks what was stored against a type and gives it back; it never casts.

bool is no int, int is no float (float accepts int, as in the typing rules), text is no number. An Enum is found by
its value, a dataclass is built from a dict of its fields, a pydantic model is validated strictly.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gridsession.errors import InvalidOption, InvalidValue

T = TypeVar("T")


def check(value: Any, kind: type[T], path: str) -> T:
    """The value as the type says, or an error naming the path where it is something else.

    Raises:
        InvalidValue: the value is not of the type.
        InvalidOption: the type cannot be checked.
    """
    checked: T = _check(value, kind, path)
    return checked


def _check(value: Any, kind: Any, path: str) -> Any:
    if kind is Any or kind is object:
        return value
    if kind is None or kind is types.NoneType:
        return _exactly(value, types.NoneType, path)
    origin = get_origin(kind)
    if origin is not None:
        handler = _GENERIC.get(origin)
        if handler is None:
            raise InvalidOption(f"type={kind!r} cannot be checked")
        return handler(value, get_args(kind), path)
    if not isinstance(kind, type):
        raise InvalidOption(f"type={kind!r} cannot be checked")
    if issubclass(kind, enum.Enum):
        return _enum(value, kind, path)
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, path)
    validate = getattr(kind, "model_validate", None)
    if callable(validate):
        return _model(value, kind, validate, path)
    return _exactly(value, kind, path)


def _wrong(value: Any, kind: Any, path: str) -> InvalidValue:
    wanted = kind.__name__ if isinstance(kind, type) else str(kind)
    return InvalidValue(f"{path} is a {type(value).__name__}, not a {wanted}", path=path)


def _exactly(value: Any, kind: type[Any], path: str) -> Any:
    if kind is float and type(value) is int:
        return value
    if type(value) is not kind:
        raise _wrong(value, kind, path)
    return value


def _enum(value: Any, kind: type[enum.Enum], path: str) -> enum.Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    raise InvalidValue(f"{path} is not the value of a {kind.__name__}", path=path)


def _dataclass(value: Any, kind: Any, path: str) -> Any:
    _exactly(value, dict, path)
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            raise InvalidValue(f"{path}.{name} is no field of {kind.__name__}", path=f"{path}.{name}")
    for name, field in fields.items():
        missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if name not in value and missing:
            raise InvalidValue(f"{path}.{name} is missing; {kind.__name__} needs it", path=f"{path}.{name}")
    return kind(**{name: _check(item, hints[name], f"{path}.{name}") for name, item in value.items()})


def _model(value: Any, kind: type[Any], validate: Callable[..., Any], path: str) -> Any:
    try:
        return validate(value, strict=True)
    except ValueError as error:
        # The library's message quotes the input; only places and rules are safe to show.
        problems: list[Any] = getattr(error, "errors", list)()
        places = ", ".join(".".join(map(str, problem["loc"])) + ": " + problem["type"] for problem in problems)
        raise InvalidValue(f"{path} is no {kind.__name__} ({places})", path=path) from None


def _sequence(container: type[Any]) -> Callable[[Any, tuple[Any, ...], str], Any]:
    def checked(value: Any, args: tuple[Any, ...], path: str) -> Any:
        _exactly(value, container, path)
        return container(_check(item, args[0], f"{path}[{index}]") for index, item in enumerate(value))

    return checked


def _tuple(value: Any, args: tuple[Any, ...], path: str) -> Any:
    _exactly(value, tuple, path)
    kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
    if len(kinds) != len(value):
        raise InvalidValue(f"{path} has {len(value)} elements, not {len(kinds)}", path=path)
    return tuple(
        _check(item, kind, f"{path}[{index}]") for index, (item, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _mapping(value: Any, args: tuple[Any, ...], path: str) -> Any:
    _exactly(value, dict, path)
    key_kind, item_kind = args
    return {_check(key, key_kind, path): _check(item, item_kind, f"{path}.{key}") for key, item in value.items()}


def _union(value: Any, args: tuple[Any, ...], path: str) -> Any:
    for kind in args:
        try:
            return _check(value, kind, path)
        except InvalidValue:
            continue
    raise _wrong(value, " | ".join(getattr(kind, "__name__", str(kind)) for kind in args), path)


def _literal(value: Any, args: tuple[Any, ...], path: str) -> Any:
    for choice in args:
        if type(choice) is type(value) and choice == value:
            return value
    raise InvalidValue(f"{path} is none of the {len(args)} values allowed", path=path)


_GENERIC: Mapping[Any, Callable[[Any, tuple[Any, ...], str], Any]] = {
    list: _sequence(list),
    Sequence: _sequence(list),
    set: _sequence(set),
    frozenset: _sequence(frozenset),
    tuple: _tuple,
    dict: _mapping,
    Mapping: _mapping,
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    typing.Annotated: lambda value, args, path: _check(value, args[0], path),
}
