"""`gridsession chat` as a user runs it: from a script, in terminals, and from two terminals on two members."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridsession.testing.local_grid import LocalGrid

CHAT = [sys.executable, "-P", "-c", "from gridsession.cli import main; main()", "chat"]
# Without an answer to it, prompt_toolkit waits for the terminal's cursor position.
ENVIRONMENT = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm", "NO_COLOR": "1"}
ENVIRONMENT.pop("GRIDSESSION_URL", None)


def script(lines: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHAT, *arguments], input=lines, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, cwd=cwd
    )


def test_the_counting_bot_answers_a_script() -> None:
    done = script("Hi\nHi\n\n/state\n/quit\nnot read any more\n")
    assert (done.returncode, done.stdout) == (0, 'Bot > Count: 1\nBot > Count: 2\nBot > { "count": 2 }\n')
    assert "memory" in done.stderr


def test_a_session_is_shown_and_played_as_another_user(tmp_path: Path) -> None:
    place = ("--url", tmp_path.as_uri(), "--platform", "line", "--as", "U1")
    assert script("/state\n/session\n", *place).stdout == "Bot > {}\nBot > {}\n"
    assert script("Hi\n", *place).stdout == "Bot > Count: 1\n"
    assert script("Hi\n", *place[:-1], "U2").stdout == "Bot > Count: 1\n"
    shown = script("/state\n/session\n", *place, "--pretty").stdout
    assert shown.startswith('Bot > {\n  "count": 1\n}\nBot > {\n  "id": "line:U1",\n  "platform": "line"')
    assert '"lastActivity"' in shown


def test_ones_own_bot_is_found_where_one_stands(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "async def handle(context):\n"
        "    if context.event.is_payload:\n"
        "        await context.send_text('paid ' + context.event.payload)\n"
        "        return\n"
        "    context.set_state({'said': context.event.message.text})\n"
        "    if context.event.message.text == 'fail':\n"
        "        raise ZeroDivisionError('my mistake')\n"
        "    await context.send_text('one')\n"
        "    await context.send_text('two')\n"
    )
    done = script("/payload x\nHi\nfail\n/state\n/exit\n", "mine:handle", cwd=tmp_path)
    assert done.stdout == 'Bot > paid x\nBot > one\nBot > two\nBot > { "said": "Hi" }\n'
    assert "ZeroDivisionError: my mistake" in done.stderr
    assert "nothing was written" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-colon",), "does not name a bot"),
        (("not_there_at_all:handle",), "cannot import 'not_there_at_all'"),
        (("json:nothing",), "module 'json' has no function 'nothing'"),
        (("--url", "nowhere://"), "no driver for nowhere://"),
        (("--platform", "A B"), "the platform of"),
    ],
)
def test_what_cannot_be_talked_to_is_said_in_a_line(arguments: tuple[str, ...], told: str) -> None:
    done = script("Hi\n", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_it_while_it_waits_for_a_script() -> None:
    with subprocess.Popen(
        CHAT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("Hi\n")
        process.stdin.flush()
        assert process.stdout.readline() == "Bot > Count: 1\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert len(process.stderr.read().splitlines()) == 1


def test_nothing_is_said_to_whoever_reads_no_further() -> None:
    with subprocess.Popen(
        CHAT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("Hi\n")
        process.stdin.flush()
        assert process.stdout.readline() == "Bot > Count: 1\n"
        process.stdout.close()
        process.stdin.write("Hi\n")
        process.stdin.close()
        told = process.stderr.read()
    assert process.returncode == 1
    assert len(told.splitlines()) == 1, told


class Terminal:
    """A console in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [*CHAT, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT, start_new_session=True
        )
        os.close(theirs)
        self._shown = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """What is on the screen after the last text that was waited for."""
        deadline = time.monotonic() + 30
        while text not in self._shown:
            assert time.monotonic() < deadline, f"{text!r} does not come; there is {self._shown!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                seen = os.read(self._ours, 65536).decode(errors="replace")
                self._shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._shown + seen)
        self._shown = self._shown.partition(text)[2]

    def ended(self) -> int:
        return self._process.wait(30)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@contextmanager
def terminals(*arguments: tuple[str, ...]) -> Iterator[list[Terminal]]:
    opened = [Terminal(*each) for each in arguments]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def test_a_line_can_be_edited_and_taken_from_the_history() -> None:
    up, left, backspace = "\x1b[A", "\x1b[D", "\x7f"
    with terminals(("--url", "memory://", "json:dumps")) as [terminal]:
        terminal.wait_for("You >")
        terminal.type("/statX" + backspace + "\b" + left + left + "\x05" + "te\r")
        terminal.wait_for("Bot > {}")
        terminal.wait_for("You >")
        terminal.type(up + "\r")
        terminal.wait_for("Bot > {}")
        terminal.wait_for("You >")
        terminal.type("/quit\r")
        assert terminal.ended() == 0


@pytest.mark.parametrize("keys", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_the_keys_that_end_it(keys: str) -> None:
    with terminals(("--url", "memory://")) as [terminal]:
        terminal.wait_for("You >")
        terminal.type(keys)
        assert terminal.ended() == 0


@pytest.mark.grid
def test_two_terminals_on_two_members_share_one_session(grid: LocalGrid, namespace: str) -> None:
    shared = ("--namespace", namespace, "--platform", "line", "--as", "U1")
    urls = [f"hazelcast://127.0.0.1:{port}/{grid.cluster_name}" for port in grid.ports[:2]]
    with terminals(*(("--url", url, *shared) for url in urls)) as [first, second]:
        for number, terminal in enumerate([first, second, first, second], 1):
            terminal.wait_for("You >")
            terminal.type("Hi\r")
            terminal.wait_for(f"Bot > Count: {number}")
        for terminal in (first, second):
            terminal.wait_for("You >")
            terminal.type("/state\r")
            terminal.wait_for('Bot > { "count": 4 }')
            terminal.type("/exit\r")
            assert terminal.ended() == 0
