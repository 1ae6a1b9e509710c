"""The platforms' side of the demo: they post webhook bodies to workers, and again what was not acknowledged.

As the real ones, they know nothing of sessions or grids: a delivery goes to any worker, several of one conversation at
once, comes twice now and then, and again until a worker has answered for all of its events.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from gridsession.cli._demo_check import Message
from gridsession.cli._demo_worker import DONE, REFUSED, Wire
from gridsession.errors import GridSessionError
from gridsession.platforms import events, message_id

IN_FLIGHT: Final = 32
"""Deliveries under way at once."""
REDELIVER_AFTER: Final = 3.0
"""Seconds after which a delivery that nobody acknowledged is posted again."""
SENT_TWICE: Final = 0.02
"""Share of deliveries that come twice at the same time, though nothing failed."""
MOST_ID_BYTES: Final = 200_000
"""A session gets no more messages when their ids take this much: its record may take 256 KB."""

_AFTER_A_FAULT: Final = 0.1
_SWEEP: Final = 0.05
_MOST_DRAWS: Final = 1_000


class WorkerEnded(GridSessionError):
    """A worker ended unasked."""


@dataclass(slots=True, eq=False)
class _Delivery:
    """One body on its way, until each of its messages is acknowledged; at `due` it is posted again."""

    number: int
    platform: str
    body: bytes
    messages: tuple[Message, ...]
    due: float = 0.0


class Courier:
    """The way to one worker; made by `Platforms.attach`."""

    def __init__(self, platforms: Platforms) -> None:
        self._platforms = platforms
        self._wire = Wire(self._received, self._ended)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.carried: set[int] = set()
        self.leaving = False

    async def connect(self, end: socket.socket) -> None:
        """Wait until the worker at the other end takes deliveries."""
        await asyncio.get_running_loop().create_connection(lambda: self._wire, sock=end)
        await self._ready

    def post(self, delivery: _Delivery) -> None:
        """Hand a delivery to the worker."""
        self.carried.add(delivery.number)
        self._wire.send(delivery.number, delivery.platform, delivery.body)

    def close(self) -> None:
        """Hang up, upon which the worker ends."""
        self.leaving = True
        self._wire.close()

    def _received(self, answer: list[Any]) -> None:
        number, ended = answer
        if number:
            self.carried.discard(number)
            self._platforms.answered(number, ended)
        elif not self._ready.done():
            self._ready.set_result(None)

    def _ended(self) -> None:
        if not self._ready.done():
            self._ready.set_exception(WorkerEnded("a worker ended while it was starting; its own message is above"))
        self._platforms.gone(self)


class Platforms:
    """They draw bodies from a stream and keep a bounded number of them in flight.

    Attributes:
        messages: all that were sent.
        acknowledged: how many of them were.
        redelivered: how often a body was posted beyond its first time.
        faults: how often the workers named which error.
        elapsed: seconds from the first posting to the last acknowledgement that was waited for.
        ended: when that was, of `time.perf_counter`.
    """

    def __init__(self, bodies: Iterator[tuple[str, bytes]], random: Random, *, in_flight: int = IN_FLIGHT) -> None:
        self.messages: list[Message] = []
        self.acknowledged = 0
        self.redelivered = 0
        self.faults: Counter[str] = Counter()
        self.elapsed = self.ended = 0.0
        self._bodies = bodies
        self._random = random
        self._in_flight = in_flight
        self._couriers: list[Courier] = []
        self._numbers = 0
        self._open: dict[int, _Delivery] = {}
        self._id_bytes: Counter[str] = Counter()
        self._sending = False
        self._unasked = False

    @property
    def in_flight(self) -> int:
        """Deliveries that are not acknowledged yet."""
        return len(self._open)

    @property
    def full(self) -> int:
        """Sessions that get no more messages."""
        return sum(size >= MOST_ID_BYTES for size in self._id_bytes.values())

    async def attach(self, end: socket.socket) -> Courier:
        """A way to the worker at the other end of a socket, once it takes deliveries.

        Raises:
            WorkerEnded: it ended before.
        """
        courier = Courier(self)
        await courier.connect(end)
        self._couriers.append(courier)
        return courier

    async def replay(self, seconds: float, *, grace: float) -> None:
        """Post for so many seconds, then for at most `grace` more what is not acknowledged yet.

        Raises:
            WorkerEnded: a worker ended unasked.
        """
        started = time.perf_counter()
        self._sending = True
        for _ in range(self._in_flight):
            self._post_next()
        await self._attend(started + seconds)
        self._sending = False
        await self._attend(time.perf_counter() + grace)
        self.ended = time.perf_counter()
        self.elapsed = self.ended - started

    def answered(self, number: int, ended: list[Any]) -> None:
        """A worker's answer: how each event of a delivery ended."""
        delivery = self._open.get(number)
        if delivery is None:
            return
        now = time.perf_counter()
        for message, (how, text) in zip(delivery.messages, ended, strict=True):
            if how != DONE:
                self.faults[text] += 1
                message.refused += how == REFUSED
            elif message.acknowledged is None:
                message.acknowledged = now
                self.acknowledged += 1
        if any(message.acknowledged is None for message in delivery.messages):
            delivery.due = now + _AFTER_A_FAULT
            return
        del self._open[number]
        if self._sending:
            self._post_next()

    def gone(self, courier: Courier) -> None:
        """A worker's end: what it carried is posted to others at once."""
        self._unasked = self._unasked or not courier.leaving
        if courier in self._couriers:
            self._couriers.remove(courier)
        for number in courier.carried & self._open.keys():
            self._post(self._open[number])

    async def _attend(self, until: float) -> None:
        """Post again what is due, until then or until there is nothing to wait for."""
        while (now := time.perf_counter()) < until and (self._sending or self._open):
            if self._unasked:
                raise WorkerEnded("a worker ended by itself; its own message is above")
            for delivery in [one for one in self._open.values() if one.due <= now]:
                self._post(delivery)
            await asyncio.sleep(_SWEEP)

    def _post_next(self) -> None:
        for platform, body, named in self._draws():
            now = time.perf_counter()
            self._numbers += 1
            messages = tuple(Message(session_id, name, now) for session_id, name in named)
            delivery = self._open[self._numbers] = _Delivery(self._numbers, platform, body, messages)
            self.messages += messages
            for session_id, name in named:
                self._id_bytes[session_id] += len(name) + 1
            self._post(delivery)
            if self._random.random() < SENT_TWICE:
                self._post(delivery)
            return
        # all sessions are full, or the stream has an end
        self._sending = False

    def _draws(self) -> Iterator[tuple[str, bytes, list[tuple[str, str]]]]:
        """Bodies with the (session, message) of each event, for sessions that have room."""
        for _, (platform, body) in zip(range(_MOST_DRAWS), self._bodies, strict=False):
            found = [(session_id, message_id(platform, event)) for session_id, event in events(platform, body)]
            named = [(session_id, name) for session_id, name in found if session_id and name]
            if named and all(self._id_bytes[session_id] < MOST_ID_BYTES for session_id, _ in named):
                yield platform, body, named

    def _post(self, delivery: _Delivery) -> None:
        now = time.perf_counter()
        if not self._couriers:
            delivery.due = now
            return
        self.redelivered += delivery.messages[0].deliveries > 0
        delivery.due = now + REDELIVER_AFTER
        for message in delivery.messages:
            message.deliveries += 1
        self._random.choice(self._couriers).post(delivery)
