"""The few rules of JavaScript that decide which session id Bottender computes from an odd body.

Bottender builds keys with template literals, so a missing id becomes the word `undefined` and an object becomes
`[object Object]`. Whoever moves existing sessions here needs the very same ids; nothing else should use this file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

MAX_DEPTH = 8
"""Deepest nesting of a list that stands where an id belongs."""


class RaisesTypeError(Exception):
    """JavaScript itself raises a TypeError here; the text names the property that was asked for."""


class _Undefined:
    __slots__ = ()


UNDEFINED: Final = _Undefined()


def member(value: object, name: str) -> object:
    """`value.name`; other kinds of values than objects have none of the properties a key is made of.

    Bottender turns the names of a body's fields into camel case first, so a field may be written either way.

    Raises:
        RaisesTypeError: `value` is null or undefined.
    """
    if value is None or value is UNDEFINED:
        raise RaisesTypeError(name)
    if not isinstance(value, Mapping):
        return UNDEFINED
    return value.get(name, value.get(_camel(name), UNDEFINED))


def has(value: object, name: str) -> bool:
    """`name in value`.

    Raises:
        RaisesTypeError: `value` is no object.
    """
    if isinstance(value, Mapping):
        return name in value or _camel(name) in value
    if isinstance(value, (list, tuple)):
        return False
    raise RaisesTypeError(name)


def first(value: object) -> object:
    """`value[0]`.

    Raises:
        RaisesTypeError: `value` is null or undefined.
    """
    if value is None or value is UNDEFINED:
        raise RaisesTypeError("0")
    if isinstance(value, (list, tuple, str)):
        return value[0] if value else UNDEFINED
    return value.get("0", UNDEFINED) if isinstance(value, Mapping) else UNDEFINED


def either(*values: object) -> object:
    """`a || b || ...`."""
    return next((value for value in values if truthy(value)), values[-1])


def session_id(head: str, key: object) -> str | None:
    """The id Bottender makes of a key: none if the key is falsy; `head` is `platform:` and a prefix, if any."""
    return head + text(key) if truthy(key) else None


def truthy(value: object) -> bool:
    """Whether `if (value)` holds: an empty object or array does."""
    if value is None or value is UNDEFINED:
        return False
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value) if isinstance(value, (bool, int, float, str)) else True


def text(value: object, _depth: int = 0) -> str:
    """`${value}`.

    Raises:
        RaisesTypeError: a list nested deeper than `MAX_DEPTH`, which no platform posts.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number(value)
    if value is None:
        return "null"
    if value is UNDEFINED:
        return "undefined"
    if isinstance(value, (list, tuple)):
        if _depth == MAX_DEPTH:
            raise RaisesTypeError("toString")
        return ",".join("" if item is None else text(item, _depth + 1) for item in value)
    return "[object Object]"


def _number(value: float) -> str:
    try:
        double = float(value)
    except OverflowError:
        double = math.inf if value > 0 else -math.inf
    if math.isnan(double):
        return "NaN"
    if math.isinf(double):
        return "Infinity" if double > 0 else "-Infinity"
    if double == 0:
        return "0"
    if 1e-6 <= abs(double) < 1e21:
        plain = format(Decimal(repr(double)), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    digits, _, exponent = repr(double).partition("e")
    return f"{digits}e{int(exponent):+d}"


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest) if rest else name
