"""Two places to run on, memory and the grid all tests share; and when the frameworks' own folders are looked at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridsession.testing.local_grid import LocalGrid
from tests.frameworks import figures


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The frameworks are in environments of their own: without `-m frameworks` not even their import is tried."""
    if not collection_path.is_dir() or re.search(r"(?<!not )\bframeworks\b", config.option.markexpr):
        return None
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was measured."""
    figures.say(terminalreporter)


@pytest.fixture(params=["memory", "grid"])
def url(request: pytest.FixtureRequest) -> str:
    """Where a test's sessions live."""
    if request.param == "memory":
        return "memory://"
    grid: LocalGrid = request.getfixturevalue("grid")
    return grid.url
