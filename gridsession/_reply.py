"""The answer to a command, and its bytes. Java's `Reply.java` writes the same.

u8 layout (1), u8 status, u16 flags, u16 length and UTF-8 of the session id (a reply for another id is fatal), i64 now
of the place's clock, u64 epoch, u64 revision, then by flags, in this order:

DUPLICATE 1, PRESENT 2 (the session exists after the command), SEEN 4 (the value asked for is remembered): no bytes;
LIFE 8: i64 created, i64 ttl (0 none), i64 max_lifetime (0 none), i64 expires_at (0 never); LEASE 16: u64 token (0 = not
granted), i64 until, u16 place in the queue (1 = next); INDEX 32: u16 index of the guard or operation that refused;
RESULTS 64: u32 length, then u16 count and each u8 tag (0 none, 1 false, 2 true, 3 bytes: u32 length and bytes); STATE
128, PROPS 256, META 512: u32 length and the bag's msgpack map as in the record.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from gridsession._record import Fields, Reader, decode_fields, encode_fields
from gridsession.errors import CodecError, CrossTalk, Unsupported

Result = bytes | bool | None

_HEAD = struct.Struct(">BBHH")
_BODY = struct.Struct(">qQQ")
_LIFE = struct.Struct(">qqqq")
_LEASE = struct.Struct(">QqH")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")

_DUPLICATE, _PRESENT, _SEEN, _HAS_LIFE, _HAS_LEASE, _HAS_INDEX, _HAS_RESULTS = 1, 2, 4, 8, 16, 32, 64
_HAS_STATE, _HAS_PROPS, _HAS_META = _BAG_FLAGS = 128, 256, 512


class Status(IntEnum):
    """What became of a command. Business outcomes are statuses, never exceptions on the way."""

    OK = 0
    CONFLICT = 1
    ABSENT = 2
    LEASED = 3
    LEASE_LOST = 4
    TOO_LATE = 5
    BUSY = 6
    TOO_LARGE = 7
    WRONG_TYPE = 8
    UNSUPPORTED = 9
    MALFORMED = 10
    CORRUPT = 11


class Life(NamedTuple):
    """Times of a session, ms of the place's clock; None = no ttl, no max_lifetime, never expires."""

    created: int
    ttl: int | None
    max_lifetime: int | None
    expires_at: int | None


class Grant(NamedTuple):
    """The lease as its asker sees it: a token if granted, else when it may be free and the place in the queue."""

    token: int
    until: int
    place: int = 0


class Reply(NamedTuple):
    """The answer to one command.

    Attributes:
        bags: state, props and meta, each names to raw bytes, or None where not asked for.
        index: the guard or operation that refused, or -1.
    """

    status: Status
    id: str
    now: int
    epoch: int = 0
    revision: int = 0
    duplicate: bool = False
    present: bool = False
    seen: bool = False
    life: Life | None = None
    grant: Grant | None = None
    index: int = -1  # type: ignore[assignment]  # shadows tuple.index, which nobody asks of a reply
    results: tuple[Result, ...] = ()
    bags: tuple[Fields | None, Fields | None, Fields | None] = (None, None, None)

    def __repr__(self) -> str:
        # Results and bags hold what users stored.
        return f"Reply({self.status.name}, {self.id!a}, epoch={self.epoch}, revision={self.revision})"

    def encode(self) -> bytes:
        """The reply's bytes."""
        flags = self.duplicate | self.present << 1 | self.seen << 2
        tail: list[bytes] = []
        if self.life is not None:
            flags |= _HAS_LIFE
            life = self.life
            tail.append(_LIFE.pack(life.created, life.ttl or 0, life.max_lifetime or 0, life.expires_at or 0))
        if self.grant is not None:
            flags |= _HAS_LEASE
            tail.append(_LEASE.pack(self.grant.token, self.grant.until, self.grant.place))
        if self.index >= 0:
            flags |= _HAS_INDEX
            tail.append(_U16.pack(self.index))
        if self.results:
            flags |= _HAS_RESULTS
            packed = encode_results(self.results)
            tail += (_U32.pack(len(packed)), packed)
        for flag, fields in zip(_BAG_FLAGS, self.bags, strict=True):
            if fields is not None:
                flags |= flag
                section = encode_fields(fields)
                tail += (_U32.pack(len(section)), section)
        identity = self.id.encode()
        head = _HEAD.pack(1, self.status, flags, len(identity))
        return b"".join((head, identity, _BODY.pack(self.now, self.epoch, self.revision), *tail))


