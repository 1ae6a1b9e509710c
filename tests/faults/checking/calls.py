"""Histories read back: each key's calls, and when there were faults."""

from __future__ import annotations

import gc
import json
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, TypeVar

from msgspec import MsgspecError, Struct, convert
from msgspec.json import Decoder

from tests.faults.history import NEMESIS

NEVER: Final = 1 << 62
"""End of a call whose outcome is not known: it may take effect at any later time, or never."""
HEALED: Final = 15 * 10**9
"""ns after a fault's end until everything serves again, and no plain read may be stale."""
START: Final = attrgetter("start")
END: Final = attrgetter("end")
_CHUNK: Final = 2**18
"""Bytes that are parsed at a time: so many stay in the processor's cache."""
T = TypeVar("T")


class Call(Struct, gc=False, omit_defaults=True, rename={"start": "time", "kind": "type", "asked": "value"}):
    """One call: the line it began with, to which what its end says is added.

    Attributes:
        kind: ok, fail or info; invoke until its end is read.
        ended: when its caller was told; NEVER if the caller never was.
        end: when it had surely taken effect: NEVER unless it was answered.
    """

    key: str
    kind: Literal["invoke", "ok", "fail", "info"]
    f: str
    process: Any
    asked: Any
    start: int
    op: int | None
    error: str | None
    answer: Any = None
    end: int = NEVER
    ended: int = NEVER
    file: int = 0


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


def read(paths: Sequence[Path]) -> Histories:
    """Read the files."""
    calls, notes = dict[str, list[Call]](), list[Call]()
    for number, path in enumerate(paths):
        read_file(path, number, calls, notes)
    return histories(calls, notes)


def histories(calls: dict[str, list[Call]], notes: Iterable[Call]) -> Histories:
    """Of each key's calls, and the lines that are of no call."""
    found = Histories(calls)
    _take_notes(found, notes)
    return found


def read_file(path: Path, number: int, calls: dict[str, list[Call]], notes: list[Call]) -> None:
    """Add what a file says to the calls of each key, and to the lines that are of no call."""
    with path.open("rb") as file:
        _add(parsed(file, Call), number, calls, notes)


def _add(lines: Iterable[Call], number: int, calls: dict[str, list[Call]], notes: list[Call]) -> None:
    # A million times round: each call costs what the few statements here cost.
    begun: dict[int | None, Call] = {}
    ending, one_of_each = begun.pop, sys.intern
    for line in lines:
        kind, op = line.kind, line.op
        if kind == "invoke":
            begun[op] = line
        elif op is None:
            line.file = number
            notes.append(line)
        else:
            call = ending(op)
            call.kind = kind
            call.f = one_of_each(call.f)
            call.answer = line.asked
            call.ended = line.start
            if kind == "ok":
                call.end = line.start
            call.error = line.error
            call.file = number
            try:
                calls[call.key].append(call)
            except KeyError:
                calls[call.key] = [call]
    for call in begun.values():
        call.kind, call.error, call.file = "info", "no end", number
        calls.setdefault(call.key, []).append(call)


def parsed(file: BinaryIO, type: type[T]) -> Iterator[T]:
    """A history's lines, each as one of `type`."""
    decoder, rest = Decoder(type), b""
    while chunk := file.read(_CHUNK):
        whole, newline, cut = (rest + chunk).rpartition(b"\n")
        yield from _decoded(decoder, whole + newline, type)
        rest = cut
    yield from _decoded(decoder, rest, type)


def _decoded(decoder: Decoder[T], lines: bytes, type: type[T]) -> Iterable[T]:
    try:
        return decoder.decode_lines(lines)
    except MsgspecError:
        return list(_one_by_one(lines, type))


def _one_by_one(lines: bytes, type: type[T]) -> Iterator[T]:
    for text in lines.splitlines():
        # The last line of a process that was killed.
        with suppress(ValueError):
            # Not the quick decoder: this one reads NaN, too.
            yield convert(json.loads(text), type)


def _take_notes(found: Histories, notes: Iterable[Call]) -> None:
    ordered = sorted(notes, key=lambda note: note.start)
    for note in ordered:
        value, time = note.asked, note.start
        match note.f:
            case "look":
                found.looks.append((time, value["pass"]))
            case "run":
                more = {name: int(seconds * 1e9) for name, seconds in value["limits"].items()}
                found.limits[note.file] = int(value["deadline"] * 1e9), more
            case "stopped":
                found.stopped.add(note.file)
            case "nonsense":
                found.nonsense.append(value)
            case "listened":
                found.listened = max(found.listened, time)
            case "hung":
                found.hung += value
    found.faults = _faults([note for note in ordered if note.f == "fault" and note.process == NEMESIS])


def _faults(notes: Iterable[Call]) -> Faults:
    running: dict[str, tuple[int, str]] = {}
    spans: list[tuple[int, int, str]] = []
    for note in notes:
        value = note.asked
        name = json.dumps([value["kind"], value["target"]])
        if value["phase"] == "start":
            running[name] = (note.start, value["kind"])
        elif name in running:
            start, kind = running.pop(name)
            spans.append((start, note.start, kind))
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
def no_collection() -> Iterator[None]:
    """Millions of small objects that all stay: looking for cycles among them again and again doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def last_look(looks: Sequence[Call]) -> dict[str, Any] | None:
    """What the last successful look at a key saw."""
    return max(looks, key=lambda call: call.answer["pass"]).answer if looks else None
