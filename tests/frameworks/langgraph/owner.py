"""A process of its own: `count` runs a graph some times, each time owning the thread; `hold` owns one until told on."""

from __future__ import annotations

import asyncio
import sys

from gridsession import SessionStore
from gridsession.dialects.langgraph import GridSaver
from gridsession.errors import GridSessionError
from tests.frameworks.langgraph.graphs import at, checkpoint, counting


async def count(saver: GridSaver, name: str, times: int) -> None:
    """Run a graph on thread `shared`, that many times."""
    graph = counting(saver)
    for _ in range(times):
        async with saver.aown("shared"):
            await graph.ainvoke({"names": [name]}, at("shared"))


async def hold(saver: GridSaver) -> None:
    """Own thread `held`, write once, and again when a line comes; say what became of it."""
    try:
        async with saver.aown("held"):
            config = await saver.aput(at("held"), checkpoint(by="the first owner"), {"step": 0}, {})
            sys.stdout.write("owning\n")
            sys.stdout.flush()
            sys.stdin.readline()  # blocks on purpose: nothing of this process runs meanwhile, renewal neither
            try:
                await saver.aput(config, checkpoint(by="the first owner, late"), {"step": 1}, {})
            except GridSessionError as error:
                sys.stdout.write(f"put: {type(error).__name__}\n")
    except GridSessionError as error:
        sys.stdout.write(f"end: {type(error).__name__}\n")


async def main() -> None:
    """Arguments: url, namespace, and what to do."""
    url, namespace, *what = sys.argv[1:]
    async with SessionStore.open(url, namespace=namespace) as store:
        if what[0] == "count":
            await count(GridSaver(store, wait=60), what[1], int(what[2]))
        else:
            await hold(GridSaver(store, lease=0.5))


if __name__ == "__main__":
    asyncio.run(main())
