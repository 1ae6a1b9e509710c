"""Only the headers that we write are read: Java knows no others, though msgpack would take them for the same."""

from __future__ import annotations

import struct

import pytest

from gridsession._record import Record
from gridsession.errors import CorruptRecord

ID = "line:U1"
RAW = b"\x01" + bytes(8)
BIN32 = b"\xc6\x00\x00\x00\x09" + RAW
# The name a stands twice, first with nothing. Were the second value the first, then all else would stand, down to the
# last byte, where our own headers put it: the header expected of b is in b's value.
TWICE = (
    b"\xde\x00\x03\xd9\x01a\xc6\x00\x00\x00\x00\xa1b\xc4\x28"
    + b"WWWW\xd9WW\xc6".ljust(40, b"W")
    + b"\xa1a\xc4\x08VVVVVVVV"
)


def record(section: bytes) -> bytes:
    """A live record whose state is that section."""
    head = struct.pack(">4sHH", b"GSR\x01", 1 | 64, len(ID)) + ID.encode()
    return head + struct.pack(">QQqqHI", 1, 1, 2, 3, 0, len(section)) + section


def test_the_layout_that_we_write_is_read() -> None:
    found = Record.decode(record(b"\xde\x00\x01" + b"\xd9\x01a" + BIN32))
    assert found.bags[0] == {"a": RAW}
    found = Record.decode(record(b"\xde\x00\x01" + b"\xd9\x02" + "é".encode() + BIN32))
    assert found.bags[0] == {"é": RAW}


@pytest.mark.parametrize(
    "section",
    [
        b"\x81" + b"\xd9\x01a" + BIN32,
        # A short map whose first name has, where a name's header would stand, a byte equal to it.
        b"\x81" + b"\xd9\x08" + "لaaaaaa".encode() + BIN32,
        b"\xdf\x00\x00\x00\x01" + b"\xd9\x01a" + BIN32,
        b"\xde\x00\x01" + b"\xa1a" + BIN32,
        b"\xde\x00\x01" + b"\xda\x00\x01a" + BIN32,
        b"\xde\x00\x01" + b"\xc4\x01a" + BIN32,
        b"\xde\x00\x01" + b"\xd9\x01a" + b"\xc4\x09" + RAW,
        b"\xde\x00\x01" + b"\xd9\x01a" + b"\xc5\x00\x09" + RAW,
        b"\xde\x00\x01" + b"\xd9\x01a" + b"\xdb\x00\x00\x00\x01b",
        b"\xde\x00\x01" + b"\xd9\x01a" + b"\x07",
        # One header shorter and one longer: as many bytes as there should be.
        b"\xde\x00\x02" + b"\xa1a" + BIN32 + b"\xda\x00\x01b" + BIN32,
        b"\xde\x00\x02" + b"\xd9\x01a" + BIN32 + b"\xd9\x01a" + BIN32,
        TWICE,
        b"\xde\x00\x01" + b"\xd9\x00" + BIN32,
        b"\xde\x00\x00",
        b"\xde\x00\x01" + b"\xd9\x01a" + BIN32 + b"\xc0",
        b"",
    ],
    ids=bytes.hex,
)
def test_other_layouts_of_the_same_are_refused(section: bytes) -> None:
    with pytest.raises(CorruptRecord):
        Record.decode(record(section))


@pytest.mark.parametrize("size", [1, 2**31, 2**32 - 1])
def test_sizes_past_the_end_are_refused(size: int) -> None:
    whole = record(b"\xde\x00\x01" + b"\xd9\x01a" + BIN32)
    at = whole.index(b"\xde") - 4
    for spoilt in (whole[:at] + struct.pack(">I", size) + whole[at + 4 :], whole[:-1]):
        with pytest.raises(CorruptRecord):
            Record.decode(spoilt)
    entry = struct.pack(">16sqBQQI", b"o" * 16, 5, 0, 1, 1, size)
    ringed = struct.pack(">4sHH", b"GSR\x01", 0, len(ID)) + ID.encode() + struct.pack(">QH", 1, 1) + entry
    with pytest.raises(CorruptRecord):
        Record.decode(ringed)
