"""Commands as scripts and on terminals, over files and over a grid of members."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridsession.cli import main
from tests.cli.running import Ended, Place, Terminal

Script = Callable[..., Ended]


@pytest.fixture(params=["file", pytest.param("grid", marks=pytest.mark.grid)])
def place(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Place:
    """Somewhere that nobody else uses: a directory, and a namespace of the grid that tests share."""
    if request.param == "grid":
        return Place(request.getfixturevalue("grid").url, namespace)
    (tmp_path / "place").mkdir()
    return Place((tmp_path / "place").as_uri(), namespace)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Commands started here end by Ctrl-C, also where this run is a script's background job, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Runs a command as a script does: no terminal anywhere."""
    monkeypatch.delenv("GRIDSESSION_URL", raising=False)
    # The members that tests share are this process's: what they log is nothing that the command says.
    members = logging.getLogger("gridsession.node")
    members.disabled = True

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code, shown = ended.value.code, capsys.readouterr()
        errors = shown.err
        if isinstance(code, str):
            # Python prints what it is told to exit with, and ends with 1.
            code, errors = 1, f"{errors}{code}\n"
        return Ended(int(code or 0), shown.out, errors)

    yield run
    members.disabled = False


@pytest.fixture(scope="session")
def terminal() -> Iterator[Terminal]:
    """A terminal on which one command after another is typed."""
    opened = Terminal()
    yield opened
    opened.close()
