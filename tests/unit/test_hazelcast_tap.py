"""The fast lane's reader and writer, fed with the bytes of members; and the gate before it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hazelcast.internal.asyncio_connection import _Reader
from hazelcast.internal.asyncio_reactor import HazelcastProtocol
from hazelcast.protocol.client_message import ClientMessageBuilder
from hypothesis import given
from hypothesis import strategies as st

from gridsession.drivers.hazelcast import _tap
from gridsession.drivers.hazelcast._call import CommandCall
from gridsession.drivers.hazelcast._gate import Gate
from gridsession.drivers.hazelcast._link import Link, Settings
from gridsession.drivers.hazelcast._tap import FIRST_ID, Tap, fits

ANSWER = 0x012E01
WHOLE, FINAL, NULL, BEGIN, END = 0xC000, 0x2000, 0x0400, 0x1000, 0x0800


def answer(number: int, acks: int, value: bytes | None) -> bytes:
    start = struct.pack("<iHiqB", 19, WHOLE, ANSWER, number, acks)
    if value is None:
        return start + struct.pack("<iH", 6, FINAL | NULL)
    return start + struct.pack("<iH", 6 + len(value), FINAL) + value


def confirmed(number: int) -> bytes:
    return struct.pack("<iHiqiq", 30, WHOLE | FINAL | 0x0080, 0x0F0301, 5, -1, number)


def message(kind: int, number: int, frames: list[bytes]) -> bytes:
    """Any other message: a start frame of a reply and some more."""
    parts = [struct.pack("<iHiqB", 19, WHOLE | (0 if frames else FINAL), kind, number, 0)]
    for index, frame in enumerate(frames):
        parts.append(struct.pack("<iH", 6 + len(frame), FINAL if index == len(frames) - 1 else 0) + frame)
    return b"".join(parts)


def in_fragments(whole: bytes) -> bytes:
    """A message of a start frame and one more, as a member sends it in two fragments."""
    start, rest = whole[:19], whole[19:]
    return b"".join(
        (
            struct.pack("<iHq", 14, 0x8000, 77),
            start[:4] + struct.pack("<H", WHOLE | FINAL) + start[6:],
            struct.pack("<iHq", 14, 0x4000, 77),
            rest,
        )
    )


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing


class Connection:
    """As much of a connection as a tap uses, its reader the client's own."""

    live = True
    last_write_time = 0.0

    class _Proto:
        _transport: Any = None

    def __init__(self) -> None:
        self.theirs: list[tuple[int, int]] = []
        self._reader: Any = _Reader(ClientMessageBuilder(self._heard))
        self._proto = self._Proto()
        self._proto._transport = self.transport = Transport()

    def _heard(self, message: Any) -> None:
        self.theirs.append((message.get_message_type(), message.get_correlation_id()))


class Tapped:
    def __init__(self) -> None:
        self.connection = Connection()
        self.pending: dict[int, Any] = {}
        _tap.tap(self.connection, self.pending)
        self.tap: Tap = self.connection._reader

    def call(self, number: int) -> CommandCall:
        made = CommandCall(b"", number, self.connection, asyncio.get_running_loop().create_future(), 1e9)
        self.pending[number] = made
        return made

    def feed(self, stream: bytes, cuts: list[int]) -> None:
        """As it arrives: in a buffer that the next bytes overwrite."""
        ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        buffer, start = bytearray(max(1, len(stream))), 0
        for end in ends:
            if end > start:
                buffer[: end - start] = stream[start:end]
                self.tap.read(memoryview(buffer)[: end - start])
                assert not self.tap.length
            start = end


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


COMMANDS = st.lists(
    st.tuples(
        st.integers(0, 2), st.none() | st.binary(max_size=90), st.sampled_from(["", "first", "error", "fragments"])
    ),
    max_size=6,
)
THEIRS = st.lists(
    st.tuples(st.sampled_from([0, 7, ANSWER]), st.integers(1, 9), st.lists(st.binary(max_size=40), max_size=3)),
    max_size=5,
)


