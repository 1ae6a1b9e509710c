"""`type=` checks and never casts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
import pytest

from gridsession._typed import check
from gridsession.errors import InvalidOption, InvalidValue


class Step(enum.Enum):
    START = "start"
    END = "end"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal
    tags: list[str] = dataclasses.field(default_factory=list)
    step: Step | None = None


@dataclasses.dataclass
class Cart:
    items: list[Item]


class Order(pydantic.BaseModel):
    number: int
    note: str = ""


NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (1.5, float),
        (1, float),
        (True, bool),
        ("a", str),
        (b"a", bytes),
        (None, None),
        (None, type(None)),
        (object, Any),
        (5, object),
        (NOW, dt.datetime),
        (NOW.date(), dt.date),
        (decimal.Decimal("1.5"), decimal.Decimal),
        (uuid.UUID(int=1), uuid.UUID),
        ([1, 2], list),
        ([1, 2], list[int]),
        ([], list[int]),
        ([1, 2], Sequence[int]),
        ((1, "a"), tuple[int, str]),
        ((1, 2, 3), tuple[int, ...]),
        ((), tuple[int, ...]),
        ({1, 2}, set[int]),
        (frozenset({"a"}), frozenset[str]),
        ({"a": 1}, dict),
        ({"a": [1]}, dict[str, list[int]]),
        ({5: "a"}, Mapping[int, str]),
        (None, int | None),
        (1, Optional[int]),  # noqa: UP045 - the older form too
        ("a", Union[int, str]),  # noqa: UP007 - the older form too
        ("left", Literal["left", "right"]),
        (1, Annotated[int, "note"]),
    ],
)
def test_what_is_of_the_type_comes_back_as_it_is(value: Any, kind: Any) -> None:
    checked = check(value, kind, "$.x")
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("value", "kind", "path"),
    [
        ("1", int, "$.x"),
        (1, str, "$.x"),
        (True, int, "$.x"),
        (1, bool, "$.x"),
        (1.0, int, "$.x"),
        (True, float, "$.x"),
        (None, int, "$.x"),
        (0, None, "$.x"),
        (NOW, dt.date, "$.x"),
        (NOW.date(), dt.datetime, "$.x"),
        ("1.5", decimal.Decimal, "$.x"),
        (1.5, decimal.Decimal, "$.x"),
        ((1,), list[int], "$.x"),
        ([1], tuple[int, ...], "$.x"),
        ([1, "2"], list[int], "$.x[1]"),
        ([1], set[int], "$.x"),
        ((1, 2), tuple[int], "$.x"),
        ((1, "a", True), tuple[int, str, int], "$.x[2]"),
        ({"a": [1, None]}, dict[str, list[int]], "$.x.a[1]"),
        ({1: 1}, dict[str, int], "$.x"),
        (1.5, int | str, "$.x"),
        (True, int | str, "$.x"),
        ("up", Literal["left", "right"], "$.x"),
        (True, Literal[1], "$.x"),
        (1.0, Literal[1], "$.x"),
    ],
)
def test_what_is_not_is_refused_with_its_path(value: Any, kind: Any, path: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        check(value, kind, "$.x")
    assert refused.value.path == path
    assert path in str(refused.value)


def test_an_enum_is_found_by_its_value() -> None:
    assert check("end", Step, "$") is Step.END
    assert check(1, Level, "$") is Level.LOW
    assert check(["start", "end"], list[Step], "$") == [Step.START, Step.END]
    for value in ("END", "other", 1, None):
        with pytest.raises(InvalidValue):
            check(value, Step, "$")
    with pytest.raises(InvalidValue):
        check(True, Level, "$")


def test_a_dataclass_is_built_from_its_fields() -> None:
    stored = {
        "items": [
            {"name": "tea", "price": decimal.Decimal("2.50"), "step": "start"},
            {"name": "x", "price": decimal.Decimal(1)},
        ]
    }
    assert check(stored, Cart, "$.cart") == Cart(
        [Item("tea", decimal.Decimal("2.50"), [], Step.START), Item("x", decimal.Decimal(1))]
    )


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"name": "tea", "price": "2.50"}, "$.cart.items[0].price"),
        ({"name": "tea"}, "$.cart.items[0].price"),
        ({"name": "tea", "price": decimal.Decimal(1), "extra": 1}, "$.cart.items[0].extra"),
        ({"name": "tea", "price": decimal.Decimal(1), "step": "middle"}, "$.cart.items[0].step"),
        (["tea"], "$.cart.items[0]"),
    ],
)
def test_a_dataclass_that_does_not_fit_is_refused(item: Any, path: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        check({"items": [item]}, Cart, "$.cart")
    assert refused.value.path == path


def test_a_pydantic_model_is_validated_strictly_and_its_errors_show_no_value() -> None:
    assert check({"number": 5}, Order, "$.order") == Order(number=5)
    for stored in ({"number": "4111111111111111"}, {}, "4111111111111111", None):
        with pytest.raises(InvalidValue) as refused:
            check(stored, Order, "$.order")
        assert refused.value.path == "$.order"
        assert "4111" not in str(refused.value)


def test_no_error_shows_a_value() -> None:
    for kind in (int, list[int], Step, Cart, Literal["a"], int | None, dict[str, int]):
        with pytest.raises(InvalidValue) as refused:
            check("4111 1111", kind, "$")  # type: ignore[arg-type]  # any form of type
        assert "4111" not in str(refused.value)


@pytest.mark.parametrize("kind", ["int", 5, type[int], "list[int]"])
def test_a_type_that_cannot_be_checked_is_the_callers_mistake(kind: Any) -> None:
    with pytest.raises(InvalidOption):
        check(1, kind, "$")
