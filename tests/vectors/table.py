"""How a case is written down: what is stored, the command, and by hand what must stand and be answered afterwards.

Nothing here calls the rules. `Case.after` and `Case.reply` are built from records and replies spelt out in the tables,
so that a bug in the rules shows as a difference and is never copied into the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from gridsession._commands import Command, Commit, Delete, Install
from gridsession._limits import Limits
from gridsession._record import Fields, Lease, Record, Remembered, Waiter, encode_field
from gridsession._reply import Grant, Life, Reply, Result, Status, encode_results

NOW = 1_700_000_000_000
ID = "line:U1"
EPOCH = NOW - 500_000
CREATED = NOW - 40_000
TOUCHED = NOW - 10_000
TTL = 60_000
SOON = NOW + 10_000
"""The usual deadline of a command."""

EMPTY: Fields = {}
Shown = tuple[Fields | None, Fields | None, Fields | None]
NOTHING: Shown = (None, None, None)
v = encode_field


@dataclass(frozen=True)
class Case:
    """One line of a table, with everything that must come out of it."""

    name: str
    stored: bytes | None
    command: bytes
    now: int
    after: bytes | None
    reply: Reply
    session_id: str
    limits: dict[str, int]

    def place(self) -> Limits:
        """The limits of the place where the command is applied."""
        return replace(Limits(), **self.limits)

    def document(self) -> dict[str, Any]:
        """The case as the JSON files hold it."""
        return {
            "name": self.name,
            "session_id": self.session_id,
            "record": None if self.stored is None else self.stored.hex(),
            "command": self.command.hex(),
            "now": self.now,
            "limits": self.limits,
            "reply": self.reply.encode().hex(),
            "after": "same" if self.after == self.stored else None if self.after is None else self.after.hex(),
        }


def op(number: int) -> bytes:
    """An operation id."""
    return b"op" + bytes(12) + number.to_bytes(2, "big")


def req(letter: str) -> bytes:
    """A request id."""
    return b"request-of-" + bytes(4) + letter.encode()


def bags(state: Fields | None = None, props: Fields | None = None, meta: Fields | None = None) -> Any:
    """Three bags of a record, from decoded values or raw bytes."""
    return tuple(_raw(bag) for bag in (state, props, meta))


def _raw(bag: Any) -> dict[str, bytes]:
    return {name: item if isinstance(item, bytes) else v(item) for name, item in (bag or {}).items()}


def live(state: Any = None, props: Any = None, meta: Any = None, **more: Any) -> Record:
    """A session at (EPOCH, 7), touched ten seconds ago, with a minute of ttl."""
    record = Record(ID, EPOCH, True, 7, CREATED, TOUCHED, TTL, bags=bags(state, props, meta))
    return replace(record, **more)


def gone(**more: Any) -> Record:
    """What is left of a deleted session."""
    return replace(Record(ID, EPOCH, last_token=41), **more)


def ring(
    number: int,
    until: int = SOON,
    status: Status = Status.OK,
    revision: int = 7,
    results: tuple[Result, ...] = (),
    epoch: int = EPOCH,
) -> Remembered:
    """One remembered operation."""
    return Remembered(op(number), until, status, epoch, revision, encode_results(results) if results else b"")


def given_back(record: Record, letter: str = "a", until: int = SOON, revision: int | None = None) -> Record:
    """The record with worker `letter`'s request remembered as over."""
    told = record.revision if revision is None else revision
    entry = Remembered(req(letter), until, Status.LEASE_LOST, record.epoch, told, b"")
    return replace(record, ring=(*record.ring, entry))


def lease(letter: str = "a", token: int = 41, until: int = NOW + 5_000) -> Lease:
    """The lease of worker `letter`."""
    return Lease(f"worker-{letter}", req(letter), token, until)


def waiter(letter: str, until: int = NOW + 1_000) -> Waiter:
    """Worker `letter` in the queue."""
    return Waiter(f"worker-{letter}", req(letter), until)


def remembering(
    record: Record,
    command: Commit | Delete | Install,
    status: Status = Status.OK,
    results: tuple[Result, ...] = (),
    revision: int | None = None,
) -> Record:
    """The record with the command's id at the end of the ring."""
    told = record.revision if revision is None else revision
    entry = Remembered(
        command.op_id, command.not_after, status, record.epoch, told, encode_results(results) if results else b""
    )
    return replace(record, ring=(*record.ring, entry))


def written(
    record: Record, command: Commit, now: int = NOW, results: tuple[Result, ...] = (), **changes: Any
) -> Record:
    """The record one commit later: revision up by one, ttl restarted, id remembered; `changes` say what else."""
    if any(bag in changes for bag in ("state", "props", "meta")):
        given = [changes.pop(bag, None) for bag in ("state", "props", "meta")]
        changes["bags"] = tuple(old if new is None else _raw(new) for old, new in zip(record.bags, given, strict=True))
    changed = replace(record, **{"revision": record.revision + 1, "touched": now, **changes})
    return remembering(changed, command, results=results)


def born(
    command: Commit, now: int = NOW, results: tuple[Result, ...] = (), out_of: Record | None = None, **changes: Any
) -> Record:
    """A session that the commit created out of nothing, or out of what a former one left."""
    left = Record(ID, now - 1) if out_of is None else out_of
    start = replace(left, epoch=left.epoch + 1, live=True, created=now, touched=now)
    return written(start, command, now, results, **changes)


def life(record: Record, expires_at: int | None) -> Life:
    """The times of a reply; when it ends is said by hand."""
    return Life(record.created, record.ttl, record.max_lifetime, expires_at)


def both(record: Record) -> Shown:
    """What `want record` shows."""
    return (record.bags[0], record.bags[1], None)


class Table:
    """The cases of one theme, in the order in which they are read."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(
        self,
        name: str,
        stored: Record | bytes | None,
        command: Command | bytes,
        *,
        after: Record | bytes | Literal["same"] | None = "same",
        status: Status = Status.OK,
        now: int = NOW,
        session_id: str = ID,
        limits: dict[str, int] | None = None,
        grant: Grant | None = None,
        **told: Any,
    ) -> None:
        """Write down one case. Unless said otherwise nothing changes, and the reply tells of what then stands.

        Args:
            after: the record that must stand afterwards, or "same".
            told: what the reply says beyond that, by its attributes.
        """
        subject = stored if isinstance(after, str) else after
        said: dict[str, Any] = {"epoch": 0, "revision": 0, "present": False}
        if isinstance(subject, Record):
            said = {"epoch": subject.epoch, "revision": subject.revision, "present": subject.live}
        said.update(told)
        before = stored.encode() if isinstance(stored, Record) else stored
        then = before if isinstance(after, str) else after.encode() if isinstance(after, Record) else after
        self.cases.append(
            Case(
                name,
                before,
                command if isinstance(command, bytes) else command.encode(),
                now,
                then,
                Reply(status, session_id, now, grant=grant, **said),
                session_id,
                limits or {},
            )
        )

    def refused(self, name: str, data: bytes, status: Status = Status.MALFORMED, stored: Record | None = None) -> None:
        """A command that is not even read; the reply tells nothing of the record."""
        self.add(name, stored, data, status=status, epoch=0, revision=0, present=False)


def differences(expected: Reply, found: Reply) -> list[str]:
    """What is not as it was written down, for a person to read."""
    return [
        f"{name}: must be {must!r}, is {does!r}"
        for name, must, does in zip(Reply._fields, expected, found, strict=True)
        if must != does
    ]