@given(COMMANDS, THEIRS, st.lists(st.integers(0, 5_000), max_size=12), st.randoms(use_true_random=False))
def test_however_the_stream_is_cut_each_answer_finds_its_call_and_the_rest_the_clients_reader(
    commands: list[tuple[int, bytes | None, str]],
    theirs: list[tuple[int, int, list[bytes]]],
    cuts: list[int],
    draw: Any,
) -> None:
    async def scenario() -> None:
        tapped = Tapped()
        streams: list[list[bytes]] = [[message(*each) for each in theirs]]
        expected: dict[int, tuple[int, bytes | None]] = {}
        cold: list[tuple[int, int]] = []
        for number, (acks, value, how) in enumerate(commands, FIRST_ID):
            tapped.call(number)
            if how == "error":
                streams.append([message(0, number, [b"", b"stack"])])
                cold.append((0, number))
            elif how == "fragments":
                streams.append([in_fragments(answer(number, acks, value or b""))])
                cold.append((ANSWER, number))
            else:
                parts = [answer(number, acks, value), *[confirmed(number)] * acks]
                streams.append(parts if how else parts[::-1])
                expected[number] = (acks, value)
        calls = dict(tapped.pending)
        # Messages of one origin keep their order; those of different ones mix.
        stream = b""
        while any(streams):
            stream += draw.choice([each for each in streams if each]).pop(0)
        tapped.feed(stream, cuts)
        assert {number: call.future.result() for number, call in calls.items() if call.future.done()} == expected
        assert set(tapped.pending) == set(calls) - set(expected)
        heard = [each for each in tapped.connection.theirs if each[1] < FIRST_ID]
        assert heard == [each[:2] for each in theirs]
        assert sorted(each for each in tapped.connection.theirs if each[1] >= FIRST_ID) == sorted(cold)

    run(scenario)


def test_a_confirmation_of_the_clients_own_request_is_the_clients() -> None:
    async def scenario() -> None:
        tapped = Tapped()
        tapped.feed(confirmed(12) + confirmed(FIRST_ID + 1), [])
        assert tapped.connection.theirs == [(0x0F0301, 5)]

    run(scenario)


def test_what_looks_like_an_answer_within_another_message_is_none() -> None:
    """Frames hold what users stored: a scan must not be able to answer a command."""

    async def scenario() -> None:
        for forged in (answer(FIRST_ID, 0, b"forged"), confirmed(FIRST_ID)):
            tapped = Tapped()
            call = tapped.call(FIRST_ID)
            scan = message(7, 3, [])[:4] + struct.pack("<H", WHOLE) + message(7, 3, [])[6:]
            last = b"" if len(forged) > 30 else struct.pack("<iH", 6, FINAL)
            # The size of the frame that holds it is its own.
            tapped.feed(scan + forged[:4] + struct.pack("<H", 0x0080) + forged[6:] + last, [19, 19 + 25])
            assert not call.future.done()
            assert call.backup_acks_received == 0
            assert tapped.connection.theirs == [(7, 3)]
            assert not tapped.tap._inside

    run(scenario)


def test_an_answer_to_nobody_or_to_one_who_left_is_dropped_and_one_is_not_told_twice() -> None:
    async def scenario() -> None:
        tapped = Tapped()
        left, stays = tapped.call(FIRST_ID + 1), tapped.call(FIRST_ID + 2)
        left.future.cancel()
        twice = [answer(FIRST_ID + 2, 0, b"mine"), answer(FIRST_ID + 2, 0, b"again")]
        tapped.feed(answer(FIRST_ID + 9, 1, b"late") + answer(FIRST_ID + 1, 0, b"gone") + b"".join(twice), [])
        assert stays.future.result() == (0, b"mine")
        assert left.future.cancelled()
        assert not tapped.pending
        assert not tapped.connection.theirs

    run(scenario)


def test_an_answer_waits_for_each_backup_it_announces() -> None:
    async def scenario() -> None:
        tapped = Tapped()
        call = tapped.call(FIRST_ID)
        tapped.feed(confirmed(FIRST_ID) + answer(FIRST_ID, 2, b"x"), [])
        assert not call.future.done()
        assert call.pending_response_received_time > 0, "or the client would wait for ever for the second"
        tapped.feed(confirmed(FIRST_ID), [])
        assert call.future.result() == (2, b"x")

    run(scenario)


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack("<iH", 0, WHOLE) + bytes(30),
        struct.pack("<iH", -5, WHOLE) + bytes(30),
        struct.pack("<iHiqBiH", 19, WHOLE, ANSWER, FIRST_ID, 0, -30, FINAL) + bytes(30),
    ],
)
def test_what_is_no_message_ends_the_connection_and_not_the_loop(stream: bytes) -> None:
    async def scenario() -> None:
        with pytest.raises(OSError, match="no message"):
            Tapped().feed(stream, [])

    run(scenario)


