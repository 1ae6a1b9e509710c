"""aiogram's own tests of storages and isolations, as released, run against ours."""

from __future__ import annotations

import os
from pathlib import Path

import aiogram
import pytest

from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.released import Release, run

pytestmark = pytest.mark.frameworks

RELEASE = Release("aiogram", "3.31.0", "f2c5064fe52d88898c86af62261c405440a014216e45dd99b2c6555a5602ce30")
NEEDED = ("tests/__init__.py", "tests/test_fsm/__init__.py", "tests/test_fsm/storage/__init__.py")
TESTS = ("tests/test_fsm/storage/test_storages.py", "tests/test_fsm/storage/test_isolation.py")
OURS = "memory_storage or lock_isolation"
"""They run each test once per storage of theirs; one round is ours."""


@pytest.mark.grid
def test_their_tests_pass(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, grid: LocalGrid
) -> None:
    assert aiogram.__version__ == RELEASE.version
    conftest = Path(__file__).with_name("upstream_conftest.py")
    upstream = RELEASE.unpacked((*NEEDED, *TESTS), conftest, pytestconfig, tmp_path_factory)
    counts = run(upstream, [*TESTS, "-k", OURS], {**os.environ, "GRIDSESSION_TEST_URLS": f"memory:// {grid.url}"})
    FIGURES[f"aiogram {RELEASE.version}: its own tests, on memory and on the grid"] = counts
    assert counts == {"tests": 2 * 4, "failures": 0, "errors": 0, "skipped": 0}
