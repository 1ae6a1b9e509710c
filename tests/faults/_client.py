"""One client process: runs workloads at once until SIGTERM, recording every call; or looks at every key at the end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from gridsession import Policy, SessionStore
from gridsession.drivers import Driver
from gridsession.errors import Unavailable
from gridsession.policy import milliseconds
from tests.faults.history import History
from tests.faults.workloads import WORKLOADS, Caller, Run, Workload
from tests.faults.workloads.expired import Expired

TTL: Final = 8 * 3600.0
"""Seconds; longer than any run, so that only what is meant to expire does."""
_AGAIN: Final = 0.5
"""Seconds from an opening that was refused to the next."""
_LOOKS: Final = 16
"""Keys looked at, at the same time."""


_TOLD: Final = Expired()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; prints `ready` when calls begin, and at the end what they came to, as JSON."""
    asked = _parser().parse_args(arguments)
    # Who is asked to end before the store is open, as where it is cut off from its start, has nothing to finish.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    names = list(WORKLOADS) if asked.workloads == "all" else asked.workloads.split(",")
    _say(json.dumps(asyncio.run(_client(asked, names))))


async def _client(asked: argparse.Namespace, names: Sequence[str]) -> dict[str, int]:
    history = History(asked.history)
    try:
        async with contextlib.AsyncExitStack() as stores:
            opening = partial(open_store, asked.url, namespace=asked.namespace, deadline=asked.deadline)
            store = await _opened(stores, opening)
            run = Run(store, history, asked.client, asked.seed, period=asked.period, cancel=asked.cancel)
            announce(run, stores, asked.url)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, run.stopping.set)
            _say("ready")
            if asked.final:
                await look(run, keys_of(asked.keys_of or [asked.history]), asked.look)
            else:
                await work(run, [WORKLOADS[name] for name in names], asked.callers, asked.seconds)
        history.note("stopped", run.counts)
        return run.counts
    finally:
        history.close()


async def _opened(stores: contextlib.AsyncExitStack, store: Callable[[], SessionStore]) -> SessionStore:
    """The store; tried again, as by a supervisor, while a fault makes the servers unfit to be used."""
    while True:
        try:
            return await stores.enter_async_context(store())
        except Unavailable as error:
            sys.stderr.write(f"not opened: {error}\n")
            await asyncio.sleep(_AGAIN)


def open_store(
    url: str | None = None, *, namespace: str = "faults", deadline: float = 10.0, driver: Driver | None = None
) -> SessionStore:
    """A store as the workloads expect it."""
    return SessionStore.open(url, driver=driver, namespace=namespace, policy=_policy(deadline))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _policy(deadline: float, *, announce: bool = False) -> Policy:
    return Policy(ttl=TTL, deadline=deadline, wait=deadline, announce_expiry=announce)


def announce(run: Run, stores: contextlib.AsyncExitStack, url: str | None, driver: Driver | None = None) -> None:
    """Have the run open, when it is first asked for, a namespace whose sessions' end is told; closed with the rest."""
    opened: list[asyncio.Future[SessionStore]] = []

    async def announced() -> SessionStore:
        if not opened:
            policy = _policy(_deadline(run.store), announce=True)
            store = partial(
                SessionStore.open, url, driver=driver, namespace=f"{run.store.namespace}-announced", policy=policy
            )
            opened.append(asyncio.ensure_future(_opened(stores, store)))
        # One caller's cancellation is not the others'.
        return await asyncio.shield(opened[0])

    run.announced = announced


async def work(run: Run, workloads: Sequence[Workload], callers: int | None, seconds: float | None) -> None:
    """Run the workloads at once until the run is stopped, or for so long; every call under way is ended.

    Args:
        callers: how many in all, shared out among the workloads; None = as many as they ask for.
        seconds: None = until `run.stopping` is set.
    """
    limits = {f: more for workload in workloads for f, more in workload.f_limits.items()}
    deadline = _deadline(run.store)
    run.history.note("run", {"client": run.client, "pid": os.getpid(), "seed": run.seed, "deadline": deadline,
                             "limits": limits, "workloads": [workload.name for workload in workloads]})  # fmt: skip
    shared = _shared(workloads, callers)
    tasks = [
        asyncio.ensure_future(Caller(run, workload, number).work()) for number, workload in enumerate(shared, start=1)
    ]
    stopped = asyncio.ensure_future(run.stopping.wait())
    try:
        await asyncio.wait({stopped, *tasks}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        run.stopping.set()
        # Each call ends by its own deadline; a task that does not is told by the lines that are missing.
        ended, hung = await asyncio.wait(tasks, timeout=6 * deadline)
        for task in ended:
            task.result()
        run.history.note("hung", len(hung))
    finally:
        stopped.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait([*tasks, stopped])


def _deadline(store: SessionStore) -> float:
    return milliseconds(store.policy.deadline, "deadline") / 1000


def _shared(workloads: Sequence[Workload], callers: int | None) -> list[Workload]:
    """One workload for each caller, every workload at least once."""
    shares = [workload for workload in workloads for _ in range(workload.share)]
    if callers is None:
        return shares
    rest = max(callers - len(workloads), 0)
    return [*workloads, *(shares[index * len(shares) // rest] for index in range(rest))]


async def look(run: Run, keys: Sequence[str], number: int) -> None:
    """Look at every key, numbered so that several looks can be compared."""
    run.history.note("look", {"client": run.client, "pass": number, "keys": len(keys)})
    told = [key for key in keys if key.startswith(f"{_TOLD.name}:")]
    if told and number == 1:
        await _TOLD.listen(Caller(run, _TOLD, 999), until_quiet=True)
        run.history.note("listened", {"client": run.client})
    waiting = iter(keys)

    async def looker(which: int) -> None:
        for key in waiting:
            workload = WORKLOADS[key.partition(":")[0]]
            await workload.look(Caller(run, workload, which), key, number)

    await asyncio.gather(*(looker(which) for which in range(900, 900 + _LOOKS)))


def keys_of(paths: Sequence[Path | str]) -> list[str]:
    """Every key that these histories name, in their order; of a line cut off by a kill, nothing."""
    keys: dict[str, None] = {}
    for path in paths:
        with Path(path).open(encoding="utf-8") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    keys[json.loads(line)["key"]] = None
    return [key for key in keys if key]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults._client", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--namespace", default="faults")
    parser.add_argument("--workloads", default="all", help=f"some of {','.join(WORKLOADS)}; or all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--client", type=int, default=os.getpid(), help="a number no other client of this run has")
    parser.add_argument("--history", required=True, help="the file that lines are added to")
    parser.add_argument("--callers", type=int, help="tasks that call, in all; default: what the workloads ask for")
    parser.add_argument("--seconds", type=float, help="stop after so long; default: at SIGTERM")
    parser.add_argument("--period", type=float, default=30.0, help="seconds until fresh sessions; equal in all clients")
    parser.add_argument("--deadline", type=float, default=10.0, help="seconds one call may take")
    parser.add_argument("--cancel", type=float, default=0.0, help="share of steps cancelled on their way")
    parser.add_argument("--final", action="store_true", help="look at every key instead")
    parser.add_argument("--look", type=int, default=1, help="with --final: number of this look, from 1")
    parser.add_argument("--keys-of", action="append", help="with --final: histories that name the keys; repeatable")
    return parser


if __name__ == "__main__":
    main()
