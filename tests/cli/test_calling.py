"""How commands are called: help, mistakes, what is imported, and what the texts they take mean."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import typer

from gridsession.cli import _COMMANDS
from gridsession.cli._places import seconds
from gridsession.cli._values import assignments, looks_secret
from tests.cli.conftest import Script

GROUP = ("list", "get", "set", "delete")
ALL = [(name,) for name in _COMMANDS if name != "globals"] + [("globals", name) for name in GROUP]


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_help_says_what_each_option_is_for(command: tuple[str, ...], script: Script) -> None:
    shown = script(*command, "--help")
    assert (shown.code, shown.errors) == (0, "")
    text = shown.out
    assert f"gridsession {' '.join(command)}" in text
    rows = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    assert rows
    for row in rows:
        if row.lstrip("* ").startswith("--"):
            # The name, what it takes, and then words: what for.
            assert len([word for word in row.split() if not word.startswith(("-", "<", "[", "*"))]) >= 2, row


def test_version_and_help_of_all(script: Script) -> None:
    assert script("--version").out.startswith("gridsession 0.")
    shown = script("--help").out
    assert all(f" {name} " in shown for name in _COMMANDS)
    assert "--version" in shown


def test_one_command_imports_one_module() -> None:
    code = (
        "import sys\nfrom gridsession.cli import main\ntry:\n main(['ls', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('gridsession.cli.') and '._' not in name])\n"
        "print('hazelcast' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-2:] == ["['gridsession.cli.logs', 'gridsession.cli.sessions']", "False"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ls",), "Missing option '--url'"),
        (("ls", "--url", "memory://"), "memory:// is this command's own memory"),
        (("ls", "--url", "nonsense"), "has no scheme"),
        (("ls", "--url", "file:///tmp", "--namespace", "a b"), "namespace 'a b' must be"),
        (("ls", "--url", "file:///tmp", "--idle-over", "soon"), "'soon' is no duration"),
        (("show", "no-colon", "--url", "file:///tmp"), "write it as 'platform:key'"),
        (("set", "a:b", "step", "--url", "file:///tmp"), "write fields as NAME=JSON"),
        (("set", "a:b", "step=sesame", "--url", "file:///tmp"), "the value of 'step' is not JSON"),
        (("set", "a:b", 'p={"$decimal": "sesame"}', "--url", "file:///tmp"), "no form of a value"),
        (("delete", "a:b", "--url", "file:///tmp"), "add --yes"),
        (("clear", "a:b", "--url", "file:///tmp"), "add --yes"),
        (("unset", "a:b", "c", "--url", "file:///tmp"), "add --yes"),
        (("globals", "delete", "a", "--url", "file:///tmp"), "add --yes"),
        (("doctor", "--url", "hazelcast://a:b/c"), "is not host:port"),
        (("snapshot", "x.gsr", "--url", "file:///tmp", "--all-namespaces", "--namespace", "a"), "does not go with"),
    ],
)
def test_called_wrongly_it_ends_with_2(arguments: tuple[str, ...], said: str, script: Script) -> None:
    done = script(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.said
    assert "sesame" not in done.said


def test_the_place_may_be_said_by_the_environment(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDSESSION_URL", tmp_path.as_uri())
    assert script("set", "a:b", "c=1", "--create").code == 0
    assert script("show", "a:b").last["state"] == {"c": 1}


def test_no_colour_where_none_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    from gridsession.cli._tables import Output

    assert Output(as_json=False).console.no_color


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("userPassword", True),
        ("PASSWD", True),
        ("api_key", True),
        ("apiKey", True),
        ("APIKey", True),
        ("accessToken", True),
        ("refresh_token", True),
        ("PIN", True),
        ("card_number", True),
        ("otp2", True),
        ("client-secret", True),
        ("shipping", False),
        ("key", False),
        ("step", False),
        ("opinion", False),
        ("author", False),
        ("number", False),
    ],
)
def test_names_that_look_secret(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


@pytest.mark.parametrize(("typed", "meant"), [("90", 90), ("1.5s", 1.5), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_durations(typed: str, meant: float) -> None:
    assert seconds(typed) == meant


@pytest.mark.parametrize("typed", ["", "-1", "1w", "m", "1e3", "inf", "nan"])
def test_what_is_no_duration(typed: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(typed)


def test_fields_as_typed() -> None:
    assert assignments(['a={"$decimal": "9.50"}', "b==1"[:1] + '="x=y"', "c=[]"]) == {
        "a": Decimal("9.50"),
        "b": "x=y",
        "c": [],
    }
