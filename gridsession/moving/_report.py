"""What became of a move: counts by outcome, and what went wrong by its key. Values are never told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

KEPT_PROBLEMS: Final = 1_000
"""As many problems are named; all are counted."""
FAILURES: Final = frozenset({"behind", "different", "failed", "missing"})


class Progress(NamedTuple):
    """How far a move is: `done` of the records of `kind` (sessions, globals) in this step (copy, verify, import)."""

    step: str
    kind: str
    done: int


OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True)
class Tally:
    """The outcomes of one step for one kind of record.

    Attributes:
        counts: how often each outcome came.
        problems: (key, reason) of the first thousand that failed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, outcome: str) -> None:
        """Count one outcome."""
        self.counts[outcome] += 1

    def problem(self, outcome: str, key: str, reason: str) -> None:
        """Count an outcome that someone must hear of."""
        self.counts[outcome] += 1
        if len(self.problems) < KEPT_PROBLEMS:
            self.problems.append((key, reason))

    @property
    def total(self) -> int:
        """How many records were looked at."""
        return self.counts.total()

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not any(self.counts[name] for name in FAILURES)


@dataclass(slots=True)
class Report:
    """What a move did.

    Attributes:
        tallies: by step and kind, e.g. `("copy", "sessions")`.
        shift: ms that times were moved by, because the clocks of the two places differ so much.
    """

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    shift: int = 0

    def tally(self, step: str, kind: str) -> Tally:
        """The outcomes of one step for one kind."""
        return self.tallies.setdefault((step, kind), Tally())

    @property
    def ok(self) -> bool:
        """Whether all that is at the source is at the target."""
        return all(tally.ok for tally in self.tallies.values())

    def counts(self) -> dict[str, dict[str, int]]:
        """All counts as plain data: `{"copy sessions": {"copied": 3}}`."""
        return {f"{step} {kind}": dict(sorted(tally.counts.items())) for (step, kind), tally in self.tallies.items()}

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it, for a file to go on from."""
        return {
            "shift": self.shift,
            "tallies": [
                [step, kind, dict(tally.counts), tally.problems] for (step, kind), tally in self.tallies.items()
            ],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Report:
        """What `to_plain` gave; KeyError, TypeError or ValueError if it is not that."""
        tallies = {
            (str(step), str(kind)): Tally(Counter(counts), [(str(key), str(reason)) for key, reason in problems])
            for step, kind, counts, problems in plain["tallies"]
        }
        return cls(tallies, int(plain["shift"]))
