"""`gridsession copy` and `gridsession import` as they are called: what they print, how they end, what a kill leaves."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridsession import Policy, SessionStore
from gridsession.cli import main

SESSIONS = 1_100
MAIN = "from gridsession.cli import main; main()"


def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """The command's exit code, its JSON lines, and its standard error."""
    command = [sys.executable, "-c", MAIN, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


async def seed(url: str, count: int) -> None:
    """So many sessions, and a global."""
    async with SessionStore.open(url, policy=Policy(ttl=600)) as store:
        for number in range(count):
            await store.session(f"test:{number}").set("a", number)
        await store.globals.set("rate", 36.5)


async def numbers(url: str) -> set[int]:
    """What `seed` put there."""
    async with SessionStore.open(url) as store:
        return {await store.session(session_id).get("a") async for session_id in store.ids()}


async def test_copy_tells_its_way_in_json_lines_and_ends_with_0(tmp_path: Path) -> None:
    here, there = f"file://{tmp_path}/here", f"lmdb://{tmp_path}/there"
    await seed(here, 3)
    code, lines, errors = run("copy", here, there, "--dry-run")
    assert (code, errors) == (0, "")
    assert lines[-1]["counts"] == {"copy sessions": {"found": 3}, "copy globals": {"found": 1}}
    assert lines[-1]["dry_run"] is True
    assert not (tmp_path / "there").exists()
    code, lines, errors = run("copy", here, there)
    assert (code, errors) == (0, "")
    assert lines[0] == {"event": "progress", "step": "copy", "kind": "sessions", "done": 3}
    assert (lines[-1]["event"], lines[-1]["ok"]) == ("done", True)
    assert lines[-1]["counts"]["verify sessions"] == {"same": 3}
    assert await numbers(there) == {0, 1, 2}
    code, lines, _ = run("copy", here, there, "--to-namespace", "other")
    assert (code, lines[-1]["counts"]["copy sessions"]) == (0, {"copied": 3})
    assert await numbers(f"{there}?namespace=other") == {0, 1, 2}


def killed_at_its_first_line(*arguments: str) -> str:
    """Ends the command as soon as it prints something; what that was."""
    command = [sys.executable, "-c", MAIN, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
    assert process.returncode < 0
    return line


async def test_a_copy_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    here, there, file = f"lmdb://{tmp_path}/here", f"file://{tmp_path}/there", tmp_path / "resume"
    await seed(here, SESSIONS)
    first = json.loads(killed_at_its_first_line("copy", here, there, "--resume", str(file)))
    assert first["done"] == 500
    assert file.exists()
    reached = await numbers(there)
    assert 500 <= len(reached) < SESSIONS
    code, lines, errors = run("copy", here, there, "--resume", str(file))
    assert (code, errors) == (0, "")
    counts = lines[-1]["counts"]
    assert sum(counts["copy sessions"].values()) == SESSIONS
    assert set(counts["copy sessions"]) <= {"copied", "there"}
    assert counts["verify sessions"] == {"same": SESSIONS}
    assert await numbers(there) == set(range(SESSIONS))
    assert not file.exists()


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """The command's exit code and what it shows on a terminal, without what moves the cursor."""
    ours, theirs = pty.openpty()
    command, environment = [sys.executable, "-c", MAIN, *arguments], {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


async def test_on_a_terminal_there_is_a_bar_and_sentences(tmp_path: Path) -> None:
    here, there = f"file://{tmp_path}/here", f"lmdb://{tmp_path}/there"
    await seed(here, 5)
    code, text = on_a_terminal("copy", here, there)
    assert code == 0
    assert "━" in text
    assert re.search(r"comparing sessions.*5/5", text)
    assert "copy sessions: 5 copied" in text
    assert "verify sessions: 5 same" in text
    assert "{" not in text
    code, text = on_a_terminal("copy", here, there, "--json")
    assert code == 0
    assert all(json.loads(line) for line in text.splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("copy", "file:///a", "file:///a/?ttl=5"), "same place and namespace"),
        (("copy", "memory://", "file:///a"), "memory:// is this command's own memory"),
        (("copy", "file:///a", "nonsense"), "has no scheme"),
        (("copy", "file:///a"), "Missing argument"),
        (("copy", "file:///nowhere", "file:///a"), "FROM_URL: /nowhere is not there"),
        (("copy", "lmdb:///nowhere", "file:///a", "--dry-run"), "FROM_URL: /nowhere is not there"),
        (("import", "/a", "file:///a", "--from", "emacs"), "known: aiogram-redis"),
        (("import", "/nowhere", "file:///a", "--from", "jawce-file", "--dry-run"), "/nowhere is not a directory"),
        (("import", "/nowhere", "file:///a", "--from", "jawce-file", "--expires-in", "0", "--dry-run"), "above 0"),
        (("import", "redis://x", "file:///a", "--from", "aiogram-redis", "--dry-run"), "--bot"),
    ],
)
def test_called_wrongly_it_ends_with_2(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert said in " ".join(re.sub(r"[│╭╮╰╯─\n]", " ", shown.err).split())


async def test_what_fails_is_named_and_ends_with_1(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "good.session").write_text('{"step": "pay"}')
    (theirs / "bad.session").write_text('{"secret": "sesame", ')
    there = f"file://{tmp_path}/there"
    code, lines, errors = run("import", str(theirs), there, "--from", "jawce-file")
    assert (code, errors) == (1, "")
    (problem,) = (line for line in lines if line["event"] == "problem")
    assert problem["key"] == "bad.session"
    assert problem["reason"].startswith("it is not JSON")
    assert "sesame" not in json.dumps(lines)
    assert lines[-1]["ok"] is False
    assert lines[-1]["counts"] == {"import sessions": {"failed": 1, "imported": 1}}
    async with SessionStore.open(there) as store:
        assert await store.session("whatsapp-cloud:good").get("step") == "pay"


def test_what_others_wrote_gives_a_terminal_no_commands(tmp_path: Path) -> None:
    (tmp_path / "a.session").write_text(json.dumps({"\x1b[31mred" * 50: 1}))
    (tmp_path / "b\x1b[2J.session").write_text("{")
    code, text = on_a_terminal("import", str(tmp_path), f"file://{tmp_path}/there", "--from", "jawce-file")
    assert code == 1
    assert "a field's name takes" in text
    assert "b\\x1b[2J.session: it is not JSON" in text
    assert "not everything is there" in text


def test_a_place_that_cannot_be_used_is_one_sentence_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, lines, errors = run("copy", f"file://{tmp_path}/file", f"lmdb://{tmp_path}/there")
    assert (code, lines) == (1, [])
    assert errors.startswith("gridsession: ")
    assert f"{tmp_path}/file" in errors
    assert len(errors.splitlines()) == 1
