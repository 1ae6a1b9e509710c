"""`python -m tests.bench [--quick] [--json]`: one client process on one core, the servers on the other."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sys
from dataclasses import asdict

from gridsession.cli._measuring import Figure, Median, measure
from tests.bench._cases import SESSIONS, grid_turn, grid_update, redis_lua
from tests.bench._places import client_cores, grid, on_cores, redis_server

CALLERS = (1, 16, 128)
BASE = "redis lua, no copy"


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
            await measure(turn, callers=64, seconds=1.0 if name == BASE else warm, sessions=SESSIONS)
        for number in range(rounds):
            for callers in CALLERS:
                for name, turn in cases.items():
                    print(f"round {number + 1}/{rounds}: {name}, c={callers}", file=sys.stderr)
                    figure = await measure(turn, callers=callers, seconds=seconds, sessions=SESSIONS)
                    figures.setdefault((name, callers), []).append(figure)
    return figures


def summary(figures: dict[tuple[str, int], list[Figure]]) -> list[dict[str, object]]:
    """The medians of each case, and its ratio to the base case of the same run."""
    medians = {case: Median.of(found) for case, found in figures.items()}
    return [
        {
            "case": name,
            "callers": callers,
            **asdict(median),
            "ratio": round(median.turns_per_second / medians[BASE, callers].turns_per_second, 2),
        }
        for (name, callers), median in medians.items()
    ]


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
            f"| {row['case']} | {row['callers']} | {row['turns_per_second']} ({row['slowest']}-{row['quickest']}) |"
            f" {row['p50_ms']} | {row['p99_ms']} | {row['cpu_us']} | {row['ratio']} |"
        )


if __name__ == "__main__":
    main()
