"""What tests of gridsession, and of drivers for it, are made with.

The suite that a driver must pass is `gridsession.testing.contract.DriverContract`; it stands apart: it needs pytest.
"""

from __future__ import annotations

from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid

__all__ = ["LocalGrid", "ManualClock"]
