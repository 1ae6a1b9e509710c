"""A file that says how far a move came, so that one that was ended goes on instead of beginning anew."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from gridsession.errors import InvalidOption, Unavailable
from gridsession.moving._report import Report

_FORMAT: Final = 1
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class ResumeFile:
    """Where a move stands: the step, the scan's cursor, the counts so far.

    Args:
        path: the file; None = nothing is kept.
        names: what tells this move from others; only a digest of them is written, for URLs hold passwords.

    Raises:
        InvalidOption: the file belongs to another move, is none of ours, or has no directory to be in.
    """

    def __init__(self, path: Path | None, *names: str) -> None:
        self._path = path
        self._move = hashlib.sha256("\0".join(names).encode()).hexdigest()
        self.step = 0
        self.cursor: str | None = None
        self.report = Report()
        self.resumed = False
        if path is not None and not path.parent.is_dir():
            raise InvalidOption(f"{path} cannot be kept: there is no directory {path.parent}")
        if path is not None and path.exists():
            self._read(path)

    def save(self, step: int, cursor: str | None) -> None:
        """Everything before this step and cursor is done. The file is replaced whole or not at all.

        Only its user may read it: the cursor and the problems name session ids.

        Raises:
            Unavailable: it cannot be written.
        """
        self.step, self.cursor = step, cursor
        if self._path is None:
            return
        state: dict[str, Any] = {"format": _FORMAT, "move": self._move, "step": step, "cursor": cursor}
        made = self._path.with_name(self._path.name + ".new")
        try:
            # What an ended move left may be readable by others, and keeps its mode if it is only written anew.
            made.unlink(missing_ok=True)
            with os.fdopen(os.open(made, _FLAGS, 0o600), "w", encoding="utf-8") as file:
                file.write(json.dumps(state | self.report.to_plain()))
            made.replace(self._path)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written ({type(error).__name__}): copy again") from None

    def done(self) -> None:
        """The move has ended: nothing is left to go on with."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> None:
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["format"] != _FORMAT:
                raise ValueError
            step, cursor, move = int(state["step"]), state["cursor"], state["move"]
            report = Report.from_plain(state)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidOption(f"{path} is no file to resume from ({type(error).__name__}): remove it") from None
        if move != self._move:
            raise InvalidOption(f"{path} belongs to a move between other places or namespaces: give another file")
        self.step, self.cursor, self.report, self.resumed = step, cursor, report, True
