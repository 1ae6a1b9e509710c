"""Loggers of the library: structlog over stdlib loggers `gridsession.*`, silent until a user configures them."""

from __future__ import annotations

import hashlib
import logging
import secrets
from typing import Final

import structlog

logging.getLogger("gridsession").addHandler(logging.NullHandler())

_KEY: Final = secrets.token_bytes(16)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one part of the library, `gridsession.<name>`: named events with key-value pairs.

    It wraps a stdlib logger of its own, so a process that configures structlog differently for itself is not touched,
    and nothing is printed before that logger has a handler.
    """
    bound: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"gridsession.{name}"),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return bound


def hashed(session_id: str) -> str:
    """What logs show of a session id: 8 hex digits keyed by a secret of this process, enough to follow one session."""
    return hashlib.blake2b(session_id.encode(errors="surrogatepass"), key=_KEY, digest_size=4).hexdigest()
