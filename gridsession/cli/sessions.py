"""`gridsession ls` and `gridsession show`: which sessions there are, and one of them. Neither extends a life."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, NamedTuple

import typer

# There is no public way to read a record with its times and lease, or several at once.
from gridsession._commands import Load, Want
from gridsession._document import to_document
from gridsession._leases import lease_state
from gridsession._link import Link, refuse
from gridsession._record import META, Record, elements
from gridsession._reply import Status
from gridsession._store import SessionStore
from gridsession.cli._places import AsJson, Namespace, Reveal, SessionKey, Url, fail, run, seconds
from gridsession.cli._tables import Output, size, span, tell_error
from gridsession.cli._values import shown, text
from gridsession.errors import CorruptRecord, Unsupported
from gridsession.moving._parallel import each

_PAGE = 256
_WIDTHS = {">idle": 8, ">ttl left": 8, ">revision": 8, ">fields": 6, ">size": 8, "id": 0}
"""Columns of a list with their least widths, so that page fits under page."""


class _Row(NamedTuple):
    """One session of a list; ages and lives in seconds, a life of None never ends."""

    id: str
    idle: float
    ttl_left: float | None
    revision: int
    fields: int
    bytes: int


def ls(
    url: Url,
    namespace: Namespace = None,
    prefix: Annotated[str, typer.Option(help="Only ids that begin with it, as in line: or telegram:42.")] = "",
    idle_over: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only what was not written for so long: 90, 90s, 30m, 2h.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="No more than so many.", show_default="all")] = None,
    as_json: AsJson = False,
) -> None:
    """Lists sessions: idle and remaining time, revision, size. In no order; no life is extended.

    Idle counts since the ttl last began: the last change or touch. Ends with 0, also if there is none.
    """
    output = Output(as_json=as_json)
    least = 0.0 if idle_over is None else seconds(idle_over)

    async def work(store: SessionStore) -> tuple[int, int]:
        (link, _), page, count, failed = store._links, list[str](), 0, 0
        head = True

        async def flush() -> None:
            nonlocal count, failed, head
            rows, faults = await _rows(link, page)
            rows = [row for row in rows if row.idle >= least][: None if limit is None else limit - count]
            _show_rows(output, rows, head=head)
            for name, fault in faults:
                tell_error(f"{name!a}: {fault}")
            head = head and not rows
            count, failed = count + len(rows), failed + len(faults)
            page.clear()

        async for session_id in store.ids(prefix):
            page.append(session_id)
            # Where all are wanted, no more are read than asked for.
            if len(page) >= (_PAGE if limit is None or least else min(_PAGE, limit - count)):
                await flush()
                if count == limit:
                    return count, failed
        await flush()
        return count, failed

    count, failed = run(url, namespace, work)
    output.say(f"{count:,} session{'' if count == 1 else 's'}", "dim")
    if failed:
        fail(f"{failed} could not be read: see above")


async def _rows(link: Link, ids: list[str]) -> tuple[list[_Row], list[tuple[str, str]]]:
    found: dict[str, _Row] = {}
    faults: list[tuple[str, str]] = []

    async def look(session_id: str) -> None:
        try:
            record, now = await _read(link, session_id)
        except CorruptRecord as error:
            faults.append((session_id, str(error)))
            return
        if record is not None:
            fields = len(record.bags[0]) + len(record.bags[1])
            idle, weight = max(now - record.touched, 0) / 1000, len(record.encode())
            found[session_id] = _Row(session_id, idle, _left(record, now), record.revision, fields, weight)

    await each(list(ids), look)
    # Not in the order in which they were answered.
    return [found[name] for name in dict.fromkeys(ids) if name in found], faults


def _show_rows(output: Output, rows: list[_Row], *, head: bool) -> None:
    for row in rows:
        facts = {"idle": row.idle, "ttl_left": row.ttl_left, "revision": row.revision}
        output.line(id=row.id, **facts, fields=row.fields, bytes=row.bytes)
    if rows:
        cells = [
            (span(row.idle), span(row.ttl_left), f"{row.revision:,}", f"{row.fields}", size(row.bytes), row.id)
            for row in rows
        ]
        output.table(tuple(_WIDTHS), cells, head=head, least=_WIDTHS)


def show(
    session_id: SessionKey,
    url: Url,
    namespace: Namespace = None,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Shows a session: fields, remaining time, revision, lease and who waits for it. It is not touched.

    Values whose names look secret (password, token, pin ...) are masked. Ends with 1 if there is no such session.
    """
    output = Output(as_json=as_json)

    async def work(store: SessionStore) -> dict[str, Any]:
        key = store.session(session_id).id
        link = store._links[0]
        record, now = await _read(link, key)
        if record is None:
            return {"id": key, "exists": False, "lease": await _lease(link, key)}
        return _described(record, now, link, reveal) | {"lease": await _lease(link, key)}

    facts = run(url, namespace, work)
    output.line(**facts)
    if output.people and facts["exists"]:
        _show(output, facts)
    if not facts["exists"]:
        lease = facts["lease"]
        held_now = f"; a turn holds it ({lease['owner']})" if lease and lease["owner"] else ""
        fail(f"there is no session {facts['id']!a}{held_now}")


