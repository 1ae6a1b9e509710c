"""What `python -m tests.bench` makes of its measurements: plan, ratios, table, plot and the guard; nothing is timed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from gridsession.cli._measuring import Figure, change, session, session_id
from tests.bench import _recorded, _report
from tests.bench.__main__ import parser, planned
from tests.bench._cases import CASES, ECHO, LOOP, QUICK, REDIS
from tests.bench._echo import update_request
from tests.bench._plan import Part
from tests.bench._plot import INK, MARKS, plot
from tests.bench._processes import together
from tests.bench._run import Measured
from tests.bench._work import KILOBYTE, Context, NotRun, Setting, sized


def figure(rate: float, cpu: float = 50.0) -> Figure:
    return Figure(rate, 1.0, 2.0, cpu)


@pytest.fixture
def measured() -> Measured:
    """Three rounds; in the second the whole machine was half as quick."""
    part = Part(Setting(), (LOOP, ECHO, REDIS, "grid-update", "mongo"), (1, 16))
    found = Measured(part)
    for callers in (1, 16):
        for case, rate, cpu in (
            (LOOP, 90_000, 10),
            (ECHO, 10_000, 20),
            (REDIS, 5_000, 100),
            ("grid-update", 6_000, 40),
        ):
            found.figures[case, callers] = [figure(rate * quick, cpu / quick) for quick in (1.0, 0.5, 0.9)]
    found.not_run["mongo"] = "no | server\nof ours"
    return found


def row(measured: Measured, case: str) -> _report.Row:
    return next(each for each in _report.rows([measured]) if each.case == case)


# --- ratios --------------------------------------------------------------------------------------------------------


def test_ratios_are_those_within_rounds(measured: Measured) -> None:
    found = row(measured, "grid-update")
    assert (found.redis_ratio, found.echo_ratio, found.loop_ratio) == (1.2, 0.6, 4.0)
    assert found.median is not None
    assert (found.median.turns_per_second, found.median.slowest, found.median.quickest) == (5_400, 3_000, 6_000)


def test_what_slows_one_round_for_one_case_alone_does_not_move_its_ratio(measured: Measured) -> None:
    own = measured.figures["grid-update", 1]
    measured.figures["grid-update", 1] = [own[0], figure(1.0), own[2]]
    assert row(measured, "grid-update").redis_ratio == 1.2


def test_without_the_base_case_there_is_no_ratio(measured: Measured) -> None:
    for callers in (1, 16):
        del measured.figures[REDIS, callers]
    assert row(measured, "grid-update").redis_ratio is None
    assert row(measured, "grid-update").echo_ratio == 0.6


def test_a_case_that_fails_in_a_round_loses_its_figures_and_says_why(measured: Measured) -> None:
    with measured.told("grid-update"):
        raise NotRun("it ended")
    found = [each for each in _report.rows([measured]) if each.case == "grid-update"]
    assert [(each.median, each.not_run) for each in found] == [(None, "it ended")]


def test_processes_add_their_rates_and_keep_the_worst_p99() -> None:
    both = together([Figure(300.0, 1.0, 5.0, 10.0), Figure(100.0, 2.0, 9.0, 30.0)])
    assert both == Figure(400.0, 1.5, 9.0, 15.0)


# --- the table -----------------------------------------------------------------------------------------------------


def test_every_row_of_the_table_has_the_columns_of_its_head(measured: Measured) -> None:
    text = _report.tables(_report.rows([measured]))
    assert "**1 KB, 10,000 sessions, one client process**" in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {9}
    assert "| grid `update`, copy | 16 | 5,400 (3,000-6,000) | 1.0 | 2.0 | 44.4 | 0.60 | 1.20 |" in text
    assert "not run: no / server of ours" in text
    assert "| bare event loop, no place | 1 | 81,000 (45,000-90,000) | 1.0 | 2.0 | 11.1 | | |" in text.replace(
        "  ", " "
    )


def test_callers_of_several_processes_are_shown_as_such(measured: Measured) -> None:
    measured.part = replace(measured.part, setting=Setting(processes=4))
    assert "| 4 x 16 |" in _report.tables(_report.rows([measured]))


def test_each_setting_has_a_table_of_its_own(measured: Measured) -> None:
    larger = Measured(replace(measured.part, setting=Setting(size=64 * KILOBYTE, sessions=1_000)), measured.figures)
    text = _report.tables(_report.rows([measured, larger]))
    assert text.count("| case |") == 2
    assert "**64 KB, 1,000 sessions, one client process**" in text


def test_a_section_is_put_between_the_markers_and_replaced_there(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    results.write_text(f"# Speed\n\n{_report.BEGIN}\nold\n{_report.END}\n\n## More\n", encoding="utf-8")
    for text in ("first", "second"):
        _report.write(results, text)
    assert results.read_text(encoding="utf-8") == f"# Speed\n\n{_report.BEGIN}\nsecond\n{_report.END}\n\n## More\n"


def test_a_section_comes_at_the_end_of_a_file_without_markers(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    results.write_text("# Speed\n", encoding="utf-8")
    _report.write(results, "text")
    assert results.read_text(encoding="utf-8") == f"# Speed\n\n{_report.BEGIN}\ntext\n{_report.END}\n"


def test_with_one_marker_nothing_is_written(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    results.write_text(f"{_report.BEGIN}\nfigures", encoding="utf-8")
    with pytest.raises(SystemExit, match="one of the two markers"):
        _report.write(results, "text")
    assert results.read_text(encoding="utf-8") == f"{_report.BEGIN}\nfigures"


def test_the_project_s_own_results_have_both_markers() -> None:
    text = (Path(_report.__file__).with_name("RESULTS.md")).read_text(encoding="utf-8")
    assert text.count(_report.BEGIN) == text.count(_report.END) == 1
    assert text.index(_report.BEGIN) < text.index(_report.END)


# --- the plot ------------------------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""

    def light(colour: str) -> float:
        shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((light(one), light(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_plot_is_well_formed_and_stands_on_no_background(measured: Measured) -> None:
    drawn = plot(_report.rows([measured]))
    assert drawn is not None
    root = ET.fromstring(drawn)
    names = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "grid update, copy" in names
    assert "1x" in names
    assert not any(float(each.get("width", "0")) > 20 for each in root.iter("{http://www.w3.org/2000/svg}rect"))
    # Echo, the script and the update with 1 and 16 callers, and the legend.
    assert drawn.count("<circle") == drawn.count("<rect") == 4


@pytest.mark.parametrize("ground", ["#ffffff", "#0d1117"])
def test_the_plot_reads_on_light_and_on_dark(ground: str) -> None:
    assert all(contrast(colour, ground) >= 3 for colour in (INK, *(colour for colour, _ in MARKS)))


def test_quicker_is_farther_right_and_all_is_inside(measured: Measured) -> None:
    drawn = plot(_report.rows([measured])) or ""
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)" cy="(?!18\.0)', drawn)]
    echo, script, update = places
    assert script < update < echo < 880


def test_without_the_base_case_there_is_no_plot(measured: Measured) -> None:
    for callers in (1, 16):
        del measured.figures[REDIS, callers]
    assert plot(_report.rows([measured])) is None


# --- the guard -----------------------------------------------------------------------------------------------------


def test_a_rise_of_more_than_15_percent_is_reported_and_nothing_else() -> None:
    recorded = {"grid-update, 1": 4.0, "grid-turn, 1": 4.0, "grid-load, 1": 4.0}
    now = {"grid-update, 1": 4.61, "grid-turn, 1": 4.59, "grid-load, 1": 2.0, "echo, 1": 1.0}
    compared = _recorded.compare(now, recorded)
    assert [each.name for each in compared if each.rose] == ["grid-update, 1"]
    text = _recorded.report(compared)
    assert re.findall(r"^ROSE by (.+) \(more", text, re.MULTILINE) == ["15%"]
    assert "grid `update`, copy" in text
    assert re.search(r"echo, 1 +1\.00  nothing recorded", text)


def test_ratios_are_kept_for_their_surroundings(tmp_path: Path, measured: Measured) -> None:
    file = tmp_path / "recorded.json"
    ratios = _recorded.ratios(_report.rows([measured]))
    assert ratios["grid-update, 16"] == 4.0
    assert not any(name.startswith(LOOP) for name in ratios)
    _recorded.record("python 3.11, uvloop", {"grid-load, 1": 3.0, "grid-update, 16": 9.0}, file)
    _recorded.record("python 3.11, uvloop", ratios, file)
    assert _recorded.load("python 3.11, uvloop", file) == {"grid-load, 1": 3.0, **ratios}
    assert _recorded.load("python 3.14, uvloop", file) == {}


def test_only_runs_of_the_usual_setting_are_compared(measured: Measured) -> None:
    measured.part = replace(measured.part, setting=Setting(size=64 * KILOBYTE))
    assert _recorded.ratios(_report.rows([measured])) == {}


def test_what_is_recorded_in_the_project_can_be_read() -> None:
    assert isinstance(_recorded.load("python 3.11, uvloop"), dict)


# --- the plan ------------------------------------------------------------------------------------------------------


def test_a_run_without_options_has_all_cases_and_is_bounded() -> None:
    parts, pace = planned(parser().parse_args([]))
    assert set(parts[0].cases) == set(CASES)
    assert {part.setting.size for part in parts} >= {205, KILOBYTE, 16 * KILOBYTE, 64 * KILOBYTE}
    assert {part.setting.sessions for part in parts} >= {1_000, 1_000_000}
    assert {part.setting.processes for part in parts} == {1, 4}
    assert pace.warm >= 10
    assert sum(part.seconds(pace) for part in parts) < 3_600


def test_a_quick_run_has_few_cases_and_what_their_ratios_need() -> None:
    [part], pace = planned(parser().parse_args(["--quick"]))
    assert part.cases == QUICK
    assert {LOOP, ECHO, REDIS} <= set(part.cases)
    assert part.seconds(pace) < 180


def test_what_is_asked_for_comes_in_every_combination_with_its_limits() -> None:
    words = [
        "--cases",
        "grid-load",
        "--sizes",
        "1",
        "64",
        "--processes",
        "1",
        "4",
        "--callers",
        "2",
        "--seconds",
        "0.5",
    ]
    parts, pace = planned(parser().parse_args(words))
    assert pace.seconds == 0.5
    assert [(part.setting.size, part.setting.processes) for part in parts] == [
        (KILOBYTE, 1), (KILOBYTE, 4), (64 * KILOBYTE, 1), (64 * KILOBYTE, 4),
    ]  # fmt: skip
    assert all(part.cases == (LOOP, ECHO, REDIS, "grid-load") for part in parts)
    assert [part.setting.sessions for part in parts] == [10_000, 10_000, 1_024, 1_024]


def test_a_case_that_more_callers_cannot_speed_up_is_measured_once_a_round() -> None:
    part = Part(Setting(), ("grid-update", "ptb-1000"), (16, 128))
    assert part.stretches() == [("grid-update", 16), ("ptb-1000", 1), ("grid-update", 128)]


# --- the work ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [205, KILOBYTE, 16 * KILOBYTE, 64 * KILOBYTE])
def test_sessions_are_as_large_as_asked_and_have_thirteen_fields(size: int) -> None:
    made = sized(7, size)
    assert made == sized(7, size)
    assert made.keys() == session(7).keys()
    assert len(made) == 13
    assert len(msgpack.packb(made)) == pytest.approx(size, rel=0.2)


def test_the_echo_is_sent_what_the_grid_is_sent_for_the_same_turn() -> None:
    request = update_request()
    assert all(name.encode() in request for name in change(0))
    assert session_id(0).encode() in request


async def test_sessions_are_made_once_for_cases_that_share_them_and_by_one_process(tmp_path: Path) -> None:
    made: list[int] = []

    async def make(index: int) -> None:
        await asyncio.sleep(0)
        made.append(index)

    async with contextlib.AsyncExitStack() as stack:
        for fill in (True, False):
            context = Context(Setting(sessions=200), {}, tmp_path, fill, stack)
            await context.fill_once("same", make)
            await context.fill_once("same", make)
    assert sorted(made) == list(range(200))
