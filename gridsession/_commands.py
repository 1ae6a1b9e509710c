"""Commands: plain data that crosses sync, async, Python and Java unchanged. Java: `Command.java`.

Every command starts with u8 layout (1), u8 id, u16 flags, i64 not_after (ms of the place's clock; 0 = none, only Load
may); all numbers big-endian; `text8` is u8 length and UTF-8, `bytes16`/`bytes32` a length of 2/4 bytes and bytes;
`name` is `d9 u8 name` and `raw` is `c6 u32 bytes`, the record's own field layout.

============  ==  ================================================================================================
command       id  flags, then the body
============  ==  ================================================================================================
Load          1   NAMES 1, TOUCH 2, ACQUIRE 4, CONFIRM 8, SEEN 16.  u8 want (4 WHOLE: the one result is the record's
                  bytes without lease, queue and ring); NAMES: u16 count, each u8 bag, name,
                  i32 tail (-1 = whole); TOUCH: i64 if_less_than, i64 ttl (-1 the record's own, 0 never expires);
                  ACQUIRE: text8 owner, 16 bytes request id, i64 duration, i64 patience; SEEN: name, bytes16 value
Commit        2   RELEASE 1, RETRY 2, ANNOUNCE 4.  Change head (below); u8 ttl mode (0 restart, 1 keep, 2 set), i64 ttl
                  (0 = never), i64 created ttl (0 = never), i64 created max_lifetime (0 = none), u8 want; u8 clear (bit
                  per bag), u16 count of retained, each u8 bag, name; u16 count of operations, each u8 type, u8 bag,
                  name and its own body
Renew         3   u64 token, i64 duration
Release       4   u64 token (0 = by request id), 16 bytes request id
Delete        5   RELEASE 1, RETRY 2.  Change head
Install       6   RETRY 2.  16 bytes op id, u8 mode (0 if absent, 1 if newer), bytes32 record
ClaimExpired  7   RENEW 1 (only extend this very claim).  16 bytes claim id, i64 duration. The answer tells epoch,
                  revision, life and bags of the session that expired; its lease is the claim (token: how often it was
                  claimed); its one result is u8 reason (1 ttl, 2 max_lifetime), u8 how many more wait unclaimed.
                  As ANNOUNCE is, it is known to members whose newest command is 8 or later
AckExpired    8   RETRY 2.  16 bytes claim id, which is the op id too
============  ==  ================================================================================================

Change head: 16 bytes op id, u64 token (0 = no lease asked), u16 count of guards, each u8 type and its body: 1 absent, 2
present, 3 revision (u64 epoch, u64 revision; 0 = any of this epoch), 4 not remembered (name, bytes16 value), 5
unchanged (u8 bag, name, u8 length and digest of the raw bytes; empty = was absent).

Operations: 1 set (raw), 2 remove, 3 increment (u8 kind INT or FLOAT, 8 bytes), 4 append (i32 keep, -1 = all; u16 count,
each bytes32), 5 pop (u8 first), 6 take, 7 set_default (raw), 8 compare_and_set (u8 expects, raw expected if so; u8
sets, raw if so), 9 remember (i32 keep, bytes16), 10 allow (i64 every). Remember and allow live in the bag `meta`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final

from gridsession._edits import (
    Absent,
    Allow,
    Append,
    AtRevision,
    CompareAndSet,
    Guard,
    Increment,
    NotRemembered,
    Operation,
    Pop,
    Present,
    Remember,
    Remove,
    Set,
    SetDefault,
    Take,
    Unchanged,
    digest,
    pack_bytes16,
    pack_name,
    pack_operation,
    pack_raw,
)

__all__ = [
    "LAYOUT",
    "NEVER",
    "Absent",
    "AckExpired",
    "Acquire",
    "Allow",
    "Append",
    "AtRevision",
    "Change",
    "ClaimExpired",
    "Command",
    "Commit",
    "CompareAndSet",
    "Delete",
    "Field",
    "Guard",
    "Increment",
    "Install",
    "Load",
    "Mode",
    "NotRemembered",
    "Operation",
    "Pop",
    "Present",
    "Release",
    "Remember",
    "Remove",
    "Renew",
    "Set",
    "SetDefault",
    "Take",
    "Touch",
    "TtlMode",
    "Unchanged",
    "Want",
    "digest",
    "op_id_of",
    "pack_name",
    "pack_raw",
]

LAYOUT: Final = 1
NEVER: Final = 0
"""On the wire: a ttl that never ends."""

_HEAD = struct.Struct(">BBHq")
_I64 = struct.Struct(">q")
_U64 = struct.Struct(">Q")
_TWO = struct.Struct(">qq")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_DOUBLE = struct.Struct(">d")
_PAIR = struct.Struct(">QQ")
_TIMES = struct.Struct(">BqqqBBH")
_CHANGE = struct.Struct(">BBHq16sQH")


class Want(IntEnum):
    """How much of the record a reply carries."""

    NOTHING = 0
    REVISION = 1
    CHANGED = 2
    RECORD = 3
    WHOLE = 4
    """Of a Load only: its one result is the record's bytes, `meta` among them, as `Install` takes them; lease, queue
    and ring are left out: they belong to this place."""


class TtlMode(IntEnum):
    """What a commit does to the ttl of a session that exists."""

    RESTART = 0
    KEEP = 1
    SET = 2


class Mode(IntEnum):
    """When Install may replace what is there."""

    IF_ABSENT = 0
    IF_NEWER = 1


# --- commands -------------------------------------------------------------------------------------------------------


@dataclass(slots=True, unsafe_hash=True)
class Field:
    """One field asked for; of a LIST only the last `tail` elements (-1 = all)."""

    bag: int
    name: str
    tail: int = -1


@dataclass(slots=True, unsafe_hash=True)
class Touch:
    """Restart the ttl if less than `if_less_than` ms are left; `ttl` -1 = the record's own, 0 = never expires."""

    if_less_than: int
    ttl: int = -1


