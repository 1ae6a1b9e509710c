"""`gridsession doctor`: every member asked, and what to do about each finding."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import typer

from gridsession import SessionStore
from gridsession.cli import logs
from gridsession.cli._places import AsJson, Namespace, Url, run
from gridsession.cli._tables import Output, heap_mib
from gridsession.drivers import Reach, parse_url
from gridsession.errors import InvalidInput, Unavailable


def command(url: Url, namespace: Namespace = None, as_json: AsJson = False) -> None:
    """Asks every member for its version, jar, clock, configuration and copies, and says what to do about each finding.

    Members that no worker could open a store with are asked too. Ends with 0 if there is no fault (advice is none), 1
    if there is, so that a rolling restart can wait for it. Heap is told in use and at most; findings judge what of it
    is needed for sure. Elsewhere than on the grid it reads the place once and says what it promises.
    """
    logs.configure(level=logging.CRITICAL)
    output = Output(as_json=as_json)
    try:
        address = parse_url(url)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None
    healthy = _grid(url, namespace, output) if address.scheme == "hazelcast" else _elsewhere(url, namespace, output)
    if not healthy:
        raise typer.Exit(1)


def _grid(url: str, namespace: str | None, output: Output) -> bool:
    # They bring the whole Hazelcast client with them.
    from gridsession.cli._findings import FAULT, Finding, findings
    from gridsession.cli._grid import Member, examine, unconfirmed

    members: list[Member] = []
    copies: str | None = None
    try:
        members = asyncio.run(examine(url))
        found = findings(members, {})
        # A store opens only where all members are fit; and where one is missing, it is known already.
        if not any(finding.level == FAULT for finding in found):
            missing = run(url, namespace, unconfirmed)
            copies = "missing" if missing else "confirmed"
            found = findings(members, missing)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None
    except Unavailable as error:
        found = [*findings(members, {}), Finding(FAULT, "grid", str(error), "see there")]
    base = _middle(members[0]) if members else None
    rows = []
    for member in members:
        facts = _facts(member, base)
        output.line(event="member", **facts)
        rows.append(_cells(facts))
    if rows:
        output.table(_COLUMNS, rows)
        output.say("")
    for finding in found:
        output.line(event="finding", **finding._asdict())
        output.say(f"{finding.level}: {finding.where}: {finding.what}", "red" if finding.level == FAULT else "yellow")
        output.say(f"  -> {finding.do}")
    healthy = not any(finding.level == FAULT for finding in found)
    output.line(event="done", ok=healthy, members=len(members), copies=copies)
    if copies == "confirmed":
        output.say("every partition answers, confirmed by as many copies as are declared")
    output.say("no fault was found" if healthy else "there are faults: see above")
    return healthy


def _middle(member: Any) -> float | None:
    return None if member.report is None else (member.report.clock_low + member.report.clock_high) / 2


def _facts(member: Any, base: float | None) -> dict[str, Any]:
    """One member as plain data; None is what it does not tell."""
    report, state, middle = member.report, member.state, _middle(member)
    return {
        "address": member.address,
        "connected": member.connected,
        "fault": member.fault or None,
        "version": report and report.version,
        "hazelcast": report and report.hazelcast,
        "same_jar": member.same_jar,
        "clock_ms": None if middle is None or base is None else round(middle - base),
        "declared": report and report.declared,
        "sees": report and report.seen,
        "backups": report and report.sync_backups,
        "record_limit": report and report.record_limit,
        "partitions": member.partitions,
        "safe": report and report.copied,
        "clients": state and state.clients,
        "heap": None if report is None or report.heap is None else report.heap._asdict(),
    }


def _cells(facts: dict[str, Any]) -> tuple[str, ...]:
    def text(name: str) -> str:
        value = facts[name]
        return _WORDS.get(value, "?") if value is None or isinstance(value, bool) else str(value)

    jar = {True: "ours", False: "other", None: "?"}[facts["same_jar"]]
    clock = "?" if facts["clock_ms"] is None else f"{facts['clock_ms']:+d} ms"
    declared = f"{text('sees')}/{text('declared')}"
    return (
        facts["address"],
        text("version"),
        text("hazelcast"),
        jar,
        clock,
        declared,
        text("backups"),
        text("partitions"),
        text("safe"),
        text("clients"),
        heap_mib(facts["heap"]),
    )


_COLUMNS = (
    ">member",
    "version",
    "hazelcast",
    "jar",
    ">clock",
    "sees",
    ">copies",
    ">owns",
    "safe",
    ">clients",
    ">heap MiB",
)
_WORDS: dict[bool | None, str] = {True: "yes", False: "no"}


def _elsewhere(url: str, namespace: str | None, output: Output) -> bool:
    async def work(store: SessionStore) -> tuple[Any, float]:
        started = time.monotonic()
        async for _ in store.ids():
            break
        await store.session("doctor:nobody").exists()
        return store._links[0].driver.promise, time.monotonic() - started

    promise, taken = run(url, namespace, work)
    facts = {"atomic": promise.atomic.value, "survives": list(promise.survives), "milliseconds": round(taken * 1000, 1)}
    output.line(event="place", **facts)
    output.say(f"it answers: a look and a read took {facts['milliseconds']} ms")
    output.say(f"atomic within one {promise.atomic.value}; survives {', '.join(promise.survives) or 'nothing'}")
    if promise.atomic is not Reach.CLUSTER:
        advice = f"it is shared within one {promise.atomic.value} only: workers on several machines need the grid"
        output.line(event="finding", level="advice", where="place", what=advice, do="run `gridsession node` on three")
        output.say(f"advice: {advice}", "yellow")
    output.line(event="done", ok=True, members=0)
    return True
