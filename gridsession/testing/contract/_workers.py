"""Work done by many at once: as tasks of this process, or in processes of their own that begin together.

Such a process reads jobs as lines of JSON, connects, says `ready`, waits for a line, works, and says what it was told.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from gridsession import ABSENT, SessionStore, Turn
from gridsession.drivers import Reach, driver_class, parse_url
from gridsession.hooks import Hooks

if TYPE_CHECKING:
    from gridsession.testing.contract._place import Place

_WAIT: Final = 50
_READY: Final = "ready"


async def _increment(store: SessionStore, name: str, times: int, number: int) -> list[int]:
    await asyncio.gather(*(store.session(name).increment("n") for _ in range(times)))
    return []


async def _turn(store: SessionStore, name: str, times: int, number: int) -> list[int]:
    async def one() -> None:
        async with store.turn(name, wait=_WAIT) as turn:
            turn.state["n"] = turn.state.get("n", 0) + 1

    await asyncio.gather(*(one() for _ in range(times)))
    return []


async def _run(store: SessionStore, name: str, times: int, number: int) -> list[int]:
    async def handler(turn: Turn) -> None:
        turn.state["n"] = turn.state.get("n", 0) + 1

    await asyncio.gather(*(store.run(name, handler, wait=_WAIT) for _ in range(times)))
    return []


async def _update(store: SessionStore, name: str, times: int, number: int) -> list[int]:
    fields = ({f"w{number}-{count}": count} for count in range(times))
    await asyncio.gather(*(store.session(name).update(field) for field in fields))
    return []


async def _global(store: SessionStore, name: str, times: int, number: int) -> list[int]:
    await asyncio.gather(*(store.globals.increment(name) for _ in range(times)))
    return []


def _told(ask: Callable[[SessionStore, str, int], Awaitable[Any]]) -> Callable[..., Awaitable[list[int]]]:
    """Ask for each of many things at once; those that were answered yes."""

    async def work(store: SessionStore, name: str, times: int, number: int) -> list[int]:
        answers = await asyncio.gather(*(ask(store, name, count) for count in range(times)))
        return [count for count, answer in enumerate(answers) if answer is not None and answer is not False]

    return work


JOBS: Final[dict[str, Callable[..., Awaitable[list[int]]]]] = {
    "increment": _increment,
    "turn": _turn,
    "run": _run,
    "update": _update,
    "global": _global,
    "remember": _told(lambda store, name, count: store.session(name).remember(count)),
    "take": _told(lambda store, name, count: store.session(name).take(f"ticket{count}")),
    "allow": _told(lambda store, name, count: store.session(name).allow(f"gate{count}", every=3600)),
    "create": _told(lambda store, name, count: store.session(name).compare_and_set(f"new{count}", ABSENT, 1)),
}


class Workers:
    """Processes that do jobs together; started when first asked for, and kept: starting one costs a second."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    async def run(self, count: int, *asked: str | int) -> list[list[int]]:
        """Have so many processes do a job at once; what each was told."""
        self._processes += [_started() for _ in range(count - len(self._processes))]
        chosen = self._processes[:count]
        for number, process in enumerate(chosen):
            _say(process, [*asked, number])
        assert await _hear(chosen) == [_READY] * count
        # All are connected: now they begin together.
        for process in chosen:
            _say(process, "go")
        return await _hear(chosen)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.communicate()
        self._processes.clear()


def _started() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _say(process: subprocess.Popen[str], what: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


async def _hear(processes: list[subprocess.Popen[str]]) -> list[Any]:
    def line(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        text = process.stdout.readline()
        assert text, "a worker ended: what it said stands above"
        return json.loads(text)

    return list(await asyncio.gather(*(asyncio.to_thread(line, process) for process in processes)))


async def run_everywhere(place: Place, workers: int, job: str, name: str, times: int) -> list[list[int]]:
    """Do a job `times` times in each of so many workers; what each was told."""
    if place.promise.atomic is Reach.PROCESS or workers == 1:
        stores = [await place.store(driver=await place.in_real_time()) for _ in range(workers)]
        return list(await asyncio.gather(*(JOBS[job](store, name, times, n) for n, store in enumerate(stores))))
    return await place.workers.run(workers, place.worker_url, place.namespace, job, name, times)


async def _work() -> None:
    url, driver = "", None
    while line := await asyncio.to_thread(sys.stdin.readline):
        wanted, namespace, job, name, times, number = json.loads(line)
        if wanted != url:
            if driver is not None:
                await driver.aclose()
            address = parse_url(wanted)
            url, driver = wanted, driver_class(address.scheme).from_address(address, Hooks())
        async with SessionStore.open(driver=driver, namespace=namespace) as store:
            await _answer(_READY)
            await _answer(await JOBS[job](store, name, times, number))
    if driver is not None:
        await driver.aclose()


async def _answer(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
    if what == _READY:
        await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    """What a worker process runs: jobs from standard input until it ends."""
    asyncio.run(_work())
