"""Copying a namespace: read whole, installed if newer, read back and compared.

Each record is read by one `Load` that gives its very bytes and put by one `Install`, which takes it only if it is newer
than what is there. So a copy may be run again, in part or in whole: what is there already stays, what changed since is
taken over, and what the target changed or deleted by itself is left alone. A lease, its queue and the remembered
operation ids are not copied: a copy holds nothing, and a command is retried only where it was first sent.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from gridsession._commands import Install, Load, Mode, Touch, Want
from gridsession._link import Link, new_id, refuse
from gridsession._record import Record
from gridsession._reply import Reply, Status
from gridsession._store import SessionStore
from gridsession.errors import CorruptRecord, Refused
from gridsession.moving._parallel import each
from gridsession.moving._report import OnProgress, Progress, Report, Tally
from gridsession.moving._resume import ResumeFile

_PAGE: Final = 500
_SKEW: Final = 1_000
"""Clocks this close (ms) are one clock: times are carried over as they are."""
_TOLERANCE: Final = 2_000
"""What lives this much shorter (ms) at the target is no difference: reading both takes time."""
_STEPS: Final = (("copy", "sessions"), ("copy", "globals"), ("verify", "sessions"), ("verify", "globals"))


class _Whole(NamedTuple):
    """A record as it was read, or None if there is none, and the reply that told."""

    record: Record | None
    reply: Reply


async def copy(
    source: SessionStore,
    target: SessionStore,
    *,
    dry_run: bool = False,
    resume: Path | None = None,
    names: tuple[str, str] = ("", ""),
    on_progress: OnProgress | None = None,
) -> Report:
    """Copy all sessions and globals of the source's namespace into the target's.

    A session that lives at both places stands afterwards in its newer state, by (epoch, revision).

    Args:
        source: an open store; nothing there is changed.
        target: an open store; with `dry_run` it is not asked anything.
        dry_run: only count what is at the source.
        resume: a file that is kept while the move is under way and says where to go on; removed at the end.
        names: the URLs, which tell this move from others in the file; only a digest is kept.
        on_progress: called after each page.

    Returns:
        Counts by step: copied, there (already, at this revision), newer (the target has a newer one or deleted it),
        gone (ended or deleted meanwhile), failed; and of the comparison: same, newer, gone, behind (changed at the
        source since it was copied), missing, different, failed.

    Raises:
        InvalidOption: the file to resume from is that of another move.
        Unavailable, OutcomeUnknown: a place stopped answering; run it again, it goes on where it was.
    """
    spaces = {link.space.kind: (link, goal) for link, goal in zip(source._links, target._links, strict=True)}
    place = ResumeFile(None if dry_run else resume, *names, source.namespace, target.namespace)
    report = place.report
    if not dry_run and not place.resumed:
        skew = target._links[0].driver.now() - source._links[0].driver.now()
        report.shift = skew if abs(skew) > _SKEW else 0
    for number, (step, kind) in enumerate(_STEPS):
        if number < place.step or (dry_run and step == "verify"):
            continue
        mover = _Mover(*spaces[kind], report.shift, report.tally(step, kind))
        work = {"copy": mover.count if dry_run else mover.copy, "verify": mover.verify}[step]
        cursor = place.cursor if number == place.step else None
        while True:
            page = await mover.source.driver.scan(mover.source.space, cursor=cursor, limit=_PAGE)
            await each(page.ids, work)
            cursor = page.cursor
            place.save(*((number + 1, None) if cursor is None else (number, cursor)))
            if on_progress is not None:
                on_progress(Progress(step, kind, mover.tally.total))
            if cursor is None:
                break
    place.done()
    return report


class _Mover:
    """One kind of record on its way from one place to another."""

    def __init__(self, source: Link, target: Link, shift: int, tally: Tally) -> None:
        self.source = source
        self.target = target
        self.tally = tally
        self._shift = shift

    async def count(self, key: str) -> None:
        """Only count."""
        self.tally.add("found")

    async def copy(self, key: str) -> None:
        """Carry one record over if it is newer than what is there."""
        try:
            record = (await self._read(self.source, key)).record
            if record is None:
                self.tally.add("gone")
                return
            command = Install(new_id(), self.target.not_after(), self._shifted(record).encode(), Mode.IF_NEWER)
            reply = await self.target.ask(key, command)
            if reply.status is Status.OK:
                self.tally.add("copied")
            elif reply.status is not Status.CONFLICT:
                refuse(reply)
            else:
                await self._meet(record, reply)
        except (CorruptRecord, Refused) as error:
            self.tally.problem("failed", key, str(error))

    async def verify(self, key: str) -> None:
        """Read both back and compare."""
        try:
            ours, theirs = await self._read(self.source, key), await self._read(self.target, key)
        except (CorruptRecord, Refused) as error:
            self.tally.problem("failed", key, str(error))
            return
        if ours.record is None:
            self.tally.add("gone")
        elif theirs.record is None:
            self._miss(ours.record, ours.reply, theirs.reply)
        elif _age(theirs.record) > _age(ours.record):
            self.tally.add("newer")
        elif _age(theirs.record) < _age(ours.record):
            self.tally.problem("behind", key, "changed at the source after it was copied: copy again")
        elif _digest(theirs.record) != _digest(ours.record):
            self.tally.problem("different", key, "its fields differ at the same revision")
        elif _ends_early(theirs.record, self._shifted(ours.record)):
            self.tally.problem("behind", key, "its life was extended at the source after it was copied: copy again")
        else:
            self.tally.add("same")

    async def _meet(self, record: Record, reply: Reply) -> None:
        """The target did not take it: because it has it, has a newer one, or because its time was up."""
        due = self._shifted(record).expires_at
        if due is not None and due <= reply.now:
            self.tally.add("gone")
        elif reply.present and (reply.epoch, reply.revision) == _age(record):
            # It may have been touched since it was copied, which changes no revision.
            left = 0 if due is None else max(due - reply.now - _TOLERANCE // 2, 0)
            touch = Touch(left, record.ttl or 0)
            await self.target.ask(record.id, Load(Want.REVISION, touch=touch, not_after=self.target.not_after()))
            self.tally.add("there")
        else:
            self.tally.add("newer")

    def _miss(self, record: Record, told: Reply, there: Reply) -> None:
        due = record.expires_at
        if due is not None and due - told.now <= _TOLERANCE:
            self.tally.add("gone")
        elif there.epoch >= record.epoch:
            # What it left says that it was deleted there.
            self.tally.add("newer")
        else:
            self.tally.problem("missing", record.id, "created at the source after it was copied: copy again")

    async def _read(self, link: Link, key: str) -> _Whole:
        reply = await link.ask(key, Load(Want.WHOLE, confirm=True, not_after=link.not_after()))
        if reply.status is Status.OK:
            (data,) = reply.results
            return _Whole(Record.decode(bytes(data or b""), expected_id=key, strict=True), reply)
        if reply.status is not Status.ABSENT:
            refuse(reply)
        return _Whole(None, reply)

    def _shifted(self, record: Record) -> Record:
        """The record by the target's clock, with as much time left."""
        if not self._shift:
            return record
        return replace(
            record, created=max(record.created + self._shift, 0), touched=max(record.touched + self._shift, 0)
        )


def _age(record: Record) -> tuple[int, int]:
    return record.epoch, record.revision


def _digest(record: Record) -> bytes:
    """Of all that a revision stands for: id, epoch, revision, max_lifetime, every field. Times and tokens go their own
    way at the target."""
    plain = replace(record, created=0, touched=0, ttl=None, last_token=0, lease=None, queue=(), ring=())
    return hashlib.sha256(plain.encode()).digest()


def _ends_early(there: Record, here: Record) -> bool:
    due, wanted = there.expires_at, here.expires_at
    return due is not None and (wanted is None or due < wanted - _TOLERANCE)
