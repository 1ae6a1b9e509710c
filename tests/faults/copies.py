"""Whether the copies of each partition are the same: what no client sees until the wrong one is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_SHOWN: Final = 5
_SOON: Final = 60
"""Seconds an entry has left when a copy that swept it already is no other copy."""


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
        entries: by key a hash of the value, and how many seconds the entry has left.
    """

    member: str
    map: str
    partition: int
    index: int
    place: int
    versions: tuple[int, ...]
    lacks: bool
    entries: Mapping[str, tuple[str, int]]


def read(member: str, told: str) -> list[Copy]:
    """What a member's agent told (native/CopyTeller.java), the first line with the question left out."""
    copies = []
    for line in told.splitlines()[1:]:
        name, partition, index, place, versions, state, *entries = line.split(" ")
        held = (entry.rsplit("=", 2) for entry in entries)
        copies.append(
            Copy(
                member, name, int(partition), int(index), int(place),
                tuple(int(each) for each in versions.split(",")), state == "lacks",
                {key: (value, int(left)) for key, value, left in held},
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
                if difference := _difference(owners[0].entries, backup.entries):
                    found.append(
                        f"backup {backup.index} of partition {backup.partition} of {backup.map} on {backup.member} is"
                        f" not its owner's on {owners[0].member}, at the same version {backup.versions[slot]}:"
                        f" {difference}"
                    )
    return compared, found


def _difference(owner: Mapping[str, tuple[str, int]], backup: Mapping[str, tuple[str, int]]) -> str:
    """What differs, in words; nothing if only one of them swept what ends soon, each by its own clock."""
    missing = [key for key, (_, left) in owner.items() if left > _SOON and key not in backup]
    more = [key for key, (_, left) in backup.items() if left > _SOON and key not in owner]
    other = [key for key, (value, _) in owner.items() if key in backup and backup[key][0] != value]
    told = (("missing", missing), ("too many", more), ("other", other))
    return ", ".join(f"{what} {len(keys)} ({', '.join(sorted(keys)[:_SHOWN])})" for what, keys in told if keys)
