"""Carrying out a plan: servers up, sessions made, warm-up, then rounds in which all cases take turns."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gridsession.cli._measuring import Figure
from tests.bench._cases import CASES
from tests.bench._places import Places
from tests.bench._plan import Pace, Part
from tests.bench._processes import Clients
from tests.bench._work import NotRun

_WARMING_CALLERS: Final = 64
_STEP: Final = 5.0
_QUICKER: Final = 1.1
_STEADY: Final = 2
"""Stretches of warm-up in a row that were hardly quicker than the best before them: then it is as quick as it gets."""


@dataclass(slots=True)
class Measured:
    """What one part brought: a figure for each round of each case and number of callers; and what was not run."""

    part: Part
    figures: dict[tuple[str, int], list[Figure]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def told(self, case: str) -> Iterator[None]:
        """What keeps a case from being run inside is told in its row; its figures do not count."""
        try:
            yield
        except NotRun as lacking:
            say(f"not run: {case}: {lacking}")
            self.not_run[case] = str(lacking)
            for found in [each for each in self.figures if each[0] == case]:
                del self.figures[found]


def say(text: str) -> None:
    """To whoever waits; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def run(parts: list[Part], pace: Pace, loop: str) -> list[Measured]:
    """All parts, one after another, each with servers of its own."""
    return [_part(part, pace, loop) for part in parts]


def _part(part: Part, pace: Pace, loop: str) -> Measured:
    measured = Measured(part)
    setting = part.setting
    say(
        f"sessions of {setting.size:,} B, {setting.sessions:,} of them, {setting.processes} client process(es):"
        f" about {part.seconds(pace) / 60:.1f} min"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Places(setting, Path(folder)) as places,
        Clients(setting, Path(folder), loop) as clients,
    ):
        for case in part.cases:
            with measured.told(case):
                _prepare(part, case, places, clients, pace)
        for number in range(pace.rounds):
            say(f"round {number + 1} of {pace.rounds}")
            for case, callers in part.stretches():
                if case not in measured.not_run:
                    with measured.told(case):
                        figure = clients.measure(case, callers, pace.seconds)
                        measured.figures.setdefault((case, callers), []).append(figure)
    return measured


def _prepare(part: Part, case: str, places: Places, clients: Clients, pace: Pace) -> None:
    chosen = CASES[case]
    if chosen.alone and part.setting.processes > 1:
        raise NotRun("sessions of one process only")
    for place in chosen.needs:
        places.need(place)
    say(f"making sessions and warming up: {case}")
    clients.open(case, places.addresses)
    callers, spent = min(_WARMING_CALLERS, chosen.most_callers), part.warm_up(case, pace)
    best, steady = clients.measure(case, callers, spent).turns_per_second, 0
    while chosen.jvm and steady < _STEADY and spent + _STEP <= pace.most_warm:
        rate = clients.measure(case, callers, _STEP).turns_per_second
        steady = steady + 1 if rate < best * _QUICKER else 0
        best = max(best, rate)
        spent += _STEP