_STATUSES: Final = tuple(Status)
# What the classes do themselves, in less than half the time.
_make: Final = tuple.__new__


def decode_reply(data: bytes, *, expected_id: bytes) -> Reply:
    """Read a reply.

    Raises:
        CrossTalk: the reply is that of another id.
        Unsupported: a layout this version does not know.
        CodecError: not a reply.
    """
    try:
        return _decode(data, expected_id)
    except (struct.error, ValueError, IndexError) as error:
        raise CodecError(f"a member's reply cannot be read ({type(error).__name__})") from None


def _decode(data: bytes, expected_id: bytes) -> Reply:
    layout, status, flags, id_size = _HEAD.unpack_from(data)
    if layout != 1:
        raise Unsupported(
            f"the member answered in layout {layout}, which this version does not know: update the client"
        )
    position = 6 + id_size
    identity = data[6:position]
    if identity != expected_id:
        raise CrossTalk("a reply for another session arrived; nothing of it was used")
    now, epoch, revision = _BODY.unpack_from(data, position)
    position += 24
    life = grant = state = props = meta = None
    index = -1
    results: tuple[Result, ...] = ()
    if flags & _HAS_LIFE:
        created, ttl, max_lifetime, expires_at = _LIFE.unpack_from(data, position)
        life = _make(Life, (created, ttl or None, max_lifetime or None, expires_at or None))
        position += 32
    if flags & _HAS_LEASE:
        grant = Grant(*_LEASE.unpack_from(data, position))
        position += 18
    if flags & _HAS_INDEX:
        (index,) = _U16.unpack_from(data, position)
        position += 2
    if flags & _HAS_RESULTS:
        (size,) = _U32.unpack_from(data, position)
        results = decode_results(data[position + 4 : position + 4 + size])
        position += 4 + size
    if flags & _HAS_STATE:
        state, position = _bag(data, position)
    if flags & _HAS_PROPS:
        props, position = _bag(data, position)
    if flags & _HAS_META:
        meta, position = _bag(data, position)
    if position != len(data):
        raise ValueError
    told = (flags & _DUPLICATE != 0, flags & _PRESENT != 0, flags & _SEEN != 0)
    about = (_STATUSES[status], identity.decode(), now, epoch, revision)
    return _make(Reply, (*about, *told, life, grant, index, results, (state, props, meta)))


def _bag(data: bytes, position: int) -> tuple[Fields, int]:
    """A bag's fields, and where what follows them begins."""
    position += 4
    end = position + _U32.unpack_from(data, position - 4)[0]
    return decode_fields(data[position:end]), end


def encode_results(results: tuple[Result, ...]) -> bytes:
    """The bytes of the operations' results; the ring keeps them like this."""
    parts = [_U16.pack(len(results))]
    for result in results:
        if result is None:
            parts.append(b"\x00")
        elif isinstance(result, bytes):
            parts += (b"\x03", _U32.pack(len(result)), result)
        else:
            parts.append(b"\x02" if result else b"\x01")
    return b"".join(parts)


def decode_results(data: bytes) -> tuple[Result, ...]:
    """The operations' results; ValueError or struct.error if they are not such bytes."""
    if not data:
        return ()
    reader = Reader(data)
    results: list[Result] = []
    for _ in range(reader.unpack(_U16)[0]):
        tag = reader.take(1)[0]
        if tag > 3:
            raise ValueError
        results.append((None, False, True)[tag] if tag < 3 else reader.bytes32())
    reader.end()
    return tuple(results)
