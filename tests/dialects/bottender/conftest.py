"""Where the sessions of these tests live."""

from __future__ import annotations

import pytest

from gridsession.drivers.memory import MemoryDriver
from gridsession.testing.local_grid import LocalGrid


@pytest.fixture(params=["memory", pytest.param("grid", marks=pytest.mark.grid)])
def place(request: pytest.FixtureRequest, namespace: str) -> object:
    """Where sessions live."""
    if request.param == "memory":
        return MemoryDriver()
    grid: LocalGrid = request.getfixturevalue("grid")
    return f"{grid.url}?namespace={namespace}"
