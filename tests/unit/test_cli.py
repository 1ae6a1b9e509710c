"""The command line as such: what is missing is named, logs are lines, errors are one sentence."""

from __future__ import annotations

import io
import json
import sys

import pytest

from gridsession._logs import logger
from gridsession.cli import logs, main


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r'needs typer.*pip install "gridsession\[cli\]"'):
        main(["node"])


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for command in ("copy", "demo", "import", "node"):
        assert command in shown


def test_what_makes_no_sense_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["node", "--memory", "lots"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.err == "gridsession: memory is 'lots'; write it as 192m or 4g, and give at least 64m\n"
    assert told.out == ""


def test_away_from_a_terminal_logs_are_json_lines() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    logger("node").info("member_ready", startup_seconds=1.5)
    logger("node").debug("jvm_log", text="not shown")
    try:
        secret = "x" * 16
        raise LookupError(len(secret))
    except LookupError:
        logger("node").exception("broken")
    ready, broken = map(json.loads, stream.getvalue().splitlines())
    assert (ready["event"], ready["level"], ready["startup_seconds"]) == ("member_ready", "info", 1.5)
    assert "LookupError: 16" in broken["exception"]
    assert secret not in stream.getvalue()


def test_on_a_terminal_logs_are_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.configure(stream)
    logger("node").warning("no_copies", advice="declare three")
    (line,) = stream.getvalue().splitlines()
    assert "no_copies" in line
    assert "declare three" in line
    assert not line.startswith("{")
