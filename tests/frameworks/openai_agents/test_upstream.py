"""openai-agents' own tests of sessions, as released, run against ours in place of their SQLite sessions."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.frameworks.figures import FIGURES

pytestmark = pytest.mark.frameworks

VERSION = "0.24.0"
SHA256 = "4b4b285f4fed81fdf1b4ac426a9101658d9cd29b4fb1aaeee18f639b77e704e3"
NEEDED = ("tests/__init__.py", "tests/test_responses.py", "tests/memory/__init__.py", "tests/extensions/__init__.py")
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
    """A folder with their tests, from the source distribution of that hash; it is fetched once."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir(f"openai-agents-{VERSION}-{SHA256[:12]}")
    archive = kept / f"openai_agents-{VERSION}.tar.gz"
    if not archive.exists():
        wanted = tmp_path_factory.mktemp("wanted") / "requirements.txt"
        wanted.write_text(f"openai-agents=={VERSION} --hash=sha256:{SHA256}\n", "utf-8")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:")
        subprocess.run(
            [*pip, "--no-build-isolation", "--require-hashes", "--requirement", str(wanted), "--dest", str(kept)],
            check=True,
        )
    folder = tmp_path_factory.mktemp("upstream")
    with tarfile.open(archive) as opened:
        held = set(opened.getnames())
        for name in (*NEEDED, "tests/extensions/memory/__init__.py", SYNC, LIMITS, ASYNC):
            if f"openai_agents-{VERSION}/{name}" in held:
                opened.extract(f"openai_agents-{VERSION}/{name}", folder, filter="data")
    root = folder / f"openai_agents-{VERSION}"
    ours = Path(__file__).with_name("upstream_conftest.py").read_text("utf-8")
    (root / "tests" / "conftest.py").write_text(ours, "utf-8")
    return root


def test_their_tests_pass(upstream: Path, url: str) -> None:
    assert version("openai-agents") == VERSION
    report = upstream / "report.xml"
    command = [sys.executable, "-m", "pytest", SYNC, LIMITS, ASYNC, "-k", f"not ({OF_SQLITE})", "-q"]
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "no:asyncio", f"--junitxml={report}"],
        cwd=upstream,
        env={**os.environ, "GRIDSESSION_TEST_URL": url, "OPENAI_API_KEY": "none"},
        text=True,
        capture_output=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    FIGURES[f"openai_agents: upstream's tests ({url.partition(':')[0]})"] = counts
    assert counts == {"tests": TESTS, "failures": 0, "errors": 0, "skipped": 0}
