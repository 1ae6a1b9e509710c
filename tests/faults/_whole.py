"""Says whether the servers are whole: `python -m tests.faults._whole URL ...`, a line in, a line out.

Whole is a grid whose members all see all others and that acknowledges a change in every partition, or a Redis whose
replicas all follow one primary and that acknowledges changes. A grid acknowledges only what its declared copies
confirmed, so none is missing then. Answers `yes`, or what is lacking.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Final

from gridsession import Policy, SessionStore
from gridsession.errors import GridSessionError

_CHANGES: Final = 1_300
_TIMEOUT: Final = 2.0
_AT_ONCE: Final = 64


async def main() -> None:
    """Answer until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument(
        "--ready", action="append", default=[], metavar="HOST:PORT", help="where a node answers /readyz"
    )
    parser.add_argument("--redis", action="append", default=[], metavar="HOST:PORT")
    options = parser.parse_args()
    loop = asyncio.get_running_loop()
    store: SessionStore | None = None
    while await loop.run_in_executor(None, sys.stdin.readline):
        try:
            lacking = await (_members(options.ready) if options.ready else _replicas(options.redis))
            if not lacking:
                store = store or await SessionStore.open(
                    options.url, namespace="whole", policy=Policy(ttl=60, deadline=_TIMEOUT)
                )
                lacking = await _changes(store)
        except (GridSessionError, OSError, TimeoutError) as error:
            lacking = f"{type(error).__name__}: {error}"
        print((lacking or "yes").replace("\n", " "), flush=True)
    if store is not None:
        await store.aclose()


async def _members(addresses: list[str]) -> str:
    answers = await asyncio.gather(*(_ready(address) for address in addresses), return_exceptions=True)
    for address, answer in zip(addresses, answers, strict=True):
        if isinstance(answer, BaseException):
            return f"{address} does not answer ({type(answer).__name__})"
        if not answer["ready"] or answer["members"] != len(addresses):
            return f"{address} sees {answer['members']} members; {answer['reason']}"
    return ""


async def _ready(address: str) -> dict[str, object]:
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
            found: dict[str, object] = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        finally:
            writer.close()
    return found


async def _replicas(addresses: list[str]) -> str:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    primaries, following = 0, 0
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            async with Redis(
                host=host, port=int(port), socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
            ) as client:
                found = await client.info("replication")
        except RedisError as error:
            return f"{address} does not answer ({type(error).__name__})"
        primaries += found["role"] == "master"
        following += found.get("master_link_status") == "up"
    wanted = len(addresses) - 1
    return "" if (primaries, following) == (1, wanted) else f"{primaries} primaries, {following} of {wanted} replicas"


async def _changes(store: SessionStore) -> str:
    waiting = iter(range(_CHANGES))
    failed: list[str] = []

    async def work() -> None:
        for number in waiting:
            try:
                await store.session(f"whole:{number}").set("n", number)
            except GridSessionError as error:
                failed.append(type(error).__name__)
                return

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return f"changes are not acknowledged: {failed[0]}" if failed else ""


if __name__ == "__main__":
    asyncio.run(main())
