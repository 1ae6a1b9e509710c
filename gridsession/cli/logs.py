"""Turns the library's log events into what a command prints: for people on a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Sends the events of `gridsession.*` from `level` on to `stream` (standard error), one line each.

    Tracebacks carry no local variables: those hold what users stored.
    """
    stream = sys.stderr if stream is None else stream
    renderer: list[structlog.typing.Processor]
    if stream.isatty():
        renderer = [
            structlog.processors.format_exc_info,
            _harmless,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger("gridsession")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False


def _harmless(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What others made, as an id or a line of a member's log, must not steer the terminal it is shown on."""
    from gridsession.cli._tables import printable

    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
