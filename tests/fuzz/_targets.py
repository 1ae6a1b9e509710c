"""What takes bytes that others may have made: one function each, which ends without an error or with one of ours."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import struct
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from gridsession import _codec
from gridsession._fields import decode_field, encode_field
from gridsession._record import Record
from gridsession._reply import decode_reply
from gridsession._wire import apply_bytes, decode_command
from gridsession.drivers.hazelcast import _probe, _wire
from gridsession.drivers.hazelcast._peek import peek
from gridsession.errors import CodecError, CrossTalk, GridSessionError, MemberUnfit, Unsupported
from gridsession.moving._snapshot import check_snapshot
from gridsession.moving._snapshot_file import HEAD, MAGIC, chained
from tests.fuzz._cases import ID, NOW, large, seeds

_U16: Final = struct.Struct(">H")
_NO_RECORD: Final = 0xFFFF


class Target(NamedTuple):
    """A decoder, and bytes to begin with."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def record(data: bytes) -> None:
    """A stored record, and all its fields."""
    with contextlib.suppress(CodecError):
        peek(data)
    with contextlib.suppress(CodecError):
        Record.decode(data, strict=True)
    try:
        found = Record.decode(data)
    except CodecError:
        return
    assert found.encode() == data, "what is read is what is written"
    for bag in found.bags:
        for raw in bag.values():
            field(raw)


def field(data: bytes) -> None:
    """A field's raw bytes."""
    try:
        value = decode_field(data)
    except CodecError:
        return
    try:
        again = encode_field(value)
    except GridSessionError:
        # What may be read is a little more than what may be written, as infinities of other encodings.
        return
    decode_field(again)


def command(data: bytes) -> None:
    """A command, as a driver reads it off a wire."""
    with contextlib.suppress(ValueError, Unsupported):
        decode_command(data)


def rules(data: bytes) -> None:
    """A record and a command: u16 size of the record (65535: none), the record, the command."""
    if len(data) < 2:
        return
    (size,) = _U16.unpack_from(data)
    stored = None if size == _NO_RECORD else data[2 : 2 + size]
    after, reply = apply_bytes(stored, data[2 + len(stored or b"") :], NOW, ID)
    decode_reply(reply, expected_id=ID.encode())
    if after is not None and after is not stored:
        assert Record.decode(after, expected_id=ID).encode() == after


def reply(data: bytes) -> None:
    """A member's reply."""
    try:
        found = decode_reply(data, expected_id=ID.encode())
    except (CodecError, CrossTalk, Unsupported):
        return
    assert found.id == ID
    for bag in found.bags:
        for raw in (bag or {}).values():
            field(raw)


def value(data: bytes) -> None:
    """A value's own bytes."""
    with contextlib.suppress(CodecError):
        _codec.decode(data)


def snapshot(data: bytes) -> None:
    """A snapshot's file: as it is, and as blocks (u8 type, u16 length, payload) under checksums that fit."""
    path = _scratch()
    for content in (data, _sealed(data)):
        path.write_bytes(content)
        with contextlib.suppress(CodecError):
            check_snapshot(path)


@lru_cache(maxsize=1)
def _scratch() -> Path:
    """One file, in memory where that is possible: thousands a second are written."""
    if hasattr(os, "memfd_create"):
        return Path(f"/proc/self/fd/{os.memfd_create('snapshot')}")
    return Path(tempfile.mkdtemp()) / "snapshot"


def _sealed(data: bytes) -> bytes:
    head = MAGIC + b"\x01"
    chain, parts, at = hashlib.sha256(head).digest(), [head], 0
    while at + 3 <= len(data):
        kind, size = struct.unpack_from(">BH", data, at)
        payload = data[at + 3 : at + 3 + size]
        chain = chained(chain, kind, payload)
        parts += (HEAD.pack(kind, len(payload)), payload, chain)
        at += 3 + size
    return b"".join(parts)


class _Frame:
    def __init__(self, buf: bytes, flags: int) -> None:
        self.buf = buf
        self.flags = flags
        self.next: _Frame | None = None


class _Message:
    """A member's message as the client's reader hands it over: frames in a chain."""

    def __init__(self, data: bytes) -> None:
        frames: list[_Frame] = []
        at = 0
        while at + 4 <= len(data) or not frames:
            size, flags = struct.unpack_from("<HH", data, at) if at + 4 <= len(data) else (0, 0)
            frames.append(_Frame(data[at + 4 : at + 4 + size], flags))
            if len(frames) > 1:
                frames[-2].next = frames[-1]
            at += 4 + size
        self.start_frame = frames[0]


