"""The fast lane: commands and their answers on the official client's own connections, past its general code.

A tap stands where a connection keeps its reader. It takes out of the stream what belongs to commands, told by
correlation ids that the client itself never reaches, and hands every other byte on. Commands stay in the client's table
of pending invocations: an answer in any other form (an error, a message in fragments), the end of a connection, backups
that stay silent and the end of the client are dealt with by the client's own code, and an answer that comes when nobody
waits is dropped.

What it reads, little-endian: an answer is a frame `i32 19, u16 flags, i32 type, i64 correlation id, u8 backups that
will confirm` and a frame with the value, its last; that a backup confirmed is one frame of 30 bytes with the
correlation id of the confirmed request at 22. It may come before the answer.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any, Final

from hazelcast.internal.asyncio_connection import _Reader
from hazelcast.internal.asyncio_reactor import AsyncioConnection, AsyncioReactor, HazelcastProtocol

from gridsession._logs import logger
from gridsession.drivers.hazelcast._wire import COMMAND_ANSWER, Answered

FIRST_ID: Final = 2**62
"""Commands are numbered from here on; the client counts its own requests from 1."""

_FRAME = struct.Struct("<iH")
_START = struct.Struct("<iHiqBiH")
_SOURCE = struct.Struct("<q")
_ANSWER_SIZE, _CONFIRMED_SIZE = 19, 30
_SOURCE_AT = 22
_WHOLE, _FINAL, _NULL, _CONFIRMED = 0xC000, 0x2000, 0x0400, 0x0080
_MALFORMED: Final = "a member sent what is no message of its protocol"

_log = logger("hazelcast")


class Tap:
    """The reader and the writer of one connection's commands.

    Attributes:
        length: what the connection asks its reader for: bytes to be processed. There are none after a `read`.
    """

    length = 0

    def __init__(self, connection: Any, pending: dict[int, Any]) -> None:
        self._connection = connection
        self._reader: Any = connection._reader
        self._pending = pending
        self._call_soon = asyncio.get_running_loop().call_soon
        self._unsent: list[bytes] = []
        self._kept = bytearray()
        # Not before so many bytes are there is it worth while to look at them again.
        self._enough = 0
        # Within a message of the client's: bytes left of its current frame, and whether that is its last.
        self._inside = False
        self._left = 0
        self._last = False

    # --- sending ------------------------------------------------------------------------------------------------

    def send(self, request: bytes) -> bool:
        """Write a request, together with all others of this turn of the loop; False if the connection is gone."""
        if not self._connection.live or self._connection._proto._transport.is_closing():
            return False
        unsent = self._unsent
        unsent.append(request)
        if len(unsent) == 1:
            if len(self._pending) == 1:
                # Nobody else is on the way, whom it could wait for.
                self._flush()
            else:
                self._call_soon(self._flush)
        return True

    def _flush(self) -> None:
        connection, unsent = self._connection, self._unsent
        data = unsent[0] if len(unsent) == 1 else b"".join(unsent)
        unsent.clear()
        transport = connection._proto._transport
        # The calls of a connection that ended meanwhile end with it.
        if connection.live and not transport.is_closing():
            transport.write(data)
            connection.last_write_time = time.time()

    # --- reading ------------------------------------------------------------------------------------------------

    def process(self) -> None:
        """Nothing is left to do after a `read`."""

    def read(self, data: memoryview) -> None:
        """Take what came on the connection; called by the client."""
        kept = self._kept
        if kept:
            kept += data
            if len(kept) < self._enough:
                return
            chunk = bytes(kept)
            kept.clear()
        else:
            chunk = bytes(data)
        position = self._route(chunk)
        if position < len(chunk):
            kept += chunk[position:]

    def _route(self, chunk: bytes) -> int:
        """Deal with all that is whole, and with what is not ours; where the rest starts, if there is one."""
        position, end = 0, len(chunk)
        while position < end:
            if self._inside:
                position = self._hand_on(chunk, position)
                if self._inside:
                    return position
                continue
            if end - position < _START.size:
                self._enough = _wanted(chunk, position)
                if self._enough:
                    return position
                self._inside = True
                continue
            size, flags, kind, number, acks, value_size, value_flags = _START.unpack_from(chunk, position)
            if size == _ANSWER_SIZE and number >= FIRST_ID and kind == COMMAND_ANSWER and value_flags & _FINAL:
                after = position + _ANSWER_SIZE + value_size
                if value_size < _FRAME.size:
                    raise OSError(_MALFORMED)
                if after > end:
                    self._enough = after - position
                    return position
                self._answer(number, acks, None if value_flags & _NULL else chunk[position + _START.size : after])
                position = after
            elif size == _CONFIRMED_SIZE and flags & _CONFIRMED:
                if end - position < size:
                    self._enough = size
                    return position
                (number,) = _SOURCE.unpack_from(chunk, position + _SOURCE_AT)
                if number >= FIRST_ID:
                    self._confirm(number)
                    position += size
                else:
                    self._inside = True
            else:
                self._inside = True
        return position

    def _hand_on(self, chunk: bytes, position: int) -> int:
        """Give the client's reader its message, as far as it has come; where that ends."""
        start, end = position, len(chunk)
        while self._inside:
            if not self._left:
                if end - position < _FRAME.size:
                    self._enough = _FRAME.size
                    break
                self._left, flags = _FRAME.unpack_from(chunk, position)
                if self._left < _FRAME.size:
                    raise OSError(_MALFORMED)
                self._last = bool(flags & _FINAL)
            taken = min(self._left, end - position)
            position += taken
            self._left -= taken
            if self._left:
                break
            self._inside = not self._last
        if position > start:
            self._reader.read(chunk[start:position])
            if self._reader.length:
                self._reader.process()
        return position

    # --- what becomes of it, as in the client's InvocationService ------------------------------------------------

    def _answer(self, number: int, acks: int, value: bytes | None) -> None:
        call = self._pending.get(number)
        if call is None:
            return  # Nobody waits any more.
        if acks > call.backup_acks_received:
            call.pending_response_received_time = time.time()
            call.backup_acks_expected = acks
            call.pending_response = (acks, value)
        else:
            self._finish(call, (acks, value))

    def _confirm(self, number: int) -> None:
        call = self._pending.get(number)
        if call is None:
            return
        call.backup_acks_received += 1
        if call.pending_response is not None and call.backup_acks_received == call.backup_acks_expected:
            self._finish(call, call.response_handler(call.pending_response))

    def _finish(self, call: Any, answered: Answered) -> None:
        del self._pending[call.correlation_id]
        if not call.future.done():
            call.future.set_result(answered)


