"""`t` of a typed get: what a class makes of stored values, as Jackson does it for JAWCE."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import typing
import uuid
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest

from gridsession.dialects.jawce import SessionManager
from gridsession.errors import InvalidOption, InvalidValue

NAIVE = dt.datetime.fromisoformat("2026-01-02T03:04:05")
MIDNIGHT = dt.datetime.fromisoformat("2026-01-02")
UUID = uuid.UUID("6f1c1d9e-7b0a-4f57-9d36-0a4c7c6e2a11")


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Item:
    name: str
    price: Decimal
    count: int = 1


@dataclasses.dataclass
class Cart:
    items: list[Item]
    color: Color
    opened: dt.datetime
    note: str | None = None
    total: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError(f"{self.n} is not positive")


class Address(pydantic.BaseModel):
    street: str
    number: int
    since: dt.date | None = None


class Money:
    """A class of the application's own."""

    def __init__(self, text: str) -> None:
        self.cents = round(float(text) * 100)


@pytest.fixture(scope="module")
def manager() -> Iterator[SessionManager]:
    with SessionManager("memory://", user_ttl=600) as made:
        yield made


def _get(manager: SessionManager, value: object, t: Any) -> Any:
    manager.save("1", "field", value)
    manager.save_prop("1", "field", value)
    manager.save_global("field", value)
    found = manager.get("1", "field", t)
    for other in (manager.get_from_props("1", "field", t), manager.get_global("field", t)):
        assert other == found or isinstance(found, Money) or found != found
    return found


@pytest.mark.parametrize(
    ("value", "t", "found"),
    [
        ("False", bool, False),
        ("false", bool, False),
        ("TRUE", bool, True),
        (" true ", bool, True),
        (0, bool, False),
        (1, bool, True),
        ("12", int, 12),
        (" -12 ", int, -12),
        (12.9, int, 12),
        (Decimal("7.5"), int, 7),
        ("12.5", float, 12.5),
        (3, float, 3.0),
        ("-inf", float, -math.inf),
        (12, str, "12"),
        (1.5, str, "1.5"),
        (True, str, "true"),
        (Decimal("9.90"), str, "9.90"),
        (UUID, str, str(UUID)),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), str, "2026-01-02T03:04:00+00:00"),
        ("9.90", Decimal, Decimal("9.90")),
        (0.1, Decimal, Decimal("0.1")),
        (str(UUID), uuid.UUID, UUID),
        ("2026-01-02T03:04:05", dt.datetime, NAIVE),
        ("2026-01-02T03:04:05Z", dt.datetime, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        (1_767_323_045_000, dt.datetime, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("2026-01-02", dt.date, dt.date(2026, 1, 2)),
        ("2026-01-02T03:04:05", dt.date, dt.date(2026, 1, 2)),
        ("03:04", dt.time, dt.time(3, 4)),
        (90, dt.timedelta, dt.timedelta(seconds=90)),
        ("b", Color, Color.BLUE),
        ("BLUE", Color, Color.BLUE),
        (2, Level, Level.HIGH),
        ("HIGH", Level, Level.HIGH),
        (b"x", bytes, b"x"),
        ((1, 2), list, [1, 2]),
        ([1, 2], tuple, (1, 2)),
        ([1, 1], set, {1}),
        ({"a": 1}, dict, {"a": 1}),
        ({"a": "1"}, dict[str, int], {"a": 1}),
        ({"1": "a"}, Mapping[int, str], {1: "a"}),
        (["1", 2, None], list[int], [1, 2, None]),
        (["1"], Sequence[int], [1]),
        ([["r"], []], list[list[Color]], [[Color.RED], []]),
        (["1", "r"], tuple[int, Color], (1, Color.RED)),
        (["1", "2"], tuple[int, ...], (1, 2)),
        (["1"], set[int], {1}),
        ("12", int | None, 12),
        ("12", Optional[int], 12),  # noqa: UP045 - the older spelling
        ("12", int | str, "12"),
        ("x", int | Color | str, "x"),
        ("r", int | Color, Color.RED),
        ("a", Literal["a", "b"], "a"),
        ("12", Annotated[int, "an age"], 12),
        ("12", Any, "12"),
        ("12", object, "12"),
        (None, int, None),
        ({"name": "tea", "price": "9.90"}, Item, Item("tea", Decimal("9.90"))),
        ({"n": "3"}, Positive, Positive(3)),
        (
            {"items": [{"name": "tea", "price": 9, "count": "2"}], "color": "RED", "opened": "2026-01-02"},
            Cart,
            Cart([Item("tea", Decimal(9), 2)], Color.RED, MIDNIGHT),
        ),
        ({"street": "First", "number": "7"}, Address, Address(street="First", number=7)),
        ([{"street": "First", "number": 7}], list[Address], [Address(street="First", number=7)]),
    ],
    ids=repr,
)
def test_converts(manager: SessionManager, value: object, t: Any, found: object) -> None:
    got = _get(manager, value, t)
    assert got == found
    assert type(got) is type(found)


