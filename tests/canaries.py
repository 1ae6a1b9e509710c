"""Watches the whole suite: what tests store is never seen in logs, errors or tracebacks; ids never in logs.

Every text of eight characters or more that any test stores is a canary, whoever made it up. Beside it the watch keeps
what is said at any level: events of `gridsession.*` before levels are looked at, records of other libraries
(Hazelcast's client and asyncio at DEBUG), the log of each member's JVM, which comes as such events, and the message of
each error of ours that is made. After each test the one is searched for the other.
"""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from gridsession import _codec, _link, _logs
from gridsession.errors import GridSessionError

_SHORTEST: Final = 8
_MOST: Final = 5_000
"""Values kept of one test: some store a hundred thousand, alike."""
_LOOKED_FOR: Final = 200
"""How much of a value's beginning is looked for."""
_KEPT: Final = 2_000
"""Of earlier tests: a member's log may come a little late."""


class Watch:
    """What was stored and what was said since the last look.

    Attributes:
        off: nothing is kept, for tests that make such things on purpose.
    """

    def __init__(self) -> None:
        self.off = False
        self._values: dict[str, None] = {}
        self._earlier: deque[str] = deque(maxlen=_KEPT)
        self._ids: set[str] = set()
        self._logged: list[str] = []
        self._errors: list[str] = []

    def stored(self, value: object, depth: int = 0) -> None:
        """Keep the texts in a value that is encoded."""
        if isinstance(value, str | bytes):
            text = value[:_LOOKED_FOR] if isinstance(value, str) else value[:_LOOKED_FOR].decode("latin-1")
            # A mere word ("completed") is in logs for other reasons.
            told_apart = len(text) >= 2 * _SHORTEST or not text.isalpha()
            if len(self._values) < _MOST and len(text) >= _SHORTEST and told_apart and len(set(text)) > 2:
                self._values[text] = None
        elif depth < 4 and isinstance(value, dict):
            self._all(value.values(), depth)
        elif depth < 4 and isinstance(value, list | tuple | set | frozenset):
            self._all(value, depth)

    def _all(self, values: Iterable[object], depth: int) -> None:
        for one in list(values)[:50]:
            self.stored(one, depth + 1)

    def asked(self, session_id: str) -> None:
        """Keep an id that is asked about."""
        if _LOOKED_FOR >= len(session_id) >= _SHORTEST and len(self._ids) < _MOST:
            self._ids.add(session_id)

    def logged(self, text: str) -> None:
        """Keep a line of a log."""
        if not self.off:
            self._logged.append(text)

    def failed(self, text: str) -> None:
        """Keep an error's message."""
        if not self.off:
            self._errors.append(text)

    def findings(self) -> list[str]:
        """What was stored, or is an id, and was said; then begin again."""
        logged, errors = "\n".join(self._logged), "\n".join(self._errors)
        found = []
        # Nearly no value is in nearly no log: most are ruled out by how they begin.
        said = _beginnings(logged) | _beginnings(errors)
        for text in dict.fromkeys((*self._values, *self._earlier)) if said else ():
            if text[:_SHORTEST] not in said and _form(text)[:_SHORTEST] not in said:
                continue
            # A text that is part of an id may be said where the id may.
            if any(text in one for one in self._ids):
                continue
            # Another test may well complain of the same text, under which it stored nothing.
            told = errors if text in self._values else ""
            found += [f"a stored value is in {where}: {line}" for where, line in _where(text, logged, told)]
        for one in self._ids:
            if one[:_SHORTEST] in said or _form(one)[:_SHORTEST] in said:
                found += [f"an id is in {where}: {line}" for where, line in _where(one, logged, "")]
        self._earlier.extend(self._values)
        self._values.clear()
        self._ids.clear()
        self._logged.clear()
        self._errors.clear()
        return found


def _beginnings(text: str) -> set[str]:
    return {text[at : at + _SHORTEST] for at in range(len(text) - _SHORTEST + 1)}


def _form(text: str) -> str:
    """As it is told where signs beyond ASCII are not."""
    return ascii(text)[1:-1]


def _where(text: str, logged: str, errors: str) -> Iterator[tuple[str, str]]:
    for where, said in (("a log", logged), ("an error", errors)):
        for form in dict.fromkeys((text, _form(text))):
            at = said.find(form)
            if at >= 0:
                yield where, f"{form!r} in {said[max(at - 200, 0) : at + len(form) + 80]!r}"
                break


WATCH: Final = Watch()


class _Handler(logging.Handler):
    """Records of other libraries; ours come as events, before levels are looked at."""

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("gridsession"):
            WATCH.logged(f"{record.name}: {record.getMessage()}{_trace(record.exc_info)}")


def _spy(logger: object, method: str, event: Any) -> Any:
    info = event.get("exc_info")
    WATCH.logged(f"{method} {event!r}{_trace(sys.exc_info() if info is True or method == 'exception' else info)}")
    return event


def _trace(info: Any) -> str:
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    return "".join(["\n", *traceback.format_exception(*info)]) if isinstance(info, tuple) and info[0] else ""


def install() -> None:
    """Begin to watch; once, for as long as the process lives."""
    for module in [module for name, module in sys.modules.items() if name.startswith("gridsession")]:
        _listen_in(getattr(module, "_log", None))
    _wrap(_logs, "logger", after=_listen_in)
    _wrap(_codec, "encode", before=lambda value, *more: WATCH.stored(value))
    for asks in ("ask", "execute"):
        _wrap(_link.Link, asks, before=lambda link, session_id, *more: WATCH.asked(session_id))
    _wrap(GridSessionError, "__init__", before=lambda error, message="", *more: WATCH.failed(str(message)))
    logging.getLogger().addHandler(_Handler())
    for name in ("hazelcast", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)


def _listen_in(logger: Any) -> None:
    processors = getattr(logger, "_processors", None)
    if isinstance(processors, list) and _spy not in processors:
        processors.insert(0, _spy)


def _wrap(owner: Any, name: str, *, before: Any = None, after: Any = None) -> None:
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def watched(*arguments: Any, **named: Any) -> Any:
        if before is not None and not WATCH.off:
            before(*arguments)
        result = wrapped(*arguments, **named)
        if after is not None:
            after(result)
        return result

    setattr(owner, name, watched)
