"""Rows, ratios and the table, of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gridsession.cli._measuring import Median
from tests.bench._cases import CASES, ECHO, LOOP, REDIS
from tests.bench._marks import Mark, table
from tests.bench._run import Measured
from tests.bench._work import KILOBYTE, Setting

BEGIN: Final = "<!-- python -m tests.bench --write: begin -->"
END: Final = "<!-- python -m tests.bench --write: end -->"

_HEAD: Final = (
    "| case | callers | turns/s (spread) | p50 ms | p99 ms | client CPU us | of echo | to redis-py Lua |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One case with one number of callers.

    Attributes:
        median: None: it was not run, and `not_run` says why.
        echo_ratio, redis_ratio: turns per second as a multiple of those cases', the median of the rounds' ratios.
        loop_ratio: CPU of the client as a multiple of the bare loop's.
    """

    case: str
    setting: Setting
    callers: int | None
    median: Median | None
    echo_ratio: float | None = None
    redis_ratio: float | None = None
    loop_ratio: float | None = None
    not_run: str = ""

    def as_json(self) -> dict[str, Any]:
        """Flat, for `--json`."""
        flat = asdict(self)
        return {**flat.pop("setting"), **(flat.pop("median") or {}), **flat}


def rows(measured: Sequence[Measured]) -> list[Row]:
    """In the order of the plan; those of a case together."""
    return [row for each in measured for case in each.part.cases for row in _rows_of(each, case)]


def _rows_of(measured: Measured, case: str) -> list[Row]:
    if case in measured.not_run:
        return [Row(case, measured.part.setting, None, None, not_run=measured.not_run[case])]
    return [_row(measured, case, callers) for name, callers in measured.figures if name == case]


def _row(measured: Measured, case: str, callers: int) -> Row:
    own = measured.figures[case, callers]

    def ratio(of: str, figure: str) -> float | None:
        other = measured.figures.get((of, callers), [])
        # Within each round, so that what slows the whole machine for a while counts on both sides.
        ratios = [getattr(mine, figure) / getattr(theirs, figure) for mine, theirs in zip(own, other, strict=False)]
        return round(statistics.median(ratios), 3) if ratios else None

    return Row(
        case,
        measured.part.setting,
        callers,
        Median.of(own),
        ratio(ECHO, "turns_per_second"),
        ratio(REDIS, "turns_per_second"),
        ratio(LOOP, "cpu_us"),
    )


def tables(found: Sequence[Row]) -> str:
    """One Markdown table for each setting."""
    settings = list(dict.fromkeys(row.setting for row in found))
    return "\n\n".join(
        "\n".join((f"{_shown(setting)}\n", _HEAD, *(_line(row) for row in found if row.setting == setting)))
        for setting in settings
    )


def _shown(setting: Setting) -> str:
    processes = "one client process" if setting.processes == 1 else f"{setting.processes} client processes"
    return f"**{setting.size / KILOBYTE:.3g} KB, {setting.sessions:,} sessions, {processes}**"


def _line(row: Row) -> str:
    title, median = CASES[row.case].title, row.median
    if median is None:
        return f"| {title} | | not run: {_cell(row.not_run)} | | | | | |"
    callers = f"{row.setting.processes} x {row.callers}" if row.setting.processes > 1 else str(row.callers)
    spread = f"{median.turns_per_second:,} ({median.slowest:,}-{median.quickest:,})"
    # Nothing is asked of anybody there: it measures the machine, and is no limit of theirs.
    ratios = ("", "") if row.case == LOOP else (_times(row.echo_ratio), _times(row.redis_ratio))
    cells = (title, callers, spread, str(median.p50_ms), str(median.p99_ms), str(median.cpu_us), *ratios)
    return f"| {' | '.join(cells)} |"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.2g}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:160]


def section(
    found: Sequence[Row],
    environment: Mapping[str, object],
    command: str,
    plot: str | None,
    marks: Sequence[Mark] = (),
) -> str:
    """What stands in RESULTS.md."""
    facts = "; ".join(f"{name} {value}" for name, value in environment.items())
    picture = f"![Turns a second as multiples of redis-py's Lua script]({plot})" if plot else ""
    return "\n\n".join(filter(None, (f"`{command}`", f"{facts}.", picture, tables(found), table(marks))))


def write(results: Path, text: str) -> None:
    """Put a section between the markers of a file, in place of what is there; at the end if there are none."""
    held = results.read_text(encoding="utf-8") if results.exists() else ""
    before, begun, rest = held.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if bool(begun) != bool(ended):
        raise SystemExit(f"{results} has one of the two markers only: put back {BEGIN if ended else END}")
    if not begun:
        before, after = f"{held.rstrip()}\n\n" if held else "", "\n"
    results.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
