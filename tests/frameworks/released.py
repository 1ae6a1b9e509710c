"""Tests that a framework publishes with its source distribution, fetched by version and hash."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest


class Release(NamedTuple):
    """A source distribution."""

    project: str
    version: str
    sha256: str

    def unpacked(
        self,
        wanted: Collection[str],
        conftest: Path,
        pytestconfig: pytest.Config,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Path:
        """A folder with those of its files that it holds, and a conftest of ours; it is fetched once."""
        assert pytestconfig.cache is not None
        kept = pytestconfig.cache.mkdir(f"{self.project}-{self.version}-{self.sha256[:12]}")
        name = f"{self.project.replace('-', '_')}-{self.version}"
        archive = kept / f"{name}.tar.gz"
        if not archive.exists():
            requirements = tmp_path_factory.mktemp("wanted") / "requirements.txt"
            requirements.write_text(f"{self.project}=={self.version} --hash=sha256:{self.sha256}\n", "utf-8")
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:")
            subprocess.run(
                [*pip, "--no-build-isolation", "--require-hashes", "-r", str(requirements), "--dest", str(kept)],
                check=True,
            )
        folder = tmp_path_factory.mktemp("upstream")
        with tarfile.open(archive) as opened:
            for member in set(opened.getnames()) & {f"{name}/{each}" for each in wanted}:
                opened.extract(member, folder, filter="data")
        root = folder / name
        (root / "tests" / "conftest.py").write_text(conftest.read_text("utf-8"), "utf-8")
        return root


def run(upstream: Path, arguments: Sequence[str], environment: dict[str, str]) -> dict[str, int]:
    """Run their tests in a process of their own; what came of how many."""
    report = upstream / "report.xml"
    command = [sys.executable, "-m", "pytest", *arguments, "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(command, cwd=upstream, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
