"""The contract, kept by the Redis driver on a cluster of three primaries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridsession.drivers import Driver, parse_url
from gridsession.drivers.redis import RedisDriver
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract
from tests.contract.servers import redis_cluster

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of our own."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"


class TestRedisCluster(DriverContract):
    """Three primaries; each case in a namespace of its own."""

    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """Another client of the same cluster."""
        return RedisDriver.from_address(parse_url(self.url), Hooks())

    def worker_url(self) -> str:
        """The same cluster."""
        return self.url
