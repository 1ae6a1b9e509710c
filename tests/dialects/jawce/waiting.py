"""Waiting for what another process or member does."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition, with a deadline."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.02)
