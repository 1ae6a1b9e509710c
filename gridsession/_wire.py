"""Reading commands off the wire, and the rules over bytes: what the member's processor does, in Python."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from gridsession._commands import (
    LAYOUT,
    Absent,
    AckExpired,
    Acquire,
    Allow,
    Append,
    AtRevision,
    ClaimExpired,
    Command,
    Commit,
    CompareAndSet,
    Delete,
    Field,
    Guard,
    Increment,
    Install,
    Load,
    Mode,
    NotRemembered,
    Operation,
    Pop,
    Present,
    Release,
    Remember,
    Remove,
    Renew,
    Set,
    SetDefault,
    Take,
    Touch,
    TtlMode,
    Unchanged,
    Want,
)
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._record import FLOAT, INT, LIST, MAX_DURATION, MAX_LEASE, META, VALUE, Reader, Record, check_raw
from gridsession._reply import Reply, Status
from gridsession._rules import apply
from gridsession.errors import CorruptRecord, Unsupported

_HEAD = struct.Struct(">BBHq")
_I64 = struct.Struct(">q")
_U64 = struct.Struct(">Q")
_TWO = struct.Struct(">qq")
_U16 = struct.Struct(">H")
_I32 = struct.Struct(">i")
_DOUBLE = struct.Struct(">d")
_PAIR = struct.Struct(">QQ")
_TIMES = struct.Struct(">BqqqB")
_OP_HEAD = struct.Struct(">16sQH")


def apply_bytes(
    stored: bytes | None, command: bytes, now: int, session_id: str, limits: Limits = DEFAULT_LIMITS
) -> tuple[bytes | None, bytes]:
    """The rules over bytes: the stored bytes afterwards (the same object if nothing is to be written) and the reply's.

    Never raises for what a client or a stored record may hold: malformed commands and corrupt records are replies.
    """
    try:
        asked = decode_command(command)
    except Unsupported:
        return stored, Reply(Status.UNSUPPORTED, session_id, now).encode()
    except ValueError:
        return stored, Reply(Status.MALFORMED, session_id, now).encode()
    try:
        record = None if stored is None else Record.decode(stored, expected_id=session_id)
        after, reply = apply(record, asked, now, session_id, limits)
        changed = after is not record and after is not None
        return (after.encode() if changed and after is not None else stored), reply.encode()
    except (CorruptRecord, struct.error, ValueError, IndexError, OverflowError):
        return stored, Reply(Status.CORRUPT, session_id, now).encode()


def decode_command(data: bytes) -> Command:
    """Read a command, as the member does.

    Raises:
        Unsupported: an unknown layout or id.
        ValueError: not a well-formed command.
    """
    try:
        return _decode_command(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"malformed command ({type(error).__name__})") from None


def _decode_command(data: bytes) -> Command:
    if len(data) < 2:
        raise ValueError
    if data[0] != LAYOUT or data[1] not in _READERS:
        raise Unsupported(f"command {data[1]} with layout {data[0]} is not known")
    reader = Reader(data)
    _, code, flags, not_after = reader.unpack(_HEAD)
    allowed, read = _READERS[code]
    _require(not flags & ~allowed and not_after >= 0 and (not_after > 0 or code == Load.code))
    command: Command = read(reader, flags, not_after)
    reader.end()
    return command


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


def _name(reader: Reader) -> str:
    _require(reader.take(1) == b"\xd9")
    name = reader.text8()
    _require(name != "")
    return name


def _raw(reader: Reader) -> bytes:
    """Raw bytes that a client may store: one of its four kinds, and of that kind's shape."""
    raw = _any_raw(reader)
    _require(raw[0] in (VALUE, INT, FLOAT, LIST))
    check_raw(raw)
    return raw


def _any_raw(reader: Reader) -> bytes:
    _require(reader.take(1) == b"\xc6")
    raw = reader.bytes32()
    _require(len(raw) > 0)
    return raw


def _bag(reader: Reader) -> int:
    bag = reader.take(1)[0]
    _require(bag <= META)
    return bag


def _duration(milliseconds: int, least: int, most: int) -> int:
    _require(least <= milliseconds <= most)
    return milliseconds


def _read16(reader: Reader) -> bytes:
    value = reader.take(reader.unpack(_U16)[0])
    _require(len(value) > 0)
    return value


def _flag(reader: Reader) -> bool:
    value = reader.take(1)[0]
    _require(value <= 1)
    return bool(value)


def _load(reader: Reader, flags: int, not_after: int) -> Load:
    want = Want(reader.take(1)[0])
    names = touch = acquire = seen = None
    if flags & 1:
        names = tuple(Field(_bag(reader), _name(reader), reader.unpack(_I32)[0]) for _ in range(reader.unpack(_U16)[0]))
        _require(all(field.tail >= -1 for field in names))
    if flags & 2:
        touch = Touch(*reader.unpack(_TWO))
        _require(touch.if_less_than >= 0)
        _duration(touch.ttl, -1, MAX_DURATION)
    if flags & 4:
        acquire = Acquire(reader.text8(), reader.take(16), *reader.unpack(_TWO))
        _require(not_after > 0)
        _duration(acquire.duration, 1, MAX_LEASE)
        _duration(acquire.patience, 0, MAX_LEASE)
    if flags & 16:
        seen = NotRemembered(_name(reader), _read16(reader))
    return Load(want, names, touch, acquire, seen, bool(flags & 8), not_after)


