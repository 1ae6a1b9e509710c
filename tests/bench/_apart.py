"""`python -m tests.bench._apart [--sessions N]`: what costs no turn: reading a global, and sessions that rest.

One client process and members of their own; what each figure counts stands at its name in `Apart`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from gridsession import Policy, SessionStore
from gridsession._identity import Space
from gridsession._record import Record
from gridsession.cli._measuring import change, session, session_id
from gridsession.drivers.hazelcast._seam import data
from gridsession.drivers.hazelcast._wire import key_data, records_map
from gridsession.errors import GridSessionError
from gridsession.hooks import CommandDone, Event
from gridsession.node.java import find_java
from gridsession.testing.local_grid import LocalGrid
from tests.bench._cases_grid import connected
from tests.bench._environment import loop_factory, loop_name
from tests.bench._places import MEMBERS, client_cores, heap_megabytes, on_servers_core
from tests.bench._work import TTL, NotRun, Setting

HANDLES: Final = 10_000
_NAMESPACE: Final = "apart"
_ROOT: Final = Path(__file__).parents[2]
_READS: Final = 20_000
_ROUNDS: Final = 7
_DEADLINE: Final = 10.0
_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Apart:
    """The figures.

    Attributes:
        global_us, call_us: client CPU of reading a global, and of awaiting a coroutine that does nothing.
        global_trips: commands sent for all those reads.
        handles: sessions that were loaded once and then rest, their handles held.
        idle_us, quiet_us: client CPU in a second with them, and of the same store before there were any.
        sessions: of 1 KB, made to see what they take.
        heap_bytes: live heap of all members together that each of them takes, its copy included.
        record_bytes: of one such session, after a second change.
        head_bytes: of them those that are not fields: header and ring.
        remembered: op ids in that ring.
    """

    global_us: float
    call_us: float
    global_trips: int
    handles: int
    idle_us: float
    quiet_us: float
    sessions: int
    heap_bytes: float
    record_bytes: int
    head_bytes: int
    remembered: int


def measured(loop: str, sessions: int = 50_000, seconds: float = 10.0) -> Apart:
    """Start members and a client, and measure.

    Raises:
        NotRun: something that it takes is missing, or failed.
    """
    # Nothing is hurried here, and a smaller heap is looked through sooner.
    memory = f"{heap_megabytes(Setting(sessions=sessions)) - 384}m"
    core = next(iter(client_cores(1)), None)
    given: dict[str, Any] = {"sessions": sessions, "seconds": seconds, "loop": loop, "core": core}
    with contextlib.ExitStack() as stack:
        try:
            with on_servers_core():
                grid = stack.enter_context(LocalGrid(MEMBERS, jvm_options=(), memory=memory))
        except GridSessionError as error:
            raise NotRun(f"no members: {error}") from None
        given |= {"url": grid.url, "pids": [grid.pid(number) for number in range(MEMBERS)]}
        client = subprocess.run(
            [sys.executable, "-m", "tests.bench._apart", "--client", json.dumps(given)],
            cwd=_ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    if client.returncode:
        raise NotRun("the client of these figures failed: see what it wrote above")
    answer = json.loads(client.stdout)
    if "not_run" in answer:
        raise NotRun(answer["not_run"])
    return Apart(**answer)


# --- the client -----------------------------------------------------------------------------------------------------


async def _client(given: dict[str, Any]) -> Apart:
    commands: list[str] = []

    def count(event: Event) -> None:
        if isinstance(event, CommandDone):
            commands.append(event.command)

    policy = Policy(ttl=TTL, deadline=_DEADLINE)
    async with SessionStore.open(given["url"], policy=policy, namespace=_NAMESPACE, hooks=[count]) as store:
        # The members' code is loaded and the connections stand before anything is counted.
        await _each(range(500), lambda index: store.session(session_id(index, "f")).update(session(index)))
        quiet = await _cpu(given["seconds"])
        before = live_heap(given["pids"])
        await _each(range(given["sessions"]), lambda index: store.session(session_id(index)).update(session(index)))
        heap = (live_heap(given["pids"]) - before) / given["sessions"]
        handles = [store.session(session_id(index)) for index in range(min(HANDLES, given["sessions"]))]
        await _each(range(len(handles)), lambda index: handles[index].load())
        idle = await _cpu(given["seconds"])
        await handles[0].update(change(1))
        return Apart(
            **await _globals(store, commands),
            handles=len(handles), idle_us=idle, quiet_us=quiet,
            sessions=given["sessions"], heap_bytes=heap, **await _record(given["url"], session_id(0)),
        )  # fmt: skip


async def _each(indexes: Sequence[int], make: Callable[[int], Awaitable[object]]) -> None:
    left = iter(indexes)

    async def maker() -> None:
        for index in left:
            await make(index)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(maker())


async def _cpu(seconds: float) -> float:
    """Microseconds of this process in a second in which it is asked nothing."""
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - began) * 1e6


async def _globals(store: SessionStore, commands: list[str]) -> dict[str, Any]:
    await store.globals.set("price", 42)
    assert await store.globals.get("price") == 42
    before = len(commands)

    async def nothing(name: str) -> None:
        pass

    reads, calls = [], []
    for _ in range(_ROUNDS):
        reads.append(await _each_us(store.globals.get))
        calls.append(await _each_us(nothing))
    return {
        "global_us": statistics.median(reads),
        "call_us": statistics.median(calls),
        "global_trips": len(commands) - before,
    }


async def _each_us(read: Callable[[str], Awaitable[object]]) -> float:
    used = time.process_time()
    for _ in range(_READS):
        await read("price")
    return (time.process_time() - used) / _READS * 1e6


async def _record(url: str, session: str) -> dict[str, int]:
    async with connected(url) as client:
        records: Any = await client.get_map(records_map(Space(_NAMESPACE)))
        raw = bytes(await records.get(data(key_data(session))))
    record = Record.decode(raw)
    head = len(replace(record, bags=Record("x").bags).encode())
    return {"record_bytes": len(raw), "head_bytes": head, "remembered": len(record.ring)}


# --- the members' heaps ---------------------------------------------------------------------------------------------


def live_heap(pids: Sequence[int]) -> int:
    """Bytes of all objects that are reachable, in these JVMs together.

    Raises:
        NotRun: this Java has no jcmd.
    """
    beside = find_java().executable.with_name("jcmd")
    jcmd = str(beside) if beside.exists() else shutil.which("jcmd")
    if jcmd is None:
        raise NotRun("no jcmd beside java nor on PATH: it counts what is live in the members' heaps")
    return sum(total(subprocess.check_output([jcmd, str(pid), "GC.class_histogram"], text=True)) for pid in pids)


def total(histogram: str) -> int:
    """The bytes of all objects in what `jcmd GC.class_histogram` says."""
    found = re.search(r"^Total\s+\d+\s+(\d+)", histogram, re.MULTILINE)
    if found is None:
        raise NotRun("jcmd gives no histogram of the members' heaps")
    return int(found[1])


def _main_of_client(given: dict[str, Any]) -> None:
    if given["core"] is not None:
        os.sched_setaffinity(0, {given["core"]})
    try:
        with asyncio.Runner(loop_factory=loop_factory(given["loop"])) as runner:
            answer = asdict(runner.run(_client(given)))
    except NotRun as lacking:
        answer = {"not_run": str(lacking)}
    print(json.dumps(answer))


def main() -> None:
    """These figures alone, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench._apart", description=__doc__)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of rest, each time")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        _main_of_client(json.loads(options.client))
        return
    print(json.dumps(asdict(measured(loop_name("uvloop"), options.sessions, options.seconds)), indent=1))


if __name__ == "__main__":
    main()
