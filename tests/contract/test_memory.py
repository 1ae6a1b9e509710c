"""The contract, kept by the memory driver."""

from __future__ import annotations

from gridsession.drivers import Driver
from gridsession.drivers.memory import MemoryDriver
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract


class TestMemory(DriverContract):
    """Shared within one process, so the two stores of a case share one driver."""

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """A place of its own."""
        return MemoryDriver() if clock is None else MemoryDriver(clock=clock)