def wire(data: bytes) -> None:
    """A member's answers and events: u16 size, u16 flags and bytes of each frame."""
    message: Any = _Message(data)
    for read in (_wire.answer, _wire.fetched, _wire.replicated_entries):
        with contextlib.suppress(CodecError):
            read(message)
    # An event that is none is passed over by who listens, who expects these.
    with contextlib.suppress(struct.error, AttributeError):
        found = _wire.event(message)
        for part in (found.key, found.value):
            with contextlib.suppress(CodecError):
                _wire.text_key(part or b"")
            with contextlib.suppress(CodecError):
                peek(_wire.bytes_value(part or b""))
    with contextlib.suppress(MemberUnfit):
        _probe._read("127.0.0.1:5701", data, 0, 0)


def _records() -> list[bytes]:
    return [*dict.fromkeys(case.record for case in seeds() if case.record), *large()[:1]]


def _commands() -> list[bytes]:
    return [*dict.fromkeys(case.command for case in seeds())]


def _pairs() -> list[bytes]:
    pairs = []
    for case in seeds():
        size = _NO_RECORD if case.record is None else len(case.record)
        if case.id == ID and size <= _NO_RECORD:
            pairs.append(_U16.pack(size) + (case.record or b"") + case.command)
    return pairs


def _replies() -> list[bytes]:
    return [*dict.fromkeys(apply_bytes(*case)[1] for case in _of_id())]


def _of_id() -> list[Any]:
    return [(case.record, case.command, case.now, case.id, case.limits) for case in seeds() if case.id == ID]


def _fields() -> list[bytes]:
    found: dict[bytes, None] = {}
    for data in _records():
        with contextlib.suppress(CodecError):
            for bag in Record.decode(data).bags:
                found |= dict.fromkeys(bag.values())
    return [*found]


def _values() -> list[bytes]:
    import datetime as dt
    import decimal
    import uuid

    examples: tuple[object, ...] = (
        *(None, True, -1, 2**70, 1.5, "text", b"bytes", [1, [2]], (1, (2,)), {"a": {1: "b"}}, {1, 2}, frozenset("a")),
        *(dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.date(2026, 1, 2), dt.time(1, 2), dt.timedelta(1, 2, 3)),
        *(decimal.Decimal("9.50"), uuid.UUID(int=7)),
    )
    return [_codec.encode(example) for example in examples]


def _snapshots() -> list[bytes]:
    """One that is whole, with two records in it."""
    from gridsession import SessionStore
    from gridsession.drivers.memory import MemoryDriver
    from gridsession.moving._snapshot import snapshot as take
    from gridsession.moving._snapshot_file import SnapshotReader

    async def make(path: Path) -> None:
        async with SessionStore.open(driver=MemoryDriver()) as store:
            for key in ("line:1", "line:2"):
                await store.session(key).update(step=1)
            await take(store, path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snapshot"
        asyncio.run(make(path))
        blocks = [
            struct.pack(">BH", block.type, len(block.payload)) + block.payload
            for block in SnapshotReader(path).blocks()
        ]
        return [path.read_bytes(), b"".join(blocks)]


def _messages() -> list[bytes]:
    def frame(payload: bytes, flags: int = 0) -> bytes:
        return struct.pack("<HH", len(payload), flags) + payload

    key, body = _wire.key_data(ID), struct.pack(">iii", 0, -12, 8) + b"\0" * 8
    text = b"\0\x05" + b"0.1.0"
    member = b"\0\x24" + b"3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    report = b"\x01" + text + text + struct.pack(">qqHBI", NOW, NOW, 3, 1, 262_144) + member + text + b"\0\x03\0\x08"
    return [
        frame(bytes(13)) + frame(body, 0x2000),
        frame(bytes(13)) + frame(struct.pack("<ii", 1, 2)) + frame(b"", 0x1000) + frame(key) + frame(body),
        frame(struct.pack("<16xi", 1)) + frame(key) + frame(body) + frame(b"", 0x0400),
        report,
    ]


TARGETS: Final = {
    "record": Target(record, _records),
    "command": Target(command, _commands),
    "rules": Target(rules, _pairs),
    "reply": Target(reply, _replies),
    "field": Target(field, _fields),
    "value": Target(value, _values),
    "snapshot": Target(snapshot, _snapshots),
    "wire": Target(wire, _messages),
}
"""The Python decoders by name."""
