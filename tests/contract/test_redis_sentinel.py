"""The contract, kept by the Redis driver on a primary that Sentinel names, each write confirmed by its replica."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.redis_contract import RedisContract
from tests.contract.servers import redis_with_sentinel

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A primary, a replica and a Sentinel of our own."""
    with redis_with_sentinel(tmp_path_factory.mktemp("sentinel")) as (_, _, sentinel):
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/main?wait_replicas=1"


class TestRedisSentinel(RedisContract):
    """One primary and its replica."""
