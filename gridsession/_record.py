"""What a driver holds for an id, and its bytes: format `GSR`, number 1. Java's `Record.java` reads and writes the same.

All numbers are big-endian; `i64`/`u64` are 8 bytes, times are milliseconds since 1970 of the cluster's clock, durations
milliseconds. `text8`/`text16` is a length of 1/2 bytes and UTF-8.

======================  =====================================================================
field                   meaning
======================  =====================================================================
3 bytes `GSR`, u8       magic and format number (1)
u16 flags               which optional parts follow: LIVE 1, TTL 2, LIFETIME 4, TOKEN 8,
                        LEASE 16, QUEUE 32, STATE 64, PROPS 128, META 256
text16 id               the session id; compared on every read
u64 epoch               rises by one with each creation; 0 = never lived
LIVE: u64 i64 i64       revision, created, touched (when the ttl was last restarted)
TTL: i64                ttl; expires at touched + ttl
LIFETIME: i64           max_lifetime; expires at created + max_lifetime at the latest
TOKEN: u64              last fencing token granted
LEASE                   text8 owner, 16 bytes request id, u64 token, i64 until
QUEUE                   u16 count, then each: text8 owner, 16 bytes request id, i64 until
u16 ring                count, then each: 16 bytes op id, i64 not_after, u8 status, u64 epoch, u64
                        revision, u32 length and bytes of the results
STATE, PROPS, META      each: u32 length, then a legal msgpack map: `de u16` count, then each field
                        `d9 u8 name`, `c6 u32 raw`
======================  =====================================================================

`raw` is one byte of kind and the payload: VALUE our codec's bytes, INT an i64, FLOAT an IEEE double, LIST and RECENT
a u32 count and then each element as u32 length and codec bytes, GATE the i64 time it last opened.

Numbers that no rule could have written are refused: epoch, revision and tokens from 2^63 on, times beyond 2^53, a ttl
or max_lifetime outside 1 ms to 100 years, an optional part that says nothing (token 0, an empty queue or bag).

A record that is not live (deleted, expired and settled, or only leased) has neither revision, times nor fields: it is
absent to every question and keeps what must outlive the session: epoch, last token, lease, queue and ring.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import msgpack

from gridsession import _codec
from gridsession.errors import CorruptRecord, InvalidValue

STATE, PROPS, META = range(3)
BAGS: Final = ("state", "props", "meta")
VALUE, INT, FLOAT, LIST, RECENT, GATE = range(6)

Fields = Mapping[str, bytes]
"""One bag: names to raw bytes (kind and payload)."""

_EMPTY: Fields = {}
_LIVE, _TTL, _LIFETIME, _TOKEN, _LEASE, _QUEUE = 1, 2, 4, 8, 16, 32
_BAG_FLAGS = (64, 128, 256)
_KNOWN_FLAGS = 511
_TOP = 2**63
_LAST_TIME = 2**53
_LAST_STATUS = 11
MAX_DURATION: Final = 3_155_760_000_000
"""Longest ttl and max_lifetime, ms: 100 years, so that no sum of times overflows."""
MAX_LEASE: Final = 86_400_000
"""Longest lease and patience, ms: a day; a lease that must last longer is renewed."""
_ONLY_LIVE = _TTL | _LIFETIME | sum(_BAG_FLAGS)
_MAGIC = b"GSR\x01"

_MAP16, _STR8, _BIN32 = 0xDE, 0xD9, 0xC6

_HEAD = struct.Struct(">4sHH")
_I64 = struct.Struct(">q")
_U64 = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")
_LIFE = struct.Struct(">Qqq")
_GRANT = struct.Struct(">16sQq")
_WAIT = struct.Struct(">16sq")
_RING = struct.Struct(">16sqBQQI")
_DOUBLE = struct.Struct(">d")


@dataclass(frozen=True, slots=True)
class Lease:
    """The time-limited right of one owner to hold the session alone. `until` in ms of the cluster's clock."""

    owner: str
    request_id: bytes
    token: int
    until: int


