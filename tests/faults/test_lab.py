"""The lab on every change: three members, every workload, a dozen faults and more, and nothing may be violated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults import isolation
from tests.faults.faults import FAULTS
from tests.faults.workloads import WORKLOADS

pytestmark = pytest.mark.faultlab

IN_ORDER = (
    "kill,partition-short,partition+client-fork,pause-short,partition-oneway,client-kill,stop,"
    "partition-reset+client-cancel,pause-long,partition-short+loss"
)


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    obstacle = isolation.obstacle()
    if obstacle is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(obstacle)
        pytest.skip(obstacle)


def lab(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """How a run ends, and its report; what it leaves is in `folder`."""
    command = [sys.executable, "-m", "tests.faults", "--json", "--keep", "--folder", str(folder), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=560)
    assert run.returncode in {0, 1}, run.stderr[-4_000:]
    assert run.stdout, run.stderr[-4_000:]
    return run.returncode, json.loads(run.stdout)


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_or_doubled_whatever_happens_to_members_network_and_clients(
    tmp_path: Path,
) -> None:
    code, report = lab(tmp_path, "--in-order", "--faults", IN_ORDER, "--seed", "1", "--at-least", "125000")
    assert report["violations"] == {}
    assert report["complaints"] == []
    assert code == 0
    assert report["acknowledged"] >= 100_000
    assert sum(report["faults"].values()) >= 12
    assert report["partitions"] >= 4
    assert report["copies_compared"] > 0
    skipped = set(WORKLOADS) - set(report["acknowledged_by_workload"])
    assert not skipped


def test_what_a_failing_run_keeps_can_be_read_back(tmp_path: Path) -> None:
    from tests.faults.schedule import Episode, drawn

    plan = drawn(7, list(FAULTS), ["m0", "m1", "m2"], ["c0", "c1"])
    episodes = [next(plan) for _ in range(60)]
    assert {fault.kind for episode in episodes for fault in episode.faults} == set(FAULTS)
    assert any(len(episode.faults) > 1 for episode in episodes)
    kept = json.loads(json.dumps([episode.to_json() for episode in episodes]))
    assert [Episode.from_json(each) for each in kept] == episodes
    again = drawn(7, list(FAULTS), ["m0", "m1", "m2"], ["c0", "c1"])
    assert [next(again) for _ in range(60)] == episodes
