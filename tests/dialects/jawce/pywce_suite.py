"""Runs pywce's own tests against the session manager here, in a process of its own.

    python -m tests.dialects.jawce.pywce_suite <directory of the unpacked sdist> <URL>

Where their tests make pywce's `DefaultSessionManager`, they get ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import secrets
import sys
import unittest
from pathlib import Path

from gridsession.dialects.jawce import SessionManager


def main() -> None:
    """Run them and say how many there were."""
    sources, url = Path(sys.argv[1]), sys.argv[2]
    sys.path.insert(0, str(sources))
    pywce = importlib.import_module("pywce")
    assert Path(str(pywce.__file__)).is_relative_to(sources)
    namespace = f"pywce-{secrets.token_hex(4)}"
    made: list[SessionManager] = []

    class ForTheirTests(SessionManager):
        def __init__(self) -> None:
            super().__init__(url, namespace=f"{namespace}-{len(made)}")
            made.append(self)

    pywce.DefaultSessionManager = ForTheirTests
    found = importlib.util.spec_from_file_location("theirs", sources / "tests" / "test_session_manager.py")
    assert found is not None
    assert found.loader is not None
    theirs = importlib.util.module_from_spec(found)
    found.loader.exec_module(theirs)
    outcome = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromModule(theirs))
    assert len(made) == outcome.testsRun
    for manager in made:
        manager.close()
    sys.stdout.write(f"{outcome.testsRun} tests, {len(outcome.failures) + len(outcome.errors)} failed\n")


if __name__ == "__main__":
    main()
