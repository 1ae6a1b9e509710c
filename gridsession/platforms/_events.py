"""What the platform files share: their promise to the package, the reading of untrusted bodies, the error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

from gridsession.errors import InvalidInput

MAX_BODY = 1 << 20
"""Longest body that is parsed, in bytes or characters; the platforms post some kilobytes."""

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects that is accepted in a body given as JSON."""

Mode: TypeAlias = Literal["strict", "bottender"]
Fields: TypeAlias = Mapping[str, object]
Identified: TypeAlias = list[tuple[str | None, Fields]]


class UnknownEvent(InvalidInput):
    """A body that is not a webhook body of its platform; nothing of it was handled.

    Attributes:
        platform: the platform that was asked for.
        missing: what the body lacks, as a path or a few words; never a value of the body.
    """

    def __init__(self, message: str, *, platform: str, missing: str) -> None:
        super().__init__(message)
        self.platform = platform
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform's file, as the package sees it.

    Attributes:
        options: name of each option -> what checks its value and returns the value to use; it raises `InvalidOption`.
        identify: parsed body, mode and checked options -> (session id or None, event) in the order of the body.
            Raises `UnknownEvent` for a wrong envelope, and nothing else whatever the body holds.
        message_id: event -> the platform's own id of this delivery, or None. Never raises.
    """

    options: Mapping[str, Callable[[object], object]]
    identify: Callable[[Fields, Mode, Fields], Identified]
    message_id: Callable[[Fields], str | None]


def not_of(platform: str, missing: str) -> UnknownEvent:
    """The error for a body whose envelope lacks `missing`."""
    return UnknownEvent(
        f"not a webhook body of {platform}: {missing} is missing or of another type", platform=platform, missing=missing
    )


def read_json(platform: str, body: object) -> Fields:
    """The JSON object that was posted; a body that is parsed already is returned as it is.

    Raises:
        UnknownEvent: not JSON in UTF-8, not an object, too long or too deep.
    """
    if isinstance(body, Mapping):
        return body
    if not isinstance(body, (bytes, bytearray, str)):
        raise not_of(platform, "a JSON object")
    if len(body) > MAX_BODY:
        raise _refused(platform, f"it is longer than {MAX_BODY} bytes")
    try:
        text = body if isinstance(body, str) else body.decode()
        parsed = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise _refused(platform, f"it is nested deeper than {MAX_DEPTH}") from None
    except ValueError:  # UnicodeDecodeError and JSONDecodeError too; their texts may quote the body
        raise not_of(platform, "JSON text in UTF-8") from None
    if not isinstance(parsed, dict):
        raise not_of(platform, "a JSON object")
    # Brackets in strings count too, so few of them prove the body shallow without walking it.
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(parsed, MAX_DEPTH):
        raise _refused(platform, f"it is nested deeper than {MAX_DEPTH}")
    return parsed


def at(event: object, *path: str) -> object:
    """The value at a path of nested mappings, or None where there is none."""
    for name in path:
        if not isinstance(event, Mapping):
            return None
        event = event.get(name)
    return event


def whole_number(value: object) -> str | None:
    """The decimal text of an id that is an integer of at most 64 bits, else None; True is no number."""
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
        return str(int(value))
    return None


def plain_word(value: object) -> str | None:
    """An id of 1 to 256 visible ASCII characters without blanks, else None."""
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def _refused(platform: str, why: str) -> UnknownEvent:
    return UnknownEvent(f"the body for {platform} was not read: {why}", platform=platform, missing="a sane size")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not level:
            return False
    return any(isinstance(value, (dict, list)) for value in level)
