"""Scanning partition by partition, with Hazelcast's own fetch messages, for which the Python client has no codec.

Where a scan stands is told by a partition, its owner and the iteration pointers the owner gave. If the owner is another
when the scan goes on, that partition begins anew: ids may come twice, none that was there throughout is missed.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

from gridsession._identity import Space
from gridsession._logs import hashed, logger
from gridsession.drivers import Page
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._call import NotSent, Overdue, ask, is_passing, server_class
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._execute import Executor, NotServed
from gridsession.drivers.hazelcast._peek import Peek, peek
from gridsession.errors import CodecError, DeadlineExceeded, GridSessionError, InvalidOption, Unavailable

T = TypeVar("T")

_FIRST_BATCH: Final = 64
_BATCH_BYTES: Final = 1_000_000
"""About how much one answer may weigh: a batch is as many records as fit, by the size of those seen."""
_AT_ONCE: Final = 8
_PAUSE: Final = 0.05

_log = logger("hazelcast")


class _Place(NamedTuple):
    """Where a scan stands; `left` are ids that were fetched and did not fit into the page."""

    partition: int = 0
    owner: str = ""
    pointers: _wire.Pointers = _wire.START_POINTERS
    left: tuple[str, ...] = ()

    def text(self) -> str:
        return json.dumps([self.partition, self.owner, self.pointers, self.left], separators=(",", ":"))

    @classmethod
    def read(cls, cursor: str | None) -> _Place:
        if cursor is None:
            return cls()
        try:
            partition, owner, pointers, left = json.loads(cursor)
            place = cls(int(partition), str(owner), tuple((int(a), int(b)) for a, b in pointers), tuple(map(str, left)))
        except (ValueError, TypeError):
            raise InvalidOption("the cursor is not one that this driver gave") from None
        return place


async def scan(executor: Executor, space: Space, prefix: str, cursor: str | None, limit: int, patience: float) -> Page:
    """One page; as `Driver.scan`."""
    if limit < 1:
        raise InvalidOption(f"limit={limit} must be at least 1")
    place = _Place.read(cursor)
    due = executor.time() + patience
    return await _served(executor, space, due, lambda: _page(executor.client, space, prefix, place, limit, due))


async def _page(client: Client, space: Space, prefix: str, place: _Place, limit: int, due: float) -> Page:
    loop = asyncio.get_running_loop()
    name = _wire.records_map(space)
    ids = list(place.left)
    weight = _BATCH_BYTES // _FIRST_BATCH
    # Where few ids match, a page ends in time rather than full: it may even be empty and have a cursor.
    enough = loop.time() + (due - loop.time()) / 4
    while len(ids) < limit and place.partition < client.link.partition_count() and loop.time() < enough:
        batch = max(1, min(limit - len(ids), _BATCH_BYTES // weight))
        place, entries = await _step(client, name, place, batch, due)
        now = client.clock.now()
        ids += [text for text, seen, _ in _records(entries) if text.startswith(prefix) and seen.exists(now)]
        if entries:
            weight = max(1, sum(len(value) for _, value in entries) // len(entries))
    place = place._replace(left=tuple(ids[limit:]))
    done = place.partition >= client.link.partition_count() and not place.left
    return Page(ids[:limit], None if done else place.text())


async def records(executor: Executor, space: Space, due: float) -> dict[str, tuple[Peek, bytes]]:
    """All records of a space that fits into memory, as globals do, read by `due` of the loop's clock."""
    return await _served(executor, space, due, lambda: _all(executor.client, space, due))


async def _served(executor: Executor, space: Space, due: float, read: Callable[[], Awaitable[T]]) -> T:
    """What was read while all members served it: a map that is read lacks what members that were apart still hand over.

    Raises:
        Unavailable: they did not by `due`.
    """

    async def attempt() -> T:
        await executor.check_served(space, due)
        found = await read()
        await executor.check_served(space, due)
        return found

    return await _persist(executor.client, attempt, due, "every owner")


async def _all(client: Client, space: Space, due: float) -> dict[str, tuple[Peek, bytes]]:
    name = _wire.records_map(space)
    found: dict[str, tuple[Peek, bytes]] = {}

    async def read(partition: int) -> None:
        place = _Place(partition)
        while place.partition == partition:
            place, entries = await _step(client, name, place, _FIRST_BATCH, due)
            found.update((text, (seen, record)) for text, seen, record in _records(entries))

    # A few at a time: one after the other would be a round trip for each of the partitions.
    waiting = iter(range(client.link.partition_count()))

    async def work() -> None:
        for partition in waiting:
            await read(partition)

    workers = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return found


async def _step(
    client: Client, name: str, place: _Place, batch: int, due: float
) -> tuple[_Place, list[tuple[bytes, bytes]]]:
    """Fetch a batch and go on to what comes after it."""
    partition = place.partition
    owner = _owner(client, partition)
    pointers = place.pointers if place.owner == owner else _wire.START_POINTERS
    message = await patiently(client, lambda: _wire.fetch_request(name, batch, pointers), partition, due)
    reached, entries = _wire.fetched(message)
    if _owner(client, partition) != owner:
        return _Place(partition), entries
    if not reached or reached[-1][0] < 0:
        return _Place(partition + 1), entries
    return _Place(partition, owner, reached), entries


def _owner(client: Client, partition: int) -> str:
    owner: uuid.UUID | None = client.link.owner(partition)
    return "" if owner is None else owner.hex


def _records(entries: list[tuple[bytes, bytes]]) -> list[tuple[str, Peek, bytes]]:
    """The entries that are ours; others are told of and passed over."""
    found = []
    for key, value in entries:
        try:
            text, record = _wire.text_key(key), _wire.bytes_value(value)
            seen = peek(record)
        except CodecError as error:
            _log.warning("scan.foreign_entry", problem=str(error))
            continue
        if seen.id == text:
            found.append((text, seen, record))
        else:
            _log.error("scan.foreign_entry", problem="a record stands under another id", id=hashed(text))
    return found


async def patiently(client: Client, make: Callable[[], bytearray], partition: int, due: float) -> Any:
    """Ask for something that may be asked twice, until it is answered.

    Raises:
        Unavailable: it was not by `due`.
    """

    async def attempt() -> Any:
        link = client.link
        connection = link.connection(partition) or link.any_connection()
        return await ask(link, make(), due, partition=partition, connection=connection)

    return await _persist(client, attempt, due, f"the owner of partition {partition}")


_PASSING: Final[dict[type[Exception], str]] = {
    NotSent: "no member is connected",
    Overdue: "no answer by the deadline",
    NotServed: "members that were apart hand over what they hold, or too few are there",
}


async def _persist(client: Client, attempt: Callable[[], Awaitable[T]], due: float, whom: str) -> T:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await attempt()
        except GridSessionError:
            raise
        except (NotSent, Overdue, NotServed) as error:
            reason = _PASSING[type(error)]
        except Exception as error:  # noqa: BLE001 - each kind is judged here
            reason = server_class(error)
            if not is_passing(error):
                raise Unavailable(f"a member could not answer ({reason}): see its log") from None
        wait = _PAUSE * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret
        if loop.time() + wait >= due:
            if not client.link.connected:
                raise client.link.failed()
            raise DeadlineExceeded(f"no answer from {whom} ({reason}); nothing was read")
        await asyncio.sleep(wait)
