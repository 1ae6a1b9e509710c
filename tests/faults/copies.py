"""Whether the copies of each partition are the same: what no client sees until the wrong one is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Copy:
    """One member's copy of a map's part of a partition.

    Attributes:
        member: who has it.
        map: of which it is a part.
        partition: its number.
        index: 0 for the owner's, from 1 on for backups.
        place: the version of the partition's place; copies are compared only where members agree on it.
        versions: of the backups' copies, from index 1 on, as this member knows them.
        lacks: whether the member knows itself that it missed a change.
        digest: of all entries.
        entries: a hash of each value, by key; may be left out.
        count: how many entries.
    """

    member: str
    map: str
    partition: int
    index: int
    place: int
    versions: tuple[int, ...]
    lacks: bool
    digest: str
    count: int
    entries: Mapping[str, str]


def read(member: str, told: str) -> list[Copy]:
    """What a member's agent told (native/CopyTeller.java), the first line with the question left out."""
    copies = []
    for line in told.splitlines()[1:]:
        name, partition, index, place, versions, state, digest, count, *entries = line.split(" ")
        pairs = (entry.rpartition("=") for entry in entries)
        copies.append(
            Copy(
                member, name, int(partition), int(index), int(place),
                tuple(int(each) for each in versions.split(",")), state == "lacks", digest, int(count),
                {key: value for key, _, value in pairs},
            )
        )  # fmt: skip
    return copies


def compare(copies: Iterable[Copy]) -> tuple[int, list[str]]:
    """How many backups were compared, and where one differs though it counts as many changes as its owner has made.

    Such a one is never mended: Hazelcast compares the counts. Where a backup knows that it lacks something, where the
    counts differ or members do not agree on the partition's place, Hazelcast is about to mend it.
    """
    parts = defaultdict[tuple[str, int, int], list[Copy]](list)
    for copy in copies:
        parts[copy.map, copy.partition, copy.place].append(copy)
    compared, found = 0, list[str]()
    for same in parts.values():
        owners = [copy for copy in same if copy.index == 0]
        for backup in (copy for copy in same if copy.index > 0 and len(owners) == 1):
            slot = backup.index - 1
            if not backup.lacks and backup.versions[slot] == owners[0].versions[slot]:
                compared += 1
                if (owners[0].digest, owners[0].count) != (backup.digest, backup.count):
                    found.append(_difference(owners[0], backup))
    return compared, found


def _difference(owner: Copy, copy: Copy) -> str:
    def some(keys: Iterable[str]) -> str:
        names = sorted(keys)
        return f"{len(names)} ({', '.join(names[:_SHOWN])})" if names else "0"

    other = {key for key in owner.entries.keys() & copy.entries.keys() if owner.entries[key] != copy.entries[key]}
    return (
        f"backup {copy.index} of partition {copy.partition} of {copy.map} on {copy.member} is not its owner's on"
        f" {owner.member}, at the same version {copy.versions[copy.index - 1]}: {copy.count} entries for {owner.count};"
        f" missing {some(owner.entries.keys() - copy.entries.keys())}, too many"
        f" {some(copy.entries.keys() - owner.entries.keys())}, other {some(other)}"
    )
