"""What a change is made of: guards that must hold, and operations. Their bytes are laid out in `_commands.py`.

Nobody changes one once it is made. They are not frozen, because making one would then take three times as long.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from gridsession._record import FLOAT, INT, META
from gridsession.errors import TooLarge

_I64 = struct.Struct(">q")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_DOUBLE = struct.Struct(">d")
_PAIR = struct.Struct(">QQ")
_RAW = struct.Struct(">BI")


def digest(raw: bytes | None) -> bytes:
    """What an `Unchanged` guard carries of the raw bytes that were read: 16 bytes of SHA-256, empty if absent."""
    return b"" if raw is None else hashlib.sha256(raw).digest()[:16]


@lru_cache(maxsize=4_096)
def pack_name(name: str) -> bytes:
    """A field's name in the record's layout. The same few names stand in every session, so they are encoded once.

    Raises:
        TooLarge: over 255 bytes, which no layout can hold (the members' limit, 128 by default, is a reply of theirs).
    """
    encoded = name.encode()
    if len(encoded) > 255:
        raise TooLarge(f"the field name {name[:32]!a}... takes {len(encoded)} bytes; at most 128 are allowed")
    return b"\xd9" + bytes((len(encoded),)) + encoded


def pack_raw(raw: bytes) -> bytes:
    """Raw bytes in the record's layout."""
    return _RAW.pack(0xC6, len(raw)) + raw


@lru_cache(maxsize=4_096)
def pack_operation(code: int, bag: int, name: str) -> bytes:
    """What each operation begins with; as `pack_name`."""
    return bytes((code, bag)) + pack_name(name)


def pack_bytes16(data: bytes) -> bytes:
    if len(data) > 0xFFFF:
        raise TooLarge(f"a value to remember takes {len(data)} bytes; at most 65535 are allowed")
    return _U16.pack(len(data)) + data


# --- guards ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True, unsafe_hash=True)
class Absent:
    """The session does not exist."""

    code: ClassVar[int] = 1

    def pack(self) -> bytes:
        return b"\x01"


@dataclass(slots=True, unsafe_hash=True)
class Present:
    """The session exists."""

    code: ClassVar[int] = 2

    def pack(self) -> bytes:
        return b"\x02"


@dataclass(slots=True, unsafe_hash=True)
class AtRevision:
    """The session stands at this very (epoch, revision); revision 0 = any of this epoch: still the same session."""

    epoch: int
    revision: int
    code: ClassVar[int] = 3

    def pack(self) -> bytes:
        return b"\x03" + _PAIR.pack(self.epoch, self.revision)


@dataclass(slots=True, unsafe_hash=True)
class NotRemembered:
    """The recent set `name` of the bag meta does not hold the value."""

    name: str
    value: bytes = field(repr=False)
    code: ClassVar[int] = 4

    def pack(self) -> bytes:
        return b"\x04" + pack_name(self.name) + pack_bytes16(self.value)


@dataclass(slots=True, unsafe_hash=True)
class Unchanged:
    """The field's raw bytes still have this digest; empty = the field is still absent."""

    bag: int
    name: str
    digest: bytes
    code: ClassVar[int] = 5

    def pack(self) -> bytes:
        return bytes((5, self.bag)) + pack_name(self.name) + bytes((len(self.digest),)) + self.digest


Guard = Absent | Present | AtRevision | NotRemembered | Unchanged


# --- operations -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, unsafe_hash=True)
class Set:
    """Put the field's raw bytes."""

    bag: int
    name: str
    raw: bytes = field(repr=False)
    code: ClassVar[int] = 1

    def body(self) -> bytes:
        return pack_raw(self.raw)


@dataclass(slots=True, unsafe_hash=True)
class Remove:
    """Remove the field; the result says whether it was there."""

    bag: int
    name: str
    code: ClassVar[int] = 2

    def body(self) -> bytes:
        return b""


@dataclass(slots=True, unsafe_hash=True)
class Increment:
    """Add to an INT or FLOAT field, absent counting as zero; the result is the new raw bytes."""

    bag: int
    name: str
    amount: int | float = field(repr=False)
    code: ClassVar[int] = 3

    def body(self) -> bytes:
        if isinstance(self.amount, int):
            return bytes((INT,)) + _I64.pack(self.amount)
        return bytes((FLOAT,)) + _DOUBLE.pack(self.amount)


@dataclass(slots=True, unsafe_hash=True)
class Append:
    """Add encoded elements to the end of a LIST and keep the last `keep` (-1 = all); the result is its length."""

    bag: int
    name: str
    values: tuple[bytes, ...] = field(repr=False)
    keep: int = -1
    code: ClassVar[int] = 4

    def body(self) -> bytes:
        parts = [_I32.pack(self.keep), _U16.pack(len(self.values))]
        for value in self.values:
            parts += (_U32.pack(len(value)), value)
        return b"".join(parts)


@dataclass(slots=True, unsafe_hash=True)
class Pop:
    """Remove and return the last (or first) element of a LIST; no result when there is none."""

    bag: int
    name: str
    first: bool = False
    code: ClassVar[int] = 5

    def body(self) -> bytes:
        return bytes((self.first,))


@dataclass(slots=True, unsafe_hash=True)
class Take:
    """Remove the field and return its raw bytes; no result when it is absent."""

    bag: int
    name: str
    code: ClassVar[int] = 6

    def body(self) -> bytes:
        return b""


@dataclass(slots=True, unsafe_hash=True)
class SetDefault:
    """Put the raw bytes unless the field is there; the result is what stands afterwards."""

    bag: int
    name: str
    raw: bytes = field(repr=False)
    code: ClassVar[int] = 7

    def body(self) -> bytes:
        return pack_raw(self.raw)


@dataclass(slots=True, unsafe_hash=True)
class CompareAndSet:
    """Put `raw` (None = remove) if the field's bytes equal `expected` (None = absent); the result says whether."""

    bag: int
    name: str
    expected: bytes | None = field(repr=False)
    raw: bytes | None = field(repr=False)
    code: ClassVar[int] = 8

    def body(self) -> bytes:
        return b"".join(b"\x00" if raw is None else b"\x01" + pack_raw(raw) for raw in (self.expected, self.raw))


@dataclass(slots=True, unsafe_hash=True)
class Remember:
    """Add a value to a bounded recent set of `meta`; the result says whether it was new."""

    name: str
    value: bytes = field(repr=False)
    keep: int
    bag: ClassVar[int] = META
    code: ClassVar[int] = 9

    def body(self) -> bytes:
        return _I32.pack(self.keep) + pack_bytes16(self.value)


@dataclass(slots=True, unsafe_hash=True)
class Allow:
    """Open a gate of `meta` at most once per `every` ms; the result says whether it opened."""

    name: str
    every: int
    bag: ClassVar[int] = META
    code: ClassVar[int] = 10

    def body(self) -> bytes:
        return _I64.pack(self.every)


Operation = Set | Remove | Increment | Append | Pop | Take | SetDefault | CompareAndSet | Remember | Allow
