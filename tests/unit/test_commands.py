"""Commands: to bytes and back, byte for byte as their layout says."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsession._commands import (
    Absent,
    Acquire,
    Allow,
    Append,
    AtRevision,
    Command,
    Commit,
    CompareAndSet,
    Delete,
    Field,
    Increment,
    Install,
    Load,
    Mode,
    NotRemembered,
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
    digest,
    pack_name,
)
from gridsession._record import META, PROPS, STATE
from gridsession._wire import decode_command
from gridsession.errors import TooLarge
from tests.strategies import START, commands, timed

OP, REQUEST = b"O" * 16, b"R" * 16
u16, u32, i32, i64, u64 = (struct.Struct(layout).pack for layout in (">H", ">I", ">i", ">q", ">Q"))


@given(commands(), st.sampled_from((1, START, 2**63 - 1)))
@settings(max_examples=200)
def test_a_command_comes_back_equal_and_in_the_same_bytes(drawn: Command, deadline: int) -> None:
    command = timed(drawn, deadline)
    data = command.encode()
    if isinstance(command, Commit | Delete) and command.release and not command.token:
        return
    again = decode_command(data)
    # A NaN is equal to nothing, so the bytes are what counts.
    assert again.encode() == data
    assert type(again) is type(command)
    assert again == command or b"\x7f\xf8" in data


def test_load_byte_for_byte() -> None:
    command = Load(
        Want.CHANGED,
        (Field(STATE, "a", 5), Field(META, "é")),
        Touch(1, -1),
        Acquire("w", REQUEST, 2, 3),
        NotRemembered("s", b"xy"),
        True,
        4,
    )
    assert command.encode() == b"".join([
        b"\x01\x01" + u16(31) + i64(4),
        b"\x02",
        u16(2) + b"\x00\xd9\x01a" + i32(5) + b"\x02\xd9\x02\xc3\xa9" + i32(-1),
        i64(1) + i64(-1),
        b"\x01w" + REQUEST + i64(2) + i64(3),
        b"\xd9\x01s" + u16(2) + b"xy",
    ])  # fmt: skip
    assert Load().encode() == b"\x01\x01" + u16(0) + i64(0) + b"\x03"


def test_commit_byte_for_byte() -> None:
    command = Commit(
        OP,
        9,
        (
            Set(STATE, "a", b"\x00\xc0"),
            Remove(PROPS, "b"),
            Increment(STATE, "c", -1),
            Increment(STATE, "d", 0.5),
            Append(STATE, "e", (b"\x01", b"\x02\x03"), 7),
            Pop(STATE, "f", True),
            Take(STATE, "g"),
            SetDefault(STATE, "h", b"\x00\xc3"),
            CompareAndSet(STATE, "i", None, b"\x00\xc0"),
            CompareAndSet(STATE, "j", b"\x00\xc3", None),
            Remember("k", b"z", 5),
            Allow("l", 6),
        ),
        (
            Absent(),
            Present(),
            AtRevision(1, 2),
            NotRemembered("m", b"n"),
            Unchanged(META, "o", b"D" * 16),
            Unchanged(STATE, "p", b""),
        ),
        3,
        2,
        ((PROPS, "q"),),
        TtlMode.SET,
        10,
        11,
        12,
        Want.RECORD,
        True,
        True,
    )
    assert command.encode() == b"".join([
        b"\x01\x02" + u16(3) + i64(9),
        OP + u64(3) + u16(6),
        b"\x01" + b"\x02" + b"\x03" + u64(1) + u64(2),
        b"\x04\xd9\x01m" + u16(1) + b"n",
        b"\x05\x02\xd9\x01o\x10" + b"D" * 16,
        b"\x05\x00\xd9\x01p\x00",
        b"\x02" + i64(10) + i64(11) + i64(12) + b"\x03",
        b"\x02" + u16(1) + b"\x01\xd9\x01q",
        u16(12),
        b"\x01\x00\xd9\x01a\xc6" + u32(2) + b"\x00\xc0",
        b"\x02\x01\xd9\x01b",
        b"\x03\x00\xd9\x01c\x01" + i64(-1),
        b"\x03\x00\xd9\x01d\x02" + struct.pack(">d", 0.5),
        b"\x04\x00\xd9\x01e" + i32(7) + u16(2) + u32(1) + b"\x01" + u32(2) + b"\x02\x03",
        b"\x05\x00\xd9\x01f\x01",
        b"\x06\x00\xd9\x01g",
        b"\x07\x00\xd9\x01h\xc6" + u32(2) + b"\x00\xc3",
        b"\x08\x00\xd9\x01i\x00\x01\xc6" + u32(2) + b"\x00\xc0",
        b"\x08\x00\xd9\x01j\x01\xc6" + u32(2) + b"\x00\xc3\x00",
        b"\x09\x02\xd9\x01k" + i32(5) + u16(1) + b"z",
        b"\x0a\x02\xd9\x01l" + i64(6),
    ])  # fmt: skip
    assert decode_command(command.encode()) == command


def test_the_small_commands_byte_for_byte() -> None:
    assert Renew(1, 2, 3).encode() == b"\x01\x03" + u16(0) + i64(3) + u64(1) + i64(2)
    assert Release(3, 1).encode() == b"\x01\x04" + u16(0) + i64(3) + u64(1) + bytes(16)
    assert Release(3, 0, REQUEST).encode() == b"\x01\x04" + u16(0) + i64(3) + u64(0) + REQUEST
    assert (
        Delete(OP, 3, (Present(),), 1, True).encode() == b"\x01\x05" + u16(1) + i64(3) + OP + u64(1) + u16(1) + b"\x02"
    )
    installed = Install(OP, 3, b"abc", Mode.IF_NEWER, True)
    assert installed.encode() == b"\x01\x06" + u16(2) + i64(3) + OP + b"\x01" + u32(3) + b"abc"


def test_wire_numbers_never_change() -> None:
    assert {kind.__name__: kind.code for kind in (Load, Commit, Renew, Release, Delete, Install)} == {
        "Load": 1, "Commit": 2, "Renew": 3, "Release": 4, "Delete": 5, "Install": 6,
    }  # fmt: skip
    operations = (Set, Remove, Increment, Append, Pop, Take, SetDefault, CompareAndSet, Remember, Allow)
    assert [kind.code for kind in operations] == list(range(1, 11))
    assert [kind.code for kind in (Absent, Present, AtRevision, NotRemembered, Unchanged)] == [1, 2, 3, 4, 5]
    assert [want.value for want in (Want.NOTHING, Want.REVISION, Want.CHANGED, Want.RECORD)] == [0, 1, 2, 3]
    assert [mode.value for mode in (TtlMode.RESTART, TtlMode.KEEP, TtlMode.SET)] == [0, 1, 2]
    assert [mode.value for mode in (Mode.IF_ABSENT, Mode.IF_NEWER)] == [0, 1]


def test_a_digest_is_sixteen_bytes_of_sha256_or_none() -> None:
    assert digest(None) == b""
    assert digest(b"\x00\xc0") == hashlib.sha256(b"\x00\xc0").digest()[:16]
    assert len(digest(b"")) == 16


def test_what_no_layout_holds_is_refused_before_it_is_sent() -> None:
    assert pack_name("n" * 255)[1] == 255
    for name in ("n" * 256, "ก" * 86):
        with pytest.raises(TooLarge):
            pack_name(name)
    with pytest.raises(TooLarge):
        Commit(OP, 1, (Remember("s", b"x" * 65_536, 1),)).encode()


def test_a_turn_may_guard_every_field_it_changes() -> None:
    guards = tuple(Unchanged(STATE, f"f{number}", b"") for number in range(257))
    assert decode_command(Commit(OP, 1, (), guards).encode()) == Commit(OP, 1, (), guards)


def test_no_value_is_shown_by_repr() -> None:
    # A command in a log line or an assertion must not carry the user's data; names and numbers are fine.
    shown = repr(
        Commit(
            OP,
            1,
            (
                Set(STATE, "pin", b"\x00\xa7hunter2"),
                Append(STATE, "l", (b"\xa7hunter2",)),
                Remember("s", b"hunter2", 1),
            ),
        )
    )
    assert "hunter2" not in shown
