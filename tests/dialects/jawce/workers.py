"""Processes that use session managers of their own on one place, and begin together.

A worker connects, says that it is ready, waits for a line, works, and says what came of it as a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gridsession.dialects.jawce import DEFAULT_PROP_KEY, SessionManager
from tests.dialects.jawce.engine import Engine

ROOT: Final = Path(__file__).parents[3]
TIMES: Final = 20


def handle(manager: SessionManager, number: int, bodies: list[dict[str, Any]]) -> list[list[str]]:
    """Handle webhooks; what became of the messages of each, and the answers that were sent."""
    sent: list[str] = []
    engine = Engine(manager, lambda user, stage: sent.append(f"{user} {stage}"), debounce=600)
    return [*(engine.handle(body) for body in bodies), sent]


def save_globals(manager: SessionManager, number: int, names: list[str]) -> None:
    """Save shared values."""
    for name in names:
        manager.save_global(name, {"by": number})


def progress(manager: SessionManager, number: int, user: str) -> list[str]:
    """Write one's own progress among others who do the same and who clear all but everybody's progress.

    What is given back is what was found lost.
    """
    mine, everybodys = f"progress{number}", [f"progress{other}" for other in range(9)]
    view, lost = manager.session(user), []
    for count in range(1, TIMES + 1):
        view.save_all({mine: count, f"junk{number}-{count}": "x"})
        view.save_prop(mine, count)
        if count % 4 == number:
            view.clear(retain_keys=everybodys)
        found = view.fetch_all()
        if (found.get(mine), found[DEFAULT_PROP_KEY].get(mine)) != (count, count):
            lost.append(f"{count} of {number}")
        if not manager.remember(user, f"{number}-{count}", keep=1000):
            lost.append(f"message {number}-{count}")
    return lost


JOBS: Final[dict[str, Callable[..., Any]]] = {job.__name__: job for job in (handle, save_globals, progress)}


@contextmanager
def started(url: str, namespace: str, count: int) -> Iterator[Callable[..., list[Any]]]:
    """So many workers; what is yielded has them all do a job at once and gives what came of it in each."""
    processes = [_start(url, namespace, number) for number in range(count)]
    try:
        yield lambda job, argument: _all_at_once(processes, job.__name__, argument)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _start(url: str, namespace: str, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.dialects.jawce.workers", url, namespace, str(number)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _all_at_once(processes: list[subprocess.Popen[str]], job: str, argument: object) -> list[Any]:
    assert [_hear(process) for process in processes] == ["ready"] * len(processes)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(json.dumps([job, argument]) + "\n")
        process.stdin.flush()
    return [_hear(process) for process in processes]


def _hear(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a worker ended: what it said stands above"
    return json.loads(line)


def main() -> None:
    """What a worker runs until its input ends."""
    url, namespace, number = sys.argv[1:]
    with SessionManager(url, namespace=namespace) as manager:
        _say("ready")
        for line in sys.stdin:
            job, argument = json.loads(line)
            _say(JOBS[job](manager, int(number), argument))
            _say("ready")


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