@pytest.mark.parametrize(
    ("value", "t", "path"),
    [
        ("secret", bool, "$.field"),
        ("1", bool, "$.field"),
        (1.0, bool, "$.field"),
        ("secret", int, "$.field"),
        ("1_000", int, "$.field"),
        ("", int, "$.field"),
        (True, int, "$.field"),
        (math.nan, int, "$.field"),
        ([1], int, "$.field"),
        (True, float, "$.field"),
        ([1], str, "$.field"),
        ("secret", Decimal, "$.field"),
        ("secret", uuid.UUID, "$.field"),
        (5, uuid.UUID, "$.field"),
        ("secret", dt.datetime, "$.field"),
        (10**30, dt.datetime, "$.field"),
        ("secret", dt.date, "$.field"),
        (5, dt.time, "$.field"),
        ("secret", Color, "$.field"),
        ([1], Color, "$.field"),
        ("3", Level, "$.field"),
        ("secret", bytes, "$.field"),
        ("secret", list, "$.field"),
        ([1], dict, "$.field"),
        (["1", "secret"], list[int], "$.field[1]"),
        ({"a": {"b": "secret"}}, dict[str, dict[str, int]], "$.field.a.b"),
        ({"secret": 1}, dict[int, int], "$.field"),
        ([1], tuple[int, int], "$.field"),
        ("secret", int | dt.datetime, "$.field"),
        ("secret", Literal["a", "b"], "$.field"),
        ({"name": "tea", "price": "secret"}, Item, "$.field.price"),
        ({"name": "tea"}, Item, "$.field.price"),
        ({"name": "tea", "price": 1, "secrets": 1}, Item, "$.field.secrets"),
        ({"items": [{"name": 1, "price": [1]}], "color": "r", "opened": "2026-01-02"}, Cart, "$.field.items[0].price"),
        ("secret", Item, "$.field"),
        ({"n": -41}, Positive, "$.field"),
        ({"street": "First", "number": "secret"}, Address, "$.field"),
        ("secret", Money, "$.field"),
    ],
    ids=repr,
)
def test_what_does_not_convert_is_an_error_that_names_the_field_and_never_the_value(
    manager: SessionManager, value: object, t: Any, path: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        manager.save("1", "field", value)
        manager.get("1", "field", t)
    error = caught.value
    assert error.path == path
    assert path in str(error)
    assert "secret" not in str(error).replace("$.field.secrets", "")
    assert "41" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    with pytest.raises(InvalidValue) as caught:
        manager.save_prop("1", "field", value)
        manager.get_from_props("1", "field", t)
    assert caught.value.path == path.replace("$.", "$.pywce_prop_key.")


def test_a_class_of_ones_own_is_made_from_the_value(manager: SessionManager) -> None:
    assert _get(manager, "9.90", Money).cents == 990


def test_what_was_saved_as_an_object_comes_back_as_one(manager: SessionManager) -> None:
    cart = Cart([Item("tea", Decimal("9.90"))], Color.BLUE, dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    assert _get(manager, cart, Cart) == cart
    address = Address(street="First", number=7, since=dt.date(2026, 1, 2))
    assert _get(manager, address, Address) == address
    assert _get(manager, Color.RED, Color) is Color.RED


def test_a_cast_callable_is_called_as_it_is_and_only_with_a_value(manager: SessionManager) -> None:
    assert _get(manager, "5", lambda value: [value]) == ["5"]
    manager.save("1", "field", None)
    assert manager.get("1", "field", lambda value: [value]) is None
    assert manager.get("1", "missing", lambda value: [value]) is None
    manager.save("1", "field", "5")
    with pytest.raises(ZeroDivisionError):
        manager.get("1", "field", lambda value: int(value) / 0)


def test_a_cast_callable_may_use_the_manager(manager: SessionManager) -> None:
    """It runs on the caller's thread, where blocking is allowed."""
    manager.save_all("1", {"currency": "USD", "price": "5"})
    assert manager.get("1", "price", lambda price: f"{price} {manager.get('1', 'currency')}") == "5 USD"


@pytest.mark.parametrize(("name", "found"), [("List", ["1"]), ("Sequence", ["1"]), ("Tuple", ("1",)), ("Set", {"1"})])
def test_a_generic_without_parts_is_its_plain_type(manager: SessionManager, name: str, found: object) -> None:
    assert _get(manager, ["1"], vars(typing)[name]) == found
    assert _get(manager, {"a": ["1"]}, vars(typing)["Mapping"]) == {"a": ["1"]}
    assert _get(manager, {"a": ["1"]}, dict[str, vars(typing)[name]]) == {"a": found}  # type: ignore[misc]  # made here


class Options(typing.TypedDict):
    size: int


class Sized(typing.Protocol):
    size: int


@pytest.mark.parametrize("wrong", [5, [int], type[int], Options, Sized, list[Options]], ids=repr)
def test_what_is_no_type_is_said(manager: SessionManager, wrong: Any) -> None:
    manager.save("1", "field", [{"size": "5"}])
    with pytest.raises(InvalidOption, match=r"^t"):
        manager.get("1", "field", wrong)
