"""The contract, kept by the file driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridsession.drivers import Driver
from gridsession.drivers._clock import host_clock
from gridsession.drivers.file import FileDriver
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract


class TestFile(DriverContract):
    """Each case in a directory of its own."""

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """The same directory each time."""
        return FileDriver(self.directory, clock=clock or host_clock)

    def worker_url(self) -> str:
        """The same directory, for a worker."""
        return f"file://{self.directory}"
