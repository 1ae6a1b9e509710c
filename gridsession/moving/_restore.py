"""Putting a snapshot's records back: newer ones only, with as much time left as they had; then read and compared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from gridsession._commands import Install, Load, Mode, Touch, Want
from gridsession._identity import check_namespace
from gridsession._link import Link, new_id, refuse
from gridsession._record import Record
from gridsession._reply import Reply, Status
from gridsession._store import SessionStore
from gridsession.errors import CorruptRecord, InvalidOption, Refused
from gridsession.moving._parallel import each
from gridsession.moving._report import OnProgress, Progress, Report, Tally
from gridsession.moving._resume import ResumeFile
from gridsession.moving._snapshot import Contents, check_snapshot, digest, links_of, read_whole
from gridsession.moving._snapshot_file import RECORDS, Block, Group, SnapshotReader

_STEPS: Final = ("restore", "verify")
_TOLERANCE: Final = 1_000
"""What lives this much shorter (ms) has the same life: reading it takes time."""
_Work = Callable[[Link, Record, int, Tally], Awaitable[None]]


async def restore(
    store: SessionStore,
    path: Path,
    *,
    contents: Contents | None = None,
    namespaces: Sequence[str] = (),
    to_namespace: str | None = None,
    elapsed: bool = False,
    resume: Path | None = None,
    names: Sequence[str] = (),
    on_progress: OnProgress | None = None,
) -> Report:
    """Put the sessions and globals of a snapshot's file in place, whole: revision, fields, what is remembered.

    The file is checked to its end before anything is written. What is in place already stays, unless the file has it
    newer, by (epoch, revision); what was deleted since stays deleted. So it may be run again at any time.

    Args:
        store: an open store at the place.
        contents: what `check_snapshot` said of the file, if it was asked already.
        namespaces: only these of the file; none = all.
        to_namespace: whose they become, if it is one namespace only.
        elapsed: the time since the snapshot counts, so what would have ended by now is left out; what is in place
            already lives as long as the file says, if that is longer. Else each session has as much time left as it
            had when it was read.
        resume: a file that is kept while the restore is under way and says where to go on; removed at the end.
        names: what tells this place from others, as its URL, in that file; only a digest is kept.
        on_progress: called after each block.

    Returns:
        Counts by step: restored, there (already, at this revision), newer (the place has a newer one or deleted it),
        ended, failed; and of the comparison: same, newer, ended, missing, different, failed.

    Raises:
        CodecError: the file is damaged or no snapshot; nothing was written.
        InvalidOption: a namespace that the file does not hold, or a file to resume from that is of another restore.
        Unavailable, OutcomeUnknown: the place stopped answering; run it again.
    """
    found = await asyncio.to_thread(check_snapshot, path) if contents is None else contents
    links = _targets(store, found, namespaces, to_namespace)
    told = (found.id, found.content, *names, *namespaces, to_namespace or "", str(elapsed))
    place = ResumeFile(resume, *told)
    report = place.report
    # Since when what was put in place may have ended there; of what an earlier run put, nothing is known.
    began = None if elapsed or place.resumed else store._links[0].driver.now()
    for number, step in enumerate(_STEPS):
        if number < place.step:
            continue
        work: _Work = partial(_put, elapsed) if step == "restore" else partial(_compare, began)
        after = int(place.cursor) if number == place.step and place.cursor is not None else -1
        blocks = SnapshotReader(path).blocks(after)
        while (block := await asyncio.to_thread(_next, blocks)) is not None:
            group = Group.read(block)
            link = links.get((group.namespace, group.kind))
            if link is not None:
                tally = report.tally(step, group.kind)
                await each(group.records, partial(_one, work, link, group.now, tally))
                if on_progress is not None:
                    on_progress(Progress(step, group.kind, tally.total))
            place.save(number, str(block.number))
        place.save(number + 1, None)
    place.done()
    return report


def _targets(
    store: SessionStore, found: Contents, namespaces: Sequence[str], to_namespace: str | None
) -> dict[tuple[int, str], Link]:
    chosen = tuple(dict.fromkeys(namespaces)) or found.namespaces
    for name in chosen:
        if name not in found.namespaces:
            raise InvalidOption(f"the snapshot holds no namespace {name!r}; it holds {', '.join(found.namespaces)}")
    if to_namespace is not None:
        check_namespace(to_namespace)
        if len(chosen) != 1:
            raise InvalidOption(f"{len(chosen)} namespaces cannot become one: choose one of {', '.join(chosen)}")
    return {
        (found.namespaces.index(name), link.space.kind): link
        for name in chosen
        for link in links_of(store, to_namespace or name)
    }


def _next(blocks: Iterator[Block]) -> Block | None:
    return next((block for block in blocks if block.type == RECORDS), None)


async def _one(work: _Work, link: Link, then: int, tally: Tally, data: bytes) -> None:
    key = "?"
    try:
        record = Record.decode(data, strict=True)
        key = record.id
        await work(link, record, then, tally)
    except (CorruptRecord, Refused) as error:
        tally.problem("failed", key, str(error))


async def _put(elapsed: bool, link: Link, record: Record, then: int, tally: Tally) -> None:
    # Times are of the clock of the place that was read: moved, they are as far from now as they were from then.
    shift = 0 if elapsed else link.driver.now() - then
    moved = replace(record, created=max(record.created + shift, 0), touched=max(record.touched + shift, 0))
    reply = await link.ask(record.id, Install(new_id(), link.not_after(), moved.encode(), Mode.IF_NEWER))
    if reply.status is Status.OK:
        tally.add("restored")
    elif reply.status is not Status.CONFLICT:
        refuse(reply)
    elif _over(moved, reply):
        tally.add("ended")
    elif reply.present and (reply.epoch, reply.revision) == (record.epoch, record.revision):
        if elapsed:
            # It may have been touched since the file before this one was restored, which changes no revision.
            due = moved.expires_at
            left = 0 if due is None else max(due - reply.now - _TOLERANCE, 0)
            touch = Touch(left, record.ttl or 0)
            await link.ask(record.id, Load(Want.REVISION, touch=touch, not_after=link.not_after()))
        tally.add("there")
    else:
        tally.add("newer")


async def _compare(began: int | None, link: Link, record: Record, then: int, tally: Tally) -> None:
    there, reply = await read_whole(link, record.id)
    kind = link.space.kind
    if there is None:
        if reply.epoch >= record.epoch:
            # What it left says that it was there: it ended, or was deleted.
            tally.add("newer")
        elif record.expires_at is not None and (began is None or record.expires_at - then <= reply.now - began):
            tally.add("ended")
        else:
            tally.problem("missing", record.id, "it is not there: run it again")
    elif (there.epoch, there.revision) > (record.epoch, record.revision):
        tally.add("newer")
    elif digest(there, kind) != digest(record, kind):
        tally.problem("different", record.id, "its fields are others than in the file")
    else:
        tally.add("same")


def _over(record: Record, reply: Reply) -> bool:
    due = record.expires_at
    return due is not None and due <= reply.now
