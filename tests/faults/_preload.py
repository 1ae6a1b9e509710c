"""Fills a place with sessions before a run: `python -m tests.faults._preload URL COUNT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from gridsession import Policy, SessionStore

_AT_ONCE: Final = 128


async def main(url: str, count: int) -> None:
    """Some 200 bytes each, in a namespace of their own; all acknowledged."""
    waiting = iter(range(count))
    text = "x" * 150
    async with SessionStore.open(url, namespace="preloaded", policy=Policy(ttl=86_400, deadline=30)) as store:

        async def work() -> None:
            for number in waiting:
                await store.session(f"line:U{number:08}").update(step="start", note=text)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