@dataclass(frozen=True, slots=True)
class Waiter:
    """One place in the queue for the lease; forgotten after `until` (ms) unless asked for again."""

    owner: str
    request_id: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """One operation id in the ring, with its answer, so that a retry is answered and not applied again."""

    op_id: bytes
    not_after: int
    status: int
    epoch: int
    revision: int
    results: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One session (or one global) as a driver holds it; never changed in place."""

    id: str
    epoch: int = 0
    live: bool = False
    revision: int = 0
    created: int = 0
    touched: int = 0
    ttl: int | None = None
    max_lifetime: int | None = None
    last_token: int = 0
    lease: Lease | None = None
    queue: tuple[Waiter, ...] = ()
    ring: tuple[Remembered, ...] = ()
    bags: tuple[Fields, Fields, Fields] = field(default=(_EMPTY, _EMPTY, _EMPTY), repr=False)

    @property
    def expires_at(self) -> int | None:
        """When the session ends (ms), the earlier of ttl and max_lifetime; None = never."""
        due = None if self.ttl is None else self.touched + self.ttl
        if self.max_lifetime is not None:
            last = self.created + self.max_lifetime
            due = last if due is None or last < due else due
        return due

    @property
    def retained_until(self) -> int | None:
        """When a driver may forget the record (ms): its expiry, and not before the ring, lease and queue end."""
        last = self.expires_at if self.live else 0
        if last is None:
            return None
        for entry in self.ring:
            last = max(last, entry.not_after)
        for waiter in self.queue:
            last = max(last, waiter.until)
        if self.lease is not None:
            last = max(last, self.lease.until)
        # A second more, so that a record dropped and made again within one millisecond cannot grant a token twice.
        return last + 1_000

    def encode(self) -> bytes:
        """The record's bytes."""
        return _encode(self)

    def whole(self) -> bytes:
        """The bytes of what moves to another place: all but lease, queue and ring, which belong to this one."""
        return replace(self, lease=None, queue=(), ring=()).encode()

    @classmethod
    def decode(cls, data: bytes, *, expected_id: str | None = None, strict: bool = False) -> Record:
        """Read a record.

        Args:
            strict: check every field's raw bytes and leave room to count, as for a record that a client hands in.

        Raises:
            CorruptRecord: not a record of format 1, or that of another id than `expected_id`.
        """
        try:
            record = _decode(bytes(data))
            if strict:
                # Half the range stays free, so that no rule can count past what can be read.
                _require(max(record.epoch, record.revision, record.last_token) < _TOP // 2)
                for fields in record.bags:
                    for raw in fields.values():
                        check_raw(raw)
        except (struct.error, ValueError, TypeError, AttributeError, IndexError, msgpack.UnpackException) as error:
            raise CorruptRecord(
                f"the record stored under {expected_id!a} cannot be read ({type(error).__name__}); it was left",
                session_id=expected_id,
            ) from None
        if expected_id is not None and record.id != expected_id:
            raise CorruptRecord(
                f"the record stored under {expected_id!a} belongs to another id; it was left as it is",
                session_id=expected_id,
            )
        return record


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
            return [_codec.decode(element) for element in elements(raw)]
    except (struct.error, ValueError) as error:
        raise CorruptRecord(f"a stored field cannot be decoded ({type(error).__name__})") from None
    raise CorruptRecord(f"a stored field has the unknown kind {kind}: it was written by a newer version")


def check_raw(raw: bytes) -> None:
    """Refuse what is not the raw bytes of a field.

    Raises:
        ValueError: an unknown kind, or not of that kind's shape.
    """
    kind = raw[0] if raw else -1
    _require(VALUE <= kind <= GATE and len(raw) > 1)
    if kind in (INT, FLOAT, GATE):
        _require(len(raw) == 9)
    elif kind in (LIST, RECENT):
        _require(all(elements(raw)))


def elements(raw: bytes) -> list[bytes]:
    """The elements of a LIST or RECENT field, still encoded.

    Raises:
        ValueError: lengths that do not add up.
    """
    if len(raw) < 5:
        raise ValueError
    (count,), position = _U32.unpack_from(raw, 1), 5
    found = []
    # An element takes at least its four bytes of length: a count beyond that is refused before the loop allocates.
    if count * 4 > len(raw) - 5:
        raise ValueError
    for _ in range(count):
        (size,) = _U32.unpack_from(raw, position)
        position += 4
        if size > len(raw) - position:
            raise ValueError
        found.append(raw[position : position + size])
        position += size
    if position != len(raw):
        raise ValueError
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
    fields = msgpack.unpackb(data)
    if type(fields) is not dict:
        raise ValueError
    return fields


def _encode(record: Record) -> bytes:
    identity = record.id.encode()
    flags = 0
    tail: list[bytes] = []
    if record.live:
        flags |= _LIVE
        tail.append(_LIFE.pack(record.revision, record.created, record.touched))
    if record.ttl is not None:
        flags |= _TTL
        tail.append(_I64.pack(record.ttl))
    if record.max_lifetime is not None:
        flags |= _LIFETIME
        tail.append(_I64.pack(record.max_lifetime))
    if record.last_token:
        flags |= _TOKEN
        tail.append(_U64.pack(record.last_token))
    if record.lease is not None:
        flags |= _LEASE
        lease = record.lease
        tail += (_text8(lease.owner), _GRANT.pack(lease.request_id, lease.token, lease.until))
    if record.queue:
        flags |= _QUEUE
        tail.append(_U16.pack(len(record.queue)))
        for waiter in record.queue:
            tail += (_text8(waiter.owner), _WAIT.pack(waiter.request_id, waiter.until))
    tail.append(_U16.pack(len(record.ring)))
    for entry in record.ring:
        results = entry.results
        head = _RING.pack(entry.op_id, entry.not_after, entry.status, entry.epoch, entry.revision, len(results))
        tail += (head, results)
    for flag, fields in zip(_BAG_FLAGS, record.bags, strict=True):
        if fields:
            flags |= flag
            section = encode_fields(fields)
            tail += (_U32.pack(len(section)), section)
    return b"".join((_HEAD.pack(_MAGIC, flags, len(identity)), identity, _U64.pack(record.epoch), *tail))


def _text8(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


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


def _decode(data: bytes) -> Record:
    magic, flags, id_size = _HEAD.unpack_from(data)
    live = bool(flags & _LIVE)
    _require(magic == _MAGIC and not flags & ~_KNOWN_FLAGS and (live or not flags & _ONLY_LIVE))
    at = _HEAD.size + id_size
    identity = data[_HEAD.size : at].decode()
    (epoch,) = _U64.unpack_from(data, at)
    at += 8
    revision = created = touched = last_token = 0
    ttl = max_lifetime = None
    if live:
        revision, created, touched = _LIFE.unpack_from(data, at)
        _require(0 <= created <= _LAST_TIME and 0 <= touched <= _LAST_TIME)
        at += 24
    if flags & _TTL:
        ttl, at = _span(data, at)
    if flags & _LIFETIME:
        max_lifetime, at = _span(data, at)
    if flags & _TOKEN:
        (last_token,) = _U64.unpack_from(data, at)
        _require(last_token > 0)
        at += 8
    _require(epoch < _TOP and revision < _TOP and last_token < _TOP)
    lease, queue, at = _holding(data, at, flags) if flags & (_LEASE | _QUEUE) else (None, (), at)
    ring, at = _ring(data, at)
    bags = [_EMPTY, _EMPTY, _EMPTY]
    for bag, flag in enumerate(_BAG_FLAGS):
        if flags & flag:
            end = at + 4 + _U32.unpack_from(data, at)[0]
            bags[bag] = _bag(data[at + 4 : end])
            at = end
    # Also refuses what a slice past the end cut short.
    _require(at == len(data))
    state, props, meta = bags
    times = (revision, created, touched, ttl, max_lifetime)
    return Record(identity, epoch, live, *times, last_token, lease, queue, ring, (state, props, meta))


def _span(data: bytes, at: int) -> tuple[int, int]:
    (span,) = _I64.unpack_from(data, at)
    _require(1 <= span <= MAX_DURATION)
    return span, at + 8


def _holding(data: bytes, at: int, flags: int) -> tuple[Lease | None, tuple[Waiter, ...], int]:
    reader = Reader(data, at)
    lease: Lease | None = None
    queue: list[Waiter] = []
    if flags & _LEASE:
        lease = Lease(reader.text8(), *reader.unpack(_GRANT))
        _require(lease.token < _TOP and 0 <= lease.until <= _LAST_TIME)
    if flags & _QUEUE:
        queue = [Waiter(reader.text8(), *reader.unpack(_WAIT)) for _ in range(reader.unpack(_U16)[0])]
        _require(bool(queue) and all(0 <= waiter.until <= _LAST_TIME for waiter in queue))
    return lease, tuple(queue), reader.position


def _ring(data: bytes, at: int) -> tuple[tuple[Remembered, ...], int]:
    (count,) = _U16.unpack_from(data, at)
    at += 2
    ring = []
    for _ in range(count):
        op_id, not_after, status, epoch, revision, size = _RING.unpack_from(data, at)
        _require(status <= _LAST_STATUS and epoch < _TOP and revision < _TOP and 0 <= not_after <= _LAST_TIME)
        at += _RING.size
        ring.append(Remembered(op_id, not_after, status, epoch, revision, data[at : at + size]))
        at += size
    return tuple(ring), at


def _bag(section: bytes) -> Fields:
    """A bag's fields. Java reads fixed headers only; what it would refuse is refused here too.

    msgpack found every field where its own header said. If no name stands twice and each of those headers is the one
    that we write, then the next begins where this walk expects it: so comparing one byte of each proves them all.
    """
    fields = decode_fields(section)
    _require(bool(fields) and "" not in fields and section[0] == _MAP16)
    _require(len(fields) == _U16.unpack_from(section, 1)[0])
    at = 3
    for name, raw in fields.items():
        if section[at] != _STR8:
            raise ValueError
        at += 2 + len(name if name.isascii() else name.encode())
        if section[at] != _BIN32:
            raise ValueError
        at += 5 + len(raw)
    _require(at == len(section))
    return fields


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError
