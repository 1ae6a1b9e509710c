"""What a run measures, and how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from tests.bench._cases import CASES, ECHO, LOOP, QUICK, REDIS
from tests.bench._places import MEMBERS
from tests.bench._work import KILOBYTE, Setting

CALLERS: Final = (1, 16, 128)
SESSIONS: Final = 10_000
_MOST_BYTES: Final = 64 * KILOBYTE * KILOBYTE
"""Of all sessions of a setting together, unless their number was asked for."""
_COMPARED: Final = (ECHO, REDIS, "grid-update", "grid-turn")
_SHORT_WARM: Final = 1.0
"""Seconds of warm-up of what no JVM answers."""
_FILLED: Final = 3_000
"""Sessions of a kilobyte made in a second, in a place; slower than any place but the disk's."""
_START: Final = {"grid": 4.0 * MEMBERS, "mongo": 8.0, "redis-pair": 3.0}


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, s: `rounds` stretches of `seconds` each, after `warm` for what a JVM answers.

    That goes on while it gets quicker, until `most_warm`: JVMs that share a core with their compilers take a minute.
    """

    rounds: int = 5
    seconds: float = 2.0
    warm: float = 10.0
    most_warm: float = 60.0


FULL: Final = Pace()
QUICK_PACE: Final = Pace(rounds=3, seconds=1.0, warm=3.0, most_warm=3.0)


@dataclass(frozen=True, slots=True)
class Part:
    """One setting: its servers are started, these cases filled and warmed up, then measured in turn."""

    setting: Setting
    cases: tuple[str, ...]
    callers: tuple[int, ...] = CALLERS

    def stretches(self) -> list[tuple[str, int]]:
        """Cases and callers of one round, those to be compared next to each other."""
        found = ((case, min(number, CASES[case].most_callers)) for number in self.callers for case in self.cases)
        return list(dict.fromkeys(found))

    def warm_up(self, case: str, pace: Pace) -> float:
        """How long a case is warmed up, s."""
        return pace.warm if CASES[case].jvm else min(_SHORT_WARM, pace.warm)

    def seconds(self, pace: Pace) -> float:
        """About how long it takes."""
        places = {place for case in self.cases for place in CASES[case].needs}
        starting = sum(_START.get(place, 1.0) for place in places)
        filling = len(self.cases) * self.setting.sessions * max(0.3, self.setting.size / KILOBYTE / 4) / _FILLED
        warm = [self.warm_up(case, pace) for case in self.cases]
        # About twice as long where it goes on while it gets quicker.
        warming = sum(max(seconds, min(2 * seconds, pace.most_warm)) for seconds in warm)
        return starting + filling + warming + pace.rounds * len(self.stretches()) * pace.seconds


def default(deadline: float) -> list[Part]:
    """All cases at 1 KB; then what changes with the size, the number of sessions and the number of processes."""
    sizes = (round(0.2 * KILOBYTE), 16 * KILOBYTE, 64 * KILOBYTE)
    return [
        Part(Setting(deadline=deadline), tuple(CASES)),
        *(Part(Setting(size, bounded(size), deadline=deadline), _COMPARED, (1, 16)) for size in sizes),
        *(
            Part(Setting(sessions=sessions, deadline=deadline), (REDIS, "grid-update"), (16,))
            for sessions in (1_000, 100_000, 1_000_000)
        ),
        Part(Setting(processes=4, deadline=deadline), _COMPARED, CALLERS),
    ]


def quick(deadline: float) -> list[Part]:
    """What the gate runs."""
    return [Part(Setting(deadline=deadline), QUICK)]


def asked(
    *,
    cases: Sequence[str],
    callers: Sequence[int],
    sizes: Sequence[float],
    sessions: Sequence[int],
    processes: Sequence[int],
    deadline: float,
) -> list[Part]:
    """Each setting of what was asked for, with each case; sizes in KB; no sessions: as many as usual."""
    found = []
    for kilobytes, many, number in product(sizes, sessions or (0,), processes):
        size = round(kilobytes * KILOBYTE)
        found.append(Part(Setting(size, many or bounded(size), number, deadline), tuple(cases), tuple(callers)))
    return found


def with_limits(cases: Sequence[str]) -> tuple[str, ...]:
    """These, and before them what their ratios are taken to."""
    return tuple(dict.fromkeys((LOOP, ECHO, REDIS, *cases)))


def bounded(size: int) -> int:
    """As many sessions of a size as are usual: fewer of large ones."""
    return min(SESSIONS, _MOST_BYTES // size)