def _guard(reader: Reader) -> Guard:
    code = reader.take(1)[0]
    if code == 1:
        return Absent()
    if code == 2:
        return Present()
    if code == 3:
        return AtRevision(*reader.unpack(_PAIR))
    if code == 4:
        return NotRemembered(_name(reader), _read16(reader))
    if code == 5:
        guard = Unchanged(_bag(reader), _name(reader), reader.take(reader.take(1)[0]))
        _require(len(guard.digest) in (0, 16))
        return guard
    raise Unsupported(f"guard {code} is not known")


def _change_head(reader: Reader, flags: int) -> tuple[bytes, int, tuple[Guard, ...]]:
    op_id, token, count = reader.unpack(_OP_HEAD)
    guards = tuple(_guard(reader) for _ in range(count))
    # After the guards, as Java: of two faults the one that is met first decides the answer.
    _require(token > 0 or not flags & 1)
    return op_id, token, guards


def _increment(reader: Reader, bag: int, name: str) -> Increment:
    kind = reader.take(1)[0]
    if kind == INT:
        return Increment(bag, name, reader.unpack(_I64)[0])
    if kind == FLOAT:
        return Increment(bag, name, reader.unpack(_DOUBLE)[0])
    raise ValueError


def _append(reader: Reader, bag: int, name: str) -> Append:
    (keep,) = reader.unpack(_I32)
    values = tuple(reader.bytes32() for _ in range(reader.unpack(_U16)[0]))
    _require(keep >= -1 and all(values))
    return Append(bag, name, values, keep)


def _remember(reader: Reader, bag: int, name: str) -> Remember:
    (keep,) = reader.unpack(_I32)
    _require(bag == META and keep >= 1)
    return Remember(name, _read16(reader), keep)


def _allow(reader: Reader, bag: int, name: str) -> Allow:
    _require(bag == META)
    return Allow(name, _duration(reader.unpack(_I64)[0], 1, MAX_DURATION))


def _compare_and_set(reader: Reader, bag: int, name: str) -> CompareAndSet:
    expected = _any_raw(reader) if _flag(reader) else None
    return CompareAndSet(bag, name, expected, _raw(reader) if _flag(reader) else None)


_OPERATIONS: dict[int, Callable[[Reader, int, str], Operation]] = {
    1: lambda reader, bag, name: Set(bag, name, _raw(reader)),
    2: lambda reader, bag, name: Remove(bag, name),
    3: _increment,
    4: _append,
    5: lambda reader, bag, name: Pop(bag, name, _flag(reader)),
    6: lambda reader, bag, name: Take(bag, name),
    7: lambda reader, bag, name: SetDefault(bag, name, _raw(reader)),
    8: _compare_and_set,
    9: _remember,
    10: _allow,
}


def _operation(reader: Reader) -> Operation:
    code, bag = reader.take(1)[0], _bag(reader)
    if code not in _OPERATIONS:
        raise Unsupported(f"operation {code} is not known")
    return _OPERATIONS[code](reader, bag, _name(reader))


def _commit(reader: Reader, flags: int, not_after: int) -> Commit:
    op_id, token, guards = _change_head(reader, flags)
    mode, ttl, created_ttl, created_max_lifetime, wanted = reader.unpack(_TIMES)
    ttl_mode, want = TtlMode(mode), Want(wanted)
    _require(want is not Want.WHOLE)
    for duration in (ttl, created_ttl, created_max_lifetime):
        _duration(duration, 0, MAX_DURATION)
    clear = reader.take(1)[0]
    _require(clear <= 3)
    retain = tuple((_bag(reader), _name(reader)) for _ in range(reader.unpack(_U16)[0]))
    operations = tuple(_operation(reader) for _ in range(reader.unpack(_U16)[0]))
    return Commit(
        op_id,
        not_after,
        operations,
        guards,
        token,
        clear,
        retain,
        ttl_mode,
        ttl,
        created_ttl,
        created_max_lifetime,
        want,
        bool(flags & 1),
        bool(flags & 2),
        bool(flags & 4),
    )


def _renew(reader: Reader, flags: int, not_after: int) -> Renew:
    return Renew(reader.unpack(_U64)[0], _duration(reader.unpack(_I64)[0], 1, MAX_LEASE), not_after)


def _release(reader: Reader, flags: int, not_after: int) -> Release:
    return Release(not_after, reader.unpack(_U64)[0], reader.take(16))


def _delete(reader: Reader, flags: int, not_after: int) -> Delete:
    op_id, token, guards = _change_head(reader, flags)
    return Delete(op_id, not_after, guards, token, bool(flags & 1), bool(flags & 2))


def _install(reader: Reader, flags: int, not_after: int) -> Install:
    op_id, mode = reader.take(16), Mode(reader.take(1)[0])
    return Install(op_id, not_after, reader.bytes32(), mode, bool(flags & 2))


def _claim_expired(reader: Reader, flags: int, not_after: int) -> ClaimExpired:
    claim_id, (duration,) = reader.take(16), reader.unpack(_I64)
    return ClaimExpired(claim_id, _duration(duration, 1, MAX_LEASE), not_after, bool(flags & 1))


def _ack_expired(reader: Reader, flags: int, not_after: int) -> AckExpired:
    return AckExpired(reader.take(16), not_after, bool(flags & 2))


_READERS: dict[int, tuple[int, Callable[[Reader, int, int], Any]]] = {
    1: (31, _load),
    2: (7, _commit),
    3: (0, _renew),
    4: (0, _release),
    5: (3, _delete),
    6: (2, _install),
    7: (1, _claim_expired),
    8: (2, _ack_expired),
}
