"""A worker for the test of a move: turns and globals until it is told to stop, and a file with what was acknowledged.

    python -m tests.moving.counting_bot URL RESULT STOP_FILE SEED

It ends when STOP_FILE is there, or after a while, having finished what it was at; then RESULT is written, whole.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from gridsession import Policy, SessionStore
from gridsession.errors import GridSessionError

SESSIONS = 60
AT_ONCE = 4
LONGEST = 90.0


async def work(url: str, stop: Path, seed: int) -> dict[str, object]:
    """Count turns; delete a session now and then."""
    turns, deleted, failed = Counter[str](), list[str](), list[str]()
    choice = random.Random(seed)
    ends = time.monotonic() + LONGEST

    async def worker(number: int) -> None:
        count = 0
        while not stop.exists() and time.monotonic() < ends:  # noqa: ASYNC240 - a look at a file takes no time
            name = f"line:{choice.randrange(SESSIONS)}"
            try:
                async with store.turn(name, message=f"{seed}-{number}-{count}") as turn:
                    turn.state["count"] = turn.state.get("count", 0) + 1
                turns[name] += 1
                count += 1
                # Sessions that were there before the move, and end while it goes on.
                if count % 10 == 0 and await store.session(f"short:{number}-{count // 10}").delete():
                    deleted.append(f"short:{number}-{count // 10}")
                # Some hundred messages a second, and time for others.
                await asyncio.sleep(0.02)
            except GridSessionError as error:
                failed.append(f"{type(error).__name__}: {error}")

    async with SessionStore.open(url, namespace="shop", policy=Policy(ttl=3600)) as store:
        await asyncio.gather(*map(worker, range(AT_ONCE)))
        await store.globals.set(f"worker-{seed}", sum(turns.values()))
    return {"turns": turns, "deleted": deleted, "failed": failed}


if __name__ == "__main__":
    _, url, result, stop, seed = sys.argv
    told = json.dumps(asyncio.run(work(url, Path(stop), int(seed))))
    made = Path(result + ".new")
    made.write_text(told)
    made.replace(result)
