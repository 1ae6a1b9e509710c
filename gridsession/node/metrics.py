"""What a member tells of itself in numbers: the file it writes each second, judged and made ready for Prometheus."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Final, NamedTuple

from gridsession.node.health import Health

METRICS_FILE: Final = "metrics.prom"
METRICS_PROPERTY: Final = "gridsession.metrics-file"
"""The JVM's property that names the file."""
MOST_SKEW: Final = 2.0
"""How far a member's clock may be from the cluster's, seconds: leases and expiry are judged by it."""
STALE: Final = 10.0
"""A member that wrote nothing for so long, seconds, stands still."""


class Told(NamedTuple):
    """What a member last told.

    Attributes:
        text: metrics in Prometheus' text format.
        age: seconds since it was written.
    """

    text: str
    age: float

    def value(self, name: str) -> float | None:
        """The sample of a metric without labels; None if there is none."""
        found = re.search(rf"^{name} (\S+)$", self.text, re.MULTILINE)
        return None if found is None else float(found[1])


class SnapshotsTaken(NamedTuple):
    """How a node's own snapshots stand.

    Attributes:
        every: seconds between two of them.
        last: when the newest good one was begun, seconds since 1970; before there is one, when the node began.
        failures: how many were not taken, or not whole.
    """

    every: float
    last: float
    failures: int


def told_in(file: Path) -> Told | None:
    """What a member wrote to `file`; None if it has not yet."""
    try:
        with file.open(encoding="utf-8") as opened:
            written = os.fstat(opened.fileno()).st_mtime
            return Told(opened.read(), max(0.0, time.time() - written))
    except FileNotFoundError:
        return None


def unfit(told: Told | None) -> str:
    """Why a member that told this must not be sent work, in words; empty if it may.

    That members declare different sizes is no reason: while their number is changed they do, and an orchestrator that
    waits for each of them to be ready before it replaces the next would never end it.
    """
    if told is None:
        return "its member has not told of itself yet"
    if told.age > STALE:
        return f"its member has told nothing of itself for {told.age:.0f} s: it is frozen, starved or out of disk"
    skew = told.value("gridsession_clock_skew_seconds")
    if skew is not None and abs(skew) > MOST_SKEW:
        return (
            f"this machine's clock and the cluster's differ by {skew:+.1f} s, at most {MOST_SKEW:.0f} s are allowed: "
            "check both (NTP)"
        )
    return ""


def exposition(health: Health, told: Told | None, snapshots: SnapshotsTaken | None = None) -> str:
    """All metrics of a node in Prometheus' text format; what is stale is left out."""
    lines = [
        *_gauge("node_alive", "1 while the member's JVM runs, else 0.", health.alive),
        *_gauge("node_ready", "1 while /readyz says yes, else 0.", health.ready),
    ]
    if told is not None:
        lines += _gauge("node_told_age_seconds", "Seconds since the member last told of itself.", round(told.age, 3))
    if snapshots is not None:
        lines += _gauge("snapshot_interval_seconds", "Seconds between two snapshots of this node.", snapshots.every)
        lines += _gauge(
            "snapshot_last_success_timestamp_seconds",
            "When the newest good snapshot was begun, before there is one the node; seconds since 1970.",
            snapshots.last,
        )
        lines += _metric("snapshot_failures_total", "counter", "Snapshots that failed.", snapshots.failures)
    fresh = told.text if told is not None and told.age <= STALE and health.alive else ""
    return "\n".join([*lines, fresh])


def _gauge(name: str, meaning: str, value: float) -> list[str]:
    return _metric(name, "gauge", meaning, value)


def _metric(name: str, kind: str, meaning: str, value: float) -> list[str]:
    name = f"gridsession_{name}"
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", f"{name} {value + 0}"]