def test_requests_of_one_turn_of_the_loop_are_one_write_and_a_lone_one_does_not_wait() -> None:
    async def scenario() -> None:
        tapped = Tapped()
        written = tapped.connection.transport.written
        tapped.call(FIRST_ID)
        assert tapped.tap.send(b"one")
        assert written == [b"one"]
        for number in (1, 2, 3):
            tapped.call(FIRST_ID + number)
            assert tapped.tap.send(bytes([number]))
        assert written == [b"one"]
        await asyncio.sleep(0)
        assert written == [b"one", b"\1\2\3"]
        assert tapped.connection.last_write_time > 0

    run(scenario)


@pytest.mark.parametrize("how", ["live", "closing"])
def test_nothing_is_written_to_a_connection_that_ended(how: str) -> None:
    async def scenario() -> None:
        tapped = Tapped()
        tapped.call(FIRST_ID)
        tapped.call(FIRST_ID + 1)
        assert tapped.tap.send(b"one")
        if how == "live":
            tapped.connection.live = False
        else:
            tapped.connection.transport.closing = True
        assert not tapped.tap.send(b"two")
        await asyncio.sleep(0)
        assert not tapped.connection.transport.written

    run(scenario)


def test_the_installed_client_can_be_tapped() -> None:
    async def scenario() -> None:
        assert fits()
        assert Link(Settings(("127.0.0.1:1",), "x"), print, print).tapped

    run(scenario)


class OtherProtocol(HazelcastProtocol):
    """A client that hands its reader a buffer of its own kind."""

    def buffer_updated(self, nbytes: int) -> None:
        self._conn._reader.data_received(self._recv_buf[:nbytes])


class OtherReader(_Reader):
    pass


@pytest.mark.parametrize(("name", "other"), [("HazelcastProtocol", OtherProtocol), ("_Reader", OtherReader)])
def test_a_client_that_cannot_be_tapped_is_used_as_it_is_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, other: object
) -> None:
    async def scenario() -> None:
        assert not fits()
        assert not Link(Settings(("127.0.0.1:1",), "x"), print, print).tapped

    monkeypatch.setattr(_tap, name, other)
    run(scenario)
    assert sum("client.untapped" in record.getMessage() for record in caplog.records) == 1


# --- the gate -----------------------------------------------------------------------------------------------------


async def through(gate: Gate, due: float, entered: list[int], number: int, leave: asyncio.Event) -> bool:
    if gate.free:
        gate.free -= 1
    elif not await gate.wait(due):
        return False
    try:
        entered.append(number)
        await leave.wait()
    finally:
        gate.leave()
    return True


@given(st.lists(st.sampled_from(["stay", "cancel", "overdue"]), max_size=12), st.integers(1, 3), st.booleans())
def test_the_gate_lets_in_by_turn_and_loses_no_place(fates: list[str], places: int, just_given: bool) -> None:
    """Also if somebody is cancelled in the very moment when he is given a place."""

    async def scenario() -> None:
        gate, entered, leave = Gate(places), list[int](), asyncio.Event()
        tasks = [
            asyncio.create_task(through(gate, 1.0 if fate == "overdue" else 9.0, entered, number, leave))
            for number, fate in enumerate(fates)
        ]
        for _ in range(2):
            await asyncio.sleep(0)
        assert entered == list(range(len(fates)))[:places]
        if just_given:
            # Who was in leaves, and has given the places away; who got them has not been told yet.
            leave.set()
            await asyncio.sleep(0)
        else:
            gate.end_overdue(1.0)
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancel":
                task.cancel()
        leave.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.free == places
        assert entered == sorted(entered)
        for number, (task, fate) in enumerate(zip(tasks, fates, strict=True)):
            if fate == "stay":
                assert task.result() is True
            elif fate == "overdue" and not just_given:
                assert task.result() is (number < places)

    run(scenario)
