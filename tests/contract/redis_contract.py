"""What the contract is told of a Redis, whatever its form: where it is. Each case is in a namespace of its own."""

from __future__ import annotations

import pytest

from gridsession.drivers import Driver, parse_url
from gridsession.drivers.redis import RedisDriver
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract


class RedisContract(DriverContract):
    """The contract on the servers of the module's fixture `url`."""

    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """Another client of the same servers."""
        return RedisDriver.from_address(parse_url(self.url), Hooks())

    def worker_url(self) -> str:
        """The same servers."""
        return self.url
