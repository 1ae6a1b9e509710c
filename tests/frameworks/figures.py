"""What tests measured, said at the end of the run: for the table in README.md."""

from __future__ import annotations

from typing import Final

import pytest

FIGURES: Final[dict[str, object]] = {}
"""What was measured, in words, and the figure."""


def say(reporter: pytest.TerminalReporter) -> None:
    """Write them, each once."""
    if FIGURES:
        reporter.section("figures")
    while FIGURES:
        reporter.write_line("{}: {}".format(*FIGURES.popitem()))
