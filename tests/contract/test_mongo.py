"""The contract, kept by the MongoDB driver on a real mongod, or on mongo-java-server where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gridsession.drivers import Driver, parse_url
from gridsession.drivers.mongo import MongoDriver
from gridsession.hooks import Hooks
from gridsession.testing.clock import ManualClock
from gridsession.testing.contract import DriverContract
from tests.contract.servers import mongo_server, running

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that GRIDSESSION_TEST_MONGO names, or one of our own."""
    named = os.environ.get("GRIDSESSION_TEST_MONGO")
    if named:
        yield named
        return
    server = mongo_server(tmp_path_factory.mktemp("mongo"))
    with running(server):
        yield f"mongodb://127.0.0.1:{server.port}/contract"


class TestMongo(DriverContract):
    """One server; each case in a namespace of its own."""

    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_driver(self, clock: ManualClock | None) -> Driver:
        """Another client of the same server."""
        return MongoDriver.from_address(parse_url(self.url), Hooks())

    def worker_url(self) -> str:
        """The same server."""
        return self.url
