"""Pages of Redis keys: SCAN of one server, or of a cluster's primaries in turn, resumed by a cursor's text."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis, RedisCluster

from gridsession.errors import InvalidOption, Unavailable

_GLOB: Final = re.compile(r"([*?\[\]\\])")


class Position(NamedTuple):
    """Where to go on: the primary ("" = the only server, None = that was all), its cursor, and keys not yet shown."""

    node: str | None = ""
    at: int = 0
    keys: tuple[str, ...] = ()

    @classmethod
    def read(cls, cursor: str | None) -> Position:
        """The position that a cursor's text stands for.

        Raises:
            InvalidOption: it is not one of a Redis driver.
        """
        if cursor is None:
            return cls()
        try:
            node, at, keys = json.loads(cursor)
            if (node is None or isinstance(node, str)) and isinstance(at, int) and isinstance(keys, list):
                return cls(node, at, tuple(keys))
        except (ValueError, TypeError):
            pass
        raise InvalidOption("the cursor is not one of a Redis driver")

    @property
    def cursor(self) -> str | None:
        """Its text; None if nothing is left."""
        return None if self.node is None and not self.keys else json.dumps(self)


async def next_keys(client: Redis | RedisCluster, position: Position, prefix: str, limit: int) -> Position:
    """The position after the next keys with the prefix, with these keys.

    Raises:
        Unavailable: the cluster's primaries are no longer those of the scan.
    """
    pattern = _GLOB.sub(r"\\\1", prefix) + "*"
    count = max(limit, 100)
    following: str | None
    if isinstance(client, Redis):
        found: list[bytes | str]
        at, found = await client.scan(position.at, match=pattern, count=count)
        following = "" if at else None
    else:
        await client.initialize()
        nodes = {primary.name: primary for primary in client.get_primaries()}
        names = sorted(nodes)
        name = position.node or names[0]
        if name not in nodes:
            raise Unavailable("the primaries of the Redis cluster changed during the scan: begin it anew")
        cursors: Any  # of a node; the stubs know one server's only
        cursors, found = await client.scan(position.at, match=pattern, count=count, target_nodes=nodes[name])
        at = cursors[name]
        following = name if at else next((later for later in names if later > name), None)
    keys = [key.decode() if isinstance(key, bytes) else key for key in dict.fromkeys(found)]
    return Position(following, at, tuple(keys))


async def values_of(client: Redis | RedisCluster, keys: tuple[str, ...]) -> list[bytes | None]:
    """What stands under the keys, in their order."""
    if not keys:
        return []
    many: Any = client.mget if isinstance(client, Redis) else client.mget_nonatomic
    return list(await many(list(keys)))
