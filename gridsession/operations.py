"""What `session.commit(...)` is made of: one function per operation, applied in order, all or none.

Each takes the field's name first and `bag="state"` (or `"props"`). The results stand in `snapshot.results`, in order.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from gridsession import _codec, _commands
from gridsession._record import BAGS, META, encode_field
from gridsession.errors import InvalidInput, InvalidValue, TooLarge
from gridsession.policy import Duration, milliseconds

__all__ = [
    "ABSENT",
    "allow",
    "append",
    "compare_and_set",
    "increment",
    "pop",
    "remember",
    "remove",
    "set",
    "setdefault",
    "take",
]

MOST: Final = 65_535
"""Most operations, retained names or values of one command: what its counts can say."""
BagName = Literal["state", "props"]
Operation = _commands.Operation
_set = set


class _Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""In `compare_and_set`: the field is not there, or shall not be there afterwards. None is a value like any other."""


def set(name: str, value: object, *, bag: BagName = "state") -> Operation:  # noqa: A001 - the verb's name
    """Put a field.

    Raises:
        InvalidValue: the value cannot be stored; `path` says where in it.
    """
    return _commands.Set(_bag(bag), field_name(name), raw_of(name, value))


def remove(name: str, *, bag: BagName = "state") -> Operation:
    """Remove a field; the result says whether it was there."""
    return _commands.Remove(_bag(bag), field_name(name))


def increment(name: str, by: float = 1, *, bag: BagName = "state") -> Operation:
    """Add to a 64-bit int or float field, an absent one counting as 0; the result is the new number.

    Raises:
        InvalidValue: `by` is not a 64-bit int or a float.
    """
    if isinstance(by, bool) or not isinstance(by, (int, float)) or (isinstance(by, int) and not -(2**63) <= by < 2**63):
        raise InvalidValue(f"increment takes a 64-bit int or a float, not {type(by).__name__}")
    return _commands.Increment(_bag(bag), field_name(name), int(by) if isinstance(by, int) else float(by))


def append(name: str, *values: object, keep: int | None = None, bag: BagName = "state") -> Operation:
    """Add to the end of a list and keep its last `keep` elements (None = all); the result is its length.

    Raises:
        InvalidValue: a value cannot be stored, or `keep` is negative.
        TooLarge: more than 65,535 values.
    """
    if len(values) > MOST:
        raise TooLarge(f"append was given {len(values)} values; at most {MOST} go into one command")
    if keep is not None and not 0 <= keep < 2**31:
        raise InvalidValue(f"keep must be 0 or more, not {keep}")
    encoded = tuple(_encoded(name, value) for value in values)
    return _commands.Append(_bag(bag), field_name(name), encoded, -1 if keep is None else keep)


def pop(name: str, *, first: bool = False, bag: BagName = "state") -> Operation:
    """Remove and return the last (or first) element of a list; the result is None when there is none."""
    return _commands.Pop(_bag(bag), field_name(name), first)


def take(name: str, *, bag: BagName = "state") -> Operation:
    """Remove and return a field; the result is None when it is absent."""
    return _commands.Take(_bag(bag), field_name(name))


def setdefault(name: str, value: object, *, bag: BagName = "state") -> Operation:
    """Put a field unless it is there; the result is what stands afterwards."""
    return _commands.SetDefault(_bag(bag), field_name(name), raw_of(name, value))


def compare_and_set(name: str, expected: object, value: object, *, bag: BagName = "state") -> Operation:
    """Put a field if it equals `expected`; the result says whether. `ABSENT` stands for no field, on either side.

    Equal means equal bytes: 1 and 1.0 differ, and so do dicts whose keys were put in another order.
    """
    old = None if expected is ABSENT else raw_of(name, expected)
    new = None if value is ABSENT else raw_of(name, value)
    return _commands.CompareAndSet(_bag(bag), field_name(name), old, new)


def remember(value: object, *, keep: int = 100, name: str = "messages") -> Operation:
    """Add to a set of the `keep` most recent values; the result says whether it was new.

    Raises:
        InvalidValue: the value cannot be stored, or `keep` is not 1 to 10000.
    """
    if not 1 <= keep <= 10_000:
        raise InvalidValue(f"keep must be 1 to 10000, not {keep}")
    return _commands.Remember(field_name(name), remembered_value(value), keep)


def allow(name: str = "default", *, every: Duration) -> Operation:
    """Say yes at most once per `every` seconds (or timedelta); the result is that yes or no."""
    return _commands.Allow(field_name(name), milliseconds(every, "every"))


def field_name(name: str) -> str:
    """The name, if it can name a field.

    Raises:
        InvalidValue: not text, empty, or without a UTF-8 form.
    """
    if type(name) is not str:
        raise InvalidValue(f"a field's name is text, not {type(name).__name__}")
    if not name:
        raise InvalidValue("a field's name must not be empty")
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InvalidValue(f"the field name {name!a} has no UTF-8 form") from None
    return name


def raw_of(name: str, value: object) -> bytes:
    """The raw bytes of a field's value; errors name the field in their path.

    Raises:
        InvalidValue: the value cannot be stored.
    """
    try:
        return encode_field(value)
    except InvalidValue as error:
        raise _located(name, error) from None


def remembered_value(value: object) -> bytes:
    """The bytes of a value to remember.

    Raises:
        InvalidValue: the value cannot be stored.
        TooLarge: it takes more than 65,535 bytes.
    """
    encoded = _codec.encode(value)
    if len(encoded) > MOST:
        raise TooLarge(f"a value to remember takes {len(encoded)} bytes; at most {MOST} are allowed")
    return encoded


def _encoded(name: str, value: object) -> bytes:
    try:
        return _codec.encode(value)
    except InvalidValue as error:
        raise _located(name, error) from None


def _located(name: Any, error: InvalidValue) -> InvalidValue:
    path = f"$.{name}{error.path[1:]}"
    return InvalidValue(f"{path}{str(error)[len(error.path) :]}", path=path)


def _bag(name: str) -> int:
    if name not in BAGS[:META]:
        raise InvalidInput(f"bag must be 'state' or 'props', not {name!r}")
    return BAGS.index(name)
