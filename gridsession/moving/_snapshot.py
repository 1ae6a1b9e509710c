"""Snapshots: the sessions and globals of some namespaces in one file, and back.

Each record is read whole by one `Load` that extends no life, and put back by one `Install`, which takes it only if it
is newer than what is there. So each session in a file is as it stood at one moment, but not all at the same moment; and
a restore may be run again, in part or in whole. What the file looks like is told in `_snapshot_file.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from gridsession._commands import Load, Want
from gridsession._identity import Space, check_namespace
from gridsession._link import Link, refuse
from gridsession._record import Record
from gridsession._reply import Reply, Status
from gridsession._store import SessionStore
from gridsession.errors import CodecError, CorruptRecord, InvalidOption, Refused
from gridsession.moving._parallel import each
from gridsession.moving._report import OnProgress, Progress, Report, Tally
from gridsession.moving._snapshot_file import END, KINDS, RECORDS, START, Group, SnapshotReader
from gridsession.moving._snapshot_write import SnapshotWriter

_PAGE: Final = 256
"""Records held in memory at once; the largest a place takes has 256 KiB by default."""
_WHOLE_RANGE: Final = 1 << 256


class Contents(NamedTuple):
    """What a snapshot's file holds.

    Attributes:
        id: made up when the snapshot was begun.
        namespaces: whose sessions and globals.
        records: how many, by `namespace/kind`. One may be in it twice, if members came or went meanwhile.
        content: digest of all records whatever their order and namespace, without their times, as hex digits.
        size: bytes of the file.
        resumed: whether it went on with what an earlier one had left; False of a file that is only read.
    """

    id: str
    namespaces: tuple[str, ...]
    records: dict[str, int]
    content: str
    size: int
    resumed: bool = False

    def total(self, kind: str, namespaces: Sequence[str] | None = None) -> int:
        """How many records of a kind, of all or some of the namespaces."""
        chosen = self.namespaces if namespaces is None else namespaces
        return sum(self.records.get(f"{name}/{kind}", 0) for name in chosen)


async def snapshot(
    store: SessionStore,
    path: Path,
    *,
    namespaces: Sequence[str] = (),
    names: Sequence[str] = (),
    on_progress: OnProgress | None = None,
) -> tuple[Report, Contents]:
    """Write the sessions and globals of some namespaces into one file, which only its owner may read.

    One that was ended on the way, however that came, goes on where it was when it is run again.

    Args:
        store: an open store at the place; nothing there is changed, and no life is extended.
        path: replaced when the new one is whole and on disk, never before.
        namespaces: none = the store's.
        names: what tells this place from others, as its URL, for going on; only a digest is kept.
        on_progress: called after each page.

    Returns:
        Counts: saved, gone (ended or deleted meanwhile), failed; and what the file holds.

    Raises:
        InvalidOption: what an earlier one left behind is of another place or other namespaces.
        Unavailable: the place or the file cannot be read or written; run it again.
    """
    chosen = tuple(dict.fromkeys(map(check_namespace, namespaces or (store.namespace,))))
    start = {
        "id": secrets.token_hex(16),
        "version": version("gridsession"),
        "names": [*names],
        "namespaces": [*chosen],
    }
    with SnapshotWriter(path, start) as file:
        taking = _Taking(file, chosen)
        for index, namespace in enumerate(chosen):
            for link in links_of(store, namespace):
                await taking.space(index, link, on_progress)
        records, content = dict(taking.records), f"{taking.content:064x}"
        size = await asyncio.to_thread(file.end, {"records": records, "content": content})
    return taking.report, Contents(file.id, chosen, records, content, size, taking.resumed)


class _Taking:
    """One snapshot under way: its file, and what is in it so far."""

    def __init__(self, file: SnapshotWriter, namespaces: tuple[str, ...]) -> None:
        self.report = Report()
        self.records: Counter[str] = Counter()
        self.content = 0
        self.resumed = file.page is not None
        self._file = file
        self._namespaces = namespaces
        self._at = (0, 0)
        self._cursor: str | None = None
        if file.page is not None:
            try:
                (namespace, kind), self._cursor = file.page["space"], file.page["cursor"]
                self._at = int(namespace), KINDS.index(kind)
                if self._cursor is None:
                    self._at = (*self._at[:1], 1) if kind == KINDS[0] else (self._at[0] + 1, 0)
                self.content = int(file.page["content"], 16)
                self.records.update(file.page["records"])
                self.report = Report.from_plain(file.page["report"])
            except (KeyError, TypeError, ValueError):
                raise InvalidOption(f"{file.part} cannot be gone on with: remove it") from None

    async def space(self, namespace: int, link: Link, on_progress: OnProgress | None) -> None:
        """All records of one kind of one namespace, page by page."""
        kind = link.space.kind
        here = namespace, KINDS.index(kind)
        if here < self._at:
            return
        cursor = self._cursor if here == self._at else None
        tally = self.report.tally("snapshot", kind)
        name = f"{self._namespaces[namespace]}/{kind}"
        while True:
            page = await link.driver.scan(link.space, cursor=cursor, limit=_PAGE)
            now = link.driver.now()
            found: list[Record] = []
            await each(page.ids, partial(self._take, link, tally, found))
            cursor = page.cursor
            self.records[name] += len(found)
            for record in found:
                self.content = (self.content + int.from_bytes(digest(record, kind))) % _WHOLE_RANGE
            told = {
                "space": [namespace, kind],
                "cursor": cursor,
                "content": f"{self.content:064x}",
                "records": dict(self.records),
                "report": self.report.to_plain(),
            }
            await asyncio.to_thread(self._write, namespace, kind, now, found, told)
            if on_progress is not None:
                on_progress(Progress("snapshot", kind, tally.total))
            if cursor is None:
                return

    async def _take(self, link: Link, tally: Tally, found: list[Record], key: str) -> None:
        try:
            record, _ = await read_whole(link, key)
        except (CorruptRecord, Refused) as error:
            tally.problem("failed", key, str(error))
            return
        if record is None:
            tally.add("gone")
        else:
            found.append(record)
            tally.add("saved")

    def _write(self, namespace: int, kind: str, now: int, found: list[Record], told: dict[str, Any]) -> None:
        self._file.write(namespace, kind, now, [record.whole() for record in found])
        self._file.mark(told)


def check_snapshot(path: Path) -> Contents:
    """Read a whole file, check each block of it, and say what it holds; it blocks.

    Raises:
        CodecError: it is no snapshot, of a format this version does not know, or damaged; the message says where.
        Unavailable: the file cannot be read.
    """
    identity, namespaces, told = "", tuple[str, ...](), dict[str, Any]()
    counted: Counter[str] = Counter()
    number = 0
    try:
        for block in SnapshotReader(path).blocks():
            number = block.number
            if block.type == START:
                start = block.json()
                identity, namespaces = str(start["id"]), tuple(map(check_namespace, start["namespaces"]))
            elif block.type == RECORDS:
                group = Group.read(block)
                counted[f"{namespaces[group.namespace]}/{group.kind}"] += len(group.records)
            elif block.type == END:
                told = block.json()
        if {name: count for name, count in told["records"].items() if count} != dict(counted):
            raise ValueError
        return Contents(identity, namespaces, told["records"], str(told["content"]), path.stat().st_size)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, struct.error, InvalidOption):
        raise CodecError(f"{path} was not written by gridsession: block {number} does not say what it must") from None


def snapshot_keys(path: Path) -> Iterator[tuple[str, str, str]]:
    """Namespace, kind (`sessions` or `globals`) and name of each record in a file, as they come; it blocks.

    Raises:
        CodecError: as `check_snapshot`, when it comes to the block in question.
        CorruptRecord: a record cannot be read.
        Unavailable: the file cannot be read.
    """
    namespaces: list[str] = []
    for block in SnapshotReader(path).blocks():
        if block.type == START:
            namespaces = block.json()["namespaces"]
        elif block.type == RECORDS:
            group = Group.read(block)
            for data in group.records:
                yield namespaces[group.namespace], group.kind, Record.decode(data, strict=True).id


def links_of(store: SessionStore, namespace: str) -> tuple[Link, ...]:
    """A store's ways to the sessions and the globals of a namespace, which need not be its own."""
    return tuple(replace(link, space=Space(namespace, link.space.kind)) for link in store._links)


async def read_whole(link: Link, key: str) -> tuple[Record | None, Reply]:
    """A record as it stands, confirmed by a copy, or None if there is none; and the reply that told.

    Raises:
        CorruptRecord: what is stored cannot be read.
        Refused: the place would not tell.
    """
    reply = await link.ask(key, Load(Want.WHOLE, confirm=True, not_after=link.not_after()))
    if reply.status is Status.OK:
        (data,) = reply.results
        return Record.decode(bytes(data or b""), expected_id=key, strict=True), reply
    if reply.status is not Status.ABSENT:
        refuse(reply)
    return None, reply


def digest(record: Record, kind: str) -> bytes:
    """Of all that a revision stands for: kind, id, epoch, revision, max_lifetime, every field; not times and tokens."""
    plain = replace(record, created=0, touched=0, ttl=None, last_token=0, lease=None, queue=(), ring=())
    return hashlib.sha256(kind.encode() + b"\0" + plain.encode()).digest()
