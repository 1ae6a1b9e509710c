"""A little of `python -m tests.fuzz` with each run of the tests; and that it sees what it is there to see."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridsession._record import Record
from tests.fuzz._cases import Case
from tests.fuzz._java import Compiled, compiled
from tests.fuzz._mutate import Mutator
from tests.fuzz._targets import TARGETS
from tests.fuzz._volume import rules, run

pytestmark = pytest.mark.grid


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiled]:
    return compiled(tmp_path_factory.mktemp("classes"))


def test_mutated_records_and_commands_are_answered_alike_by_python_and_java(classes: Compiled) -> None:
    found = run(20261121, classes, cases=10_000, seconds=None)
    assert found.faults == []
    assert found.cases == 10_000
    # It got behind the decoders: records were changed, and nearly every kind of answer was given.
    assert found.written > 100
    assert len(found.statuses) >= 10


def test_a_side_that_differs_in_a_reply_or_a_record_is_seen(classes: Compiled) -> None:
    def other_reply(case: Case) -> tuple[bytes | None, bytes]:
        after, reply = rules(case)
        return after, reply[:-1] + bytes((reply[-1] ^ 1,)) if reply[1] == 0 else reply

    def lost_write(case: Case) -> tuple[bytes | None, bytes]:
        return case.record, rules(case)[1]

    for python, told in ((other_reply, "replies differ"), (lost_write, "records afterwards differ")):
        found = run(1, classes, cases=3_000, seconds=None, python=python)
        assert any(told in fault for fault in found.faults)


def test_an_error_that_is_not_ours_and_too_much_memory_are_seen(classes: Compiled) -> None:
    def raises(case: Case) -> tuple[bytes | None, bytes]:
        if case.record is not None and len(case.record) % 7 == 0:
            raise KeyError("not ours")
        return rules(case)

    def greedy(case: Case) -> tuple[bytes | None, bytes]:
        bytearray(8 * case.size + (2 << 20))
        return rules(case)

    for python, told in ((raises, "KeyError"), (greedy, "bytes of memory")):
        found = run(1, classes, cases=1_000, seconds=None, python=python)
        assert any(told in fault for fault in found.faults)


@pytest.mark.parametrize("name", TARGETS)
def test_no_decoder_lets_out_an_error_that_is_not_ours_nor_takes_much_memory(name: str) -> None:
    mutator, target = Mutator(7), TARGETS[name]
    found = target.seeds()
    for data in found:
        target.run(data)
    for index in range(1_000):
        data = mutator.mutated(found[index % len(found)])
        if index % 10:
            target.run(data)
            continue
        tracemalloc.start()
        try:
            target.run(data)
            assert tracemalloc.get_traced_memory()[1] < 4 * len(data) + (1 << 20)
        finally:
            tracemalloc.stop()


def test_the_seed_gives_the_same_cases_again() -> None:
    first, second = Mutator(3), Mutator(3)
    assert [first.case() for _ in range(500)] == [second.case() for _ in range(500)]


def test_a_case_is_written_and_read_back() -> None:
    mutator = Mutator(4)
    for _ in range(50):
        case = mutator.case()
        assert Case.read(case.document()) == case


def test_the_seeds_hold_records_that_are_read(tmp_path: Path) -> None:
    for data in Mutator(1).seeds[:200]:
        if data.record is not None and data.record[:4] == b"GSR\x01":
            break
    assert Record.decode(data.record or b"")
