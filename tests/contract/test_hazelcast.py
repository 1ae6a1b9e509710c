"""The contract, kept by the Hazelcast driver on three real members."""

from __future__ import annotations

import pytest

from gridsession.drivers import Driver, driver_class, parse_url
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract
from gridsession.testing.local_grid import LocalGrid

pytestmark = pytest.mark.grid


class TestHazelcast(DriverContract):
    """Each case has a client and a namespace of its own on the members all tests share."""

    @pytest.fixture(autouse=True)
    def _on(self, grid: LocalGrid) -> None:
        self._url = grid.url

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """By URL, as users make it; the members keep the time."""
        return driver_class("hazelcast").from_address(parse_url(self._url), Hooks())

    def worker_url(self) -> str:
        """All members' addresses."""
        return self._url


class TestHazelcastUntapped(TestHazelcast):
    """Where the fast lane does not fit the installed client, all goes through the client's general code."""

    @pytest.fixture(autouse=True)
    def _on(self, grid: LocalGrid) -> None:
        self._url = f"{grid.url}?path=invocation"
