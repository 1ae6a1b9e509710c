"""Replies: to bytes and back; one for another id is a fatal fault."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession._record import encode_field, encode_fields
from gridsession._reply import Grant, Life, Reply, Status, decode_reply, decode_results, encode_results
from gridsession.errors import CodecError, CrossTalk, Unsupported
from tests.strategies import START, mutated, replies, results

ID = "line:U1"


@given(replies())
@settings(max_examples=150)
def test_a_reply_comes_back_equal_and_in_the_same_bytes(reply: Reply) -> None:
    data = reply.encode()
    again = decode_reply(data, expected_id=reply.id.encode())
    assert again == reply
    assert again.encode() == data
    for before, after in zip(reply.bags, again.bags, strict=True):
        assert (before is None) == (after is None)
        assert list(before or ()) == list(after or ())


@given(replies())
def test_a_reply_for_another_id_is_never_read(reply: Reply) -> None:
    for other in (reply.id + "x", "line:other", reply.id[:-1]):
        if other != reply.id:
            with pytest.raises(CrossTalk):
                decode_reply(reply.encode(), expected_id=other.encode())


@given(replies().map(Reply.encode).flatmap(mutated) | st.binary(max_size=100))
@settings(max_examples=200)
def test_spoilt_replies_are_read_or_refused(data: bytes) -> None:
    for identity in (ID.encode(), b"line:"):
        with contextlib.suppress(CodecError, CrossTalk, Unsupported):
            decode_reply(data, expected_id=identity)


def test_a_reply_byte_for_byte() -> None:
    fields = {"a": encode_field(1)}
    reply = Reply(
        Status.CONFLICT, "line:é", 1, 2, 3, True, True, True, Life(4, 5, None, 6), Grant(7, 8, 9), 10,
        (None, False, True, b"x"), (fields, {}, fields),
    )  # fmt: skip
    section = encode_fields(fields)
    by_hand = b"".join([
        b"\x01\x01" + struct.pack(">HH", 0b11_1111_1111, 7) + "line:é".encode(),
        struct.pack(">qQQ", 1, 2, 3),
        struct.pack(">qqqq", 4, 5, 0, 6),
        struct.pack(">QqH", 7, 8, 9),
        struct.pack(">H", 10),
        struct.pack(">I", 11) + b"\x00\x04" + b"\x00\x01\x02" + b"\x03\x00\x00\x00\x01x",
        struct.pack(">I", len(section)) + section,
        struct.pack(">I", 3) + b"\xde\x00\x00",
        struct.pack(">I", len(section)) + section,
    ])  # fmt: skip
    assert reply.encode() == by_hand
    assert decode_reply(by_hand, expected_id="line:é".encode()) == reply


def test_every_cut_of_a_reply_is_refused() -> None:
    reply = Reply(
        Status.OK,
        ID,
        START,
        1,
        2,
        life=Life(1, 2, 3, 4),
        grant=Grant(1, 2),
        results=(b"x",),
        bags=({"a": b"\x00\xc0"}, {}, None),
    )
    data = reply.encode()
    for length in range(len(data)):
        with pytest.raises((CodecError, CrossTalk)):
            decode_reply(data[:length], expected_id=ID.encode())
    with pytest.raises(CodecError):
        decode_reply(data + b"\0", expected_id=ID.encode())


def test_a_reply_of_another_layout_asks_for_an_update() -> None:
    data = Reply(Status.OK, ID, START).encode()
    with pytest.raises(Unsupported, match="update"):
        decode_reply(b"\x02" + data[1:], expected_id=ID.encode())


def test_a_status_to_come_is_refused() -> None:
    data = Reply(Status.OK, ID, START).encode()
    with pytest.raises(CodecError):
        decode_reply(data[:1] + b"\x63" + data[2:], expected_id=ID.encode())


def test_statuses_never_change() -> None:
    names = (
        "OK",
        "CONFLICT",
        "ABSENT",
        "LEASED",
        "LEASE_LOST",
        "TOO_LATE",
        "BUSY",
        "TOO_LARGE",
        "WRONG_TYPE",
        "UNSUPPORTED",
        "MALFORMED",
        "CORRUPT",
    )
    assert [Status[name].value for name in names] == list(range(12))


@given(results())
def test_results_come_back(found: tuple[bytes | bool | None, ...]) -> None:
    again = decode_results(encode_results(found))
    assert again == found
    assert list(map(type, again)) == list(map(type, found))


def test_no_results_take_no_bytes() -> None:
    assert decode_results(b"") == ()


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x00\x01", b"\x00\x01\x04", b"\x00\x01\x03\x00\x00\x00\x02x", b"\x00\x00\x00"], ids=bytes.hex
)
def test_bytes_that_are_no_results(data: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        decode_results(data)


def test_no_value_is_shown_by_repr() -> None:
    reply = Reply(Status.OK, ID, START, results=(b"\x00\xa7hunter2",), bags=({"pin": b"\x00\xa7hunter2"}, None, None))
    assert "hunter2" not in repr(reply)
