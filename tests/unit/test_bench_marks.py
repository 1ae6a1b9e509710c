"""What `python -m tests.bench` says besides its tables of turns; nothing is timed."""

from __future__ import annotations

import pytest

from gridsession.cli._measuring import Figure
from tests.bench import _marks, _report
from tests.bench.__main__ import parser, with_apart
from tests.bench._apart import Apart, total
from tests.bench._cases import REDIS
from tests.bench._plan import Part
from tests.bench._run import Measured
from tests.bench._work import KILOBYTE, NotRun, Setting


def part(setting: Setting, **rates: float) -> Measured:
    """One round of `case_callers=turns per second`; the p50 is what one caller's turn takes."""
    found = Measured(Part(setting, ()))
    for name, rate in rates.items():
        case, _, callers = name.rpartition("_")
        figure = Figure(rate, int(callers) / rate * 1e3, 2.0, 50.0)
        found.figures[case.replace("_", "-"), int(callers)] = [figure]
    return found


def figures(*measured: Measured) -> dict[str, str]:
    return {mark.title: mark.figure for mark in _marks.of_turns(measured)}


def test_a_blocking_update_is_compared_with_the_async_one_in_each_round() -> None:
    both = part(Setting(), grid_update_1=4_000, grid_update_sync_1=3_200)
    slow = Figure(2_000, 0.5, 2.0, 50.0), Figure(1_000, 1.0, 2.0, 50.0)
    both.figures["grid-update", 1] += [slow[0]] * 2
    both.figures["grid-update-sync", 1] += [slow[1], slow[0]]
    [(title, figure)] = figures(both).items()
    assert "gridsession.sync" in title
    assert figure == "1.25"


def test_64_kilobytes_are_compared_with_one() -> None:
    found = figures(
        part(Setting(), grid_update_1=4_000, grid_turn_1=1_000),
        part(Setting(size=64 * KILOBYTE), grid_update_1=1_600, grid_turn_1=500),
        part(Setting(size=64 * KILOBYTE, processes=4), grid_update_1=10, grid_turn_1=10),
    )
    assert sorted(found.values()) == ["2.00", "2.50"]


def test_few_sessions_are_compared_with_many_and_with_what_the_machine_did_meanwhile() -> None:
    [(title, figure)] = figures(
        part(Setting(sessions=1_000), grid_update_16=10_000, redis_lua_16=8_000),
        part(Setting(sessions=1_000_000), grid_update_16=5_000, redis_lua_16=5_000),
        part(Setting(sessions=5, size=205), grid_update_16=1),
    ).items()
    assert REDIS == "redis-lua"
    assert "1,000 to 1,000,000" in title
    assert figure == "2.00 (1.25 as multiples of redis-py's script)"


def test_of_what_was_not_run_nothing_is_said() -> None:
    assert figures(part(Setting(), grid_update_1=4_000)) == {}
    assert _marks.table([]) == ""


def test_what_costs_no_turn_stands_in_the_section_beside_what_is_asked() -> None:
    apart = Apart(0.914, 0.11, 0, 10_000, 4_100.0, 4_080.0, 50_000, 2_650.4, 1_125, 133, 1)
    text = _report.section([], {"cores": 2}, "python -m tests.bench", None, _marks.of_apart(apart))
    for line in (
        "| commands sent to read a global | 0 | 0 |",
        "| reading a global, client CPU | 0.91 us (0.11 us of it for a coroutine) | 1 us |",
        "idle session handles | 4.10 ms, without them 4.08 ms | as without |",
        "of 50,000 | 2,650 B | 2.7 KB |",
        "| header and ring of an idle 1 KB session | 133 B of 1,125 B, 1 op id(s) remembered | 160 B |",
    ):
        assert line in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {4}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [([], True), (["--quick"], False), (["--cases", "grid-load"], False), (["--quick", "--apart"], True)],
)
def test_a_run_of_all_cases_has_them_and_others_when_asked(words: list[str], wanted: bool) -> None:
    assert with_apart(parser().parse_args(words)) is wanted


def test_live_heap_is_the_last_line_of_a_histogram() -> None:
    text = " num  #instances  #bytes  class name\n   1:  12  3456  [B (java.base@17)\nTotal        34567      1234567\n"
    assert total(text) == 1_234_567
    with pytest.raises(NotRun, match="histogram"):
        total("1234: no such process\n")
