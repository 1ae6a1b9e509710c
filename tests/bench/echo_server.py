"""`python echo_server.py PORT`: what `echo.c` does, where there is no C compiler or no epoll; a script by itself."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from typing import Final

_REQUEST: Final = struct.Struct("<IIQ")
_ANSWER: Final = struct.Struct("<IQ")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All requests of one connection."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            length, wanted, number = _REQUEST.unpack(await reader.readexactly(_REQUEST.size))
            await reader.readexactly(length + 4 - _REQUEST.size)
            writer.write(_ANSWER.pack(8 + wanted, number) + bytes(wanted))
            await writer.drain()
    writer.close()


async def serve(port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
