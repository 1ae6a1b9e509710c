"""What a driver holds for an id, and its bytes: format `GSR`, number 1. Java's `Record.java` reads and writes the same.

All numbers are big-endian; `i64`/`u64` are 8 bytes, times are milliseconds since 1970 of the cluster's clock, durations
milliseconds. `text8`/`text16` is a length of 1/2 bytes and UTF-8.

======================  =====================================================================
field                   meaning
======================  =====================================================================
3 bytes `GSR`, u8       magic and format number (1)
u16 flags               which optional parts follow: LIVE 1, TTL 2, LIFETIME 4, TOKEN 8,
                        LEASE 16, QUEUE 32, STATE 64, PROPS 128, META 256, ANNOUNCE 512,
                        PREVIOUS 1024
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
ANNOUNCE                no bytes: when the session expires, somebody wants to be told
PREVIOUS                u8 count (1 to 8), then each former session that expired and that nobody
                        acknowledged: u8 flags (LIFETIME 1: by max_lifetime, CLAIMED 2, STATE 4,
                        PROPS 8), u64 epoch, u64 revision, i64 created, i64 expired; CLAIMED: 16
                        bytes claim id, i64 until, u32 how often claimed; STATE, PROPS as above
======================  =====================================================================

`raw` is one byte of kind and the payload: VALUE our codec's bytes, INT an i64, FLOAT an IEEE double, LIST and RECENT
a u32 count and then each element as u32 length and codec bytes, GATE the i64 time it last opened.

Numbers that no rule could have written are refused: epoch, revision and tokens from 2^63 on, times beyond 2^53, a ttl
or max_lifetime outside 1 ms to 100 years, an optional part that says nothing (token 0, an empty queue or bag).

A record that is not live (deleted, expired and settled, or only leased) has neither revision, times nor fields: it is
absent to every question and keeps what must outlive the session: epoch, last token, lease, queue, ring and previous.

ANNOUNCE and PREVIOUS came later than format 1. A record without them has the bytes that it always had; one that has
them is unreadable to a member that does not know them, and left as it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Final

import msgpack

from gridsession._fields import (
    BAGS,
    FLOAT,
    GATE,
    INT,
    LIST,
    META,
    PROPS,
    RECENT,
    STATE,
    VALUE,
    Fields,
    Reader,
    check_raw,
    decode_field,
    decode_fields,
    elements,
    encode_elements,
    encode_field,
    encode_fields,
    join_elements,
    read_bag,
    require,
)
from gridsession.errors import CorruptRecord

__all__ = [
    "APART",
    "BAGS",
    "FLOAT",
    "GATE",
    "INT",
    "KEPT_UNCLAIMED",
    "LIST",
    "MAX_DURATION",
    "MAX_LEASE",
    "META",
    "MOST_ATTEMPTS",
    "MOST_UNCLAIMED",
    "MOST_UNCLAIMED_BYTES",
    "PROPS",
    "RECENT",
    "STATE",
    "VALUE",
    "Fields",
    "Lease",
    "Previous",
    "Reader",
    "Record",
    "Remembered",
    "Waiter",
    "announce_at",
    "check_raw",
    "decode_field",
    "decode_fields",
    "elements",
    "encode_elements",
    "encode_field",
    "encode_fields",
    "join_elements",
]

_EMPTY: Fields = {}
_LIVE, _TTL, _LIFETIME, _TOKEN, _LEASE, _QUEUE = 1, 2, 4, 8, 16, 32
_BAG_FLAGS = (64, 128, 256)
_ANNOUNCE, _PREVIOUS = 512, 1024
_KNOWN_FLAGS = 2047
_TOP = 2**63
_LAST_TIME = 2**53
_LAST_STATUS = 11
MAX_DURATION: Final = 3_155_760_000_000
"""Longest ttl and max_lifetime, ms: 100 years, so that no sum of times overflows."""
MAX_LEASE: Final = 86_400_000
"""Longest lease and patience, ms: a day; a lease that must last longer is renewed."""
APART: Final = 1_000
"""How far the clocks of places may be apart that judge one record after each other, ms; within a grid it is some ms."""
KEPT_UNCLAIMED: Final = 86_400_000
"""How long an expired session waits for its acknowledgement, ms: a day."""
MOST_UNCLAIMED: Final = 8
"""Expired sessions of one id that wait for theirs at once; the oldest give way."""
MOST_UNCLAIMED_BYTES: Final = 524_288
"""What these may hold together; the oldest give way."""
MOST_ATTEMPTS: Final = 2**31 - 1
_ONLY_LIVE = _TTL | _LIFETIME | sum(_BAG_FLAGS) | _ANNOUNCE
_BY_LIFETIME, _CLAIMED, _HAS_STATE, _HAS_PROPS = 1, 2, 4, 8
_MAGIC = b"GSR\x01"

_HEAD = struct.Struct(">4sHH")
_I64 = struct.Struct(">q")
_U64 = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")
_LIFE = struct.Struct(">Qqq")
_GRANT = struct.Struct(">16sQq")
_WAIT = struct.Struct(">16sq")
_RING = struct.Struct(">16sqBQQI")
_ENDED = struct.Struct(">BQQqq")
_CLAIM = struct.Struct(">16sqI")


@dataclass(frozen=True, slots=True)
class Lease:
    """The time-limited right of one owner to hold the session alone. `until` in ms of the cluster's clock."""

    owner: str
    request_id: bytes
    token: int
    until: int

    @property
    def since(self) -> int:
        """When it was granted, ms of the cluster's clock; a little later if grants followed within milliseconds.

        Tokens start from the time of their grant, so this takes no room. One that a member of version 0.1.0 granted
        may tell of an earlier grant.
        """
        return self.token


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
class Previous:
    """A session that expired and whose end nobody acknowledged yet: what it held, and who has claimed it.

    Attributes:
        expired: when it ended, ms.
        by_lifetime: it ended by max_lifetime, not by ttl.
        claim: the id of the last claim; empty = never claimed.
        until: when that claim ends, ms.
        attempts: how often it was claimed.
        bags: its state and props.
    """

    epoch: int
    revision: int
    created: int
    expired: int
    by_lifetime: bool = False
    claim: bytes = b""
    until: int = 0
    attempts: int = 0
    bags: tuple[Fields, Fields] = field(default=(_EMPTY, _EMPTY), repr=False)

    @property
    def weight(self) -> int:
        """Bytes of its bags."""
        return sum(3 + sum(7 + len(name.encode()) + len(raw) for name, raw in bag.items()) for bag in self.bags if bag)


