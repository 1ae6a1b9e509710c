"""A worker of the demo: the counting bot behind a webhook, one process of many.

    You > Hi
    Bot > Count: 1

The platform's end and the worker's end of a socket exchange msgpack arrays: a delivery is [number, platform, body], its
answer [number, [[how it ended, text] per event]], the text being the bot's reply or the name of the error.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar, cast

import msgpack

from gridsession import Policy, SessionStore
from gridsession.cli._demo_check import Stored
from gridsession.errors import GridSessionError, Refused, Unavailable
from gridsession.platforms import events, message_id

T = TypeVar("T")

POLICY: Final = Policy(ttl=3600, lease=2, wait=10, deadline=5, keep_messages=1000)
"""A dead worker's sessions stay shut until its leases end, hence two seconds; bots that wait for others need more."""

DONE: Final = 0
REFUSED: Final = 1
FAILED: Final = 2
"""How an event ended: handled, a definite no, or not known."""

COUNT: Final = "count"
MESSAGES: Final = "messages"


_READ_AT_ONCE: Final = 32


async def reply_to(store: SessionStore, session_id: str, message: str) -> str:
    """The counting bot: one turn; a message that was handled before is answered again and counts once."""
    async with store.turn(session_id, message=message) as turn:
        state = turn.state
        if not turn.repeated:
            state[COUNT] = state.get(COUNT, 0) + 1
            state[MESSAGES] = [*state.get(MESSAGES, ()), message]
        return f"Count: {state[COUNT]}"


async def read(store: SessionStore, session_ids: Iterable[str]) -> dict[str, Stored]:
    """What the sessions hold, each as the bot left it."""
    stored: dict[str, Stored] = {}
    left = iter(session_ids)

    async def read_on() -> None:
        for session_id in left:
            state = await store.session(session_id).load()
            stored[session_id] = Stored(state.get(COUNT, 0), tuple(state.get(MESSAGES, ())))

    await asyncio.gather(*(read_on() for _ in range(_READ_AT_ONCE)))
    return stored


async def handle(store: SessionStore, platform: str, body: bytes) -> list[tuple[int, str]]:
    """A webhook: how each event that belongs to a session ended, with the bot's reply or the error's name."""
    ended = []
    for session_id, event in events(platform, body):
        message = message_id(platform, event)
        if session_id is None or message is None:
            continue
        try:
            ended.append((DONE, await reply_to(store, session_id, message)))
        except (Refused, Unavailable) as error:
            ended.append((REFUSED, type(error).__name__))
        except GridSessionError as error:
            ended.append((FAILED, type(error).__name__))
    return ended


class Wire(asyncio.Protocol):
    """One end of the socket: msgpack arrays come in as calls of `received` and go out by `send`; then one `ended`."""

    def __init__(self, received: Callable[[list[Any]], None], ended: Callable[[], None]) -> None:
        self._received = received
        self._ended = ended
        self._unpacker = msgpack.Unpacker(use_list=True)
        self._pack = msgpack.Packer().pack
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop's call."""
        # uvloop's transports are of no asyncio class
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """The loop's call."""
        self._unpacker.feed(data)
        for message in self._unpacker:
            self._received(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop's call."""
        self._transport = None
        self._ended()

    def send(self, *message: object) -> None:
        """One array; after the end nothing is sent."""
        if self._transport is not None:
            self._transport.write(self._pack(message))

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()


async def serve(store: SessionStore, end: socket.socket) -> None:
    """Handle what comes until the other end closes; many deliveries at once."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()
    running: set[asyncio.Task[None]] = set()

    async def answer(number: int, platform: str, body: bytes) -> None:
        wire.send(number, await handle(store, platform, body))

    def received(delivery: list[Any]) -> None:
        task = loop.create_task(answer(*delivery))
        running.add(task)
        task.add_done_callback(running.discard)

    wire = Wire(received, closed.set)
    await loop.create_connection(lambda: wire, sock=end)
    wire.send(0, [])  # ready
    try:
        await closed.wait()
    finally:
        wire.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop where that is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def open_store(url: str) -> SessionStore:
    """The demo's store, for workers and for reading at the end."""
    return SessionStore.open(url, policy=POLICY, namespace="demo")


async def _work(url: str, end: socket.socket) -> None:
    async with open_store(url) as store:
        await serve(store, end)


def main() -> None:
    """A worker process: `python -m gridsession.cli._demo_worker URL DESCRIPTOR`; it ends when the socket does."""
    # What the client says of the kill is the demo's own business; a crash still shows.
    logging.getLogger().addHandler(logging.NullHandler())
    url, descriptor = sys.argv[1:]
    run(_work(url, socket.socket(fileno=int(descriptor))))


if __name__ == "__main__":
    main()
