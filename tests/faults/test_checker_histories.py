"""The checker, told of histories written by hand: for each invariant one that holds and one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.checker import INVARIANTS, check
from tests.faults.elle import exported

_MS = 10**6


class Told(NamedTuple):
    """One call: begun and ended at these ms; `answer` FAIL(error) or INFO(error) where there was none."""

    key: str
    f: str
    start: float
    end: float | None
    asked: Any = None
    answer: Any = None
    process: int = 1


class Fail(NamedTuple):
    error: str


class Info(NamedTuple):
    error: str


class Note(NamedTuple):
    """A line of the one who runs the test."""

    f: str
    time: float
    value: Any


def _look(key: str, state: dict[str, Any], number: int = 1, revision: int | None = None, **more: Any) -> Told:
    changes = len(state.get("log", ())) + state.get("n", 0) if revision is None else revision
    seen = {"pass": number, "exists": True, "ttl": 60.0, "revision": [9, changes], "state": state, **more}
    return Told(key, "final", 1_000_000 + number * 1_000, 1_000_100 + number * 1_000, number, seen, 900)


def _append(key: str, token: int, start: float, end: float, answer: Any, process: int = 1) -> Told:
    return Told(key, "append", start, end, token, answer, process)


def _write(path: Path, history: list[Told | Note]) -> Path:
    lines: list[dict[str, Any]] = []
    for op, each in enumerate(history, start=1):
        if isinstance(each, Note):
            lines.append({"type": "info", "f": each.f, "process": "nemesis", "key": "", "value": each.value,
                          "time": int(each.time * _MS), "op": None, "error": None})  # fmt: skip
            continue
        same = {"f": each.f, "process": each.process, "key": each.key, "op": op, "error": None}
        lines.append(same | {"type": "invoke", "value": each.asked, "time": int(each.start * _MS)})
        if each.end is None:
            continue
        failed = isinstance(each.answer, (Fail, Info))
        kind = "ok" if not failed else "fail" if isinstance(each.answer, Fail) else "info"
        error, value = (each.answer.error, None) if failed else (None, each.answer)
        lines.append(same | {"type": kind, "value": value, "error": error, "time": int(each.end * _MS)})
    lines.sort(key=lambda line: line["time"])
    path.write_text("".join(json.dumps({"index": index, **line}) + "\n" for index, line in enumerate(lines)))
    return path


_A = "append:1"
_TURN = [9, 0, 9, 1, 10, 20, 0, None]
"""Found revision 0 and made 1, was inside from 10 to 20 ns, read an empty list."""

_GOOD: dict[str, list[Told | Note]] = {
    "an append perhaps done, and there": [
        _append(_A, 1, 0, 1, 1), _append(_A, 2, 2, 9_000, Info("OutcomeUnknown")), _look(_A, {"log": [1, 2]}),
        Note("fault", 1, {"kind": "kill", "phase": "start", "target": 1}),
        Note("fault", 3_000, {"kind": "kill", "phase": "end", "target": 1}),
    ],
    "an append refused, and not there": [
        _append(_A, 1, 0, 1, 1), _append(_A, 2, 2, 3, Fail("Busy")), _look(_A, {"log": [1]}),
    ],
    "two at once, in the other order": [
        _append(_A, 1, 0, 5, 2), _append(_A, 2, 1, 4, 1, 2), _look(_A, {"log": [2, 1]}),
    ],
    "a call of a process that was killed": [
        _append(_A, 1, 0, 1, 1), Told(_A, "append", 2, None, 7), _look(_A, {"log": [1]}),
    ],
    "a stale plain read in a partition": [
        _append(_A, 1, 0, 1, 1), Told(_A, "read", 5, 6, None, [9, 0, []]), _look(_A, {"log": [1]}),
        Note("fault", 1, {"kind": "partition", "phase": "start", "target": 1}),
        Note("fault", 30, {"kind": "partition", "phase": "end", "target": 1}),
    ],
    "a conflict at what a plain load saw before it was kept": [
        Told("revision:1", "expect", 0, 90, [9, 3, 1], [9, 4]), Told("revision:1", "load", 5, 6, None, [9, 4], 2),
        Told("revision:1", "expect", 70, 71, [9, 4, 2], Fail("Conflict"), 2),
        Note("fault", 1, {"kind": "partition", "phase": "start", "target": 1}),
        Note("fault", 80, {"kind": "partition", "phase": "end", "target": 1}),
    ],
    "a conflict at what a plain load saw, and others came to later": [
        Told("revision:1", "load", 5, 6, None, [9, 4], 2),
        Told("revision:1", "expect", 10, 60, [9, 4, 2], Fail("Conflict"), 2),
        Told("revision:1", "expect", 70, 71, [9, 3, 1], [9, 4]), _look("revision:1", {"v": 1}, revision=4),
        Note("fault", 1, {"kind": "partition", "phase": "start", "target": 1}),
        Note("fault", 80, {"kind": "partition", "phase": "end", "target": 1}),
    ],
    "a commit answered for a retry": [
        Told(_A, "commit", 0, 9, 1, [9, 1, [1, 2]]), _append(_A, 2, 5, 6, 2, 2), _look(_A, {"log": [1, 2]}),
    ],
    "compare and set, one loses": [
        Told("cas:1", "setdefault", 0, 1, 5, 5), Told("cas:1", "cas", 2, 4, [5, 6], True),
        Told("cas:1", "cas", 2, 4, [5, 7], False, 2), _look("cas:1", {"r": 6}, revision=2),
    ],
    "taken by one that heard nothing": [
        Told("take:1", "setdefault", 0, 1, 5, 5), Told("take:1", "take", 2, 8, None, Info("CancelledError")),
        Told("take:1", "take", 9, 10, None, None, 2), _look("take:1", {}, revision=2),
    ],
    "two turns, one after the other": [
        Told("turn:1", "turn", 0, 3, 1, [9, 0, 9, 1, 1 * _MS, 2 * _MS, 0, None]),
        Told("turn:1", "turn", 1, 6, 2, [9, 1, 9, 2, 4 * _MS, 5 * _MS, 1, 1], 2), _look("turn:1", {"log": [1, 2]}),
    ],
    "told of twice, acknowledged once": [
        Told("expired:1", "expiring", 0, 1, [1.0, 5]), Told("expired:1", "told", 1_100, 1_200, 5, [5, False, 0.1, 1]),
        Told("expired:1", "told", 4_300, 4_400, 5, [5, True, 3.3, 2], 2), Note("listened", 60_000, {}),
    ],
    "expired in time": [
        Told("expiry:1", "write", 0, 1, 1.0), Told("expiry:1", "load", 900, 901, None, True),
        Told("expiry:1", "load", 1_100, 1_101, None, False),
    ],
}  # fmt: skip

_BAD: dict[str, tuple[str, list[Told | Note]]] = {
    "I1 an acknowledged append is missing": ("I1", [
        _append(_A, 1, 0, 1, 1), _append(_A, 2, 2, 3, 2), _look(_A, {"log": [1]}),
    ]),
    "I1 an increment is missing": ("I1", [
        Told("increment:1", "increment", 0, 1, 1, 1), Told("increment:1", "increment", 2, 3, 1, 2),
        _look("increment:1", {"n": 1}),
    ]),
    "I1 a message was known, and is new again": ("I1", [
        Told("remember:1", "remember", 0, 1, 5, True),
        Told("remember:1", "final", 9, 10, 1, {"pass": 1, "new": [5, 30]}),
    ]),
    "I2 it stands there twice": ("I2", [_append(_A, 1, 0, 1, 1), _look(_A, {"log": [1, 1]})]),
    "I2 counted twice": ("I2", [Told("increment:1", "increment", 0, 1, 1, 1), _look("increment:1", {"n": 2})]),
    "I2 two are told it is new": ("I2", [
        Told("remember:1", "remember", 0, 1, 5, True), Told("remember:1", "remember", 2, 3, 5, True, 2),
    ]),
    "I2 two yes in one interval": ("I2", [
        Told("allow:1", "allow", 0, 1, 1.0, True), Told("allow:1", "allow", 200, 201, 1.0, True, 2),
    ]),
    "I2 taken twice": ("I2", [
        Told("take:1", "setdefault", 0, 1, 5, 5), Told("take:1", "take", 2, 3, None, 5),
        Told("take:1", "take", 4, 5, None, 5, 2),
    ]),
    "I3 nobody sent it": ("I3", [_append(_A, 1, 0, 1, 1), _look(_A, {"log": [1, 77]})]),
    "I3 it definitely failed": ("I3", [
        _append(_A, 1, 0, 1, 1), _append(_A, 2, 2, 3, Fail("Busy")), _look(_A, {"log": [1, 2]}),
    ]),
    "I3 no, and no yes before": ("I3", [Told("allow:1", "allow", 0, 1, 1.0, False)]),
    "I4 another place than was said": ("I4", [
        _append(_A, 1, 0, 1, 1), _append(_A, 2, 2, 3, 1), _look(_A, {"log": [1, 2]}),
    ]),
    "I4 a read of another past": ("I4", [
        _append(_A, 1, 0, 1, 1), _append(_A, 2, 2, 9, 2), Told(_A, "read", 5, 6, None, [9, 1, [2]]),
        _look(_A, {"log": [1, 2]}),
    ]),
    "I4 a record that cannot be read": ("I4", [_append(_A, 1, 0, 1, Info("CorruptRecord: ..."))]),
    "I5 answered before the other was sent": ("I5", [
        _append(_A, 1, 0, 1, 2), _append(_A, 2, 5, 6, 1), _look(_A, {"log": [2, 1]}),
    ]),
    "I6 a stale read": ("I6", [
        _append(_A, 1, 0, 1, 1), Told(_A, "read", 5, 6, None, [9, 0, []], 2), _look(_A, {"log": [1]}),
    ]),
    "I6 one's own write is not in the copy": ("I6", [
        _append(_A, 1, 0, 1, 1), Told(_A, "copy", 5, 6, None, [None, None, []]), _look(_A, {"log": [1]}),
    ]),
    "I7 one revision for two changes": ("I7", [
        Told(_A, "commit", 0, 1, 1, [9, 1, [1]]), Told(_A, "commit", 2, 3, 2, [9, 1, [1, 2]]),
        _look(_A, {"log": [1, 2]}),
    ]),
    "I7 a revision is left out": ("I7", [Told("revision:1", "expect", 0, 1, [9, 3, 1], [9, 5])]),
    "I8 two winners": ("I8", [
        Told("revision:1", "expect", 0, 1, [9, 3, 1], [9, 4]), Told("revision:1", "expect", 0, 1, [9, 3, 2], [9, 4], 2),
    ]),
    "I8 a conflict with nobody": ("I8", [
        Told("revision:1", "expect", 0, 1, [9, 3, 1], [9, 4]),
        Told("revision:1", "expect", 2, 3, [9, 4, 2], Fail("Conflict")),
    ]),
    "I8 a conflict with nobody in a partition": ("I8", [
        Told("revision:1", "expect", 0, 9, [9, 3, 1], [9, 4]),
        Told("revision:1", "expect", 70, 71, [9, 4, 2], Fail("Conflict"), 2),
        Note("fault", 1, {"kind": "partition", "phase": "start", "target": 1}),
        Note("fault", 80, {"kind": "partition", "phase": "end", "target": 1}),
    ]),
    "I8 a conflict, and the winner came later": ("I8", [
        Told("revision:1", "expect", 0, 1, [9, 3, 1], [9, 4]),
        Told("revision:1", "expect", 2, 9, [9, 4, 2], Info("CancelledError")),
        Told("revision:1", "expect", 3, 4, [9, 4, 3], Fail("Conflict"), 2),
        Told("revision:1", "expect", 20, 21, [9, 4, 4], [9, 5], 3),
    ]),
    "I8 compare and set, none wins": ("I8", [
        Told("cas:1", "setdefault", 0, 1, 5, 5), Told("cas:1", "cas", 2, 4, [5, 6], False), _look("cas:1", {"r": 5}),
    ]),
    "I9 a commit after a newer grant": ("I9", [
        Told("lease:1", "hold", 0, 9, 1, [9, 0, 9, 2, 1 * _MS, 8 * _MS, True]),
        Told("lease:1", "hold", 3, 12, 2, [9, 1, 9, 3, 9 * _MS, 11 * _MS, False], 2),
    ]),
    "I9 refused for its lease, and written": ("I9", [
        Told("lease:1", "hold", 0, 9, 1, Fail("LeaseLost")), _look("lease:1", {"t1": 1}, revision=1),
    ]),
    "I10 both inside": ("I10", [
        Told("lease:1", "hold", 0, 9, 1, [9, 0, 9, 1, 1 * _MS, 8 * _MS, False]),
        Told("lease:1", "hold", 3, 12, 2, [9, 1, 9, 2, 4 * _MS, 11 * _MS, False], 2),
    ]),
    "I11 there after it was deleted": ("I11", [
        Told("recreate:1", "create", 0, 1, 5, [9, 1]), Told("recreate:1", "delete", 2, 3, None, True),
        Told("recreate:1", "load", 4, 5, None, [9, 1, 5]),
    ]),
    "I11 the same epoch again": ("I11", [
        Told("recreate:1", "create", 0, 1, 5, [9, 1]), Told("recreate:1", "delete", 2, 3, None, True),
        Told("recreate:1", "create", 4, 5, 6, [9, 1]),
    ]),
    "I12 there after its time": ("I12", [
        Told("expiry:1", "write", 0, 1, 1.0), Told("expiry:1", "load", 1_900, 1_901, None, True),
    ]),
    "I12 gone before its time": ("I12", [
        Told("expiry:1", "write", 0, 1, 1.0), Told("expiry:1", "load", 500, 501, None, False),
    ]),
    "I13 another's field is gone": ("I13", [
        Told("fields:1", "update", 0, 1, ["p1", 5], [9, 1, {"p1": 5}]),
        Told("fields:1", "update", 2, 3, ["p2", 6], [9, 2, {"p2": 6}], 2), _look("fields:1", {"p2": 6}, revision=2),
    ]),
    "I14 another's token in an answer": ("I14", [
        _append(_A, 1, 0, 1, 1), _append("append:2", 8, 0, 1, 1), Told(_A, "read", 2, 3, None, [9, 1, [8]]),
        _look(_A, {"log": [1]}), _look("append:2", {"log": [8]}),
    ]),
    "I14 said by the client itself": ("I14", [_append(_A, 1, 0, 1, Info("CrossTalk: a reply for another id"))]),
    "I15 a session that nobody was told of": ("I15", [
        Told("expired:1", "expiring", 0, 1, [1.0, 5]), Note("listened", 60_000, {}),
    ]),
    "I15 told of and never acknowledged": ("I15", [
        Told("expired:1", "expiring", 0, 1, [1.0, 5]), Told("expired:1", "told", 1_300, 1_400, 5, [5, False, 0.1, 1]),
        Note("listened", 60_000, {}),
    ]),
    "I15 acknowledged by two": ("I15", [
        Told("expired:1", "expiring", 0, 1, [1.0, 5]), Told("expired:1", "told", 1_100, 1_200, 5, [5, True, 0.1, 1]),
        Told("expired:1", "told", 1_300, 1_400, 5, [5, True, 0.3, 2], 2),
    ]),
    "I15 told of before its time": ("I15", [
        Told("expired:1", "expiring", 0, 1, [1.0, 5]), Told("expired:1", "told", 300, 400, 5, [5, True, 0.1, 1]),
    ]),
    "I16 it ends too late": ("I16", [_append(_A, 1, 0, 20_000, 1), _look(_A, {"log": [1]})]),
    "I16 not served, and no fault": ("I16", [_append(_A, 1, 0, 5, Fail("ConnectFailed"))]),
    "I16 an error nobody promised": ("I16", [_append(_A, 1, 0, 5, Info("unexpected KeyError: 'x'"))]),
    "I16 never seen at the end": ("I16", [_append(_A, 1, 0, 1, 1), Note("look", 50, {"pass": 1})]),
    "I17 another list at the second look": ("I17", [
        _append(_A, 1, 0, 1, 1), _look(_A, {"log": []}, 1), _look(_A, {"log": [1]}, 2),
    ]),
    "I18 another list after a member died": ("I18", [
        _append(_A, 1, 0, 1, 1), _look(_A, {"log": [1]}, 1), _look(_A, {"log": []}, 2),
        Note("fault", 1_001_500, {"kind": "kill", "phase": "start", "target": 1}),
    ]),
    "I18 a record without ttl": ("I18", [_append(_A, 1, 0, 1, 1), _look(_A, {"log": [1]}, ttl=None)]),
}  # fmt: skip


@pytest.mark.parametrize("name", _GOOD)
def test_a_history_that_holds(name: str, tmp_path: Path) -> None:
    report = check([_write(tmp_path / "history.jsonl", _GOOD[name])])

    assert [str(violation) for violation in report.violations] == []
    assert report.holds


@pytest.mark.parametrize("name", _BAD)
def test_a_history_that_does_not_hold(name: str, tmp_path: Path) -> None:
    invariant, history = _BAD[name]

    report = check([_write(tmp_path / "history.jsonl", history)])

    assert report.by_invariant[invariant], report.violations
    assert not report.holds
    shown = [violation for violation in report.violations if violation.invariant == invariant]
    assert shown[0].evidence or not shown[0].calls


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {invariant for invariant, _ in _BAD.values()} == set(INVARIANTS)


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    files = [
        _write(
            tmp_path / f"{number}.jsonl", [each for _, history in list(_BAD.values())[number::2] for each in history]
        )
        for number in range(2)
    ]

    alone, shared = check(files, processes=1), check(files, processes=2)

    assert sorted(map(str, alone.violations)) == sorted(map(str, shared.violations))
    assert alone.counts == shared.counts


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = _write(tmp_path / "history.jsonl", _GOOD["two at once, in the other order"])
    with path.open("a") as file:
        file.write('{"key":"append:1","index":99,"type":"ok","f":"app')

    assert check([path]).holds


def test_appends_are_exported_as_transactions_that_elle_reads(tmp_path: Path) -> None:
    path = _write(tmp_path / "history.jsonl", [
        _append(_A, 1, 0, 1, 1), Told(_A, "commit", 2, 3, 2, [9, 2, [1, 2]]),
        _append(_A, 3, 4, 5, Info("OutcomeUnknown")),
        _append(_A, 4, 6, 7, Fail("Busy")), Told(_A, "read", 8, 9, None, [9, 2, [1, 2]]), _look(_A, {"log": [1, 2]}),
    ])  # fmt: skip

    lines = list(exported([path]))

    assert [line["index"] for line in lines] == list(range(12))
    assert [(line["type"], line["value"]) for line in lines] == [
        ("invoke", [["append", _A, 1]]), ("ok", [["append", _A, 1]]),
        ("invoke", [["append", _A, 2], ["r", _A, None]]), ("ok", [["append", _A, 2], ["r", _A, [1, 2]]]),
        ("invoke", [["append", _A, 3]]), ("info", [["append", _A, 3]]),
        ("invoke", [["append", _A, 4]]), ("fail", [["append", _A, 4]]),
        ("invoke", [["r", _A, None]]), ("ok", [["r", _A, [1, 2]]]),
        ("invoke", [["r", _A, None]]), ("ok", [["r", _A, [1, 2]]]),
    ]  # fmt: skip
    assert {line["f"] for line in lines} == {"txn"}
