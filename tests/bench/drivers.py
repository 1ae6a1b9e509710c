"""`python -m tests.bench.drivers`: what a compare-and-swap driver adds to its bare client, in us of CPU a call.

Bare is what any compare-and-swap would do through the same client with the same bytes: read the value, decide nothing,
swap it. The driver does the same and runs the rules between. CPU time of this process, so that a busy machine counts
little; the median of several rounds that take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import statistics
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
from gridsession.drivers.lmdb import LmdbDriver
from gridsession.drivers.memory import MemoryDriver
from gridsession.drivers.redis import _READ, _SWAP
from gridsession.hooks import Hooks
from tests.contract.servers import mongo_server, redis_server, running

CALLS: Final = 1_000
ROUNDS: Final = 7
SPACE: Final = Space("bench")
FIELDS: Final = {f"field{number}": encode_field("x" * 40) for number in range(20)}
"""A session of about a kilobyte."""

Call = Callable[[int], Awaitable[object]]


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


async def fill(driver: Driver) -> None:
    """Every session, as large as those of the bare client."""
    for number in range(CALLS):
        operations = tuple(Set(STATE, name, raw) for name, raw in FIELDS.items())
        await driver.execute(SPACE, f"line:{number}", Commit(os.urandom(16), driver.not_after(100), operations))


@contextlib.asynccontextmanager
async def redis_pair(folder: Path) -> AsyncIterator[tuple[Call, Driver]]:
    """redis-py: the two scripts by EVALSHA."""
    with running(server := redis_server(folder)):
        async with Redis(port=server.port) as client:

            async def call(number: int) -> object:
                key = f"bare:{number}"
                value, _, _ = await _READ.run(client, key)
                version, data = (b"", record(number)) if value is None else (value[:8], value[8:])
                return await _SWAP.run(client, key, version, secrets.token_bytes(8) + data, 0, 0)

            yield call, driver_class("redis").from_address(parse_url(f"redis://127.0.0.1:{server.port}"), Hooks())


@contextlib.asynccontextmanager
async def mongo_pair(folder: Path) -> AsyncIterator[tuple[Call, Driver]]:
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

            url = f"mongodb://127.0.0.1:{server.port}/bench"
            yield call, driver_class("mongodb").from_address(parse_url(url), Hooks())


@contextlib.asynccontextmanager
async def lmdb_pair(folder: Path) -> AsyncIterator[tuple[Call, Driver]]:
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

        yield call, LmdbDriver(folder / "ours")


def _rewrite(file: Path, fresh: Path, number: int) -> Path:
    data = file.read_bytes() if file.exists() else record(number)
    with fresh.open("xb", buffering=0) as made:
        made.write(data)
    return fresh.replace(file)


@contextlib.asynccontextmanager
async def file_pair(folder: Path) -> AsyncIterator[tuple[Call, Driver]]:
    """Read a file, write another, rename it."""

    async def call(number: int) -> object:
        return _rewrite(folder / f"{number}.bare", folder / "fresh", number)

    yield call, driver_class("file").from_address(parse_url(f"file://{folder}/ours"), Hooks())


@contextlib.asynccontextmanager
async def memory_pair(folder: Path) -> AsyncIterator[tuple[Call, Driver]]:
    """Nothing at all: what remains is the command and the rules."""

    async def call(number: int) -> object:
        return number

    yield call, MemoryDriver()


async def cpu_of(call: Call) -> float:
    """Microseconds of CPU a call."""
    started = time.process_time()
    for number in range(CALLS):
        await call(number)
    return (time.process_time() - started) / CALLS * 1e6


async def compare(
    name: str, pair: Callable[[Path], contextlib.AbstractAsyncContextManager[tuple[Call, Driver]]]
) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        async with pair(Path(folder)) as (bare, driver):
            await driver.open()
            await fill(driver)
            await cpu_of(bare)
            ours = commits(driver)
            figures = [(await cpu_of(bare), await cpu_of(ours)) for _ in range(ROUNDS)]
            await driver.aclose()
    alone, with_rules = (statistics.median(column) for column in zip(*figures, strict=True))
    added = statistics.median(after - before for before, after in figures)
    return f"{name:8} {alone:10.1f} {with_rules:10.1f} {added:10.1f}"


def main() -> None:
    """Print the table."""
    pairs = {"memory": memory_pair, "lmdb": lmdb_pair, "file": file_pair, "redis": redis_pair, "mongo": mongo_pair}
    print(f"{'driver':8} {'bare us':>10} {'ours us':>10} {'added us':>10}")
    for name, pair in pairs.items():
        print(asyncio.run(compare(name, pair)), flush=True)


if __name__ == "__main__":
    main()