def next_count(count: int) -> int:
    """The next epoch, revision or token.

    Raises:
        CorruptRecord: it could not be read again. No rule ever counts so far: somebody planted the record.
    """
    if count >= _TOP - 1:
        raise CorruptRecord("an epoch, revision or token stands at its end, 2^63 - 1: restore or remove the record")
    return count + 1


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
    announce: bool = False
    previous: tuple[Previous, ...] = ()

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
        """When a driver may forget the record (ms): its expiry acknowledged, its ring, lease and queue over."""
        last = self.expires_at if self.live else 0
        if last is None:
            return None
        if self.announce:
            last += KEPT_UNCLAIMED
        for ended in self.previous:
            last = max(last, ended.expired + KEPT_UNCLAIMED)
        for entry in self.ring:
            last = max(last, entry.not_after)
        for waiter in self.queue:
            last = max(last, waiter.until)
        if self.lease is not None:
            last = max(last, self.lease.until)
        return last + APART  # also: dropped and made again within one millisecond, it could grant a token twice

    @property
    def announce_at(self) -> int | None:
        """When there is an expired session to be claimed (ms), this one or a former one; None = never."""
        due = self.expires_at if self.announce else None
        for ended in self.previous:
            free = ended.until or ended.expired
            due = free if due is None or free < due else due
        return due

    def encode(self) -> bytes:
        """The record's bytes."""
        return _encode(self)

    def whole(self) -> bytes:
        """The bytes of what moves to another place: not lease, queue, ring and previous, which belong to this one."""
        return replace(self, lease=None, queue=(), ring=(), previous=()).encode()

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
                require(max(record.epoch, record.revision, record.last_token) < _TOP // 2)
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


def has_announcement(data: bytes) -> bool:
    """Whether a record's bytes hold ANNOUNCE or PREVIOUS, which members of version 0.1.0 cannot read."""
    return len(data) >= _HEAD.size and bool(_HEAD.unpack_from(data)[1] & (_ANNOUNCE | _PREVIOUS))


def announce_at(data: bytes) -> tuple[int | None, str]:
    """`Record.announce_at` of a record's bytes and whose it is; of most records only the flags are read.

    Bytes that are no record are due never: who reads them otherwise is told.
    """
    if not has_announcement(data):
        return None, ""
    try:
        record = Record.decode(data)
    except CorruptRecord:
        return None, ""
    return record.announce_at, record.id


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
    flags |= _ANNOUNCE if record.announce else 0
    if record.previous:
        flags |= _PREVIOUS
        tail += _previous_parts(record.previous)
    return b"".join((_HEAD.pack(_MAGIC, flags, len(identity)), identity, _U64.pack(record.epoch), *tail))


def _previous_parts(previous: tuple[Previous, ...]) -> list[bytes]:
    parts = [bytes((len(previous),))]
    for ended in previous:
        parts += _ended_parts(ended)
    return parts


def _ended_parts(ended: Previous) -> list[bytes]:
    flags = (_BY_LIFETIME if ended.by_lifetime else 0) | (_CLAIMED if ended.claim else 0)
    parts = [_CLAIM.pack(ended.claim, ended.until, ended.attempts)] if ended.claim else []
    for flag, fields in zip((_HAS_STATE, _HAS_PROPS), ended.bags, strict=True):
        if fields:
            flags |= flag
            section = encode_fields(fields)
            parts += (_U32.pack(len(section)), section)
    return [_ENDED.pack(flags, ended.epoch, ended.revision, ended.created, ended.expired), *parts]


def _text8(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _decode(data: bytes) -> Record:
    magic, flags, id_size = _HEAD.unpack_from(data)
    live = bool(flags & _LIVE)
    require(magic == _MAGIC and not flags & ~_KNOWN_FLAGS and (live or not flags & _ONLY_LIVE))
    at = _HEAD.size + id_size
    identity = data[_HEAD.size : at].decode()
    (epoch,) = _U64.unpack_from(data, at)
    at += 8
    revision = created = touched = last_token = 0
    ttl = max_lifetime = None
    if live:
        revision, created, touched = _LIFE.unpack_from(data, at)
        require(0 <= created <= _LAST_TIME and 0 <= touched <= _LAST_TIME)
        at += 24
    if flags & _TTL:
        ttl, at = _span(data, at)
    if flags & _LIFETIME:
        max_lifetime, at = _span(data, at)
    if flags & _TOKEN:
        (last_token,) = _U64.unpack_from(data, at)
        require(last_token > 0)
        at += 8
    require(epoch < _TOP and revision < _TOP and last_token < _TOP)
    lease, queue, at = _holding(data, at, flags) if flags & (_LEASE | _QUEUE) else (None, (), at)
    ring, at = _ring(data, at)
    bags = [_EMPTY, _EMPTY, _EMPTY]
    for bag, flag in enumerate(_BAG_FLAGS):
        if flags & flag:
            end = at + 4 + _U32.unpack_from(data, at)[0]
            bags[bag] = read_bag(data[at + 4 : end])
            at = end
    previous, at = _previous(data, at) if flags & _PREVIOUS else ((), at)
    # Also refuses what a slice past the end cut short.
    require(at == len(data))
    state, props, meta = bags
    times = (revision, created, touched, ttl, max_lifetime)
    asked = bool(flags & _ANNOUNCE)
    return Record(identity, epoch, live, *times, last_token, lease, queue, ring, (state, props, meta), asked, previous)


def _span(data: bytes, at: int) -> tuple[int, int]:
    (span,) = _I64.unpack_from(data, at)
    require(1 <= span <= MAX_DURATION)
    return span, at + 8


def _holding(data: bytes, at: int, flags: int) -> tuple[Lease | None, tuple[Waiter, ...], int]:
    reader = Reader(data, at)
    lease: Lease | None = None
    queue: list[Waiter] = []
    if flags & _LEASE:
        lease = Lease(reader.text8(), *reader.unpack(_GRANT))
        require(lease.token < _TOP and 0 <= lease.until <= _LAST_TIME)
    if flags & _QUEUE:
        queue = [Waiter(reader.text8(), *reader.unpack(_WAIT)) for _ in range(reader.unpack(_U16)[0])]
        require(bool(queue) and all(0 <= waiter.until <= _LAST_TIME for waiter in queue))
    return lease, tuple(queue), reader.position


def _ring(data: bytes, at: int) -> tuple[tuple[Remembered, ...], int]:
    (count,) = _U16.unpack_from(data, at)
    at += 2
    ring = []
    for _ in range(count):
        op_id, not_after, status, epoch, revision, size = _RING.unpack_from(data, at)
        require(status <= _LAST_STATUS and epoch < _TOP and revision < _TOP and 0 <= not_after <= _LAST_TIME)
        at += _RING.size
        ring.append(Remembered(op_id, not_after, status, epoch, revision, data[at : at + size]))
        at += size
    return tuple(ring), at


def _previous(data: bytes, at: int) -> tuple[tuple[Previous, ...], int]:
    reader = Reader(data, at)
    count = reader.take(1)[0]
    require(1 <= count <= MOST_UNCLAIMED)
    found = []
    for _ in range(count):
        flags, epoch, revision, created, expired = reader.unpack(_ENDED)
        require(flags <= 15 and epoch < _TOP and revision < _TOP)
        require(0 <= created <= _LAST_TIME and 0 <= expired <= _LAST_TIME)
        claim, until, attempts = reader.unpack(_CLAIM) if flags & _CLAIMED else (b"", 0, 0)
        if claim:
            require(0 < until <= _LAST_TIME and 0 < attempts <= MOST_ATTEMPTS)
        state = read_bag(reader.bytes32()) if flags & _HAS_STATE else _EMPTY
        props = read_bag(reader.bytes32()) if flags & _HAS_PROPS else _EMPTY
        by_lifetime = bool(flags & _BY_LIFETIME)
        found.append(Previous(epoch, revision, created, expired, by_lifetime, claim, until, attempts, (state, props)))
    return tuple(found), reader.position
