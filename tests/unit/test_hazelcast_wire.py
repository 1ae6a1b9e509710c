"""The bytes this driver writes and reads itself, held against the official client's own codecs."""

from __future__ import annotations

import asyncio
import pickle
import struct
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hazelcast.hash import hash_to_index
from hazelcast.internal.asyncio_connection import Connection, _Reader
from hazelcast.protocol.client_message import ClientMessageBuilder
from hazelcast.protocol.codec import client_get_distributed_objects_codec, map_execute_on_key_codec, map_size_codec
from hazelcast.serialization.api import IdentifiedDataSerializable
from hazelcast.serialization.data import Data
from hypothesis import given
from hypothesis import strategies as st

from gridsession._identity import Space
from gridsession._record import Record
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._call import Call, Overdue, end_overdue
from gridsession.drivers.hazelcast._peek import peek
from gridsession.drivers.hazelcast._seam import check_seam, refuse_pickle
from gridsession.errors import CodecError, Unavailable

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)


class Command(IdentifiedDataSerializable):
    """Our processor as the official client would write it."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def get_factory_id(self) -> int:
        return 18259

    def get_class_id(self) -> int:
        return 1

    def write_data(self, out: Any) -> None:
        out.write_byte_array(bytearray(self.body))

    def read_data(self, inp: Any) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def serialization() -> Any:
    from hazelcast.config import Config
    from hazelcast.serialization import SerializationServiceV1

    return SerializationServiceV1(Config())


def message_of(buffer: bytes) -> Any:
    """Bytes as the client's reader hands them over."""
    read: list[Any] = []
    reader = _Reader(ClientMessageBuilder(read.append))
    reader.read(buffer)
    reader.process()
    (message,) = read
    return message


def reply_message(data: bytes | None, acks: int = 0) -> Any:
    start = struct.pack("<iHiqB", 6 + 13, 0xC000, 0x012E01, 7, acks)
    if data is None:
        return message_of(start + struct.pack("<iH", 6, 0x2400))
    return message_of(start + struct.pack("<iH", 6 + len(data), 0x2000) + data)


def bytes_data(payload: bytes, type_id: int = -12) -> bytes:
    return struct.pack(">iii", 0, type_id, len(payload)) + payload


@given(IDS)
def test_a_key_is_the_clients_own_data_in_the_clients_own_partition(serialization: Any, text: str) -> None:
    theirs = serialization.to_data(text)
    ours = _wire.key_data(text)
    assert ours[4:] == bytes(theirs.buffer[4:])
    assert _wire.partition_of(ours, 271) == hash_to_index(theirs.get_partition_hash(), 271)


def test_the_least_hash_lands_in_partition_0_as_in_java() -> None:
    assert _wire.partition_of(struct.pack(">i", -(2**31)) + b"....", 271) == 0


@given(IDS, st.binary(max_size=300))
def test_a_request_is_what_the_clients_codec_writes(serialization: Any, text: str, body: bytes) -> None:
    key = _wire.Keys(271).get(text)
    frames = _wire.ExecuteFrames("gridsession.sessions.shop")
    ours = frames.command(body, key, 2**62 + 99)
    later = frames.processor(_wire.processor_data(1, body), key)
    _wire.address(later, 2**62 + 99, key.partition)

    theirs = map_execute_on_key_codec.encode_request(
        "gridsession.sessions.shop", serialization.to_data(Command(body)), Data(_wire.key_data(text)), 1
    )
    theirs.set_backup_aware_flag()
    theirs.set_correlation_id(2**62 + 99)
    theirs.set_partition_id(key.partition)
    assert ours == bytes(later) == bytes(theirs.buf)


def test_a_request_ends_with_its_last_frame_also_if_that_is_its_first() -> None:
    """A member waits for more of a request whose last frame does not say so, and answers nobody on that connection."""
    for ours, theirs in (
        (_wire.request(0x000800, b""), client_get_distributed_objects_codec.encode_request()),
        (_wire.request(0x012A00, b"", b"shop"), map_size_codec.encode_request("shop")),
    ):
        assert bytes(ours) == bytes(theirs.buf)


def test_a_space_has_maps_of_its_own() -> None:
    assert _wire.records_map(Space("shop")) == "gridsession.sessions.shop"
    assert _wire.records_map(Space("shop", "globals")) == "gridsession.globals-records.shop"
    assert _wire.published_map(Space("shop", "globals")) == "gridsession.globals.shop"


def test_keys_are_kept_up_to_a_bound_and_the_used_ones_longest() -> None:
    keys = _wire.Keys(271, size=2)
    first = keys.get("line:1")
    keys.get("line:2")
    assert keys.get("line:1") is first
    keys.get("line:3")
    assert keys.get("line:1") is first
    assert len(keys._kept) == 2


def test_an_answer_gives_its_bytes_and_how_many_backups_confirmed() -> None:
    message = reply_message(bytes_data(b"abc"), acks=2)
    assert _wire.answer(message) == b"abc"
    assert _wire.answered(message) == (2, bytes_data(b"abc"))
    assert _wire.answered(_wire.answered(message)) == (2, bytes_data(b"abc"))
    assert _wire.answer(reply_message(None)) is None
    assert _wire.answered(reply_message(None, acks=1)) == (1, None)