def _wanted(chunk: bytes, position: int) -> int:
    """How many bytes must be there to say whose the message is that starts here; 0 if it is surely the client's."""
    if len(chunk) - position < _FRAME.size:
        return _FRAME.size
    size, flags = _FRAME.unpack_from(chunk, position)
    ours = size == _CONFIRMED_SIZE or (size == _ANSWER_SIZE and not flags & _FINAL)
    return _START.size if ours else 0


def tap(connection: Any, pending: dict[int, Any]) -> None:
    """Put a tap on a connection of which nothing was read yet.

    Raises:
        ValueError: something was; it stays as it is.
    """
    if type(connection._reader) is not _Reader or connection._reader.length:
        raise ValueError("the connection's reader is not as it was made")
    connection._reader = Tap(connection, pending)


# --- the self-test ------------------------------------------------------------------------------------------------


class _Nowhere:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


class _Expected:
    """What a tap knows of a command."""

    backup_acks_received = 0
    backup_acks_expected = -1
    pending_response: Any = None
    pending_response_received_time: float = -1

    def __init__(self, number: int) -> None:
        self.correlation_id = number
        self.future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

    @staticmethod
    def response_handler(answered: Answered) -> Answered:
        return answered


def fits() -> bool:
    """Whether a tap works on the installed client: it reads and writes on a connection that leads nowhere."""
    try:
        return _try_out()
    except Exception as error:  # noqa: BLE001 - however it differs: the slower way is taken
        _log.debug("tap.unfit", error=type(error).__name__)
        return False


def _try_out() -> bool:
    loop = asyncio.get_running_loop()
    theirs: list[Any] = []
    made: Any = AsyncioConnection  # the client's constructors have no type hints
    connection = made(loop, AsyncioReactor(loop), None, 0, None, None, theirs.append)
    connection._proto = HazelcastProtocol(connection)
    connection._proto._transport = nowhere = _Nowhere()
    first, second = _Expected(FIRST_ID), _Expected(FIRST_ID + 1)
    pending: dict[int, Any] = {first.correlation_id: first}
    tap(connection, pending)
    connection._reader.send(b"request")
    pending[second.correlation_id] = second
    # A confirmation, an answer, one of the client's own, an error, an answer to nobody.
    stream = b"".join(
        (
            struct.pack("<iHiqiq", 30, _WHOLE | _FINAL | _CONFIRMED, 0, 5, -1, FIRST_ID),
            _START.pack(19, _WHOLE, COMMAND_ANSWER, FIRST_ID, 1, 11, _FINAL) + b"value",
            struct.pack("<iHiqB", 19, _WHOLE | _FINAL, 7, 6, 0),
            _START.pack(19, _WHOLE, 0, FIRST_ID + 1, 0, 6, 0x1000) + struct.pack("<iH", 6, 0x0800 | _FINAL),
            _START.pack(19, _WHOLE, COMMAND_ANSWER, FIRST_ID + 9, 0, 6, _FINAL | _NULL),
        )
    )
    for piece in (stream[:40], stream[40:41], stream[41:]):
        connection._proto.get_buffer(-1)[: len(piece)] = piece
        connection._proto.buffer_updated(len(piece))
    told = [(message.get_message_type(), message.get_correlation_id()) for message in theirs]
    return (
        nowhere.written == [b"request"]
        and connection.last_write_time > 0
        and first.future.result() == (1, b"value")
        and not second.future.done()
        and told == [(7, 6), (0, FIRST_ID + 1)]
    )
