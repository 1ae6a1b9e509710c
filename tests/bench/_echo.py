"""The echo limit: a turn's bytes both ways through this loop and one connection, and nobody does anything with them.

The server is `echo.c`; where that cannot be compiled, `echo_server.py`, which says the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from typing import Final, cast

import msgpack

from gridsession._commands import Commit, Set, Want
from gridsession._identity import Space
from gridsession._record import STATE, encode_field
from gridsession.cli._measuring import Turn, change, session_id
from gridsession.drivers.hazelcast._wire import ExecuteFrames, Keys, records_map
from tests.bench._work import Context

_REQUEST: Final = struct.Struct("<IIQ")
_ANSWER: Final = struct.Struct("<IQ")
_REPLY_HEAD: Final = 150
"""Bytes a grid's answer has besides the fields."""
_PARTITIONS: Final = 271


def update_request() -> bytes:
    """What the grid is sent for one turn."""
    operations = tuple(Set(STATE, name, encode_field(value)) for name, value in change(0).items())
    command = Commit(bytes(16), time.time_ns() // 1_000_000, operations, want=Want.RECORD)
    key = Keys(_PARTITIONS).get(session_id(0))
    return ExecuteFrames(records_map(Space("bench"))).command(command.encode(), key, correlation_id=0)


class _Client(asyncio.Protocol):
    """One connection for all callers; answers are told apart by their ids; one write for each tick of the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._unread = b""
        self._unsent: list[bytes] = []
        self._id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        data, at = self._unread + data, 0
        while len(data) - at >= _ANSWER.size:
            length, number = _ANSWER.unpack_from(data, at)
            if len(data) - at < 4 + length:
                break
            self._waiting.pop(number).set_result(data[at + _ANSWER.size : at + 4 + length])
            at += 4 + length
        self._unread = data[at:]

    def ask(self, payload: bytes, wanted: int) -> asyncio.Future[bytes]:
        """So many bytes, for these."""
        self._id += 1
        answer = self._waiting[self._id] = self._loop.create_future()
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(_REQUEST.pack(_REQUEST.size - 4 + len(payload), wanted, self._id) + payload)
        return answer

    def _send(self) -> None:
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


@contextlib.asynccontextmanager
async def echo(context: Context) -> AsyncIterator[Turn]:
    """As many bytes as a grid's turn has, up and down."""
    port = int(context.places["echo"])
    _, client = await asyncio.get_running_loop().create_connection(_Client, "127.0.0.1", port)
    up = bytes(len(update_request()) - _REQUEST.size)
    fields = sum(len(name) + len(msgpack.packb(value)) for name, value in context.session(0).items())
    down = fields + _REPLY_HEAD - _ANSWER.size

    async def turn(index: int, number: int) -> object:
        return await client.ask(up, down)

    yield turn
    client.close()
