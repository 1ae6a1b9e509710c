"""Grids that lost one property each are caught by the invariant that says it, under faults, through the whole lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gridsession
from tests.faults.spoiled import JAVA_SOURCES, SPOILED, Change

_CANNOT = 3
_PACKAGE = Path(gridsession.__file__).parent


@pytest.mark.parametrize("name", SPOILED)
def test_the_places_that_are_changed_are_there(name: str) -> None:
    def places(folder: Path, changes: tuple[Change, ...]) -> dict[str, int]:
        return {change.old: (folder / change.file).read_text(encoding="utf-8").count(change.old) for change in changes}

    spoiled = SPOILED[name]
    found = places(JAVA_SOURCES, spoiled.java) | places(_PACKAGE, spoiled.python)

    assert found == dict.fromkeys(found, 1)


@pytest.mark.faultlab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_grid_is_caught(name: str, tmp_path: Path) -> None:
    spoiled = SPOILED[name]
    command = [
        sys.executable, "-m", "tests.faults", "--spoiled", name, "--faults", spoiled.faults, "--in-order",
        "--clients", "1", "--workloads", spoiled.workloads, "--json", "--folder", str(tmp_path),
        "--deadline", str(spoiled.deadline), "--callers", "24",
    ]  # fmt: skip

    run = subprocess.run(command, capture_output=True, text=True)

    if run.returncode == _CANNOT and os.environ.get("CI") != "true":
        pytest.skip(run.stderr.strip())
    assert run.returncode == 1, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert spoiled.caught_by <= report["violations"].keys(), report["violations"].keys()
    differences = [each for each in report["complaints"] if "is not its owner's" in each]
    assert bool(differences) == spoiled.copies_differ, report["complaints"]
