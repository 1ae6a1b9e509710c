"""pywce itself: its own tests against our manager, its engine with our manager, and nothing of it when it is absent."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from gridsession.dialects.jawce import ISessionManager, SessionManager

ROOT = Path(__file__).parents[3]
RELEASE = "pywce==3.0.0"
SHA256 = "66d1da890d1b96703987107680614282149b99a67b32180c5b58b53a0ea3f69d"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of pywce that the tests are taken from, fetched by its hash and never kept."""
    place = tmp_path_factory.mktemp("pywce")
    (place / "wanted.txt").write_text(f"{RELEASE} --hash=sha256:{SHA256}\n")
    fetch = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", "wanted.txt"]
    done = subprocess.run([sys.executable, "-m", *fetch], cwd=place, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(place.glob("*.tar.gz"))) as packed:
        packed.extractall(place, filter="data")
    return place / "pywce-3.0.0"


@pytest.mark.parametrize("where", ["memory", pytest.param("grid", marks=pytest.mark.grid)])
def test_pywces_own_tests_pass(where: str, sources: Path, request: pytest.FixtureRequest) -> None:
    url = "memory://" if where == "memory" else request.getfixturevalue("grid").url
    command = [sys.executable, "-W", "error", "-m", "tests.dialects.jawce.pywce_suite", str(sources), url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout == "15 tests, 0 failed\n", done.stderr
    assert done.returncode == 0


def test_pywce_takes_our_managers_for_its_own() -> None:
    pywce: Any = importlib.import_module("pywce")
    with SessionManager("memory://") as manager:
        assert isinstance(manager, pywce.ISessionManager)
        assert isinstance(manager.session("1"), pywce.ISessionManager)
        assert issubclass(ISessionManager, pywce.ISessionManager)
        manager.save("1", "name", "Tino")
        user = pywce.client.WaUser(wa_id="1")
        hook = pywce.HookArg(user=user, session_id="1", session_manager=manager.session(session_id="1"))
        assert hook.session_manager.get(session_id=hook.session_id, key="name", t=str) == "Tino"


def test_importing_it_does_not_import_pywce_and_does_without_it() -> None:
    program = """
import sys
import gridsession.dialects.jawce as jawce
assert "pywce" not in sys.modules
sys.modules["pywce"] = None
with jawce.SessionManager("memory://") as manager:
    manager.save("1", "key", 1)
    assert manager.get("1", "key") == 1
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
