"""What the tests of the Hazelcast driver share: a driver by URL, a space of one's own, one command, and waiting."""

from __future__ import annotations

import asyncio
import gc
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config

from gridsession._commands import Commit, Increment, Load, Want
from gridsession._identity import Space
from gridsession._record import Record, decode_field
from gridsession.cli._findings import FAULT, findings
from gridsession.cli._grid import examine
from gridsession.drivers import parse_url
from gridsession.drivers.hazelcast import HazelcastDriver, _wire
from gridsession.drivers.hazelcast._tap import FIRST_ID, Tap
from gridsession.hooks import Hooks
from gridsession.testing.local_grid import LocalGrid


@asynccontextmanager
async def opened(url: str, *hooks: Callable[[Any], None]) -> AsyncIterator[HazelcastDriver]:
    """A driver, opened as users do, and closed."""
    driver = HazelcastDriver.from_address(parse_url(url), Hooks(hooks))
    await driver.open()
    try:
        yield driver
    finally:
        await driver.aclose()


Answered = tuple[int, bytes | None]
"""How many backups confirmed an answer, and the `Data` it carries."""
Deliver = Callable[[Any, Answered], None]


def intercept(
    driver: HazelcastDriver, patch: pytest.MonkeyPatch, see: Callable[[Deliver, Any, Answered], None]
) -> None:
    """Stand between what reads a driver's answers and its calls, by whichever way commands travel.

    `see` is called with what would deliver an answer, the call, and the answer to a command of this driver's.
    """
    service = driver._client.link.service  # type: ignore[union-attr]
    notify, answer = service._notify, Tap._answer

    def untapped(call: Any, message: Any) -> None:
        def deliver(call: Any, answered: Answered) -> None:
            start, frame = message.start_frame, message.start_frame.next
            start.buf = start.buf[:12] + bytes(answered[:1]) + start.buf[13:]
            frame.buf = answered[1] or frame.buf
            notify(call, message)

        if message.get_correlation_id() >= FIRST_ID:
            see(deliver, call, _wire.answered(message))
        else:
            notify(call, message)

    def tapped(tap: Tap, number: int, acks: int, value: bytes | None) -> None:
        call = service._pending.get(number)
        if call is None or tap._pending is not service._pending:
            answer(tap, number, acks, value)
        else:
            see(lambda call, answered: answer(tap, call.correlation_id, *answered), call, (acks, value))

    patch.setattr(service, "_notify", untapped)
    patch.setattr(Tap, "_answer", tapped)


@asynccontextmanager
async def stranger(grid: LocalGrid, number: int | None = None) -> AsyncIterator[Any]:
    """Somebody else's ordinary client; with a number, one that talks to this member alone."""
    ports = grid.ports if number is None else [grid.ports[number]]
    config = Config()
    config.cluster_members = [f"127.0.0.1:{port}" for port in ports]
    config.smart_routing = number is None
    config.cluster_name = grid.cluster_name
    client = await HazelcastClient.create_and_start(config)
    try:
        yield client
    finally:
        await client.shutdown()
        # Its transports close in the next turns of the loop; without them asyncio warns of each.
        for _ in range(3):
            await asyncio.sleep(0)


async def replicated(grid: LocalGrid, number: int, map_name: str) -> dict[str, Any]:
    """What one member's own ReplicatedMap holds, read by somebody else's client that talks to this member alone."""
    async with stranger(grid, number) as client:
        entries = await (await client.get_replicated_map(map_name)).entry_set()
    return {name: decode_field(Record.decode(bytes(data)).bags[0]["value"]) for name, data in entries}


def a_space(kind: str = "sessions") -> Space:
    """A namespace nobody else uses."""
    return Space(f"t{uuid.uuid4().hex[:12]}", kind)


def increment(driver: HazelcastDriver, within: int = 10_000, **more: Any) -> Commit:
    """Add one to `n`, within so many ms."""
    more = {"want": Want.REVISION, **more}
    return Commit(secrets.token_bytes(16), driver.now() + within, (Increment(0, "n", 1),), **more)


async def count(driver: HazelcastDriver, space: Space, session_id: str) -> int:
    """How often `increment` was applied."""
    reply = await driver.execute(space, session_id, Load(confirm=True))
    return int(decode_field(reply.bags[0]["n"])) if reply.bags[0] else 0


async def is_sound(url: str) -> bool:
    """Whether a doctor finds no fault, as an operator waits for before the next member may go: all copies are made."""
    return all(finding.level != FAULT for finding in findings(await examine(url), {}))


def reports_of_asyncio() -> Callable[[], list[str]]:
    """From now on, what the running loop reports of tasks and callbacks that failed and nobody looked at."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(repr(context)))

    def until_now() -> list[str]:
        # A task is reported when it is collected.
        gc.collect()
        return reports

    return until_now


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition, with a deadline."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while not await holds():
        assert loop.time() < ends, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
