"""openai-agents' own tests of sessions, as released, run against ours in place of their SQLite sessions."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.frameworks.figures import FIGURES
from tests.frameworks.released import Release, run

pytestmark = pytest.mark.frameworks

RELEASE = Release("openai-agents", "0.24.0", "4b4b285f4fed81fdf1b4ac426a9101658d9cd29b4fb1aaeee18f639b77e704e3")
NEEDED = (
    "tests/__init__.py",
    "tests/test_responses.py",
    "tests/memory/__init__.py",
    "tests/extensions/__init__.py",
    "tests/extensions/memory/__init__.py",
)
SYNC, LIMITS = "tests/memory/test_session.py", "tests/memory/test_session_limit.py"
ASYNC = "tests/extensions/memory/test_async_sqlite_session.py"
OF_SQLITE = (
    "await_mutation or closes_worker or reaps or closes_retired or keeps_connections or closed or corrupt or file_lock "
    "or failed or rollback or close_ or post_commit or cancelled or same_timestamp or initialization or wal"
)
"""They ask about SQLite itself: its connections, threads, locks, columns and corrupt rows."""
TESTS = 66


@pytest.fixture(scope="session")
def upstream(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with their tests."""
    conftest = Path(__file__).with_name("upstream_conftest.py")
    return RELEASE.unpacked((*NEEDED, SYNC, LIMITS, ASYNC), conftest, pytestconfig, tmp_path_factory)


def test_their_tests_pass(upstream: Path, url: str) -> None:
    assert version("openai-agents") == RELEASE.version
    asked = (SYNC, LIMITS, ASYNC, "-k", f"not ({OF_SQLITE})", "-p", "no:asyncio")
    counts = run(upstream, asked, {**os.environ, "GRIDSESSION_TEST_URL": url, "OPENAI_API_KEY": "none"})
    FIGURES[f"openai_agents: upstream's tests ({url.partition(':')[0]})"] = counts
    assert counts == {"tests": TESTS, "failures": 0, "errors": 0, "skipped": 0}
