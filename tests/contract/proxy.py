"""A relay between a client and a server of ours that does on purpose what networks do by accident."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType


class Proxy:
    """Listens on a free port of loopback and relays to another one.

    Attributes:
        cut_replies: so many of the next replies end in a reset after their first bytes.
        spare: whether a request is relayed as usual; asked with each one's bytes while replies are being cut.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.cut_replies = 0
        self.cut = 0
        self.spare: Callable[[bytes], bool] = lambda request: False
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def request(self, data: bytes, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> bool:
        """Relay what a client sent; whether the reply to it is to be cut."""
        server.write(data)
        await server.drain()
        if self.cut_replies and not self.spare(data):
            self.cut_replies -= 1
            self.cut += 1
            return True
        return False

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server: asyncio.StreamWriter | None = None
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._target)
            doomed = asyncio.Event()

            async def there() -> None:
                while data := await reader.read(65536):
                    if await self.request(data, client, server):
                        doomed.set()

            async def back() -> None:
                while data := await answers.read(65536):
                    if doomed.is_set():
                        client.write(data[:3])
                        await client.drain()
                        # A reset, not an orderly end.
                        client.transport.abort()
                        return
                    client.write(data)
                    await client.drain()

            await _first(there(), back())
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for writer in (client, server):
                if writer is not None:
                    writer.transport.abort()
            self._tasks.discard(task)


async def _first(*works: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
