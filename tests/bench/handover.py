"""`python -m tests.bench.handover [--quick] [--json]`: how long a session stands free between two processes' turns.

Processes take turns on the same sessions of a grid of three members, each waiting again as soon as it is done. A
hand-over lasts from the moment a turn's block ends in one process, its commit not yet sent, to the moment the next turn
is entered in another one; both by CLOCK_MONOTONIC, which processes of a machine share. It holds two round trips at
least, the commit that frees and the load that takes; so the time of a turn's commit, taken in the same stretch by the
same processes, stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from gridsession import Policy, SessionStore
from gridsession.testing.local_grid import LocalGrid

ROOT: Final = Path(__file__).parents[2]
WARM: Final = "warm-up"


@dataclass(frozen=True, slots=True)
class Case:
    """So many processes on so many sessions, each turn held for so many ms."""

    name: str
    processes: int
    sessions: int
    hold_ms: float


CASES: Final = (
    Case("2 processes, 1 session", 2, 1, 0),
    Case("4 processes, 1 session", 4, 1, 0),
    Case("16 processes, 1 session", 16, 1, 0),
    Case("2 processes, 1 session, held 50 ms", 2, 1, 50),
    Case("4 processes, 1 session, held 50 ms", 4, 1, 50),
    Case("16 processes, 1 session, held 50 ms", 16, 1, 50),
    Case("4 processes, 20 sessions, held 50 ms", 4, 20, 50),
    Case("16 processes, 20 sessions, held 200 ms", 16, 20, 200),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What one stretch of a case showed, in ms but for the first."""

    per_second: float
    p50: float
    p99: float
    most: float
    commit: float


# --- a process that takes turns -------------------------------------------------------------------------------------


async def _work(url: str, namespace: str, case: Case, seconds: float) -> list[list[Any]]:
    """Take turns on every session of the case, and note of each: session, number, entered, left, committed (ns)."""
    clock = time.monotonic_ns
    seen: list[list[Any]] = []

    async def on(store: SessionStore, session: int) -> None:
        name = f"bench:{session}"
        while clock() < ends:
            async with store.turn(name, wait=60) as turn:
                entered = clock()
                number = turn.state["n"] = turn.state.get("n", 0) + 1
                if case.hold_ms:
                    await asyncio.sleep(case.hold_ms / 1000)
                left = clock()
            seen.append([session, number, entered, left, clock()])

    async with SessionStore.open(url, namespace=namespace, policy=Policy(ttl=600)) as store:
        await store.session("bench:0").exists()
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        ends = clock() + int(seconds * 1e9)
        await asyncio.gather(*(on(store, session) for session in range(case.sessions)))
    return seen


def _worker(arguments: str) -> None:
    asked = json.loads(arguments)
    with asyncio.Runner(loop_factory=_loop()[1]) as runner:
        seen = runner.run(_work(asked["url"], asked["namespace"], Case(**asked["case"]), asked["seconds"]))
    # Buffered whatever the interpreter was told: unbuffered, what a pipe does not take at once is lost.
    with open(1, "w", encoding="utf-8", closefd=False) as out:
        json.dump(seen, out)


def _loop() -> tuple[str, Any]:
    try:
        import uvloop
    except ImportError:
        return "asyncio", asyncio.new_event_loop
    return "uvloop", uvloop.new_event_loop


# --- all of them ----------------------------------------------------------------------------------------------------


def measure(url: str, case: Case, seconds: float, namespace: str) -> Figure:
    """Let the processes of a case take turns for so long."""
    facts = {name: getattr(case, name) for name in Case.__slots__}
    asked = json.dumps({"url": url, "namespace": namespace, "case": facts, "seconds": seconds})
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.handover", "--worker", asked],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(case.processes)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise SystemExit("a process of the benchmark did not start; its error is above")
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        turns = [
            [number, *turn] for number, worker in enumerate(workers) for turn in json.loads(worker.communicate()[0])
        ]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
    return _figure(turns, seconds)


def _figure(turns: list[list[Any]], seconds: float) -> Figure:
    """Hand-overs between processes, by the number each turn gave itself under the lease."""
    turns.sort(key=lambda turn: turn[1:3])
    found, commits = [], []
    for before, after in pairwise(turns):
        commits.append((before[5] - before[4]) / 1e6)
        if before[1] != after[1]:
            continue
        if after[2] != before[2] + 1 or after[3] < before[4]:
            raise SystemExit("two turns of one session overlapped, or one was lost: measure nothing, find out why")
        if before[0] != after[0]:
            found.append((after[3] - before[4]) / 1e6)
    found.sort()
    return Figure(
        len(found) / seconds,
        statistics.median(found),
        found[int(len(found) * 0.99)],
        found[-1],
        statistics.median(commits),
    )


def run(url: str, cases: tuple[Case, ...], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The medians of all rounds, the cases taking turns."""
    print(WARM, file=sys.stderr)
    measure(url, Case(WARM, 4, 8, 0), seconds * 3, WARM)
    figures: dict[str, list[Figure]] = {}
    for number in range(rounds):
        for index, case in enumerate(cases):
            print(f"round {number + 1}/{rounds}: {case.name}", file=sys.stderr)
            figures.setdefault(case.name, []).append(measure(url, case, seconds, f"bench-{number}-{index}"))
    return [
        {
            "case": name,
            "handovers_per_second": round(statistics.median(each.per_second for each in found)),
            "p50_ms": round(statistics.median(each.p50 for each in found), 2),
            "spread": f"{min(each.p50 for each in found):.2f}-{max(each.p50 for each in found):.2f}",
            "p99_ms": round(statistics.median(each.p99 for each in found), 2),
            "max_ms": round(max(each.most for each in found), 1),
            "commit_ms": round(statistics.median(each.commit for each in found), 2),
        }
        for name, found in figures.items()
    ]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.handover", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 2 s instead of three of 4 s")
    parser.add_argument("--json", action="store_true", help="one object on standard output instead of a table")
    parser.add_argument("--case", type=int, action="append", help="only the case of this number, from 0; may repeat")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _worker(options.worker)
        return
    cases = CASES if options.case is None else tuple(CASES[number] for number in options.case)
    with LocalGrid(3, jvm_options=(), memory="256m") as grid:
        rows = run(grid.url, cases, *((1, 2.0) if options.quick else (3, 4.0)))
    load = os.getloadavg()[0]
    facts = {
        "python": platform.python_version(),
        "loop": _loop()[0],
        "cores": os.cpu_count(),
        "members": 3,
        "backups": 1,
    }
    if options.json:
        print(json.dumps({"environment": facts | {"load": round(load, 1)}, "cases": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()), f"load {load:.1f}", sep=", ")
    print("| case | hand-overs/s | p50 ms (spread) | p99 ms | max ms | a commit, p50 ms |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['case']} | {row['handovers_per_second']} | {row['p50_ms']} ({row['spread']}) | {row['p99_ms']} |"
            f" {row['max_ms']} | {row['commit_ms']} |"
        )


if __name__ == "__main__":
    main()
