"""How a thread of checkpoints lies on the grid: one index record for each thread, one record for each body.

The index (`langgraph:<thread>`) lists what was written, in order; every body (a checkpoint, a task's writes, a page of
older index entries) is written first, under an id that nobody else uses, and counts when the index names it. So the
index is the one commit point, and its lease with its token decides who may write the thread. What is about to be
written or deleted is noted in the index first: whoever holds the thread next clears what a killed process left.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from gridsession import Session, SessionStore, Snapshot
from gridsession import operations as op
from gridsession.dialects._two_colours import TwoColours
from gridsession.errors import CorruptRecord

PLATFORM: Final = "langgraph"
CHECKPOINT: Final = "checkpoint"
WRITES: Final = "writes"
NOTES: Final = ("draft:", "trash:")
"""How names of the index's notes begin: what is being written, and what is being deleted."""
_PART: Final = 128 * 1024
"""Most bytes of a body in one record: half of what a record may hold by default."""
_PAGE: Final = 64
"""Entries of a page; the index itself holds at most twice as many."""
_TOGETHER: Final = 64
"""Most records read or deleted at once."""

Pointer = tuple[str, int]
"""A body: its name, and how many records it takes."""


class Entry(NamedTuple):
    """One line of the index.

    Attributes:
        kind: `CHECKPOINT` or `WRITES`.
        ns: the checkpoint's namespace.
        id: the checkpoint's id.
        parent: of a checkpoint: its parent's id, or None.
        run: of a checkpoint: the run that made it, or None.
        body: where it is kept.
    """

    kind: str
    ns: str
    id: str
    parent: str | None
    run: str | None
    body: Pointer


