"""The contract that every driver keeps, as tests: a driver's test file subclasses `DriverContract`.

::

    class TestMyDriver(DriverContract):
        def make_driver(self, clock):
            return MyDriver(clock=clock or system_clock)

Its cases are chosen by what the driver promises (`Driver.promise`), as data: there is nothing to skip. They need
pytest; `pytest.register_assert_rewrite("gridsession.testing.contract")` in a conftest.py makes their failures speak.
"""

from __future__ import annotations

from typing import ClassVar

from gridsession.drivers import Driver
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract._commands import CommandCases
from gridsession.testing.contract._expiry import ExpiryCases
from gridsession.testing.contract._leases import LeaseCases, TurnCases
from gridsession.testing.contract._sharing import GlobalCases, ScanCases, SharingCases, WatchCases
from gridsession.testing.contract._times import TimeCases
from gridsession.testing.contract._verbs import VerbCases
from gridsession.testing.contract._workers import Workers

__all__ = ["DriverContract"]


class DriverContract(
    VerbCases,
    CommandCases,
    TimeCases,
    ExpiryCases,
    LeaseCases,
    TurnCases,
    SharingCases,
    ScanCases,
    WatchCases,
    GlobalCases,
):
    """All cases. A subclass gives `make_driver`, and `worker_url` if the driver reaches beyond one process."""

    workers: ClassVar[Workers]

    @classmethod
    def setup_class(cls) -> None:
        """Called by pytest: worker processes are started when a case needs them."""
        cls.workers = Workers()

    @classmethod
    def teardown_class(cls) -> None:
        """Called by pytest: end the worker processes."""
        cls.workers.close()

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """A driver that is not open yet; all drivers made for one case lead to the same place.

        Args:
            clock: what the driver takes for its clock if it promises `own_clock`; None = the real time.
        """
        raise NotImplementedError("a subclass of DriverContract says how to make its driver: define make_driver")

    def worker_url(self) -> str:
        """The URL by which another process opens the same place; asked for if the driver reaches beyond one process."""
        raise NotImplementedError("the driver reaches beyond one process: define worker_url for the worker processes")