class Planted:
    """Executes when unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("import gridsession; gridsession.pwned = True",))


@pytest.mark.parametrize(
    "data",
    [
        bytes_data(pickle.dumps(Planted(), 0), -120),
        bytes_data(b"text", -11),
        bytes_data(b"abc")[:-1],
        bytes_data(b"abc") + b"!",
        b"\0\0\0\0",
        b"",
    ],
)
def test_what_is_not_a_byte_array_is_refused_unread(data: bytes) -> None:
    import gridsession

    with pytest.raises(CodecError):
        _wire.answer(reply_message(data))
    with pytest.raises(CodecError):
        _wire.bytes_value(data)
    assert not hasattr(gridsession, "pwned")


@pytest.mark.parametrize("data", [bytes_data(b"\xff\xfe", -11), bytes_data(b"a"), bytes_data(b"a", -120), b""])
def test_what_is_not_a_text_key_is_refused_unread(data: bytes) -> None:
    with pytest.raises(CodecError):
        _wire.text_key(data)


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4))
def test_fetched_entries_come_in_pairs(pairs: list[tuple[bytes, bytes]]) -> None:
    frames = b"".join(
        struct.pack("<iH", 6 + len(part), 0) + part
        for pair in pairs
        for part in (bytes_data(pair[0], -11), bytes_data(pair[1]))
    )
    pointers = struct.pack("<iiii", 5, 16, 9, 32)
    message = message_of(
        struct.pack("<iHiqB", 6 + 13, 0xC000, 0x013801, 7, 0)
        + (struct.pack("<iH", 6 + len(pointers), 0) + pointers)
        + struct.pack("<iH", 6, 0x1000)
        + frames
        + struct.pack("<iH", 6, 0x2800)
    )
    assert _wire.fetched(message) == (
        ((5, 16), (9, 32)),
        [(bytes_data(key, -11), bytes_data(value)) for key, value in pairs],
    )


RECORDS = st.builds(
    Record,
    id=IDS,
    epoch=st.integers(0, 2**63),
    live=st.booleans(),
    revision=st.integers(0, 2**40),
    created=st.integers(0, 2**41),
    touched=st.integers(0, 2**41),
    ttl=st.none() | st.integers(1, 2**40),
    max_lifetime=st.none() | st.integers(1, 2**40),
)


@given(RECORDS)
def test_a_peek_tells_what_the_record_tells(record: Record) -> None:
    if not record.live:
        record = Record(record.id, record.epoch)
    seen = peek(record.encode())
    assert (seen.id, seen.epoch, seen.live) == (record.id, record.epoch, record.live)
    if record.live:
        assert (seen.revision, seen.touched, seen.expires_at) == (record.revision, record.touched, record.expires_at)


@given(RECORDS, st.integers(0, 40))
def test_a_peek_at_half_a_record_is_refused(record: Record, kept: int) -> None:
    data = record.encode()
    head = 8 + len(record.id.encode()) + 8
    with pytest.raises(CodecError):
        peek(data[: min(kept, head - 1)])


def test_deleted_is_newer_than_alive_and_recreated_newer_than_deleted() -> None:
    alive = Record("g:1", epoch=5, live=True, revision=9, touched=100)
    later = Record("g:1", epoch=5, live=True, revision=9, touched=200)
    deleted = Record("g:1", epoch=5)
    again = Record("g:1", epoch=6, live=True, revision=1)
    ages = [peek(record.encode()).age for record in (alive, later, deleted, again)]
    assert ages == sorted(ages)
    assert len(set(ages)) == 4


def test_the_installed_client_has_the_names_this_driver_uses() -> None:
    check_seam()


def test_a_client_with_other_names_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "send_message", lambda self, message, urgent: True)
    with pytest.raises(Unavailable, match="install hazelcast-python-client"):
        check_seam()


def test_a_client_that_still_reads_pickles_is_refused() -> None:
    class Service:
        class _registry:  # noqa: N801 - the client's own name
            _id_dict: dict[int, object] = {}  # noqa: RUF012

        def to_object(self, data: object) -> object:
            return data

        def to_data(self, value: object) -> object:
            return value

    class Client:
        _serialization_service = Service()

    with pytest.raises(Unavailable, match="pickle"):
        refuse_pickle(Client())


@pytest.mark.parametrize(
    ("cancelled", "ends_in"), [("never", Overdue), ("at the same time", asyncio.CancelledError), ("before", Overdue)]
)
def test_an_overdue_call_ends_in_that_unless_its_caller_is_cancelled(
    cancelled: str, ends_in: type[BaseException]
) -> None:
    async def scenario() -> None:
        call = Call(bytearray(), 1, None, asyncio.Future(), 0.0)
        link: Any = SimpleNamespace(service=SimpleNamespace(_pending={1: call}), loop=asyncio.get_running_loop())

        async def wait() -> object:
            if cancelled == "before":
                # As in a handler that writes once more when it is cancelled.
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return await call.future

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        if cancelled == "before":
            waiting.cancel()
            await asyncio.sleep(0)
        end_overdue(link, 1.0)
        if cancelled == "at the same time":
            waiting.cancel()
        with pytest.raises(ends_in):
            await waiting

    asyncio.run(scenario())
