"""What is asked of gridsession besides turns per second: each figure beside the mark it has to reach."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench._apart import Apart
from tests.bench._cases import REDIS
from tests.bench._run import Measured
from tests.bench._work import KILOBYTE

BLOCKING: Final = "grid-update-sync"
_UPDATE: Final = "grid-update"
_HEAD: Final = "| what | measured | asked |\n|---|---|---|"


@dataclass(frozen=True, slots=True)
class Mark:
    """One line: what it is about, the figure, and what it has to be."""

    title: str
    figure: str
    asked: str


def of_turns(measured: Sequence[Measured]) -> list[Mark]:
    """What rows of the tables say of one another."""
    return [*_blocking(measured), *_sizes(measured), *_numbers(measured)]


def _blocking(measured: Sequence[Measured]) -> Iterator[Mark]:
    for part in measured:
        own, other = part.figures.get((BLOCKING, 1)), part.figures.get((_UPDATE, 1))
        if own and other:
            ratio = statistics.median(mine.p50_ms / theirs.p50_ms for mine, theirs in zip(own, other, strict=False))
            yield Mark("`gridsession.sync`: p50 of an update, of the async store's, 1 caller", f"{ratio:.2f}", "1.3")
            return


def _sizes(measured: Sequence[Measured]) -> Iterator[Mark]:
    for case, title in ((_UPDATE, "`update`"), ("grid-turn", "exclusive turn")):
        costs = {
            part.part.setting.size: cost
            for part in measured
            if part.part.setting.processes == 1 and (cost := _cost(part, case, 1))
        }
        small, large = costs.get(KILOBYTE), costs.get(64 * KILOBYTE)
        if small and large:
            yield Mark(f"{title} of 64 KB, of one of 1 KB, 1 caller", f"{large / small:.2f}", "3")


def _numbers(measured: Sequence[Measured]) -> Iterator[Mark]:
    usual = [part for part in measured if (part.part.setting.processes, part.part.setting.size) == (1, KILOBYTE)]
    costs = {part.part.setting.sessions: cost for part in usual if (cost := _cost(part, _UPDATE, 16))}
    if len(costs) < 2:
        return
    # Redis goes along with what the machine does from part to part.
    beside = {part.part.setting.sessions: cost for part in usual if (cost := _cost(part, REDIS, 16))}
    relative = [costs[number] / beside[number] for number in costs if number in beside]
    title = f"`update` among {min(costs):,} to {max(costs):,} sessions, dearest of cheapest, 16 callers"
    figure = f"{max(costs.values()) / min(costs.values()):.2f}"
    if len(relative) == len(costs):
        figure += f" ({max(relative) / min(relative):.2f} as multiples of redis-py's script)"
    yield Mark(title, figure, "1.15")


def _cost(part: Measured, case: str, callers: int) -> float | None:
    """Time of a turn, ms of one caller's: each part has servers of its own, so medians are all there is to compare."""
    figures = part.figures.get((case, callers))
    return statistics.median(callers / each.turns_per_second for each in figures) * 1e3 if figures else None


def of_apart(found: Apart) -> list[Mark]:
    """What costs no turn."""
    idle = f"{found.idle_us / 1e3:.2f} ms, without them {found.quiet_us / 1e3:.2f} ms"
    kept = f"{found.head_bytes} B of {found.record_bytes:,} B, {found.remembered} op id(s) remembered"
    return [
        Mark("commands sent to read a global", str(found.global_trips), "0"),
        Mark(
            "reading a global, client CPU",
            f"{found.global_us:.2f} us ({found.call_us:.2f} us of it for a coroutine)",
            "1 us",
        ),
        Mark(f"client CPU in a second with {found.handles:,} idle session handles", idle, "as without"),
        Mark(f"heap for a 1 KB session and its copy, of {found.sessions:,}", f"{found.heap_bytes:,.0f} B", "2.7 KB"),
        Mark("header and ring of an idle 1 KB session", kept, "160 B"),
    ]


def table(marks: Sequence[Mark]) -> str:
    """In Markdown; empty if there are none."""
    if not marks:
        return ""
    lines = (f"| {mark.title} | {mark.figure} | {mark.asked} |" for mark in marks)
    return "\n".join(("**What is asked besides**\n", _HEAD, *lines))
