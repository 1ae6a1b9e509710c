"""The client processes of a setting, seen from the one that conducts them."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from gridsession.cli._measuring import Figure
from tests.bench._places import client_cores
from tests.bench._work import NotRun, Setting

_ROOT: Final = Path(__file__).parents[2]
_ENDING: Final = 20.0


class Clients:
    """As many processes as the setting says; each order goes to all of them at once. A context manager."""

    def __init__(self, setting: Setting, folder: Path, loop: str) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        cores = client_cores(setting.processes)
        for number in range(setting.processes):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench._worker"],
                cwd=_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            self._processes.append(process)
            core = cores[number % len(cores)] if cores else None
            given: dict[str, Any] = {"number": number, "core": core, "loop": loop, "folder": str(folder), "places": {}}
            self._say(process, {**given, "setting": asdict(setting)})

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            try:
                process.wait(_ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def open(self, case: str, places: dict[str, str]) -> None:
        """Open a case in each process, in the first one first: that one makes the sessions.

        Raises:
            NotRun: it cannot be opened.
        """
        for process in self._processes:
            self._ask([process], {"do": "open", "case": case, "places": places})

    def measure(self, case: str, callers: int, seconds: float) -> Figure:
        """One stretch, of all processes together.

        Raises:
            NotRun: it failed.
        """
        order = {"do": "measure", "case": case, "callers": callers, "seconds": seconds}
        return together([Figure(**answer) for answer in self._ask(self._processes, order)])

    def _ask(self, processes: Sequence[subprocess.Popen[str]], order: dict[str, Any]) -> list[dict[str, Any]]:
        for process in processes:
            self._say(process, order)
        answers = [self._answer(process) for process in processes]
        for answer in answers:
            if "not_run" in answer:
                raise NotRun(answer["not_run"])
        return answers

    @staticmethod
    def _say(process: subprocess.Popen[str], what: dict[str, Any]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client process ended with {process.wait()}: see what it wrote above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def together(figures: Sequence[Figure]) -> Figure:
    """One figure for processes that ran at the same time: rates added, the worst p99, CPU by turns."""
    rate = sum(each.turns_per_second for each in figures)
    return Figure(
        rate,
        statistics.median(each.p50_ms for each in figures),
        max(each.p99_ms for each in figures),
        sum(each.cpu_us * each.turns_per_second for each in figures) / rate,
    )
