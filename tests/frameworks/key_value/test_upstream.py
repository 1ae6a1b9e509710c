"""py-key-value's own tests of stores, run against ours.

No source distribution of it holds its tests: they are run from a checkout, if `PY_KEY_VALUE_CHECKOUT` names one (at tag
0.4.4 or later). Without it there is nothing here; `test_entries.py` asks for the same and more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.frameworks.figures import FIGURES

CHECKOUT = os.environ.get("PY_KEY_VALUE_CHECKOUT")
TESTS = 132
OURS = """
import asyncio, inspect, os, secrets
import pytest
from gridsession.dialects.key_value import GridKeyValueStore
from tests.stores.base import BaseStoreTests, ContextManagerStoreTestMixin

class TestGrid(ContextManagerStoreTestMixin, BaseStoreTests):
    @pytest.fixture
    async def store(self):
        yield GridKeyValueStore(f"{os.environ['GRIDSESSION_TEST_URL']}?namespace=t{secrets.token_hex(6)}")
"""

if CHECKOUT is not None:

    @pytest.mark.frameworks
    def test_their_tests_pass(url: str, tmp_path: Path) -> None:
        shutil.copytree(Path(CHECKOUT) / "tests", tmp_path / "tests")
        (tmp_path / "tests" / "stores" / "test_grid.py").write_text(OURS, "utf-8")
        # Theirs skip it for every store that may grow: it wants the first of a thousand entries to be gone.
        command = [sys.executable, "-m", "pytest", "tests/stores/test_grid.py", "-k", "not unbounded", "-q"]
        options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
        run = subprocess.run(
            [*command, *options, "-p", "no:cacheprovider", f"--junitxml={tmp_path / 'report.xml'}"],
            cwd=tmp_path,
            env={**os.environ, "GRIDSESSION_TEST_URL": url},
            text=True,
            capture_output=True,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        suite = ET.parse(tmp_path / "report.xml").getroot().find("testsuite")
        assert suite is not None
        counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
        FIGURES[f"key_value: upstream's tests ({url.partition(':')[0]})"] = counts
        assert counts == {"tests": TESTS, "failures": 0, "errors": 0, "skipped": 0}
