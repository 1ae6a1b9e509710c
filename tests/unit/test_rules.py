"""Every vector through the rules over bytes. JUnit runs the same files through the Java rules."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gridsession._commands import Append, Commit, Load, Remember, Set, SetDefault
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._record import STATE, Record, encode_field
from gridsession._reply import Status, decode_reply
from gridsession._wire import apply_bytes, decode_command

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
NOW = 1_700_000_000_000
ID = "line:U1"


def _cases() -> Iterator[Any]:
    for path in sorted(VECTORS.glob("*.json")):
        for case in json.loads(path.read_text(encoding="ascii"))["cases"]:
            yield pytest.param(case, id=f"{path.stem}: {case['name']}")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


@pytest.mark.parametrize("case", list(_cases()))
def test_vector(case: dict[str, Any]) -> None:
    stored = _bytes(case["record"])
    limits = replace(DEFAULT_LIMITS, **case["limits"])
    after, reply = apply_bytes(stored, bytes.fromhex(case["command"]), case["now"], case["session_id"], limits)
    assert reply.hex() == case["reply"]
    if case["after"] == "same":
        assert after is stored
    else:
        assert after == _bytes(case["after"])


def test_the_committed_files_are_what_the_tables_say() -> None:
    made = subprocess.run(
        [sys.executable, str(VECTORS / "make.py"), "--check"], capture_output=True, text=True, timeout=100, check=False
    )
    assert made.returncode == 0, made.stderr


def test_every_theme_is_there_and_no_name_is_used_twice() -> None:
    files = {path.stem: json.loads(path.read_text(encoding="ascii"))["cases"] for path in VECTORS.glob("*.json")}
    assert set(files) == {
        *("load", "commit_guards", "operations", "clear", "ttl", "lease", "duplicate", "expiry", "tombstone"),
        *("install", "limits", "malformed", "corrupt", "unclaimed"),
    }
    names = [case["name"] for cases in files.values() for case in cases]
    assert len(names) == len(set(names))
    assert len(names) >= 250


def test_a_well_formed_command_in_a_vector_is_what_its_bytes_say() -> None:
    read = 0
    for path in VECTORS.glob("*.json"):
        for case in json.loads(path.read_text(encoding="ascii"))["cases"]:
            reply = decode_reply(bytes.fromhex(case["reply"]), expected_id=case["session_id"].encode())
            if reply.status in (Status.MALFORMED, Status.UNSUPPORTED):
                continue
            data = bytes.fromhex(case["command"])
            assert decode_command(data).encode() == data, case["name"]
            read += 1
    assert read > 250


# --- the limits as they are without any setting ----------------------------------------------------------------------


def _op(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _put(raw: bytes) -> Commit:
    return Commit(_op(1), NOW + 1_000, (Set(STATE, "f", raw),))


def _apply(stored: bytes | None, command: Any, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes | None, Any]:
    after, reply = apply_bytes(stored, command.encode(), NOW, ID, limits)
    return after, decode_reply(reply, expected_id=ID.encode())


def _room(limits: Limits) -> int:
    """How many bytes a single field named f may take."""
    empty = Record(ID, NOW, True, 1, NOW, NOW, bags=({"f": b""}, {}, {}))
    return limits.record_bytes - len(empty.encode())


@pytest.mark.parametrize("limits", [DEFAULT_LIMITS, Limits(record_bytes=1_048_576)], ids=["256 KB", "1 MB"])
def test_one_field_may_fill_the_record_and_no_byte_more(limits: Limits) -> None:
    raw = b"\x00" * _room(limits)
    stored, reply = _apply(None, _put(raw), limits)
    assert reply.status is Status.OK
    assert stored is not None
    assert len(replace(Record.decode(stored), ring=()).encode()) == limits.record_bytes
    assert _apply(stored, Load(), limits)[1].bags[0] == {"f": raw}
    assert _apply(None, _put(raw + b"\0"), limits)[1].status is Status.TOO_LARGE
    assert _apply(None, Commit(_op(1), NOW + 1, (SetDefault(STATE, "f", raw),)), limits)[1].status in (
        Status.OK,
        Status.BUSY,
    )


def test_a_list_of_very_many_elements_can_be_appended_to_and_cut() -> None:
    many = Commit(_op(1), NOW + 1_000, (Append(STATE, "l", tuple([b"\xc0"] * 40_000)),))
    stored, reply = _apply(None, many)
    assert reply.results == (encode_field(40_000),)
    more = Commit(_op(2), NOW + 1_000, (Append(STATE, "l", (b"\xc3",), 1),))
    stored, reply = _apply(stored, more)
    assert reply.results == (encode_field(1),)
    assert stored is not None
    assert Record.decode(stored).bags[STATE] == {"l": encode_field([True])}


def test_a_remembered_value_may_take_65_535_bytes() -> None:
    stored, reply = _apply(None, Commit(_op(1), NOW + 1_000, (Remember("seen", b"m" * 65_535, 1),)))
    assert reply.results == (True,)
    assert _apply(stored, Commit(_op(2), NOW + 1_000, (Remember("seen", b"m" * 65_535, 1),)))[1].results == (False,)


def test_the_ring_takes_what_its_limit_says() -> None:
    stored, _ = _apply(None, Commit(_op(0), NOW + 1_000))
    assert stored is not None
    record = Record.decode(stored)
    first = record.ring[0]
    full = replace(record, ring=tuple(replace(first, op_id=_op(number)) for number in range(DEFAULT_LIMITS.ring)))
    assert _apply(full.encode(), Commit(_op(10**9), NOW + 1_000))[1].status is Status.BUSY
    nearly = replace(full, ring=full.ring[1:])
    after, reply = _apply(nearly.encode(), Commit(_op(10**9), NOW + 1_000))
    assert reply.status is Status.OK
    assert after is not None
    assert len(Record.decode(after).ring) == DEFAULT_LIMITS.ring


def test_applying_does_not_change_what_it_was_given() -> None:
    stored = Record(ID, NOW, True, 1, NOW, NOW, bags=({"f": encode_field([1, 2])}, {}, {})).encode()
    copy = bytes(stored)
    _apply(stored, Commit(_op(1), NOW + 1_000, (Append(STATE, "f", (b"\xc0",)),)))
    assert stored == copy
