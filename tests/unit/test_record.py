"""The record and its fields, to bytes and back; and when it ends."""

from __future__ import annotations

import math
import struct
from dataclasses import FrozenInstanceError, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession._record import (
    GATE,
    LIST,
    RECENT,
    Lease,
    Record,
    Remembered,
    Waiter,
    decode_field,
    decode_fields,
    elements,
    encode_elements,
    encode_field,
    encode_fields,
    join_elements,
)
from gridsession.errors import CodecError, CorruptRecord, InvalidValue
from tests.strategies import START, mutated, records, values

ID = "line:U1"
LIVE = Record(ID, 5, True, 7, START, START + 100, bags=({"a": encode_field(1)}, {}, {}))


@given(records())
@settings(max_examples=200)
def test_a_record_comes_back_equal_and_in_the_same_bytes(record: Record) -> None:
    data = record.encode()
    again = Record.decode(data, expected_id=record.id)
    assert again == record
    assert [list(bag) for bag in again.bags] == [list(bag) for bag in record.bags]
    assert again.encode() == data


@given(records(ID).map(Record.encode).flatmap(mutated))
@settings(max_examples=200)
def test_spoilt_records_are_read_the_same_or_refused(data: bytes) -> None:
    try:
        record = Record.decode(data)
    except CorruptRecord:
        return
    assert record.encode() == data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_the_same_or_refused(data: bytes) -> None:
    for given_bytes in (data, b"GSR\x01" + data):
        try:
            record = Record.decode(given_bytes)
        except CorruptRecord:
            continue
        assert record.encode() == given_bytes


@given(records(ID))
def test_a_record_is_that_of_its_id_alone(record: Record) -> None:
    data = record.encode()
    with pytest.raises(CorruptRecord) as refusal:
        Record.decode(data, expected_id="line:U2")
    assert refusal.value.session_id == "line:U2"
    assert "left as it is" in str(refusal.value)


def test_a_record_is_read_from_any_buffer() -> None:
    data = LIVE.encode()
    assert Record.decode(memoryview(data)) == Record.decode(bytearray(data)) == LIVE  # type: ignore[arg-type]  # same


def test_a_refusal_quotes_nothing_of_the_record() -> None:
    secret = replace(LIVE, bags=({"pin": encode_field("hunter2")}, {}, {})).encode()
    with pytest.raises(CorruptRecord) as refusal:
        Record.decode(secret + b"\0", expected_id=ID)
    assert "hunter2" not in str(refusal.value)
    assert "pin" not in str(refusal.value)


def test_a_record_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        LIVE.revision = 8  # type: ignore[misc]  # that is the test


def test_the_layout_byte_for_byte() -> None:
    """The table in the module's docstring, by hand."""
    record = Record(
        "line:é",
        1,
        True,
        2,
        3,
        4,
        5,
        6,
        7,
        Lease("w", b"R" * 16, 8, 9),
        (Waiter("v", b"Q" * 16, 10),),
        (Remembered(b"O" * 16, 11, 1, 12, 13, b"\x00\x01\x02"),),
        ({"a": b"\x01" + bytes(8)}, {"b": b"\x00\xc0"}, {"c": b"\x05" + bytes(8)}),
    )
    i64, u16, u32 = (struct.Struct(layout).pack for layout in (">q", ">H", ">I"))
    by_hand = b"".join([
        b"GSR\x01",
        u16(0b1_1111_1111),
        u16(7) + "line:é".encode(),
        i64(1),
        i64(2) + i64(3) + i64(4),
        i64(5),
        i64(6),
        i64(7),
        b"\x01w" + b"R" * 16 + i64(8) + i64(9),
        u16(1) + b"\x01v" + b"Q" * 16 + i64(10),
        u16(1) + b"O" * 16 + i64(11) + b"\x01" + i64(12) + i64(13) + u32(3) + b"\x00\x01\x02",
        u32(20) + b"\xde\x00\x01" + b"\xd9\x01a" + b"\xc6" + u32(9) + b"\x01" + bytes(8),
        u32(13) + b"\xde\x00\x01" + b"\xd9\x01b" + b"\xc6" + u32(2) + b"\x00\xc0",
        u32(20) + b"\xde\x00\x01" + b"\xd9\x01c" + b"\xc6" + u32(9) + b"\x05" + bytes(8),
    ])  # fmt: skip
    assert record.encode() == by_hand
    assert Record.decode(by_hand) == record


def test_a_bag_is_a_legal_msgpack_map() -> None:
    fields = {f"n{number}": encode_field(number) for number in range(300)}
    section = encode_fields(fields)
    assert msgpack.unpackb(section) == fields == decode_fields(section)
    assert list(decode_fields(section)) == list(fields)


