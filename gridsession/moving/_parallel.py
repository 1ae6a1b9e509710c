"""Several at a time, never more: one record after the other would be a round trip for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

AT_ONCE: Final = 32


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on all items, `AT_ONCE` at a time; the first error ends it."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.create_task(worker()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        # Whoever is being cancelled still uses the stores: they are closed only after it.
        await asyncio.gather(*workers, return_exceptions=True)
