"""`python -m tests.bench.drivers [driver ...]`: what a compare-and-swap driver adds to its bare client, us of CPU.

Bare is what any compare-and-swap would do through the same client with the same bytes: read the value, decide nothing,
swap it. The driver does the same and runs the rules between: a field set, the ttl restarted, the op id remembered.
`again`: this process was the last to change the session, as within a turn or a burst of verbs. `cold`: another was, so
the record is read and decoded whole. CPU time of this process, so that a busy machine counts little; the median of
several rounds that take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import lmdb
from bson import Binary
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from gridsession._commands import Commit, Set
from gridsession._record import STATE, Record, encode_field
from gridsession.drivers import Driver, Space, driver_class, parse_url
from gridsession.drivers._redis_client import SWAP
from gridsession.drivers.lmdb import LmdbDriver
from gridsession.drivers.memory import MemoryDriver
from gridsession.hooks import Hooks
from tests.contract.servers import mongo_server, redis_server, running

CALLS: Final = 1_000
ROUNDS: Final = 7
SPACE: Final = Space("bench")
FIELDS: Final = {f"field{number}": encode_field("x" * 40) for number in range(20)}
"""A session of about a kilobyte."""

Call = Callable[[int], Awaitable[object]]
Pair = tuple[Call, Callable[[], Driver]]
"""The bare client's call, and what makes a driver over the same place."""


def record(number: int) -> bytes:
    """What the bare clients store."""
    now = time.time_ns() // 1_000_000
    return Record(f"line:{number}", now, True, 1, now, now, 900_000, bags=(FIELDS, {}, {})).encode()


def commits(driver: Driver) -> Call:
    """One change of one field of one session, through a driver."""

    async def call(number: int) -> object:
        # A short deadline, as a conversation's pace has the same effect: few recent op ids in the record.
        command = Commit(os.urandom(16), driver.not_after(150), (Set(STATE, "step", FIELDS["field0"]),))
        return await driver.execute(SPACE, f"line:{number}", command)

    return call


def maker(url: str) -> Callable[[], Driver]:
    """Makes drivers of a URL."""
    address = parse_url(url)
    return lambda: driver_class(address.scheme).from_address(address, Hooks())


async def fill(driver: Driver) -> None:
    """Every session, as large as those of the bare client."""
    for number in range(CALLS):
        operations = tuple(Set(STATE, name, raw) for name, raw in FIELDS.items())
        await driver.execute(SPACE, f"line:{number}", Commit(os.urandom(16), driver.not_after(100), operations))


@contextlib.asynccontextmanager
async def redis_pair(folder: Path) -> AsyncIterator[Pair]:
    """redis-py: GET and EVALSHA."""
    with running(server := redis_server(folder, "--appendonly", "no")):
        async with Redis(port=server.port) as client:

            async def call(number: int) -> object:
                key = f"bare:{number}"
                value = await client.get(key)
                version, data = (b"", record(number)) if value is None else (value[:8], value[8:])
                return await SWAP.run(client, key, version, secrets.token_bytes(8) + data, 0, 0, 0)

            yield call, maker(f"redis://127.0.0.1:{server.port}")


@contextlib.asynccontextmanager
async def mongo_pair(folder: Path) -> AsyncIterator[Pair]:
    """pymongo: find_one and find_one_and_update."""
    with running(server := mongo_server(folder)):
        async with AsyncMongoClient("127.0.0.1", server.port) as client:
            collection = client["bench"]["bare"]

            async def call(number: int) -> object:
                found = await collection.find_one({"_id": f"bare:{number}"})
                if found is None:
                    return await collection.insert_one({"_id": f"bare:{number}", "v": 0, "r": Binary(record(number))})
                change = {"$set": {"v": found["v"] + 1, "r": Binary(found["r"])}}
                guard = {"_id": f"bare:{number}", "v": found["v"]}
                return await collection.find_one_and_update(guard, change, projection={"_id": 1})

            yield call, maker(f"mongodb://127.0.0.1:{server.port}/bench")


@contextlib.asynccontextmanager
async def lmdb_pair(folder: Path) -> AsyncIterator[Pair]:
    """py-lmdb: a read and a write transaction."""
    with lmdb.open(str(folder / "bare"), map_size=1 << 28, sync=False) as env:

        async def call(number: int) -> object:
            key = f"bare:{number}".encode()
            with env.begin() as reading:
                found = reading.get(key)
            with env.begin(write=True) as writing:
                if writing.get(key) == found:
                    writing.put(key, found or record(number))
            return None

        yield call, lambda: LmdbDriver(folder / "ours")


def _rewrite(file: Path, fresh: Path, number: int) -> Path:
    data = file.read_bytes() if file.exists() else record(number)
    with fresh.open("xb", buffering=0) as made:
        made.write(data)
    return fresh.replace(file)


@contextlib.asynccontextmanager
async def file_pair(folder: Path) -> AsyncIterator[Pair]:
    """Read a file, write another, rename it."""

    async def call(number: int) -> object:
        return _rewrite(folder / f"{number}.bare", folder / "fresh", number)

    yield call, maker(f"file://{folder}/ours")


@contextlib.asynccontextmanager
async def memory_pair(folder: Path) -> AsyncIterator[Pair]:
    """Nothing at all: what remains is the command and the rules."""

    async def call(number: int) -> object:
        return number

    memory = MemoryDriver()
    yield call, lambda: memory


async def cpu_of(call: Call) -> float:
    """Microseconds of CPU a call."""
    started = time.process_time()
    for number in range(CALLS):
        await call(number)
    return (time.process_time() - started) / CALLS * 1e6


async def compare(name: str, pair: Callable[[Path], contextlib.AbstractAsyncContextManager[Pair]]) -> str:
    """One line of the table."""
    figures: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with pair(Path(folder)) as (bare, make):
            one, other = make(), make()
            await one.open()
            await other.open()
            await fill(one)
            await cpu_of(bare)
            for number in range(ROUNDS + 1):
                cold = await cpu_of(commits(other if number % 2 else one))
                again = await cpu_of(commits(other if number % 2 else one))
                figures.append((await cpu_of(bare), cold, again))
            await one.aclose()
            await other.aclose()
    # The first round finds what `one` wrote itself.
    figures = figures[1:]
    alone, cold, again = (statistics.median(column) for column in zip(*figures, strict=True))
    added = [statistics.median(found[which] - found[0] for found in figures) for which in (1, 2)]
    return f"| {name} | {alone:.0f} | {cold:.0f} | {added[0]:+.0f} | {again:.0f} | {added[1]:+.0f} |"


def main() -> None:
    """Print the table."""
    pairs = {"memory": memory_pair, "lmdb": lmdb_pair, "file": file_pair, "redis": redis_pair, "mongo": mongo_pair}
    print("| driver | bare client, us | cold, us | added | again, us | added |")
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:] or pairs:
        print(asyncio.run(compare(name, pairs[name])), flush=True)


if __name__ == "__main__":
    main()