# --- when a session ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "max_lifetime", "expires_at"),
    [
        (None, None, None),
        (50, None, START + 150),
        (None, 120, START + 120),
        (50, 120, START + 120),
        (50, 150, START + 150),
        (50, 151, START + 150),
        (1, 101, START + 101),
    ],
)
def test_a_session_ends_at_the_earlier_of_both(
    ttl: int | None, max_lifetime: int | None, expires_at: int | None
) -> None:
    record = replace(LIVE, ttl=ttl, max_lifetime=max_lifetime)
    assert record.expires_at == expires_at
    kept = record.retained_until
    assert kept is None if expires_at is None else kept is not None and kept >= expires_at


@given(records(ID))
def test_a_driver_keeps_a_record_at_least_as_long_as_anything_in_it_lasts(record: Record) -> None:
    kept = record.retained_until
    if kept is None:
        assert record.live
        assert record.expires_at is None
        return
    ends = [entry.not_after for entry in record.ring] + [waiter.until for waiter in record.queue]
    if record.lease is not None:
        ends.append(record.lease.until)
    if record.live:
        assert record.expires_at is not None
        ends.append(record.expires_at)
    assert all(kept >= end for end in ends)


# --- fields -----------------------------------------------------------------------------------------------------------


@given(values)
@settings(max_examples=200)
def test_a_field_comes_back_equal_and_of_its_type(value: object) -> None:
    back = decode_field(encode_field(value))
    assert type(back) is type(value)
    assert encode_field(back) == encode_field(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, 1),
        (2**63 - 1, 1),
        (-(2**63), 1),
        (2**63, 0),
        (-(2**63) - 1, 0),
        (True, 0),
        (False, 0),
        (1.5, 2),
        (math.inf, 2),
        (math.nan, 2),
        ([], 3),
        ([1, [2]], 3),
        ((1,), 0),
        ("x", 0),
        (None, 0),
        ({}, 0),
        ({1}, 0),
        (b"", 0),
    ],
    ids=repr,
)
def test_the_kind_of_a_field(value: object, kind: int) -> None:
    assert encode_field(value)[0] == kind


def test_a_subclass_of_int_float_or_list_is_not_taken_for_one() -> None:
    for base, value in ((float, 1.0), (list, [1])):
        odd = type("Odd", (base,), {})(value)
        with pytest.raises(InvalidValue):
            encode_field(odd)


def test_a_path_into_a_list_field_begins_at_its_index() -> None:
    with pytest.raises(InvalidValue) as refusal:
        encode_field([1, {"a": object()}])
    assert refusal.value.path == "$[1].a"
    assert str(refusal.value).startswith("$[1].a is a object")
    with pytest.raises(InvalidValue) as refusal:
        encode_field([1, [2, "\ud800"]])
    assert refusal.value.path == "$[1][1]"


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_elements_come_back(parts: list[bytes]) -> None:
    for kind in (LIST, RECENT):
        raw = join_elements(kind, parts)
        assert raw[0] == kind
        assert elements(raw) == parts


@pytest.mark.parametrize("sizes", [(2, 4), (1, 5), (1, 3), (2, 1), (3, 0), (1, 2**32 - 1)], ids=str)
def test_lengths_that_do_not_add_up_are_refused(sizes: tuple[int, int]) -> None:
    count, first = sizes
    raw = b"\x03" + count.to_bytes(4, "big") + first.to_bytes(4, "big") + b"\x01\x02\x03\x04"
    with pytest.raises(ValueError, match=r"^$"):
        elements(raw)


def test_a_list_field_is_its_elements() -> None:
    value: list[Any] = [1, "x", [None]]
    assert b"\x03" + encode_elements(value) == encode_field(value)
    assert decode_field(join_elements(RECENT, elements(encode_field(value)))) == value
    assert decode_field(bytes((GATE,)) + START.to_bytes(8, "big")) == START


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"",
            b"\x00",
            b"\x01",
            b"\x01" + bytes(7),
            b"\x01" + bytes(9),
            b"\x02" + bytes(7),
            b"\x03",
            b"\x03" + bytes(3),
        ),
        b"\x03\xff\xff\xff\xff",
        b"\x03\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x03\x00\x00\x00\x00x",
        b"\x05" + bytes(7),
        b"\x06",
        b"\xff",
    ],
    ids=bytes.hex,
)
def test_raw_bytes_that_are_no_field(raw: bytes) -> None:
    with pytest.raises(CodecError):
        decode_field(raw)


@given(values.map(encode_field).flatmap(mutated) | st.binary(max_size=60))
@settings(max_examples=200)
def test_spoilt_fields_are_decoded_or_refused(raw: bytes) -> None:
    try:
        decode_field(raw)
    except CodecError as refusal:
        assert type(refusal) in (CodecError, CorruptRecord)  # noqa: PT017  # most bytes are refused, some are not
