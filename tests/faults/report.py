"""What a run came to: figures, violations and outages, as JSON and as text."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.faults import measure
from tests.faults.checker import check
from tests.faults.lab import Setup
from tests.faults.runner import Course

REPORT: Final = "report.json"
_SHOWN: Final = 3
_LINE: Final = 240
_LOST: Final = re.compile(r"(\d+) acknowledged and not in the final list")


def judge(setup: Setup, course: Course, folder: Path) -> dict[str, Any]:
    """Reads the histories in `folder`, checks every invariant, and puts all of it together."""
    clients = sorted(folder.glob("client-*.jsonl"))
    everything = [*clients, *sorted(folder.glob("final-*.jsonl")), folder / "nemesis.jsonl"]
    figures = measure.read(clients)
    verdict = check(everything)
    return {
        "setup": asdict(setup),
        "seconds": round(course.seconds, 1),
        "loaded_seconds": round(course.loaded_seconds, 1),
        "acknowledged": figures.acknowledged,
        "acknowledged_by_workload": dict(figures.by_workload),
        "answered": figures.answered,
        "failed": figures.failed,
        "unknown": figures.unknown,
        "errors": dict(sorted(figures.errors.items(), key=lambda item: -item[1])),
        "faults": dict(course.kinds.most_common()),
        "partitions": sum(count for kind, count in course.kinds.items() if kind.startswith("partition")),
        "episodes": len(course.episodes),
        "violations": _violations(verdict),
        "appends_lost": _lost(verdict),
        "copies_compared": course.compared,
        "complaints": course.complaints,
        "notes": course.notes,
        "latency_ms": measure.percentiles(figures.latencies),
        "outages": _outages(course, measure.outages(figures, course.windows)),
        "folder": str(folder),
    }


def holds(report: dict[str, Any]) -> bool:
    """Whether nothing was violated and all went as promised."""
    return not report["violations"] and not report["complaints"]


def keep(report: dict[str, Any], folder: Path) -> None:
    """Writes it beside the histories."""
    (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def as_text(report: dict[str, Any]) -> str:
    """For people."""
    setup = report["setup"]
    servers = "members" if setup["place"] == "grid" else "Redis servers with Sentinel"
    appends = report["acknowledged_by_workload"].get("append", 0)
    columns = ("no ack at all", "one caller waits", "after the heal", "whole after heal")
    lines = [
        f"{setup['members']} {servers}, seed {setup['seed']}, workloads {setup['workloads']}",
        f"{report['seconds']:.0f} s with faults",
        f"acknowledged: {report['acknowledged']:,} changes, {report['answered']:,} reads",
        f"acknowledged appends: {appends:,}, of them lost: {report['appends_lost']:,}",
        f"unknown {report['unknown']:,}, failed {report['failed']:,}: {_counts(report['errors'])}",
        f"faults: {sum(report['faults'].values())} ({report['partitions']} partitions): {_counts(report['faults'])}",
        f"latency, ms: {_figures(report['latency_ms'])}",
        "",
        f"{'s: p50 / p99 / max':<24} {'n':>3}  " + "  ".join(f"{column:>18}" for column in columns),
    ]
    for kind, row in report["outages"].items():
        figures = [_short(row[name]) for name in ("silence", "worst", "after_heal", "whole_after")]
        lines.append(f"{kind:<24} {row['n']:>3}  " + "  ".join(f"{each:>18}" for each in figures))
    lines.append("")
    if report["violations"]:
        lines += [
            f"VIOLATED {name}: {len(texts)}" + "".join(f"\n    {_brief(text)}" for text in texts[:_SHOWN])
            for name, texts in report["violations"].items()
        ]
    else:
        lines.append("violations: 0")
    if report["copies_compared"]:
        lines.append(f"copies compared with their owners' after each heal: {report['copies_compared']:,}")
    lines += [f"NOT AS PROMISED: {each}" for each in report["complaints"]]
    lines += [f"note: {each}" for each in report["notes"]]
    return "\n".join(lines)


def _violations(verdict: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for violation in verdict.violations:
        found[str(violation.invariant)].append(str(violation))
    return dict(found)


def _lost(verdict: Any) -> int:
    """How many appended tokens were acknowledged and are not there."""
    found = (_LOST.search(str(violation)) for violation in verdict.violations if violation.invariant == "I1")
    return sum(int(each[1]) for each in found if each)


def _brief(text: str) -> str:
    return "\n    ".join(line[:_LINE] for line in text.splitlines())


def _outages(course: Course, outages: list[measure.Outage]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(each.kind for each in outages):
        of_kind = [each for each in outages if each.kind == kind]
        rows[kind] = {
            "n": len(of_kind),
            **{
                name: measure.percentiles([getattr(each, name) for each in of_kind])
                for name in ("silence", "worst", "after_heal")
            },
            "whole_after": measure.percentiles([took for first, took in course.whole_after if first == kind]),
        }
    return dict(sorted(rows.items()))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in figures.items()) or "none"


def _short(figures: dict[str, float]) -> str:
    return " / ".join(f"{value:.1f}" for value in figures.values()) or "-"
