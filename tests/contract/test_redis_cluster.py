"""The contract, kept by the Redis driver on a cluster of three primaries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.redis_contract import RedisContract
from tests.contract.servers import redis_cluster

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of our own."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"


class TestRedisCluster(RedisContract):
    """Three primaries."""