class Threads:
    """Reads and writes threads; each method that changes one is given its index's handle under the turn's token."""

    def __init__(self, at: TwoColours) -> None:
        self._at = at
        store = at.store
        # Bodies expire one by one, so that the index may name some that are gone.
        self._expires = store.policy.ttl is not None or store.policy.max_lifetime is not None

    @property
    def _store(self) -> SessionStore:
        return self._at.store

    def index_id(self, thread: str) -> str:
        """The session that is the thread's index."""
        return f"{PLATFORM}:{thread}"

    async def names(self) -> list[str]:
        """All threads."""
        prefix = f"{PLATFORM}:"
        return sorted({found.removeprefix(prefix) async for found in self._store.ids(prefix)})

    async def index(self, thread: str) -> Snapshot:
        """The thread's index as it stands."""
        return await self._store.session(self.index_id(thread)).load()

    async def history(self, thread: str, seen: Snapshot | None = None) -> list[Entry]:
        """Everything the thread's index names, oldest first."""
        while True:
            index = await self.index(thread) if seen is None else seen
            pages = await self.read([_pointer(page) for page in index.get("pages", [])])
            if None not in pages or await self.stands(thread, index):
                return [_entry(line) for page in pages for line in msgpack.unpackb(page or b"\x90")] + recent(index)
            seen = None

    async def everything(self, thread: str) -> tuple[list[Entry], list[bytes]]:
        """All entries of a thread that have not expired, oldest first, with their bodies."""
        while True:
            index = await self.index(thread)
            entries = await self.history(thread, index)
            bodies = await self.read([entry.body for entry in entries])
            if None not in bodies or await self.stands(thread, index):
                both = [(entry, body) for entry, body in zip(entries, bodies, strict=True) if body is not None]
                return [entry for entry, _ in both], [body for _, body in both]

    async def stands(self, thread: str, index: Snapshot) -> bool:
        """Whether what is missing has expired; False = the thread was changed meanwhile: read again.

        Raises:
            CorruptRecord: neither: the index names what nobody deleted.
        """
        if (await self.index(thread)).revision != index.revision:
            return False
        if not self._expires:
            raise CorruptRecord(
                f"thread {thread!r} has lost a body that its index names: restore it or delete the thread",
                session_id=self.index_id(thread),
            )
        return True

    async def read(self, bodies: Sequence[Pointer]) -> list[bytes | None]:
        """The bytes of bodies; None for one that is gone."""
        records = [self._store.session(name) for body in bodies for name in _records(body)]
        parts = iter(await _together(record.get("part", type=bytes) for record in records))
        found: list[bytes | None] = []
        for body in bodies:
            mine = [next(parts) for _ in range(body[1])]
            found.append(None if None in mine else b"".join(mine))
        return found

    async def write(self, index: Session, bodies: Sequence[bytes]) -> tuple[list[Pointer], str]:
        """Write bodies that nothing names yet; where they are, and the note that the commit naming them removes."""
        made: list[Pointer] = [(uuid.uuid4().hex, max(-(-len(body) // _PART), 1)) for body in bodies]
        note = f"draft:{uuid.uuid4().hex}"
        await index.set(note, [list(pointer) for pointer in made])
        await _together(
            self._store.session(name).set("part", body[at * _PART : (at + 1) * _PART])
            for pointer, body in zip(made, bodies, strict=True)
            for at, name in enumerate(_records(pointer))
        )
        return made, note

    async def add(self, index: Session, entry: Entry, body: bytes) -> None:
        """Append to the thread: the body, then the entry that names it; and a page when the index grows long."""
        (pointer,), note = await self.write(index, [body])
        after = await index.commit(op.append("index", _line(entry._replace(body=pointer))), op.remove(note))
        if after.results[0] >= 2 * _PAGE:
            await self._turn_page(index, after["index"])

    async def _turn_page(self, index: Session, lines: list[list[Any]]) -> None:
        # What belongs to a checkpoint that stays in the index stays with it: it is found without reading pages.
        stays = {tuple(line[1:3]) for line in lines[_PAGE:] if line[0] == CHECKPOINT}
        old = [line for line in lines[:_PAGE] if tuple(line[1:3]) not in stays]
        rest = [line for line in lines[:_PAGE] if tuple(line[1:3]) in stays] + lines[_PAGE:]
        (page,), note = await self.write(index, [msgpack.packb(old)])
        await index.commit(op.set("index", rest), op.append("pages", list(page)), op.remove(note))

    async def replace(self, index: Session, thread: str, entries: Sequence[Entry]) -> None:
        """Let the thread consist of these entries, in one step, and delete the bodies that no entry names any more."""
        before = await index.load()
        kept = max(len(entries) - _PAGE, 0)
        lines = [_line(entry) for entry in entries]
        pages = [lines[at : min(at + _PAGE, kept)] for at in range(0, kept, _PAGE)]
        # The last one is for the trash alone: what the index itself named until now.
        made, note = await self.write(index, [msgpack.packb(page) for page in [*pages, before.get("index", [])]])
        await index.commit(
            op.set("index", lines[kept:]) if lines else op.remove("index"),
            op.set("pages", [list(page) for page in made[:-1]]) if pages else op.remove("pages"),
            op.set(f"trash:{made[-1][0]}", [*before.get("pages", []), list(made[-1])]),
            op.remove(note),
        )
        await self.tidy(index, thread)

    async def tidy(self, index: Session, thread: str) -> None:
        """Delete what the index notes as half written or half deleted: nobody else holds the thread now."""
        now = await index.load()
        notes = [name for name in now if name.startswith(NOTES)]
        if not notes:
            return
        named = {entry.body for entry in await self.history(thread, now)}
        for note in notes:
            doomed = [_pointer(body) for body in now[note]]
            if note.startswith("trash:"):
                lines = [msgpack.unpackb(page) for page in await self.read(doomed) if page is not None]
                await self._delete({_entry(line).body for page in lines for line in page} - named)
            await self._delete(set(doomed) - named)
        await index.remove(*notes)

    async def _delete(self, bodies: Iterable[Pointer]) -> None:
        await _together(self._store.session(name).delete() for body in bodies for name in _records(body))


def recent(index: Snapshot) -> list[Entry]:
    """The entries that the index itself holds, oldest first."""
    return [_entry(line) for line in index.get("index", [])]


def _entry(line: Sequence[Any]) -> Entry:
    kind, ns, checkpoint_id, parent, run, body = line
    return Entry(kind, ns, checkpoint_id, parent, run, _pointer(body))


def _line(entry: Entry) -> list[Any]:
    return [*entry[:-1], list(entry.body)]


def _pointer(stored: Sequence[Any]) -> Pointer:
    name, records = stored
    return name, records


def _records(body: Pointer) -> list[str]:
    return [f"{PLATFORM}.data:{body[0]}.{number}" for number in range(body[1])]


async def _together(calls: Iterable[Any]) -> list[Any]:
    """Their results, some at a time."""
    waiting, results = iter(calls), list[Any]()
    while some := list(itertools.islice(waiting, _TOGETHER)):
        results += await asyncio.gather(*some)
    return results
