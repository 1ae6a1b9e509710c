"""No way for stored bytes to become code: nothing in the package can unpickle, and planted pickles are typed errors.

(In the grid's maps, events, answers and published globals: tests/grid/test_driver_foreign.py.)
"""

from __future__ import annotations

import ast
import contextlib
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

import gridsession
from gridsession import _codec
from gridsession._fields import decode_field, encode_fields
from gridsession._record import Record
from gridsession._reply import Reply, Status, decode_reply
from gridsession.errors import CodecError, InvalidValue, Unsupported

PACKAGE = Path(gridsession.__file__).parent
EXECUTING = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib", "yaml"}
MEBIBYTE = 1 << 20


def test_nothing_in_the_package_imports_what_executes_data() -> None:
    modules = list(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    found = []
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                names = ["pickle"]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                # By name, past an import statement.
                told = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                names = told if node.func.attr in ("import_module", "__import__") else []
            found += [f"{path.relative_to(PACKAGE)}: {name}" for name in names if name.partition(".")[0] in EXECUTING]
    assert found == []


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_where_any_of_our_bytes_are_expected_is_a_typed_error(tmp_path: Path, protocol: int) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "went-off"), protocol)
    readers: tuple[Callable[[bytes], Any], ...] = (
        _codec.decode,
        decode_field,
        lambda data: Record.decode(data, strict=True),
        lambda data: decode_reply(data, expected_id=b"line:U1"),
    )
    for read in readers:
        for data in (bomb, b"\x00" + bomb, msgpack.packb(msgpack.ExtType(120, bomb)), b"\xc7\xff\x88" + bomb):
            with pytest.raises((CodecError, Unsupported)):
                read(data)
    assert not (tmp_path / "went-off").exists()


def _peak(read: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _bag_of(section: bytes) -> bytes:
    """A record whose state is this section."""
    whole = Record("line:U1", 1, True, 1, 1, 1, bags=({"a": b"\x00\xc0"}, {}, {})).encode()
    legal = encode_fields({"a": b"\x00\xc0"})
    return whole.replace(len(legal).to_bytes(4, "big") + legal, len(section).to_bytes(4, "big") + section)


def _reply_of(section: bytes) -> bytes:
    whole = Reply(Status.OK, "line:U1", 1, bags=({"a": b"\x00\xc0"}, None, None)).encode()
    legal = encode_fields({"a": b"\x00\xc0"})
    return whole.replace(len(legal).to_bytes(4, "big") + legal, len(section).to_bytes(4, "big") + section)


SECTIONS = {
    "a list of empty maps": b"\xdd\x00\x10\x00\x00" + b"\x80" * MEBIBYTE,
    "a list of empty lists": b"\xdd\x00\x10\x00\x00" + b"\x90" * MEBIBYTE,
    "a list of them in a map": b"\xde\x00\x01\xa1a\xdd\x00\x10\x00\x00" + b"\x80" * MEBIBYTE,
    "a map of maps": b"\xde\xff\xff" + b"".join(b"\xa4%04x\x81\xa1a\x80" % number for number in range(65_535)),
    "a map of lists": b"\xde\xff\xff" + b"".join(b"\xa4%04x\x91\xc0" % number for number in range(65_535)),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_record_or_reply_of_many_small_objects_takes_no_more_than_its_bytes_allow(name: str) -> None:
    for data, read in (
        (_bag_of(SECTIONS[name]), Record.decode),
        (_reply_of(SECTIONS[name]), lambda data: decode_reply(data, expected_id=b"line:U1")),
    ):

        def refused(data: bytes = data, read: Callable[[bytes], Any] = read) -> None:
            with pytest.raises(CodecError):
                read(data)

        assert _peak(refused) < 4 * len(data) + MEBIBYTE


MANY = {
    "empty maps": b"\xdc\xff\xff" + b"\x80" * 65_535,
    "a mebibyte of empty maps": b"\xdd\x00\x10\x00\x00" + b"\x80" * MEBIBYTE,
    "maps of one key": b"\xdc\x75\x30" + b"\x81\xa1a\x00" * 30_000,
    "empty sets": b"\xdc\xff\xff" + b"\xc7\x01\x02\x90" * 65_535,
    "tuples": b"\xdc\xff\xff" + b"\xd4\x01\x90" * 65_535,
    "decimals": b"\xdc\xff\xff" + b"\xd4\x091" * 65_535,
    "tuples of empty maps": b"\xdc\x00\x3c" + (b"\xc8\x0f\xff\x01\xdc\x0f\xfc" + b"\x80" * 4_092) * 60,
    "texts": b"\xdc\xff\xff" + b"\xa3abc" * 65_535,
    "numbers": b"\xdc\xff\xff" + b"\xcd\x7f\xff" * 65_535,
    "a set of numbers": b"\xc9\x00\x02\xff\xfe\x02\xdd\x00\x00\xff\xff"
    + b"".join(b"\xcd" + number.to_bytes(2, "big") for number in range(65_535))[: 3 * 65_535],
}


@pytest.mark.parametrize("name", MANY)
def test_no_value_takes_more_than_thirty_two_times_its_bytes_and_a_mebibyte(name: str) -> None:
    data = MANY[name]

    def read() -> None:
        with contextlib.suppress(CodecError):
            _codec.decode(data)

    assert _peak(read) < 32 * len(data) + MEBIBYTE


def test_what_is_too_much_to_read_is_refused_when_it_is_written() -> None:
    with pytest.raises(InvalidValue, match="more memory"):
        _codec.encode({"a": [{}] * 60_000})
    for value in ([{"id": index, "name": "x", "price": 1.5} for index in range(5_000)], list(range(60_000))):
        assert _codec.decode(_codec.encode({"cart": value})) == {"cart": value}
