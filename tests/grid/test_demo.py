"""`gridsession demo` as a user runs it: real members, real worker processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from gridsession.errors import GridSessionError
from gridsession.testing.local_grid import LocalGrid

pytestmark = [pytest.mark.grid, pytest.mark.timeout(180)]

GRIDSESSION = [sys.executable, "-P", "-c", "from gridsession.cli import main; main()"]
PROMISED = {"members", "workers", "sent", "acknowledged", "unknown", "lost", "duplicated", "out_of_order"}
PROMISED |= {"turns_per_second", "p50_ms", "p99_ms", "recovery_seconds"}


@pytest.fixture(autouse=True, scope="module")
def can_start_members() -> None:
    """The demo starts members of its own; where nobody can, that is a failure under CI=true, elsewhere a skip."""
    try:
        LocalGrid(members=1)
    except GridSessionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no real members: {error}")


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GRIDSESSION, "demo", *arguments], capture_output=True, text=True, timeout=150)


def test_with_kills_nothing_acknowledged_is_lost_and_service_is_back():
    ran = demo("--seconds", "10", "--json")
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    report = json.loads(line)
    assert report.keys() >= PROMISED
    assert (report["members"], report["workers"]) == (3, 3)
    assert (report["lost"], report["duplicated"], report["out_of_order"], report["unknown"]) == (0, 0, 0, 0)
    assert report["acknowledged"] == report["sent"] > 1000
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["recovery_seconds"] > 0
    for what in ("member", "worker"):
        assert f"{what} " in ran.stderr
    assert ran.stderr.count("killed (SIGKILL)") == ran.stderr.count(" is back") == 2


def test_without_kills_there_is_nothing_to_recover_from_and_a_table_is_shown():
    ran = demo("--members", "1", "--workers", "1", "--seconds", "1", "--users", "5", "--kill", "none")
    assert ran.returncode == 0, ran.stderr
    assert "acknowledged" in ran.stdout
    assert "killed" not in ran.stderr


@pytest.mark.parametrize(
    ("number", "phase", "code"),
    [
        (signal.SIGINT, "killed (SIGKILL)", 130),
        (signal.SIGTERM, "starting 3 members", 130),
        (signal.SIGINT, "starting 2 workers", 130),
        (signal.SIGKILL, "killed (SIGKILL)", -signal.SIGKILL),
    ],
)
def test_whenever_it_is_interrupted_nothing_it_started_stays(number, phase, code):
    with running("--workers", "2", "--kill", "member") as (process, stderr):
        while phase not in (line := stderr.readline()):
            assert line, "it ended before"
        started = wait_for_descendants(process.pid, 1)
        process.send_signal(number)
        assert process.wait(30) == code
    wait_until_gone(started)


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    process = subprocess.Popen(
        [*GRIDSESSION, "demo", "--json", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process:
        try:
            yield process, process.stderr
        finally:
            process.kill()


def processes() -> dict[int, int]:
    """The parent of each process."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def wait_for_descendants(pid: int, at_least: int) -> set[int]:
    deadline = time.monotonic() + 20
    while True:
        parents = processes()
        found: set[int] = set()
        while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
            found |= more
        if len(found) >= at_least:
            return found
        assert time.monotonic() < deadline, "it started nothing"
        time.sleep(0.05)


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 20
    while still := pids & processes().keys():
        assert time.monotonic() < deadline, f"still there: {still}"
        time.sleep(0.05)
