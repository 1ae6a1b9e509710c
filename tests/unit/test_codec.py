"""Values to bytes and back: what goes in comes back, equal and of the same type, or is refused with the path to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import struct
import subprocess
import sys
import tracemalloc
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession._codec import MAX_DEPTH, MAX_ITEMS, MAX_NESTED, decode, decode_all, encode
from gridsession.errors import CodecError, InvalidValue
from tests.strategies import mutated, refused_scalars, values

ROOT = Path(__file__).resolve().parents[2]
VALUES = [
    *(None, True, False, 0, 1, -1, 127, 128, -32, -33, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63)),
    *(-(2**63) - 1, 10**300, -(10**300), 0.0, 1.5, 1e308, 5e-324, math.inf, -math.inf),
    *("", "x", "ก" * 300, "e\u0301", "\0", "👩‍👩‍👧", b"", b"\x00\xff", b"x" * 70_000, "x" * 70_000),
    *([], [[]], [1, "a", None], (), (1,), (1, (2, [3])), {}, {"a": 1}, {1: "a", -1: "b", 2**64 - 1: "c"}),
    {"": {"": {"": []}}},
    *(set(), {1}, {1, "1", b"1", None, (1,)}, {frozenset({1, 2}), frozenset()}, frozenset(), frozenset({"a"})),
    *(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 2, 29, 1, 2, 3)),  # noqa: DTZ001  # naive ones are kept naive
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30, seconds=-7))),
    dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    *(dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.time(0), dt.time(23, 59, 59, 999999), dt.time(1, 2, tzinfo=dt.UTC)),
    *(dt.timedelta(0), dt.timedelta.max, dt.timedelta.min, dt.timedelta(microseconds=-1)),
    *map(decimal.Decimal, ("0", "-0", "1.10", "1E+1000", "-1E-1000", "Infinity", "1" * 1024)),
    *(uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), {"big": list(range(5_000))}, list(range(65_535))),
]


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same type all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    if isinstance(one, dt.datetime | dt.time):
        return (one.replace(tzinfo=None), one.fold, one.utcoffset(), type(one.tzinfo)) == (
            other.replace(tzinfo=None),
            other.fold,
            other.utcoffset(),
            type(other.tzinfo),
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return _same(list(one), list(other)) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and {encode(item) for item in one} == {encode(item) for item in other}
    return bool(one == other)


@pytest.mark.parametrize("character", ["a", "ก"])
@pytest.mark.parametrize("size", [0, 1, 10, 11, 31, 32, 85, 86, 255, 256, 65_536])
def test_text_of_each_size_has_msgpacks_bytes(size: int, character: str) -> None:
    text = character * size
    data = encode(text)

    assert data == msgpack.packb(text)
    assert decode(data) == text
    for wrong in (data[:-1], data + b"a"):
        with pytest.raises(CodecError):
            decode(wrong)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {repr(value)[:30]}")
def test_what_goes_in_comes_back(value: object) -> None:
    assert _same(decode(encode(value)), value)


@given(values)
@settings(max_examples=150)
def test_any_value_comes_back_equal_and_of_its_type(value: object) -> None:
    assert _same(decode(encode(value)), value)


@given(values)
def test_encoding_is_repeatable(value: object) -> None:
    assert encode(decode(encode(value))) == encode(value)


def test_floats_keep_every_bit() -> None:
    for value in (-0.0, 0.1, math.pi, 2.0**53 + 2, 1.7976931348623157e308):
        assert struct.pack(">d", decode(encode(value))) == struct.pack(">d", value)
    assert math.isnan(decode(encode(math.nan)))


def test_a_zone_keeps_its_name() -> None:
    moment = dt.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Asia/Bangkok"))
    assert decode(encode(moment)).tzinfo.key == "Asia/Bangkok"


@given(
    st.lists(st.one_of(st.integers(), st.text(st.characters(exclude_categories=["Cs"])), st.binary()), max_size=12),
    st.randoms(),
)
def test_equal_sets_give_equal_bytes(items: list[Any], random: Any) -> None:
    shuffled = [*items, *items]
    random.shuffle(shuffled)
    assert encode(set(items)) == encode(set(shuffled))
    assert encode(frozenset(items)) == encode(frozenset(shuffled))
    assert encode({"in": [set(items)]}) == encode({"in": [set(shuffled)]})


def test_equal_sets_of_colliding_elements_give_equal_bytes() -> None:
    # Small ints land in a set by their value modulo its size: built in another order they iterate in another order.
    one, other = {0, 8, 16, 24}, {24, 16, 8, 0}
    assert encode(one) == encode(other)
    assert encode({(0, 8), (8, 0)}) == encode({(8, 0), (0, 8)})


# --- refusals ---------------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Point:
    x: object
    y: object = 2


class Model:
    """Shaped like a pydantic model."""

    def model_dump(self) -> dict[str, object]:
        return {"a": 1, "when": dt.date(2024, 1, 1)}


def test_enums_dataclasses_and_models_are_stored_as_what_they_hold() -> None:
    assert decode(encode(Colour.RED)) == "red"
    level = decode(encode(Level.LOW))
    assert (level, type(level)) == (1, int)
    assert decode(encode(Point(1, (2,)))) == {"x": 1, "y": (2,)}
    assert decode(encode([Model()])) == [{"a": 1, "when": dt.date(2024, 1, 1)}]


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
RING: dict[str, Any] = {}
RING["ring"] = (RING,)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "$"),
        ([1, object()], "$[1]"),
        ({"cart": [1, 2, {"price": object()}]}, "$.cart[2].price"),
        ({"a": (1, {2: [object()]})}, "$.a[1][2][0]"),
        ({1.5: 2}, "$"),
        ({"a": {None: 2}}, "$.a"),
        ({"a": {b"k": 2}}, "$.a"),
        ({"a": {True: 2}}, "$.a"),
        ({"a": {(1,): 2}}, "$.a"),
        ({"a": {2**64: 2}}, "$.a"),
        ({"a": {Colour.RED: 1}}, "$.a"),
        ("\ud800", "$"),
        (["a", "\udfff"], "$[1]"),
        ({"a": {"\ud800": 1}}, "$.a"),
        (bytearray(b"x"), "$"),
        (memoryview(b"x"), "$"),
        (msgpack.Timestamp(1, 2), "$"),
        (msgpack.ExtType(5, b"x"), "$"),
        ([msgpack.ExtType(99, b"x")], "$[0]"),
        (1j, "$"),
        (range(3), "$"),
        (type("Sub", (str,), {})("x"), "$"),
        (type("Sub", (dict,), {})(), "$"),
        (type("Sub", (list,), {})(), "$"),
        (dt.datetime(2024, 1, 1, tzinfo=type("Odd", (dt.tzinfo,), {})()), "$"),
        ({"a": Point(object())}, "$.a.x"),
        ({"a": Point(({1.5: 2},))}, "$.a.x[0]"),
        ({"n": decimal.Decimal("1" * 1025)}, "$.n"),
        ({"n": 2 ** (8 * 1024)}, "$.n"),
    ],
    ids=lambda value: repr(value)[:40] if not isinstance(value, str) else ascii(value),
)
def test_what_cannot_be_stored_is_refused_with_its_path(value: object, path: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        encode(value)
    assert refusal.value.path == path
    str(refusal.value).encode()
    assert str(refusal.value).startswith(path)


@pytest.mark.parametrize(
    "value", [CIRCLE, RING, {"a": CIRCLE}, Point(CIRCLE)], ids=["list", "dict", "nested", "dataclass"]
)
def test_what_contains_itself_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"contains itself|nests more"):
        encode(value)


@given(
    st.recursive(
        refused_scalars,
        lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.just("k"), inner, min_size=1),
    )
)
def test_a_refusal_is_invalid_value_and_nothing_else(value: object) -> None:
    with pytest.raises(InvalidValue) as refusal:
        encode(value)
    assert refusal.value.path.startswith("$")


def test_no_value_is_quoted_in_a_refusal() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    with pytest.raises(InvalidValue) as refusal:
        encode({"password": [Secret()]})
    assert "hunter2" not in str(refusal.value)


# --- bounds: whatever is accepted can be read again -------------------------------------------------------------------


def _nested(leaf: object, levels: int, kind: type) -> object:
    for _ in range(levels):
        leaf = {"k": leaf} if kind is dict else kind([leaf])
    return leaf


@pytest.mark.parametrize(
    ("kind", "levels"), [(list, MAX_DEPTH), (dict, MAX_DEPTH), (tuple, MAX_NESTED), (frozenset, MAX_NESTED)]
)
def test_depth_is_bounded(kind: type, levels: int) -> None:
    deepest = _nested("leaf", levels, kind)
    assert decode(encode(deepest)) == deepest
    with pytest.raises(InvalidValue, match=r"deeper|nests"):
        encode(_nested("leaf", levels + 1, kind))


def test_lists_and_tuples_in_turn_are_bounded_by_both() -> None:
    deepest = _nested("leaf", 1, list)
    for _ in range(MAX_NESTED):
        deepest = ([deepest],)
    assert decode(encode(deepest)) == deepest
    with pytest.raises(InvalidValue, match="nests"):
        encode(([deepest],))


@pytest.mark.parametrize(
    "leaf", ["x" * 5_000, b"x", 1.5, None, 5, 2**70, dt.date(2024, 1, 1)], ids=lambda leaf: type(leaf).__name__
)
def test_the_deepest_place_holds_any_scalar(leaf: object) -> None:
    for deepest in (
        _nested(leaf, MAX_DEPTH, list),
        _nested(leaf, MAX_NESTED, tuple),
        _nested(leaf, MAX_NESTED, frozenset),
    ):
        assert decode(encode(deepest)) == deepest


@pytest.mark.parametrize(
    "value",
    [
        list(range(MAX_ITEMS - 1)),
        list(range(MAX_ITEMS)),
        tuple(range(MAX_ITEMS - 1)),
        tuple(range(MAX_ITEMS)),
        tuple(range(MAX_ITEMS + 5_000)),
        set(range(MAX_ITEMS - 1)),
        set(range(MAX_ITEMS)),
        frozenset(range(MAX_ITEMS + 5_000)),
        {number: number for number in range(MAX_ITEMS // 2 - 1)},
        {number: number for number in range(MAX_ITEMS // 2)},
        tuple([list(range(1_000))] * 100),
        [tuple(range(1_000))] * 100,
        {tuple(range(start, start + 700)) for start in range(100)},
        {"deep": [({"x": tuple(range(MAX_ITEMS))},)]},
    ],
    ids=lambda value: f"{type(value).__name__} of {len(value)}",
)
def test_what_is_accepted_can_be_read_again(value: object) -> None:
    try:
        data = encode(value)
    except InvalidValue:
        return
    assert decode(data) == value


@pytest.mark.parametrize("size", [1023, 1024, 1025])
def test_the_longest_numbers_can_be_read_again(size: int) -> None:
    for value in (2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), 2 ** (8 * size - 1), decimal.Decimal("7" * size)):
        try:
            data = encode(value)
        except InvalidValue:
            assert size >= 1024
        else:
            assert decode(data) == value


# --- bytes from elsewhere ---------------------------------------------------------------------------------------------


def _extension(code: int, payload: object) -> bytes:
    data = payload if isinstance(payload, bytes) else msgpack.packb(payload)
    packed: bytes = msgpack.packb(msgpack.ExtType(code, data))
    return packed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        b"\x81\xa1a",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xc0\x01",
        b"\x81\xc3\x01",
        b"\x81\xcb" + bytes(8) + b"\x01",
        b"\x81\xc4\x01a\x01",
        b"\x81\x91\x01\x01",
        b"\xa1\xff",
        b"\xa3\xed\xa0\x80",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x91" * 5_000 + b"\xc0",
        b"\x91" * 3_000,
        b"\xdd\x00\x02\x00\x00" + bytes(0x20000),
        _extension(99, b""),
        _extension(0, b"x"),
        _extension(1, b"\xc0"),
        _extension(1, b""),
        _extension(2, [[1]]),
        _extension(2, b"\x91"),
        _extension(4, bytes(1025)),
        _extension(5, ["2024-01-01", 0]),
        _extension(5, ["rubbish", 0, None]),
        _extension(5, [5, 0, None]),
        _extension(5, ["2024-01-01T00:00:00", 2, None]),
        _extension(5, ["2024-01-01T00:00:00", None, None]),
        _extension(5, ["2024-01-01T00:00:00", 0, "No/Where"]),
        _extension(5, ["2024-01-01T00:00:00", 0, "../../etc/passwd"]),
        _extension(5, ["2024-01-01T00:00:00", 0, "/etc/passwd"]),
        _extension(5, ["2024-01-01T00:00:00", 0, "Europe"]),
        _extension(5, ["2024-01-01T00:00:00", 0, ""]),
        _extension(5, ["2024-01-01T00:00:00", 0, "\0"]),
        _extension(5, ["2024-01-01T00:00:00", 0, "x" * 4_000]),
        _extension(5, ["2024-01-01T00:00:00", 0, [5, 0, 0]]),
        _extension(5, ["2024-01-01T00:00:00", 0, [10**18, 0, 0]]),
        _extension(5, ["2024-01-01T00:00:00", 0, 5]),
        _extension(6, b"2024-13-01"),
        _extension(6, b"\xff"),
        _extension(7, ["25:00", 0, None]),
        _extension(8, b"short"),
        _extension(8, struct.pack(">iii", 2**31 - 1, 0, 0)),
        _extension(9, b"one"),
        _extension(9, b"1" * 1025),
        _extension(9, b"1E+99999999999999999999"),
        _extension(10, bytes(15)),
        b"\xc7\x05\x01\x91\x91\x91\x91\x91",
    ],
    ids=lambda data: data[:20].hex() or "none",
)
def test_bytes_that_encode_did_not_make_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError) as refusal:
        decode(data)
    assert type(refusal.value) is CodecError


@pytest.mark.parametrize("levels", [MAX_NESTED + 1, 33, 150, 3_000])
def test_extensions_nested_very_deep_are_refused_and_crash_nothing(levels: int) -> None:
    data = b"\xc0"
    for _ in range(levels):
        data = _extension(1, b"\x91" + data)
    # In a process of its own: without the bound each level takes 40 KB of C stack, and the interpreter dies.
    code = "import sys; from gridsession._codec import decode; decode(sys.stdin.buffer.read())"
    ran = subprocess.run([sys.executable, "-c", code], input=data, cwd=ROOT, capture_output=True, timeout=60)
    assert b"CodecError" in ran.stderr


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    _decode_or_refuse(data)


@given(values.map(encode).flatmap(mutated))
@settings(max_examples=200)
def test_spoilt_bytes_are_decoded_or_refused(data: bytes) -> None:
    _decode_or_refuse(data)


@given(st.integers(0, 12), st.binary(max_size=40) | values.map(encode))
@settings(max_examples=200)
def test_any_extension_is_decoded_or_refused(code: int, payload: bytes) -> None:
    _decode_or_refuse(_extension(code, payload))


def _decode_or_refuse(data: bytes) -> None:
    try:
        decode(data)
    except CodecError as refusal:
        assert type(refusal) is CodecError  # noqa: PT017  # most bytes are refused, some are not


@given(st.lists(values.map(encode), max_size=4), st.sampled_from((1, 12)))
@settings(max_examples=200)
def test_many_are_decoded_as_each_one_is(parts: list[bytes], times: int) -> None:
    parts *= times
    assert all(map(_same, decode_all(parts), map(decode, parts)))
    assert len(decode_all(parts)) == len(parts)


@given(st.lists(values.map(encode), min_size=1, max_size=4), st.data())
@settings(max_examples=200)
def test_one_that_is_spoilt_among_many_is_refused_as_by_itself(parts: list[bytes], data: st.DataObject) -> None:
    parts *= 32
    spoilt = data.draw(st.integers(0, len(parts) - 1))
    parts[spoilt] = data.draw(mutated(parts[spoilt]))
    outcomes = []
    for decoding in (lambda: decode(parts[spoilt]), lambda: decode_all(parts)[spoilt]):
        try:
            outcomes.append((decoding(), ""))
        except CodecError as refusal:
            outcomes.append((None, str(refusal)))
    (one, why), (among_many, why_many) = outcomes
    assert _same(one, among_many)
    assert why == why_many


@pytest.mark.parametrize(
    "moved",
    [(b"\x01\x02", b""), (b"\x91", b"\x05"), (b"\xa2a", b"b"), (b"", b"\x01\x02"), (b"\x01", b"\xd6\xff\0\0\0\0")],
    ids=lambda parts: "+".join(part.hex() for part in parts),
)
def test_a_border_that_lies_elsewhere_is_seen_among_many(moved: tuple[bytes, bytes]) -> None:
    with pytest.raises(CodecError):
        decode_all([encode(1)] * 20 + [*moved] + [encode("x")] * 20)


@pytest.mark.parametrize(
    "head",
    [b"\xdd\0\1\0\0", b"\xdc\x0f\xff", b"\xdf\0\0\x0f\xff\1", b"\xde\x0f\xff\1", b"\x9f", b"\xdc\0\x10", b"\xdc\0\xfe"],
    ids=bytes.hex,
)
@pytest.mark.parametrize("size", [255, 4096, 100_000])
def test_headers_that_claim_much_get_little_memory(head: bytes, size: int) -> None:
    """Small payloads are not walked before msgpack allocates what their headers claim."""
    one = head * (size // len(head))
    parts = [head] * (size // len(head))
    for decoding in (lambda: decode(one), lambda: decode_all(parts)):
        tracemalloc.start()
        try:
            with pytest.raises(CodecError):
                decoding()
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 128 * size + (2 << 20)
