"""What happened, as JSON lines: every call's beginning and end, every fault's, on one clock for all processes.

A line is an object: `index` (of the file), `type` (invoke, ok, fail, info), `f`, `process`, `key`, `value`, `time`
(CLOCK_MONOTONIC, ns), `op` (links a call's end to its beginning), `error`. fail = definitely nothing was done,
info = not known. A call without an end was under way when its process died: not known either. The key's platform is the
name of the workload, so `append:3.7` is a session of the workload `append`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Final, Literal

NEMESIS: Final = "nemesis"
"""The `process` of fault lines."""
Phase = Literal["start", "end"]


class History:
    """A file of such lines, written by one process. What was begun is in the file before it is sent.

    Ends wait for the next beginning or for `flush`: a process that is killed loses some of them, and such a call then
    reads as one whose outcome is not known.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._waiting: list[str] = []
        self._index = 0
        self._op = 0

    def invoke(self, process: int, f: str, key: str, value: Any) -> int:
        """A call begins; gives the number to end it by."""
        self._op = op = self._op + 1
        self._waiting.append(self._line("invoke", process, f, key, value, op, None))
        self.flush()
        return op

    def end(self, op: int, kind: str, process: int, f: str, key: str, value: Any, error: str | None = None) -> None:
        """It ended: `kind` is ok, fail (definitely nothing was done) or info (not known)."""
        self._waiting.append(self._line(kind, process, f, key, value, op, error))
        if len(self._waiting) > 200:
            self.flush()

    def fault(self, kind: str, phase: Phase, target: Any = None, **more: Any) -> None:
        """A fault begins or ends; one that only happens (a kill) ends when its victim is back."""
        self.note("fault", {"kind": kind, "phase": phase, "target": target, **more})

    def note(self, f: str, value: Any) -> None:
        """A line of the one who runs the test, e.g. what the client was asked to do."""
        self._waiting.append(self._line("info", NEMESIS, f, "", value, None, None))
        self.flush()

    def flush(self) -> None:
        """Hand to the system what waits."""
        if self._waiting:
            lines = "".join(self._waiting).encode()
            self._waiting.clear()
            os.write(self._file, lines)

    def close(self) -> None:
        """Flush, and close the file."""
        self.flush()
        os.close(self._file)

    def _line(
        self, kind: str, process: int | str, f: str, key: str, value: Any, op: int | None, error: str | None
    ) -> str:
        index = self._index
        self._index = index + 1
        text = value if type(value) is int else "null" if value is None else _dumps(value)
        return (
            f'{{"key":{_dumps(key)},"index":{index},"type":"{kind}","f":"{f}","process":{_dumps(process)},'
            f'"value":{text},"time":{time.monotonic_ns()},"op":{"null" if op is None else op},'
            f'"error":{"null" if error is None else _dumps(error)}}}\n'
        )


_dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
