"""`python -m tests.bench.pauses [--memory 1g]`: how long each of the JVM's collectors stops members that hold sessions.

Two members, filled with sessions of about 1 KB, which 64 callers then update at random. Each line is one collector
with grids of its own: what the callers saw, the pauses that the members logged while they were called (`-Xlog:gc`), and
the most memory that a member's process took, the heap included.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
import time
from pathlib import Path
from typing import Final

from gridsession import Policy, SessionStore
from gridsession.testing.local_grid import LocalGrid

CALLERS: Final = 64
COLLECTORS: Final = {"serial": ("-XX:-UseG1GC", "-XX:+UseSerialGC"), "G1": ("-XX:-UseSerialGC", "-XX:+UseG1GC")}
_PAUSE: Final = re.compile(r"Pause.* ([\d.]+)ms")


async def _updated(url: str, sessions: int, seconds: float) -> list[float]:
    """ms of each update, in order of length."""
    taken: list[float] = []
    async with SessionStore.open(url, policy=Policy(ttl=3600)) as store:
        names = iter([f"line:{number}" for number in range(sessions)])

        async def fill() -> None:
            for name in names:
                await store.session(name).set("text", "x" * 900)

        async def update(until: float) -> None:
            while time.perf_counter() < until:
                start = time.perf_counter()
                await store.session(f"line:{random.randrange(sessions)}").update(step=random.random(), again=1)
                taken.append((time.perf_counter() - start) * 1_000)

        await asyncio.gather(*(fill() for _ in range(CALLERS)))
        until = time.perf_counter() + seconds
        await asyncio.gather(*(update(until) for _ in range(CALLERS)))
    return sorted(taken)


def _most_memory(pid: int) -> int:
    """MB that the process has held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def measured(collector: str, memory: str, sessions: int, seconds: float) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        options = (*COLLECTORS[collector], f"-Xlog:gc:file={folder}/%p.log")
        with LocalGrid(2, memory=memory, jvm_options=options) as grid:
            taken = asyncio.run(_updated(grid.url, sessions, seconds))
            logs = list(Path(folder).iterdir())
            most = max(_most_memory(int(log.stem)) for log in logs)
            found = [[float(pause) for pause in _PAUSE.findall(log.read_text())] for log in logs]
    pauses = [pause for each in found for pause in each]
    long = sum(pause > 200 for pause in pauses)
    p50, p999 = taken[len(taken) // 2], taken[len(taken) * 999 // 1000]
    return (
        f"| {collector} | {len(taken) / seconds:,.0f} | {p50:.1f} | {p999:.0f} | {taken[-1]:.0f} | {len(pauses)}, "
        f"{sum(pauses) / 1000:.1f} s | {long} | {max(pauses):.0f} | {most} |"
    )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pauses", description=__doc__)
    parser.add_argument("--memory", default="1g", help="heap of each member (%(default)s)")
    parser.add_argument("--sessions", type=int, default=330_000, help="sessions in the grid (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="how long they are updated (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="grids of each collector, in turn (%(default)s)")
    options = parser.parse_args()
    print("| collector | updates/s | p50 ms | p99.9 ms | max ms | pauses of both | over 200 ms | longest, ms | MB |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for _ in range(options.rounds):
        for collector in COLLECTORS:
            print(measured(collector, options.memory, options.sessions, options.seconds), flush=True)


if __name__ == "__main__":
    main()
