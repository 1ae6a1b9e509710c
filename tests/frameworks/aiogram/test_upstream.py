"""aiogram's own tests of storages and isolations, as released, run against ours."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import aiogram
import pytest

from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES

pytestmark = pytest.mark.frameworks

VERSION = "3.31.0"
SHA256 = "f2c5064fe52d88898c86af62261c405440a014216e45dd99b2c6555a5602ce30"
TESTS = ("tests/test_fsm/storage/test_storages.py", "tests/test_fsm/storage/test_isolation.py")
OURS = "memory_storage or lock_isolation"
"""They run each test once per storage of theirs; one round is ours."""


@pytest.fixture(scope="session")
def upstream(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with their tests, from the source distribution of that hash; it is fetched once."""
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir(f"aiogram-{VERSION}-{SHA256[:12]}")
    archive = kept / f"aiogram-{VERSION}.tar.gz"
    if not archive.exists():
        wanted = tmp_path_factory.mktemp("wanted") / "requirements.txt"
        wanted.write_text(f"aiogram=={VERSION} --hash=sha256:{SHA256}\n", "utf-8")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:")
        subprocess.run(
            [*pip, "--no-build-isolation", "--require-hashes", "--requirement", str(wanted), "--dest", str(kept)],
            check=True,
        )
    folder = tmp_path_factory.mktemp("upstream")
    with tarfile.open(archive) as opened:
        for name in ("tests/__init__.py", "tests/test_fsm/__init__.py", "tests/test_fsm/storage/__init__.py", *TESTS):
            opened.extract(f"aiogram-{VERSION}/{name}", folder, filter="data")
    root = folder / f"aiogram-{VERSION}"
    (root / "tests" / "conftest.py").write_text(
        Path(__file__).with_name("upstream_conftest.py").read_text("utf-8"), "utf-8"
    )
    return root


@pytest.mark.grid
def test_their_tests_pass(upstream: Path, grid: LocalGrid) -> None:
    assert aiogram.__version__ == VERSION
    report = upstream / "report.xml"
    command = [sys.executable, "-m", "pytest", *TESTS, "-k", OURS, "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "GRIDSESSION_TEST_URLS": f"memory:// {grid.url}"}
    run = subprocess.run(
        [*command, f"--junitxml={report}"], cwd=upstream, env=environment, text=True, capture_output=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    FIGURES[f"aiogram {VERSION}: its own tests, on memory and on the grid"] = counts
    assert counts == {"tests": 2 * 4, "failures": 0, "errors": 0, "skipped": 0}
