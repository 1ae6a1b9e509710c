"""What runs commands: a terminal, processes that can be killed, and what they left."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from typing import Any, NamedTuple

MAIN = "from gridsession.cli import main; main()"
_SHELL = """
import fcntl, os, shlex, sys, termios
from gridsession.cli import main
# The keys that interrupt reach only who owns the terminal.
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
while line := sys.stdin.readline():
    try:
        main(shlex.split(line))
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    sys.stderr.flush()
    print(f"<ended {code or 0}>", flush=True)
"""


class Place(NamedTuple):
    """Where sessions live, and whose they are."""

    url: str
    namespace: str

    @property
    def options(self) -> tuple[str, ...]:
        """As a command takes it."""
        return ("--url", self.url, "--namespace", self.namespace)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    errors: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its answer, one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        """The last object of its answer."""
        return self.lines[-1]

    @property
    def said(self) -> str:
        """Its errors without frames and line ends."""
        return " ".join(re.sub(r"[│╭╮╰╯─\n]", " ", self.errors).split())


class Terminal:
    """A terminal, 100 columns wide, whose shell knows nothing but gridsession."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        settings = termios.tcgetattr(theirs)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONWARNINGS": "ignore"}
        for name in ("NO_COLOR", "GRIDSESSION_URL", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SHELL],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self._seen = ""

    def run(self, *arguments: str) -> tuple[int, str]:
        """Type a command; how it ended and what it showed, without what moves the cursor or colours."""
        self.type(*arguments)
        return self.ended()

    def type(self, *arguments: str) -> None:
        """Type a command."""
        self.keys(shlex.join(arguments) + "\n")

    def keys(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def ended(self) -> tuple[int, str]:
        """Wait until the command has ended."""
        shown = self.wait_for(r"<ended (\d+)>")
        return int(self.found[1]), shown

    def wait_for(self, pattern: str) -> str:
        """Wait until this is on the screen; all that was shown up to it since the last time."""
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, plain(self._seen))):
            assert time.monotonic() < deadline, f"{pattern!r} does not come; there is {plain(self._seen)!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self._seen += os.read(self._ours, 65_536).decode(errors="replace")
        self.found = found
        self.raw = self._seen
        shown = plain(self._seen)[: found.end()]
        self._seen = plain(self._seen)[found.end() :]
        return shown

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


def plain(text: str) -> str:
    """What a terminal was sent, without what moves the cursor or colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


def process(*arguments: str) -> subprocess.Popen[str]:
    """A command in a process of its own, which can be killed."""
    return subprocess.Popen([sys.executable, "-c", MAIN, *arguments], stdout=subprocess.PIPE, text=True)


def killed_at_its_first_line(*arguments: str) -> dict[str, Any]:
    """Ends a command, as a crash would, as soon as it says something; what that was."""
    with process(*arguments) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        started.kill()
    assert started.returncode < 0
    told: dict[str, Any] = json.loads(line)
    return told
