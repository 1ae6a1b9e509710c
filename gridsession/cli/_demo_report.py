"""What the demo shows: progress while it runs, then a table or one line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gridsession.cli._demo_check import Verdict
from gridsession.cli._demo_platforms import Platforms

_REFRESH = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of a run; its fields are the keys of `--json`.

    Attributes:
        sent: messages, each counted once; so are acknowledged and unknown.
        unknown: neither acknowledged nor refused at the end, so that their effect may be there or not.
        lost, duplicated, out_of_order, foreign, refused: as in `_demo_check.Verdict`.
        p50_ms, p99_ms: from a message's first sending to its acknowledgement, redeliveries included; None without any.
        recovery_seconds: as in `_demo_check`; None if nothing was killed.
        redelivered: how often a webhook body was posted beyond its first time.
        seconds: from the first posting to the last acknowledgement; `turns_per_second` is over these.
        startup_seconds: until members and workers were ready.
    """

    members: int
    workers: int
    sent: int
    acknowledged: int
    unknown: int
    lost: int
    duplicated: int
    out_of_order: int
    turns_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    recovery_seconds: float | None
    foreign: int
    refused: int
    redelivered: int
    seconds: float
    startup_seconds: float

    @classmethod
    def of(
        cls,
        platforms: Platforms,
        verdict: Verdict,
        *,
        members: int,
        workers: int,
        recovery: float | None,
        startup: float,
    ) -> Report:
        """The figures of a run that has ended."""
        waits = sorted(
            message.acknowledged - message.sent for message in platforms.messages if message.acknowledged is not None
        )
        seconds = platforms.elapsed
        return cls(
            members=members,
            workers=workers,
            sent=verdict.sent,
            acknowledged=verdict.acknowledged,
            unknown=verdict.unknown,
            lost=verdict.lost,
            duplicated=verdict.duplicated,
            out_of_order=verdict.out_of_order,
            turns_per_second=round(verdict.acknowledged / seconds, 1) if seconds else 0.0,
            p50_ms=_percentile(waits, 0.50),
            p99_ms=_percentile(waits, 0.99),
            recovery_seconds=None if recovery is None else round(recovery, 3),
            foreign=verdict.foreign,
            refused=verdict.refused,
            redelivered=platforms.redelivered,
            seconds=round(seconds, 2),
            startup_seconds=round(startup, 2),
        )

    def json(self) -> str:
        """One line, one object."""
        return json.dumps(asdict(self))

    def table(self) -> Table:
        """The same for people."""
        table = Table(title=f"{self.members} members, {self.workers} workers, {self.seconds:.1f} s")
        table.add_column("messages")
        table.add_column("", justify="right")
        for name in ("sent", "acknowledged", "unknown", "lost", "duplicated", "out_of_order"):
            number = getattr(self, name)
            bad = number and name in ("lost", "duplicated", "out_of_order")
            table.add_row(name.replace("_", " "), f"{number:,}", style="bold red" if bad else None)
        if self.foreign:
            table.add_row("foreign", f"{self.foreign:,}", style="bold red")
        table.add_section()
        table.add_row("turns per second", f"{self.turns_per_second:,.0f}")
        table.add_row("p50 / p99 ms", f"{_shown(self.p50_ms)} / {_shown(self.p99_ms)}")
        table.add_row("seconds to recover", _shown(self.recovery_seconds))
        return table


class Screen:
    """Progress on standard error: a live line on a terminal, notes in either case."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._started: float | None = None

    def note(self, text: str, *, style: str = "") -> None:
        """One line that stays."""
        at = "" if self._started is None else f"{time.monotonic() - self._started:5.1f} s  "
        self.console.print(f"{at}{text}", style=style, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def doing(self, text: str) -> Iterator[None]:
        """What is going on in the block."""
        if not self.console.is_terminal:
            self.note(text)
            yield
            return
        with self.console.status(text):
            yield

    async def follow(self, platforms: Platforms, seconds: float) -> None:
        """Show how far the run is, until cancelled."""
        self._started = started = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30))
        with Progress(
            *columns, console=self.console, auto_refresh=False, transient=True, disable=not self.console.is_terminal
        ) as progress:
            task = progress.add_task("", total=seconds)
            before = 0
            while True:
                rate, before = (platforms.acknowledged - before) / _REFRESH, platforms.acknowledged
                progress.update(
                    task,
                    completed=time.monotonic() - started,
                    description=f"{before:,} acknowledged, {rate:,.0f} per second, {platforms.in_flight} in flight",
                    refresh=True,
                )
                await asyncio.sleep(_REFRESH)

    def show(self, report: Report) -> None:
        """The table, on standard output."""
        Console().print(report.table())

    def explain(self, platforms: Platforms, verdict: Verdict) -> None:
        """What went wrong on the way, and where a promise was broken."""
        self._started = None
        if platforms.faults:
            met = ", ".join(f"{name} {times}" for name, times in platforms.faults.most_common())
            self.note(f"errors that workers met; the platforms delivered again: {met}")
        if platforms.full:
            self.note(f"{platforms.full} sessions filled up with message ids; use more --users", style="yellow")
        for name, sessions in verdict.examples.items():
            self.note(f"{name.replace('_', ' ')} in {', '.join(map(ascii, sessions))}", style="bold red")


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 2) if ordered else None


def _shown(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:,.1f}"
