"""A real terminal: a shell in tmux, in which `gridsession` is a command as a user has it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

WIDTH: Final = 80
_PATIENCE: Final = 30.0
_ENDED: Final = r"<ended (\d+)>"


class Tmux:
    """A terminal of 80 columns and 50 lines; its prompt tells how the last command ended.

    Args:
        folder: where its shell stands.
        environment: what the shell is told besides.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        assert shutil.which("tmux"), "install tmux: these tests type into a real terminal"
        self._name = f"gridsession-{os.getpid()}"
        kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "TMUX", "COLUMNS", "LINES")}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        shell = {**kept, **environment, "PATH": path, "ENV": "", "PYTHONWARNINGS": "ignore"}
        subprocess.run(
            [*self._tmux, "-f", os.devnull, "new-session", "-d", "-x", str(WIDTH), "-y", "50", "sh"],
            env=shell,
            cwd=folder,
            check=True,
            timeout=30,
        )
        try:
            # Said in the shell: some take none from outside.
            self.type("PS1='<ended $?> '")
            self.wait_for(_ENDED)
        except BaseException:
            self.close()
            raise

    @property
    def _tmux(self) -> tuple[str, ...]:
        return ("tmux", "-L", self._name)

    def _do(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=30).stdout

    def type(self, text: str) -> None:
        """Type a line on an empty screen."""
        self._do("send-keys", "-R")
        self._do("clear-history")
        self._do("send-keys", "-l", text)
        self.keys("Enter")

    def keys(self, *names: str) -> None:
        """Press keys, as tmux names them: `y`, `Enter`, `C-c`."""
        self._do("send-keys", *names)

    def screen(self, *, colours: bool = False) -> str:
        """What is to be seen, with what has moved out at the top; a line that the terminal broke is one line."""
        shown = self._do("capture-pane", "-p", "-J", "-S", "-", *(["-e"] if colours else []))
        return "\n".join(line.rstrip() for line in shown.splitlines()).rstrip("\n") + "\n"

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until this is to be seen."""
        deadline = time.monotonic() + _PATIENCE
        while not (found := re.search(pattern, self.screen())):
            assert time.monotonic() < deadline, f"{pattern!r} does not come; there is\n{self.screen()}"
            time.sleep(0.05)
        return found

    def ended(self) -> int:
        """Wait until the command has ended; with what code."""
        return int(self.wait_for(_ENDED)[1])

    def close(self) -> None:
        """End it, and all that runs in it."""
        self._do("kill-server")
