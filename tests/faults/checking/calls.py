"""Histories read back: each key's calls, and when there were faults."""

from __future__ import annotations

import gc
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from tests.faults.history import NEMESIS

NEVER: Final = 1 << 62
"""End of a call whose outcome is not known: it may take effect at any later time, or never."""
HEALED: Final = 15 * 10**9
"""ns after a fault's end until everything serves again, and no plain read may be stale."""
_BATCH: Final = 2_000
_START: Final = b'{"key":"'


class Call(NamedTuple):
    """One call. `kind` is ok, fail or info; `ended`: when its caller was told; `end`: NEVER unless it was answered."""

    f: str
    process: int
    start: int
    end: int
    kind: str
    asked: Any
    answer: Any
    error: str | None
    ended: int
    file: int
    op: int


class Violation(NamedTuple):
    """One invariant that did not hold, for one key.

    Attributes:
        strangers: tokens that nobody sent to this key; whether to another one, all files together tell.
    """

    invariant: str
    key: str
    text: str
    calls: tuple[Call, ...] = ()
    evidence: tuple[str, ...] = ()
    strangers: tuple[int, ...] = ()

    def __str__(self) -> str:
        return "\n      ".join((f"{self.invariant} {self.key}: {self.text}", *self.evidence))


@dataclass(slots=True)
class Faults:
    """When there were faults, each with the time that healing may take."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    spans: list[tuple[int, int, str]] = field(default_factory=list)

    def touch(self, start: int, end: int) -> bool:
        """Whether there was a fault at some time between."""
        after = bisect_right(self.starts, end)
        return after > 0 and self.ends[after - 1] >= start

    def frozen(self, start: int, end: int) -> int:
        """ns between the two in which clients stood still themselves: those end nothing in time."""
        spans = [span for span in self.spans if "client" in span[2]]
        return sum(max(0, min(end, until) - max(start, since)) for since, until, _ in spans)


@dataclass(slots=True)
class Histories:
    """What the files say.

    Attributes:
        keys: each key's calls, in no order.
        looks: (start, pass) of each look at all keys.
        limits: by number of the file, ns a call of its client may take, and how much more by the call's name.
        nonsense: what callers said of answers that they could not use.
        listened: when (ns) the last one ended who listened to the end for expired sessions; 0 = nobody did.
        stopped: files whose client ended as asked.
    """

    keys: dict[str, list[Call]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    looks: list[tuple[int, int]] = field(default_factory=list)
    limits: dict[int, tuple[int, dict[str, int]]] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    nonsense: list[str] = field(default_factory=list)
    hung: int = 0
    listened: int = 0


def read(paths: Sequence[Path | str], part: int = 0, parts: int = 1) -> Histories:
    """Read the files; of the keys only every `parts`-th, chosen by hash."""
    found, notes = Histories(), list[tuple[int, dict[str, Any]]]()
    with _no_collection():
        for number, path in enumerate(paths):
            with Path(path).open("rb") as lines:
                _read_file(found, notes, _chosen(lines, part, parts), number)
    _take_notes(found, notes)
    return found


def _chosen(lines: Iterable[bytes], part: int, parts: int) -> Iterator[bytes]:
    if parts == 1:
        yield from lines
        return
    for line in lines:
        # The key stands first in what History writes; others are read to find it.
        key = line[8 : line.find(b'"', 8)] if line.startswith(_START) else json.loads(line)["key"].encode()
        if not key or crc32(key) % parts == part:
            yield line


def _read_file(found: Histories, notes: list[tuple[int, dict[str, Any]]], lines: Iterable[bytes], number: int) -> None:
    begun: dict[int, dict[str, Any]] = {}
    keys, new = found.keys, tuple.__new__
    for line in parsed(lines):
        kind, op = line["type"], line["op"]
        if kind == "invoke":
            begun[op] = line
        elif op is None:
            notes.append((number, line))
        else:
            first = begun.pop(op)
            ended = line["time"]
            end = ended if kind == "ok" else NEVER
            call = new(Call, (first["f"], first["process"], first["time"], end, kind, first["value"], line["value"],
                              line["error"], ended, number, op))  # fmt: skip
            try:
                keys[first["key"]].append(call)
            except KeyError:
                keys[first["key"]] = [call]
    for op, first in begun.items():
        call = Call(first["f"], first["process"], first["time"], NEVER, "info", first["value"], None, "no end", NEVER,
                    number, op)  # fmt: skip
        keys.setdefault(first["key"], []).append(call)


def parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The lines as objects; many at once, which costs a third of one by one."""
    waiting, loads = iter(lines), json.loads
    while batch := list(islice(waiting, _BATCH)):
        try:
            yield from loads(b"[" + b",".join(batch) + b"]")
        except ValueError:
            for text in batch:
                # The last line of a process that was killed.
                with suppress(ValueError):
                    yield loads(text)


def _take_notes(found: Histories, notes: Iterable[tuple[int, dict[str, Any]]]) -> None:
    ordered = sorted(notes, key=lambda note: note[1]["time"])
    for number, line in ordered:
        value, time = line["value"], line["time"]
        match line["f"]:
            case "look":
                found.looks.append((time, value["pass"]))
            case "run":
                more = {name: int(seconds * 1e9) for name, seconds in value["limits"].items()}
                found.limits[number] = int(value["deadline"] * 1e9), more
            case "stopped":
                found.stopped.add(number)
            case "nonsense":
                found.nonsense.append(value)
            case "listened":
                found.listened = max(found.listened, time)
            case "hung":
                found.hung += value
    found.faults = _faults([line for _, line in ordered if line["f"] == "fault" and line["process"] == NEMESIS])


def _faults(lines: Iterable[dict[str, Any]]) -> Faults:
    running: dict[str, tuple[int, str]] = {}
    spans: list[tuple[int, int, str]] = []
    for line in lines:
        value = line["value"]
        name = json.dumps([value["kind"], value["target"]])
        if value["phase"] == "start":
            running[name] = (line["time"], value["kind"])
        elif name in running:
            start, kind = running.pop(name)
            spans.append((start, line["time"], kind))
    spans += [(start, NEVER - HEALED, kind) for start, kind in running.values()]
    faults = Faults(spans=sorted(spans), kinds={kind for _, _, kind in spans})
    for start, end, _ in faults.spans:
        if faults.ends and start <= faults.ends[-1]:
            faults.ends[-1] = max(faults.ends[-1], end + HEALED)
        else:
            faults.starts.append(start)
            faults.ends.append(end + HEALED)
    return faults


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of small objects that all stay: looking for cycles among them again and again doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def last_look(calls: Iterable[Call]) -> dict[str, Any] | None:
    """What the last successful look at a key saw."""
    looks = [call for call in calls if call.f == "final" and call.kind == "ok"]
    return max(looks, key=lambda call: call.answer["pass"]).answer if looks else None
