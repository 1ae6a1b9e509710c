"""What is wrong with a grid, or will be, by what its members tell; and what to do about each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gridsession.cli._grid import Member, State
from gridsession.drivers.hazelcast._probe import MAX_SKEW, Report

FAULT: Final = "fault"
ADVICE: Final = "advice"

_NOTED_SKEW: Final = 500
_MOST_CLIENTS: Final = 100
# Of the heap, and needed for sure: a member that takes over from another needs room, and collections need some too.
_FILLING, _FULL = 0.6, 0.8


class Finding(NamedTuple):
    """One finding: how grave (fault or advice), where (an address, or the grid), what, and what to do about it."""

    level: str
    where: str
    what: str
    do: str


def findings(members: Sequence[Member], unconfirmed: Mapping[str, int]) -> list[Finding]:
    """All findings, faults first.

    Args:
        unconfirmed: for how many partitions no copy confirms, by their owner's address.
    """
    reports = [member.report for member in members if member.report is not None]
    found = [
        *_of_members(members),
        *_of_copies(unconfirmed),
        *_of_jars(members),
        *_drift(reports),
        *_clocks(reports),
        *_of_heaps(reports),
        *_of_grid(reports),
    ]
    return sorted(found, key=lambda finding: (finding.level != FAULT, finding.where))


def _of_members(members: Iterable[Member]) -> Iterator[Finding]:
    for member in members:
        where = member.address
        if not member.connected:
            yield Finding(
                FAULT,
                where,
                "this process has no connection to it",
                "let every worker reach every member: changes whose copy lies on it end in OutcomeUnknown",
            )
        elif member.fault:
            yield Finding(FAULT, where, member.fault, "see there")
        elif member.report is None:
            yield Finding(ADVICE, where, "it owns no data yet", "wait: it has just joined; look again in some seconds")
        elif member.report.copied is False:
            yield Finding(
                FAULT,
                where,
                "copies of its sessions are still being made",
                "stop no other member until this is over; if it stays, see the members' logs and memory",
            )
        if member.state is not None:
            yield from _of_state(where, member.state)


def _of_state(where: str, state: State) -> Iterator[Finding]:
    if not state.active:
        yield Finding(FAULT, where, "it, or the cluster, is not in its normal state", "wait if it stops; see its log")
    if state.clients > _MOST_CLIENTS:
        yield Finding(
            ADVICE,
            where,
            f"{state.clients} clients are connected to it; {_MOST_CLIENTS} are planned for",
            "one client per process: share one store among its tasks",
        )
    if state.slow:
        yield Finding(
            ADVICE,
            where,
            f"{state.slow} kinds of operation took over a second since it started",
            "see its log for their stacks; mostly it lacks CPU or memory",
        )


def _of_copies(unconfirmed: Mapping[str, int]) -> Iterator[Finding]:
    for where, count in unconfirmed.items():
        yield Finding(
            FAULT,
            where,
            f"changes in {count} of its partitions are not confirmed by a copy",
            "stop no other member and look again in some seconds; if it stays, see which members lack memory",
        )


def _of_jars(members: Iterable[Member]) -> Iterator[Finding]:
    for member in members:
        if member.same_jar is False:
            yield Finding(
                ADVICE,
                member.address,
                "its jar is built from other sources than this client's",
                "bring members and workers to one version, members first, one at a time",
            )


def _drift(reports: Sequence[Report]) -> Iterator[Finding]:
    """What should be the same at all members, and is another at the fewer of them."""
    for what, value, level, do in _SAME:
        usual = Counter(map(value, reports)).most_common(1)
        for report in reports:
            if value(report) != usual[0][0]:
                yield Finding(level, report.address, f"{what} {value(report)}, at others {usual[0][0]}", do)


_Value = Callable[[Report], object]
_SAME: Final[tuple[tuple[str, _Value, str, str], ...]] = (
    ("declares members:", lambda told: told.declared, FAULT, "start all with the same --members-declared"),
    ("sync backups:", lambda told: told.sync_backups, FAULT, "start all with the same --backups"),
    ("record limit (bytes):", lambda told: told.record_limit, FAULT, "start all with the same limits"),
    (
        "gridsession's jar is",
        lambda told: told.version,
        ADVICE,
        "go on with the rolling restart until all are the same",
    ),
    (
        "knows the commands up to number",
        lambda told: told.newest,
        ADVICE,
        "go on with the rolling restart: what needs newer commands waits until all members know them",
    ),
    ("Hazelcast is", lambda told: told.hazelcast, ADVICE, "start all from the same package"),
)


def _clocks(reports: Sequence[Report]) -> Iterator[Finding]:
    worst: dict[str, int] = {}
    for report in reports:
        for other in reports:
            ahead = report.clock_low - other.clock_high
            if ahead > _NOTED_SKEW:
                worst[report.address] = max(worst.get(report.address, 0), ahead)
    for where, ahead in worst.items():
        level = FAULT if ahead > MAX_SKEW else ADVICE
        yield Finding(
            level,
            where,
            f"its clock is {ahead} ms ahead of another member's; {MAX_SKEW} ms are too much",
            "set the clocks by NTP: sessions end early or late by as much",
        )


def _of_heaps(reports: Iterable[Report]) -> Iterator[Finding]:
    for report in reports:
        share = report.heap.live / report.heap.most if report.heap is not None else 0.0
        if share > _FULL:
            yield Finding(
                FAULT,
                report.address,
                f"{share:.0%} of its heap is needed; when it is full, the member ends and the others must take over",
                "make room now: delete what is idle (gridsession ls --idle-over 12h; gridsession delete) and stop no"
                " member: the others would have to hold its sessions too",
            )
        elif share > _FILLING:
            yield Finding(
                ADVICE,
                report.address,
                f"{share:.0%} of its heap is needed; {_FILLING:.0%} are planned for",
                "add memory (--memory) or members before it grows: the others take over from one that is lost",
            )


def _of_grid(reports: Sequence[Report]) -> Iterator[Finding]:
    if not reports:
        return
    declared, seen = max(report.declared for report in reports), max(report.seen for report in reports)
    backups = min(report.sync_backups for report in reports)
    if declared and seen > declared:
        what = f"{seen} members are there and {declared} are declared, so no majority can be told: changes are refused"
        yield Finding(FAULT, "grid", what, f"start all with --members-declared {seen}, or stop the ones too many")
    elif seen < declared // 2 + 1:
        what = f"{seen} of {declared} members are there, which is no majority: nothing is answered"
        yield Finding(FAULT, "grid", what, f"bring back members until {declared // 2 + 1} run")
    elif seen < declared:
        what = f"{declared - seen} of {declared} members missing"
        yield Finding(FAULT, "grid", what, "start what is missing: another loss may stop the grid")
    if not backups:
        what = "sessions are kept once only: they are gone when their member ends"
        yield Finding(ADVICE, "grid", what, "for more than developing, run three members and declare them")
    if declared == 2:
        what = "one member is no majority of two: everything waits whenever one restarts"
        yield Finding(ADVICE, "grid", what, "run three")