@dataclass(slots=True, unsafe_hash=True)
class Acquire:
    """Ask for the lease for `duration` ms, keeping a place in the queue for `patience` ms (0 = do not queue)."""

    owner: str
    request_id: bytes
    duration: int
    patience: int


@dataclass(slots=True, unsafe_hash=True)
class Load:
    """Read; touch and acquire on the way if asked. `confirm` makes a definite answer of it (a backup must agree)."""

    want: Want = Want.RECORD
    names: tuple[Field, ...] | None = None
    touch: Touch | None = None
    acquire: Acquire | None = None
    seen: NotRemembered | None = None
    confirm: bool = False
    not_after: int = 0
    code: ClassVar[int] = 1

    def encode(self) -> bytes:
        flags = 8 if self.confirm else 0
        parts = [bytes((self.want,))]
        if self.names is not None:
            flags |= 1
            parts.append(_U16.pack(len(self.names)))
            for field in self.names:
                parts += (bytes((field.bag,)), pack_name(field.name), _I32.pack(field.tail))
        if self.touch is not None:
            flags |= 2
            parts.append(_TWO.pack(self.touch.if_less_than, self.touch.ttl))
        if self.acquire is not None:
            flags |= 4
            asked = self.acquire
            owner = asked.owner.encode()
            parts += (bytes((len(owner),)), owner, asked.request_id, _TWO.pack(asked.duration, asked.patience))
        if self.seen is not None:
            flags |= 16
            parts += (pack_name(self.seen.name), pack_bytes16(self.seen.value))
        return _HEAD.pack(LAYOUT, self.code, flags, self.not_after) + b"".join(parts)


@dataclass(slots=True, unsafe_hash=True)
class Commit:
    """Change the session: guards, then clear, then operations in order, then ttl and release, or nothing at all.

    `announce` asks that the end of the session, if it expires, be kept for who claims it; it cannot be taken back.
    """

    op_id: bytes
    not_after: int
    operations: tuple[Operation, ...] = ()
    guards: tuple[Guard, ...] = ()
    token: int = 0
    clear: int = 0
    retain: tuple[tuple[int, str], ...] = ()
    ttl_mode: TtlMode = TtlMode.RESTART
    ttl: int = NEVER
    created_ttl: int = NEVER
    created_max_lifetime: int = NEVER
    want: Want = Want.NOTHING
    release: bool = False
    retry: bool = False
    announce: bool = False
    code: ClassVar[int] = 2

    def encode(self) -> bytes:
        flags = self.release | self.retry << 1 | self.announce << 2
        parts = [_CHANGE.pack(LAYOUT, 2, flags, self.not_after, self.op_id, self.token, len(self.guards))]
        parts += [guard.pack() for guard in self.guards]
        created, lifetime, retained = self.created_ttl, self.created_max_lifetime, len(self.retain)
        parts.append(_TIMES.pack(self.ttl_mode, self.ttl, created, lifetime, self.want, self.clear, retained))
        for bag, name in self.retain:
            parts += (bytes((bag,)), pack_name(name))
        parts.append(_U16.pack(len(self.operations)))
        for operation in self.operations:
            parts += (pack_operation(operation.code, operation.bag, operation.name), operation.body())
        return b"".join(parts)


