"""The guard against creeping slower: client CPU a turn, as multiples of the bare loop's, against what was recorded.

Both are taken in the same run by the same process, so most of what differs between machines is gone; what is left is
why a rise is reported and fails nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench._cases import CASES, LOOP
from tests.bench._report import Row
from tests.bench._work import Setting

FILE: Final = Path(__file__).with_name("recorded.json")
MOST: Final = 0.15
"""A rise above this share is reported."""

Ratios = Mapping[str, float]
"""By case and callers."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One case now and as recorded; None: nothing was recorded of it."""

    name: str
    now: float
    recorded: float | None

    @property
    def change(self) -> float | None:
        """0.15: it takes 15 % more CPU than recorded."""
        return None if self.recorded is None else self.now / self.recorded - 1

    @property
    def rose(self) -> bool:
        """By more than it may."""
        return self.change is not None and self.change > MOST


def ratios(found: Sequence[Row]) -> dict[str, float]:
    """What is worth recording of a run: CPU at the usual size, number of sessions and one process."""
    usual = Setting()
    return {
        f"{row.case}, {row.callers}": row.loop_ratio
        for row in found
        if row.loop_ratio and row.case != LOOP and replace(row.setting, deadline=usual.deadline) == usual
    }


def compare(now: Ratios, recorded: Ratios) -> list[Compared]:
    """Each of now with what was recorded."""
    return [Compared(name, ratio, recorded.get(name)) for name, ratio in now.items()]


def report(compared: Sequence[Compared]) -> str:
    """A table, and a line for each case that rose."""
    lines = ["client CPU a turn, as multiples of the bare loop's (now, recorded):"]
    for each in compared:
        before = "nothing recorded" if each.recorded is None else f"{each.recorded:7.2f}  {each.change:+.0%}"
        lines.append(f"  {each.name:<24} {each.now:7.2f}  {before}")
    for each in compared:
        if each.rose:
            title = CASES[each.name.rpartition(",")[0]].title
            lines.append(f"ROSE by {each.change:.0%} (more than {MOST:.0%}): {each.name} ({title})")
    return "\n".join(lines)


def load(surroundings: str, file: Path = FILE) -> dict[str, float]:
    """What was recorded in such surroundings (version of Python, event loop); empty if nothing was."""
    held: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return held.get(surroundings, {})


def record(surroundings: str, now: Ratios, file: Path = FILE) -> None:
    """Keep these for the next comparison; those of other surroundings and other cases stay."""
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    held[surroundings] = {**held.get(surroundings, {}), **now}
    file.write_text(json.dumps(held, indent=2, sort_keys=True) + "\n", encoding="utf-8")
