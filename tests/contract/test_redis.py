"""The contract, kept by the Redis driver on one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.redis_contract import RedisContract
from tests.contract.servers import redis_server, running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


class TestRedis(RedisContract):
    """One server."""
