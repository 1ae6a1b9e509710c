"""`python -m tests.bench [--quick] [--json]`: one client process on one core, the servers on the other."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import random
import statistics
import sys
import time
from dataclasses import dataclass

from tests.bench._cases import Turn, grid_turn, grid_update, redis_lua
from tests.bench._places import client_cores, grid, on_cores, redis_server
from tests.bench._work import SESSIONS

CALLERS = (1, 16, 128)
BASE = "redis lua, no copy"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured stretch: turns per second, latencies in ms, the client's CPU in us a turn."""

    turns_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


async def measure(turn: Turn, callers: int, seconds: float) -> Figure:
    """Let so many callers do turns on random sessions, one after another each, for so long."""
    latencies: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds

    async def caller(seed: int) -> None:
        pick, number = random.Random(seed).randrange, 0
        while (began := clock()) < ends:
            await turn(pick(SESSIONS), number)
            latencies.append(clock() - began)
            number += 1

    gc.collect()
    began, cpu = clock(), time.process_time()
    await asyncio.gather(*(caller(seed) for seed in range(callers)))
    elapsed, used = clock() - began, time.process_time() - cpu
    latencies.sort()
    count = len(latencies)
    return Figure(count / elapsed, latencies[count // 2] * 1e3, latencies[int(count * 0.99)] * 1e3, used / count * 1e6)


async def run(quick: bool, url: str, port: int) -> dict[tuple[str, int], list[Figure]]:
    """All cases, interleaved, after a warm-up."""
    rounds, seconds, warm = (2, 1.0, 6.0) if quick else (5, 3.0, 15.0)
    figures: dict[tuple[str, int], list[Figure]] = {}
    async with contextlib.AsyncExitStack() as stack:
        cases = {
            BASE: await stack.enter_async_context(redis_lua(port)),
            "grid update, sync copy": await stack.enter_async_context(grid_update(url)),
            "grid turn, sync copy": await stack.enter_async_context(grid_turn(url)),
        }
        for name, turn in cases.items():
            print(f"warming up: {name}", file=sys.stderr)
            await measure(turn, 64, 1.0 if name == BASE else warm)
        for number in range(rounds):
            for callers in CALLERS:
                for name, turn in cases.items():
                    print(f"round {number + 1}/{rounds}: {name}, c={callers}", file=sys.stderr)
                    figures.setdefault((name, callers), []).append(await measure(turn, callers, seconds))
    return figures


def summary(figures: dict[tuple[str, int], list[Figure]]) -> list[dict[str, object]]:
    """The median of each case, its spread, and its ratio to the base case of the same run."""
    rows: list[dict[str, object]] = []
    for (name, callers), found in figures.items():
        rates = [each.turns_per_second for each in found]
        base = statistics.median(each.turns_per_second for each in figures[BASE, callers])
        rows.append(
            {
                "case": name,
                "callers": callers,
                "turns_per_second": round(statistics.median(rates)),
                "spread": f"{min(rates):.0f}-{max(rates):.0f}",
                "p50_ms": round(statistics.median(each.p50_ms for each in found), 2),
                "p99_ms": round(statistics.median(each.p99_ms for each in found), 2),
                "client_cpu_us": round(statistics.median(each.cpu_us for each in found), 1),
                "ratio": round(statistics.median(rates) / base, 2),
            }
        )
    return rows


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute instead of four")
    parser.add_argument("--json", action="store_true", help="one object on standard output instead of a table")
    options = parser.parse_args()
    with grid(2) as url, redis_server() as port, on_cores(client_cores()):
        try:
            import uvloop
        except ImportError:
            loop_factory, loop = asyncio.new_event_loop, "asyncio"
        else:
            loop_factory, loop = uvloop.new_event_loop, "uvloop"
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            rows = summary(runner.run(run(options.quick, url, port)))
    facts = {"python": platform.python_version(), "loop": loop, "cores": os.cpu_count(), "members": 2, "backups": 1}
    if options.json:
        print(json.dumps({"environment": facts, "cases": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print("| case | callers | turns/s (spread) | p50 ms | p99 ms | client CPU us | ratio to redis lua |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['case']} | {row['callers']} | {row['turns_per_second']} ({row['spread']}) | {row['p50_ms']} |"
            f" {row['p99_ms']} | {row['client_cpu_us']} | {row['ratio']} |"
        )


if __name__ == "__main__":
    main()
