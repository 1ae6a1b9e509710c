"""What a node makes of the file that its member writes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gridsession.node.health import Health
from gridsession.node.metrics import SnapshotsTaken, Told, exposition, told_in, unfit

WELL = Health(True, True, "", 3, 2)
TEXT = """\
# HELP gridsession_clock_skew_seconds How far.
# TYPE gridsession_clock_skew_seconds gauge
gridsession_clock_skew_seconds 0.004
"""


def told(skew: float = 0.0, age: float = 0.5) -> Told:
    return Told(TEXT.replace("0.004", str(skew)), age)


def test_a_file_is_as_old_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "metrics.prom"
    assert told_in(file) is None
    file.write_text(TEXT)
    os.utime(file, (0, time.time() - 30))
    found = told_in(file)
    assert found is not None
    assert (found.text, 30 <= found.age < 40) == (TEXT, True)
    assert found.value("gridsession_clock_skew_seconds") == 0.004
    assert found.value("gridsession_clock") is None
    os.utime(file, (0, time.time() + 30))
    ahead = told_in(file)
    assert ahead is not None
    assert ahead.age == 0, "the clock was set back since"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "has not told of itself yet"),
        (told(age=10.5), "told nothing of itself for 10 s"),
        (told(2.1), "differ by +2.1 s"),
        (told(-2.1), "differ by -2.1 s"),
    ],
)
def test_a_member_is_unfit_for_a_reason(given: Told | None, reason: str) -> None:
    assert reason in unfit(given)


@pytest.mark.parametrize("given", [told(), told(2.0), told(-2.0), told(age=9.9), Told("", 0.0)])
def test_a_member_is_fit(given: Told) -> None:
    assert unfit(given) == ""


@pytest.mark.parametrize(
    ("health", "given", "names"),
    [
        (WELL, told(), {"alive": 1, "ready": 1, "told_age_seconds": 0.5, "skew": 0}),
        (WELL._replace(ready=False), told(age=11), {"alive": 1, "ready": 0, "told_age_seconds": 11}),
        (Health(False, False, "its JVM has ended", 0, 2), told(), {"alive": 0, "ready": 0, "told_age_seconds": 0.5}),
        (WELL, None, {"alive": 1, "ready": 1}),
    ],
)
def test_what_is_stale_is_left_out(health: Health, given: Told | None, names: dict[str, float]) -> None:
    families = list(text_string_to_metric_families(exposition(health, given)))
    assert {
        family.name.removeprefix("gridsession_")
        .removeprefix("node_")
        .replace("clock_skew_seconds", "skew"): sample.value
        for family in families
        for sample in family.samples
    } == names


def test_snapshots_are_told_of_where_they_are_taken() -> None:
    text = exposition(WELL, None, SnapshotsTaken(60, 1_700_000_000.5, 2))
    told = {family.name: family for family in text_string_to_metric_families(text) if "snapshot" in family.name}
    assert {name: (family.type, family.samples[0].value) for name, family in told.items()} == {
        "gridsession_snapshot_interval_seconds": ("gauge", 60),
        "gridsession_snapshot_last_success_timestamp_seconds": ("gauge", 1_700_000_000.5),
        "gridsession_snapshot_failures": ("counter", 2),
    }
    assert "snapshot" not in exposition(WELL, None)
