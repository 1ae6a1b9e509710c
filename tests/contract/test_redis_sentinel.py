"""The contract, kept by the Redis driver on a primary that Sentinel names, each write confirmed by its replica."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridsession.drivers import Driver, parse_url
from gridsession.drivers.redis import RedisDriver
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract
from tests.contract.servers import redis_with_sentinel

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A primary, a replica and a Sentinel of our own."""
    with redis_with_sentinel(tmp_path_factory.mktemp("sentinel")) as (_, _, sentinel):
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/main?wait_replicas=1"


class TestRedisSentinel(DriverContract):
    """One primary and its replica; each case in a namespace of its own."""

    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """Another client of the same primary."""
        return RedisDriver.from_address(parse_url(self.url), Hooks())

    def worker_url(self) -> str:
        """The same Sentinel."""
        return self.url
