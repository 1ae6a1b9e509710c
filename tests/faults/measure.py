"""How long nobody was served: for each fault, from the clients' histories."""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.workloads import READS

_GAUGE: Final = "append:"
"""Sessions whose calls are gauged: any of them may be made at any time and none waits for another's turn."""


class Wait(NamedTuple):
    """From a caller's first call that got no answer it could use to its next acknowledged one; ns."""

    begun: int
    served: int


@dataclass(slots=True)
class Figures:
    """What a run's histories say.

    Attributes:
        acknowledged: changes that were acknowledged.
        by_workload: how many of them in each.
        answered: reads that were.
        failed: calls that ended in a definite error: nothing was done.
        unknown: calls whose outcome is not known.
        errors: how often a call ended in each error, by name.
        waits: of all gauged callers.
        acks: times of acknowledged changes, ns, in order.
        latencies: of gauged calls, whatever their end; ms.
    """

    acknowledged: int = 0
    by_workload: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    answered: int = 0
    failed: int = 0
    unknown: int = 0
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    waits: list[Wait] = field(default_factory=list)
    acks: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Outage:
    """What one fault did to the service, in seconds.

    Attributes:
        kind: of the fault.
        silence: longest time in which nobody's change was acknowledged.
        worst: longest wait of one caller, from its call to its next acknowledged change, tries included.
        after_heal: longest wait of one caller counted from the heal, or from the call if that came later.
    """

    kind: str
    silence: float
    worst: float
    after_heal: float


class Window(NamedTuple):
    """When a fault began and was healed, and until when what follows is laid to it; ns."""

    kind: str
    begun: int
    healed: int
    until: int


def read(histories: Iterable[Path]) -> Figures:
    """All figures of some clients' histories."""
    figures = Figures()
    for path in histories:
        _read(path, figures)
    figures.acks.sort()
    figures.waits.sort()
    return figures


def _read(path: Path, figures: Figures) -> None:
    waiting: dict[Any, int] = {}
    invoked: dict[int, int] = {}
    with path.open(encoding="utf-8") as lines:
        for text in lines:
            try:
                line = json.loads(text)
            except ValueError:
                # the last line of a client that was killed
                continue
            process, kind, op = line["process"], line["type"], line["op"]
            if op is None:
                continue
            gauged = line["key"].startswith(_GAUGE)
            if kind == "invoke":
                invoked[op] = line["time"]
                if gauged:
                    waiting.setdefault(process, line["time"])
                continue
            begun = invoked.pop(op, line["time"])
            if gauged:
                figures.latencies.append((line["time"] - begun) / 1e6)
                if kind == "ok":
                    figures.waits.append(Wait(waiting.pop(process, begun), line["time"]))
            _count(line, kind, figures)
    # A call without an end: its process was killed.
    figures.unknown += len(invoked)


def _count(line: dict[str, Any], kind: str, figures: Figures) -> None:
    if kind == "ok":
        if line["f"] in READS:
            figures.answered += 1
        else:
            figures.acknowledged += 1
            figures.by_workload[line["key"].partition(":")[0]] += 1
            figures.acks.append(line["time"])
        return
    figures.errors[str(line["error"]).partition(":")[0]] += 1
    if kind == "fail":
        figures.failed += 1
    else:
        figures.unknown += 1


def outages(figures: Figures, windows: Sequence[Window]) -> list[Outage]:
    """What each fault did."""
    longest = max((wait.served - wait.begun for wait in figures.waits), default=0)
    return [
        Outage(window.kind, _silence(figures.acks, window), *_waits(_during(figures.waits, longest, window), window))
        for window in windows
    ]


def _silence(acks: Sequence[int], window: Window) -> float:
    within = acks[bisect_right(acks, window.begun) : bisect_left(acks, window.until)]
    return max(later - earlier for earlier, later in pairwise([window.begun, *within, window.until])) / 1e9


def _during(waits: Sequence[Wait], longest: int, window: Window) -> list[Wait]:
    first = bisect_left(waits, window.begun - longest, key=_begun)
    return [wait for wait in waits[first : bisect_left(waits, window.until, key=_begun)] if window.begun <= wait.served]


def _begun(wait: Wait) -> int:
    return wait.begun


def _waits(waits: Sequence[Wait], window: Window) -> tuple[float, float]:
    lengths = [(wait.served - wait.begun) / 1e9 for wait in waits]
    late = [(wait.served - max(wait.begun, window.healed)) / 1e9 for wait in waits]
    return max(lengths, default=0.0), max([0.0, *late])


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and max, by the nearest rank; empty for nothing."""
    ranked = sorted(values)
    if not ranked:
        return {}
    rank = {name: ranked[max(0, math.ceil(share * len(ranked)) - 1)] for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {name: round(value, 3) for name, value in {**rank, "max": ranked[-1]}.items()}
