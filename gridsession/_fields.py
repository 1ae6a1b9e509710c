"""Fields of a record and their bytes: kinds, elements, and the msgpack map of a bag. Java: `Kind.java`, `Bag.java`."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgpack

from gridsession import _codec
from gridsession.errors import CorruptRecord, InvalidValue

STATE, PROPS, META = range(3)
BAGS: Final = ("state", "props", "meta")
VALUE, INT, FLOAT, LIST, RECENT, GATE = range(6)

NEVER_CHANGE: Final = frozenset({str, int, float, bool, type(None), bytes})
"""Types whose values stay as they were read: they may be handed out again, and need no comparing of bytes."""

Fields = Mapping[str, bytes]
"""One bag: names to raw bytes (kind and payload)."""

_MAP16, _STR8, _BIN32 = 0xDE, 0xD9, 0xC6
_EMPTY_MAP = b"\xde\0\0"

_I64 = struct.Struct(">q")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")
_DOUBLE = struct.Struct(">d")


def encode_field(value: object) -> bytes:
    """The raw bytes of a field's value: 64-bit int, float and list take kinds of their own, all else is VALUE.

    Raises:
        InvalidValue: the value cannot be stored.
    """
    kind = type(value)
    if kind is int and -(2**63) <= value < 2**63:  # type: ignore[operator]  # kind is int
        return b"\x01" + _I64.pack(value)
    if kind is float:
        return b"\x02" + _DOUBLE.pack(value)
    if isinstance(value, list) and kind is list:
        return b"\x03" + encode_elements(value)
    return b"\x00" + _codec.encode(value)


def encode_elements(values: list[object]) -> bytes:
    """The payload of a LIST: count, then each element's length and codec bytes.

    Raises:
        InvalidValue: an element cannot be stored; its path begins with its index.
    """
    parts = [_U32.pack(len(values))]
    for index, value in enumerate(values):
        try:
            element = _codec.encode(value)
        except InvalidValue as error:
            path = f"$[{index}]{error.path[1:]}"
            raise InvalidValue(f"{path}{str(error)[len(error.path) :]}", path=path) from None
        parts += (_U32.pack(len(element)), element)
    return b"".join(parts)


def decode_field(raw: bytes) -> Any:
    """The value of a field's raw bytes.

    Raises:
        CodecError: not the bytes of a field.
    """
    kind = raw[0] if raw else -1
    if kind == VALUE:
        return _codec.decode(raw[1:])
    try:
        if kind == INT:
            return _I64.unpack(raw[1:])[0]
        if kind == FLOAT:
            return _DOUBLE.unpack(raw[1:])[0]
        if kind == GATE:
            return _I64.unpack(raw[1:])[0]
        if kind in (LIST, RECENT):
            return _codec.decode_all(elements(raw))
    except (struct.error, ValueError) as error:
        raise CorruptRecord(f"a stored field cannot be decoded ({type(error).__name__})") from None
    raise CorruptRecord(f"a stored field has the unknown kind {kind}: it was written by a newer version")


def check_raw(raw: bytes) -> None:
    """Refuse what is not the raw bytes of a field.

    Raises:
        ValueError: an unknown kind, or not of that kind's shape.
    """
    kind = raw[0] if raw else -1
    require(VALUE <= kind <= GATE and len(raw) > 1)
    if kind in (INT, FLOAT, GATE):
        require(len(raw) == 9)
    elif kind in (LIST, RECENT):
        require(all(elements(raw)))


def elements(raw: bytes) -> list[bytes]:
    """The elements of a LIST or RECENT field, still encoded.

    Raises:
        ValueError: lengths that do not add up.
    """
    found = []
    try:
        (count,), position = _U32.unpack_from(raw, 1), 5
        # An element takes at least its four bytes of length: a count beyond that is refused before the loop allocates.
        require(count * 4 <= len(raw) - 5)
        for _ in range(count):
            begin = position + 4
            position = begin + _U32.unpack_from(raw, position)[0]
            found.append(raw[begin:position])
    except struct.error:
        raise ValueError from None
    require(position == len(raw))
    return found


def join_elements(kind: int, parts: list[bytes]) -> bytes:
    """The raw bytes of a LIST or RECENT field made of encoded elements."""
    joined = [bytes((kind,)), _U32.pack(len(parts))]
    for part in parts:
        joined += (_U32.pack(len(part)), part)
    return b"".join(joined)


def encode_fields(fields: Fields) -> bytes:
    """The legal msgpack map of a bag."""
    parts = [b"\xde", _U16.pack(len(fields))]
    for name, raw in fields.items():
        parts += (_name_and_tag(name), _U32.pack(len(raw)), raw)
    return b"".join(parts)


@lru_cache(maxsize=4_096)
def _name_and_tag(name: str) -> bytes:
    """All of a field before its length. The same few names stand in every session, so they are encoded once."""
    encoded = name.encode()
    return bytes((_STR8, len(encoded))) + encoded + bytes((_BIN32,))


def decode_fields(data: bytes) -> dict[str, bytes]:
    """The fields of a bag's map, in one C call.

    Raises:
        ValueError: not such a map.
    """
    if data == _EMPTY_MAP:
        return {}
    # Lists and maps within it, which no bag has, would take 73 times their bytes before they could be refused.
    fields = msgpack.unpackb(data, max_array_len=0, max_ext_len=0, object_hook=_Outermost().take)
    if type(fields) is not dict:
        raise ValueError
    return fields


class _Outermost:
    """Lets one map pass, so that of maps within a map no second one is ever made."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken = False

    def take(self, found: dict[str, bytes]) -> dict[str, bytes]:
        if self._taken:
            raise ValueError
        self._taken = True
        return found


class Reader:
    """Reads numbers, texts and bytes off one buffer; never past its end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The values of a fixed layout; struct.error past the end."""
        values = layout.unpack_from(self.data, self.position)
        self.position += layout.size
        return values

    def take(self, size: int) -> bytes:
        """The next bytes; ValueError past the end."""
        end = self.position + size
        if end > len(self.data):
            raise ValueError
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def text8(self) -> str:
        """Text with a length of one byte."""
        return self.take(self.take(1)[0]).decode()

    def bytes32(self) -> bytes:
        """Bytes with a length of four bytes."""
        return self.take(self.unpack(_U32)[0])

    def end(self) -> None:
        """ValueError if bytes are left."""
        if self.position != len(self.data):
            raise ValueError


def read_bag(section: bytes) -> Fields:
    """A bag's fields. Java reads fixed headers only; what it would refuse is refused here too.

    msgpack found every field where its own header said. If no name stands twice and each of those headers is the one
    that we write, then the next begins where this walk expects it: so comparing one byte of each proves them all.
    """
    fields = decode_fields(section)
    require(bool(fields) and "" not in fields and section[0] == _MAP16)
    require(len(fields) == _U16.unpack_from(section, 1)[0])
    at = 3
    for name, raw in fields.items():
        if section[at] != _STR8:
            raise ValueError
        at += 2 + len(name if name.isascii() else name.encode())
        if section[at] != _BIN32:
            raise ValueError
        at += 5 + len(raw)
    require(at == len(section))
    return fields


def require(holds: bool) -> None:
    if not holds:
        raise ValueError