def _described(record: Record, now: int, link: Link, reveal: bool) -> dict[str, Any]:
    document = to_document(record, link.space)
    meta = {name: len(elements(raw)) for name, raw in record.bags[META].items() if raw[0] == 4}
    return {
        "id": record.id,
        "exists": True,
        "revision": record.revision,
        "epoch": record.epoch,
        "created": _moment(record.created),
        "idle": max(now - record.touched, 0) / 1000,
        "ttl": None if record.ttl is None else record.ttl / 1000,
        "max_lifetime": None if record.max_lifetime is None else record.max_lifetime / 1000,
        "ttl_left": _left(record, now),
        "bytes": len(record.encode()),
        "remembered": meta,
        **{
            bag: {name: shown(name, value, reveal=reveal) for name, value in document[bag].items()}
            for bag in ("state", "props")
        },
    }


def _show(output: Output, facts: dict[str, Any]) -> None:
    lease = facts["lease"]
    remembered = ", ".join(f"{count} {name}" for name, count in facts["remembered"].items())
    rows = [
        ("id", facts["id"]),
        ("revision", f"{facts['revision']} (epoch {facts['epoch']})"),
        ("created", facts["created"]),
        ("idle", span(facts["idle"])),
        ("ttl left", span(facts["ttl_left"]) + ("" if facts["ttl"] is None else f" of {span(facts['ttl'])}")),
        ("size", size(facts["bytes"])),
        ("remembers", remembered or "nothing"),
        ("lease", _lease_text(lease)),
    ]
    output.table(("", ""), rows, head=False)
    fields = [(bag, name, text(value)) for bag in ("state", "props") for name, value in facts[bag].items()]
    if fields:
        output.say("")
        output.table(("bag", "field", "value"), fields)
    else:
        output.say("it has no fields")


def _lease_text(lease: dict[str, Any] | None) -> str:
    if lease is None:
        return "not known: this place does not tell"
    holder = "free"
    if lease["owner"] is not None:
        holder = f"held by {lease['owner']}, since {lease['since']}, for {span(lease['left'])} more unless renewed"
    waiting = lease["waiting"]
    return holder + (f"; {len(waiting)} waiting: {', '.join(waiting)}" if waiting else "")


async def _read(link: Link, session_id: str) -> tuple[Record | None, int]:
    """The record as it stands, or None, and the place's clock. Nothing is touched, whatever the policy says."""
    reply = await link.ask(session_id, Load(Want.WHOLE))
    if reply.status is Status.ABSENT:
        return None, reply.now
    if reply.status is not Status.OK:
        refuse(reply)
    (data,) = reply.results
    return Record.decode(bytes(data or b""), expected_id=session_id), reply.now


async def _lease(link: Link, session_id: str) -> dict[str, Any] | None:
    """Who holds the session and who waits for it; None where the place has no way to tell."""
    try:
        state = await lease_state(link, session_id)
    except Unsupported:
        return None
    left = None if state.until is None else max(state.until.timestamp() - link.driver.now() / 1000, 0.0)
    return {
        "owner": state.owner,
        "since": None if state.since is None else state.since.isoformat(timespec="milliseconds"),
        "left": left,
        "token": state.token or None,
        "waiting": list(state.waiting),
    }


def _left(record: Record, now: int) -> float | None:
    due = record.expires_at
    return None if due is None else max(due - now, 0) / 1000


def _moment(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).isoformat(timespec="milliseconds")
