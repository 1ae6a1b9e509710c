"""The contract, kept by the Redis driver on one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridsession.drivers import Driver, parse_url
from gridsession.drivers.redis import RedisDriver
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract
from tests.contract.servers import redis_server, running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


class TestRedis(DriverContract):
    """One server; each case in a namespace of its own."""

    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """Another client of the same server."""
        return RedisDriver.from_address(parse_url(self.url), Hooks())

    def worker_url(self) -> str:
        """The same server."""
        return self.url
