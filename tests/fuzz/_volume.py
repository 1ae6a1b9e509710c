"""Case after case to both sides: what throws, what they answer differently, and what takes too much memory."""

from __future__ import annotations

import contextlib
import json
import resource
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gridsession._record import Record
from gridsession._reply import Status, decode_reply
from gridsession._wire import apply_bytes
from gridsession.drivers.hazelcast._peek import peek
from gridsession.errors import CodecError, CorruptRecord
from tests.fuzz._cases import Case
from tests.fuzz._java import Answer, Compiled, JavaRules
from tests.fuzz._mutate import Mutator

_BATCH: Final = 1_000
_TRACED: Final = 200
"""One in so many cases is applied once more with each allocation counted."""
_SLACK: Final = 1 << 20
_MOST_SHOWN: Final = 20

Rules = Callable[[Case], tuple[bytes | None, bytes]]


@dataclass
class Found:
    """What a run came to.

    Attributes:
        statuses: how often each status was answered.
        written: how many cases changed a record.
        growth: by how much the resident memory of this process rose after the first batch, bytes.
        worst: the most bytes of memory that one case took beyond four times its size (Python, Java).
        faults: what must not be: a line for each, with the case to replay.
    """

    cases: int = 0
    seconds: float = 0.0
    written: int = 0
    growth: int = 0
    worst: tuple[int, int] = (0, 0)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, what: str, case: Case) -> None:
        """One more fault."""
        self.faults.append(json.dumps({"fault": what, **case.document()}))


def rules(case: Case) -> tuple[bytes | None, bytes]:
    """What the Python rules make of a case."""
    return apply_bytes(case.record, case.command, case.now, case.id, case.limits)


def run(seed: int, classes: Compiled, *, cases: int | None, seconds: float | None, python: Rules = rules) -> Found:
    """Mutate until so many cases or seconds are through, or too much was found.

    Args:
        classes: the Java side.
        python: what stands for the Python side; another than the rules shows that differences are seen.
    """
    mutator = Mutator(seed)
    limits = list(dict.fromkeys(case.limits for case in mutator.seeds))
    found = Found()
    begun = time.monotonic()
    resident = 0
    with JavaRules(classes, limits) as java:
        while (cases is None or found.cases < cases) and len(found.faults) < _MOST_SHOWN:
            if seconds is not None and time.monotonic() - begun >= seconds:
                break
            batch = [mutator.case() for _ in range(_BATCH if cases is None else min(_BATCH, cases - found.cases))]
            check(batch, java, found, python)
            found.cases += len(batch)
            # What is made once, at first use, is not growth.
            resident = resident or _resident()
        found.growth = _resident() - resident
        found.seconds = time.monotonic() - begun
    return found


def check(batch: list[Case], java: JavaRules, found: Found, python: Rules = rules) -> None:
    """Give cases to both sides and compare."""
    java.send(batch)
    ours = [_applied(case, found, python) for case in batch]
    if found.cases // _BATCH % 10 == 0 or len(batch) < _BATCH:
        for case in batch[:: _TRACED // 10]:
            _trace(case, found, python)
    for case, own, theirs in zip(batch, ours, java.receive(len(batch)), strict=True):
        _compare(case, own, theirs, found)


def _applied(case: Case, found: Found, python: Rules) -> tuple[bytes | None, bytes] | None:
    try:
        after, reply = python(case)
        _read_again(case, after, reply)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        found.add(f"Python: {type(error).__name__} at {_where(error)}", case)
        return None
    found.statuses[Status(reply[1]).name] += 1
    return after, reply


def _read_again(case: Case, after: bytes | None, reply: bytes) -> None:
    """What clients, drivers and tools do with the same bytes."""
    decode_reply(reply, expected_id=case.id.encode())
    changed = after is not case.record and after is not None
    if changed and Record.decode(after or b"", expected_id=case.id).encode() != after:
        raise AssertionError("what was written reads as something else")
    if case.record is None:
        return
    try:
        record = Record.decode(case.record, strict=True)
    except CorruptRecord:
        pass
    else:
        if record.encode() != case.record:
            raise AssertionError("a record that was read is not what is written of it")
    with contextlib.suppress(CodecError):
        peek(case.record)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "nowhere" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _trace(case: Case, found: Found, python: Rules) -> None:
    tracemalloc.start()
    try:
        python(case)
        beyond = tracemalloc.get_traced_memory()[1] - 4 * case.size
    except Exception:  # noqa: BLE001 - told already
        return
    finally:
        tracemalloc.stop()
    found.worst = (max(found.worst[0], beyond), found.worst[1])
    if beyond > _SLACK:
        found.add(f"Python: {beyond} bytes of memory beyond 4 times the input", case)


def _compare(case: Case, own: tuple[bytes | None, bytes] | None, theirs: Answer, found: Found) -> None:
    if theirs.threw is not None:
        found.add(f"Java: {theirs.threw}", case)
        return
    beyond = theirs.allocated - 4 * case.size
    found.worst = (found.worst[0], max(found.worst[1], beyond))
    if beyond > _SLACK:
        found.add(f"Java: {beyond} bytes allocated beyond 4 times the input", case)
    if own is None:
        return
    after, reply = own
    found.written += theirs.written
    if reply != theirs.reply:
        found.add(f"replies differ: {_status(reply)} here, {_status(theirs.reply)} in Java", case)
    elif (after is not case.record) != theirs.written or (theirs.written and after != theirs.record):
        found.add("records afterwards differ", case)


def _status(reply: bytes) -> str:
    return Status(reply[1]).name if len(reply) > 1 and reply[1] < len(Status) else "no status"


def _resident() -> int:
    # KiB on Linux, and the highest so far: a peak that is gone counts too.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