@dataclass(slots=True, unsafe_hash=True)
class Renew:
    """Extend the lease held under `token` to `duration` ms from now."""

    token: int
    duration: int
    not_after: int
    code: ClassVar[int] = 3

    def encode(self) -> bytes:
        return _HEAD.pack(LAYOUT, self.code, 0, self.not_after) + _U64.pack(self.token) + _I64.pack(self.duration)


@dataclass(slots=True, unsafe_hash=True)
class Release:
    """Give the lease back, by token or by request id, or leave the queue; revision and ttl stay."""

    not_after: int
    token: int = 0
    request_id: bytes = bytes(16)
    code: ClassVar[int] = 4

    def encode(self) -> bytes:
        return _HEAD.pack(LAYOUT, self.code, 0, self.not_after) + _U64.pack(self.token) + self.request_id


@dataclass(slots=True, unsafe_hash=True)
class Delete:
    """Delete the session; what must outlive it (epoch, token, lease, ring) stays as a tombstone."""

    op_id: bytes
    not_after: int
    guards: tuple[Guard, ...] = ()
    token: int = 0
    release: bool = False
    retry: bool = False
    code: ClassVar[int] = 5

    def encode(self) -> bytes:
        return b"".join(
            (
                _CHANGE.pack(
                    *(LAYOUT, self.code, self.release | self.retry << 1, self.not_after),
                    *(self.op_id, self.token, len(self.guards)),
                ),
                *(guard.pack() for guard in self.guards),
            )
        )


@dataclass(slots=True, unsafe_hash=True)
class Install:
    """Put a whole record, as restore and copy do; its revision, times and fields are kept."""

    op_id: bytes
    not_after: int
    record: bytes = field(repr=False)
    mode: Mode = Mode.IF_ABSENT
    retry: bool = False
    code: ClassVar[int] = 6

    def encode(self) -> bytes:
        head = _HEAD.pack(LAYOUT, self.code, self.retry << 1, self.not_after)
        return head + self.op_id + bytes((self.mode,)) + _U32.pack(len(self.record)) + self.record


@dataclass(slots=True, unsafe_hash=True)
class ClaimExpired:
    """Take what an expired session held, alone for `duration` ms: to be acknowledged by then, or renewed."""

    claim_id: bytes
    duration: int
    not_after: int
    renew: bool = False
    code: ClassVar[int] = 7

    def encode(self) -> bytes:
        return _HEAD.pack(LAYOUT, self.code, self.renew, self.not_after) + self.claim_id + _I64.pack(self.duration)


@dataclass(slots=True, unsafe_hash=True)
class AckExpired:
    """Forget what was claimed under this id: it was taken care of."""

    op_id: bytes
    not_after: int
    retry: bool = False
    code: ClassVar[int] = 8

    def encode(self) -> bytes:
        return _HEAD.pack(LAYOUT, self.code, self.retry << 1, self.not_after) + self.op_id


Change = Commit | Delete | Install | AckExpired
"""Commands with an op id that the record remembers."""
Command = Load | Commit | Renew | Release | Delete | Install | ClaimExpired | AckExpired


def op_id_of(command: Command) -> bytes:
    """What tells this change from others, 16 bytes: its op id, or of a lease its request id or token."""
    if isinstance(command, (Commit, Delete, Install, AckExpired)):
        return command.op_id
    if isinstance(command, ClaimExpired):
        return command.claim_id
    if isinstance(command, Renew):
        return command.token.to_bytes(16, "big")
    if isinstance(command, Release):
        return command.request_id
    return command.acquire.request_id if command.acquire is not None else bytes(16)
