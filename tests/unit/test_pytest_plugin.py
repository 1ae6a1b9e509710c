"""The fixtures that a bot's own tests get, in a pytest run of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

_A_BOTS_TESTS = """
import asyncio

import pytest

from gridsession import Policy


@pytest.fixture
def gridsession_policy():
    return Policy(ttl=900)


async def greet(store, name):
    async with store.turn("line:U1") as turn:
        turn.state["seen"] = turn.state.get("seen", 0) + 1
    return f"Hello {name}"


def test_by_two_workers(gridsession_open, gridsession_store, gridsession_clock):
    async def run():
        async with gridsession_store as one, gridsession_open() as other:
            await asyncio.gather(*(greet(store, "Ploy") for store in (one, other, one)))
            assert await other.session("line:U1").get("seen") == 3
            gridsession_clock.advance(899)
            assert await one.session("line:U1").exists()
            gridsession_clock.advance(1)
            assert not await one.session("line:U1").exists()

    asyncio.run(run())


@pytest.mark.parametrize("number", range(2))
def test_without_await(gridsession_blocking_store, gridsession_clock, number):
    session = gridsession_blocking_store.session("line:U1")
    assert session.increment("seen") == 1, "each test has sessions of its own"
    gridsession_clock.advance(900)
    assert not session.exists()
"""

_WHAT_IS_IMPORTED = """
import sys


def test_nothing_was_imported_that_was_not_asked_for():
    assert not [name for name in sys.modules if name.startswith(("hazelcast", "gridsession.drivers."))]
"""


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_a_first.py").write_text(_WHAT_IS_IMPORTED, "utf-8")
    (folder / "test_bot.py").write_text(_A_BOTS_TESTS, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True)


def test_pytest_finds_the_fixtures_by_itself_and_they_import_nothing_before_they_are_used(tmp_path: Path) -> None:
    (point,) = entry_points(group="pytest11", name="gridsession")
    assert point.value == "gridsession.testing.pytest_plugin"
    run = _pytest(tmp_path)
    assert "4 passed" in run.stdout, run.stdout + run.stderr


def test_they_can_be_left_out(tmp_path: Path) -> None:
    run = _pytest(tmp_path, "-p", "no:gridsession")
    assert "1 passed, 3 errors" in run.stdout, run.stdout + run.stderr
    assert "fixture 'gridsession_" in run.stdout
