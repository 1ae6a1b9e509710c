"""Which release of python-telegram-bot a run is on."""

from __future__ import annotations

import os

import pytest
import telegram


@pytest.fixture(autouse=True)
def _release() -> None:
    """A run for one release is on that release (`test_releases` makes them)."""
    wanted = os.environ.get("PTB_RELEASE", telegram.__version__)
    assert telegram.__version__ == wanted
