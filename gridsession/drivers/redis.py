"""Sessions in Redis: one server, a primary that Sentinel names, or a cluster. Needs the extra `gridsession[redis]`."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from typing import Any, ClassVar, Final

from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import ServerClock
from gridsession.drivers._swap import DEADLINE, POLL, Found, Held, SwapDriver, Unanswered
from gridsession.errors import ConnectFailed, InvalidOption, Unavailable
from gridsession.hooks import Hooks

try:
    from redis.asyncio import Redis, RedisCluster
except ImportError as missing:
    raise InvalidOption("redis:// needs the redis client: pip install 'gridsession[redis]'") from missing

from gridsession.drivers._redis_client import Script, client_of, typed

__all__ = ["RedisDriver"]

_VERSION_BYTES: Final = 8
_GLOB: Final = re.compile(r"([*?\[\]\\])")

_READ: Final = Script("""
local time = redis.call('TIME')
return {redis.call('GET', KEYS[1]), time[1], time[2]}
""")
# KEYS: the record. ARGV: its version when it was read ('' = absent), the value to store ('' = remove), until when the
# server may keep it and before when it must be stored (ms, 0 = no limit).
_SWAP: Final = Script("""
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep, before = tonumber(ARGV[3]), tonumber(ARGV[4])
if before > 0 and now >= before then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
elseif keep == 0 then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', string.format('%d', math.max(keep - now, 1))) end
return 1
""")


class RedisDriver(SwapDriver):
    """`redis://host:6379/0`, `rediss://`, `redis+sentinel://host:26379,host:26379/service`, `redis+cluster://host:port`.

    A record is one string: 8 random bytes, drawn with each write, and the record. Two round trips per change, one per
    read. The server's clock is what counts. Redis copies to replicas after it acknowledged: a failover may lose what
    was acknowledged in its last moments, also with `wait_replicas`, which makes it unlikely.

    Args:
        client: a `redis.asyncio` client without `decode_responses`; it is never closed here.
        prefix: what every key begins with.
        wait_replicas: so many replicas must have a change before it is acknowledged (not in a cluster).
        max_in_flight: calls under way at once, and so connections.
        deadline, poll, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.CLUSTER,
        survives=("the death of the process", "a restart or failover of Redis, as far as it persists and replicates"),
        expires_within=5.0,
        own_clock=False,
        pushes=False,
    )

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "gridsession:",
        wait_replicas: int = 0,
        max_in_flight: int = 64,
        deadline: float = DEADLINE,
        poll: float = POLL,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(deadline=deadline, poll=poll, hooks=hooks, limits=limits)
        if client.get_encoder().decode_responses:
            raise InvalidOption("records are bytes: make the redis client without decode_responses=True")
        self._client = client
        self._cluster = client if isinstance(client, RedisCluster) else None
        if max_in_flight < 1 or wait_replicas < 0:
            raise InvalidOption("max_in_flight must be at least 1, and wait_replicas not negative")
        if wait_replicas and self._cluster is not None:
            raise InvalidOption("wait_replicas is not available in a Redis cluster: set min-replicas-to-write there")
        self._prefix = prefix
        self._wait_replicas = wait_replicas
        self.ships_again = wait_replicas > 0
        self._gate = asyncio.Semaphore(max_in_flight)
        self._clock = ServerClock()
        self._place = "redis"
        self._owned: tuple[Redis | RedisCluster, ...] = ()

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> RedisDriver:
        """See `Driver.from_address`; options are those of the constructor, and `ssl_...` as redis-py has them."""
        ours = {"prefix": str, "wait_replicas": int, "max_in_flight": int, "deadline": float, "poll": float}
        chosen = {name: address.option(name, kind, None) for name, kind in ours.items() if name in address.options}
        made = client_of(address, known=tuple(ours))
        driver = cls(made.client, hooks=hooks, **chosen)
        driver._place, driver._owned = made.place, made.owned
        return driver

    async def connect(self) -> None:
        """Ask the server its time."""
        try:
            await self.patiently(lambda: self.read(Space("connect"), ""))
        except Unavailable as error:
            await self.close()
            raise ConnectFailed(f"{error}; see whether Redis runs at {self._place}", address=self._place) from None

    async def close(self) -> None:
        """Close the client, if it was made here."""
        for client in self._owned:
            await client.aclose()

    def now(self) -> int:
        """The server's time as last heard of."""
        return self._clock.now()

    def where(self, space: Space, session_id: str) -> str:
        """The key."""
        return f"key {self._key(space, session_id)!a} in {self._place}"

    async def read(self, space: Space, session_id: str) -> Held:
        """The value and the server's time, by one script."""
        key = self._key(space, session_id)
        sent = time.monotonic()
        async with self._gate:
            with typed(self._place):
                value, seconds, micros = await _READ.run(self._client, key)
        now = int(seconds) * 1000 + int(micros) // 1000
        self._clock.learn(now, sent, time.monotonic())
        if value is None:
            return Held(None, b"", now)
        return Held(value[_VERSION_BYTES:], value[:_VERSION_BYTES], now)

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Compare the version and store, by one script, confirmed by replicas if so asked."""
        key = self._key(space, session_id)
        value = b"" if data is None else secrets.token_bytes(_VERSION_BYTES) + data
        args = (held.version, value, keep_until or 0, before)
        async with self._gate:
            with typed(self._place):
                if not self._wait_replicas:
                    return bool(await _SWAP.run(self._client, key, *args))
                done, copies = await _SWAP.run_confirmed(self._client, self._wait_replicas, key, *args)
        if done and copies < self._wait_replicas:
            raise Unanswered(f"only {copies} of {self._wait_replicas} replicas confirmed")
        return bool(done)

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """What SCAN gives, primary after primary; what it gives beyond the limit travels in the cursor."""
        node, at, keys = _position(cursor)
        pattern = _GLOB.sub(r"\\\1", self._key(space, prefix)) + "*"
        async with self._gate:
            with typed(self._place):
                if not keys:
                    node, at, keys = await self._scan(node, at, pattern, limit)
                shown, rest = keys[:limit], keys[limit:]
                values = await self._values(shown)
        records = [(f"key {key!a} in {self._place}", value[_VERSION_BYTES:]) for key, value in values if value]
        ended = node is None and not rest
        return Found(records, None if ended else json.dumps([node, at, rest]), self.now())

    async def _scan(self, node: str | None, at: int, pattern: str, limit: int) -> tuple[str | None, int, list[str]]:
        """The next keys, and where to go on (no node = that was all)."""
        count = max(limit, 100)
        cluster = self._cluster
        if cluster is None:
            found: list[bytes | str]
            at, found = await self._client.scan(at, match=pattern, count=count)
            following = "" if at else None
        else:
            await cluster.initialize()
            nodes = {primary.name: primary for primary in cluster.get_primaries()}
            names = sorted(nodes)
            name = node or names[0]
            if name not in nodes:
                raise Unavailable(f"the primaries of {self._place} changed during the scan: begin it anew")
            cursors: Any  # of a node; the stubs know one server's only
            cursors, found = await cluster.scan(at, match=pattern, count=count, target_nodes=nodes[name])
            at = cursors[name]
            following = name if at else next((later for later in names if later > name), None)
        return following, at, [key.decode() if isinstance(key, bytes) else key for key in dict.fromkeys(found)]

    async def _values(self, keys: list[str]) -> list[tuple[str, bytes | None]]:
        if not keys:
            return []
        many: Any = self._client.mget if self._cluster is None else self._cluster.mget_nonatomic
        return list(zip(keys, await many(keys), strict=True))

    def _key(self, space: Space, session_id: str) -> str:
        return f"{self._prefix}{space.kind}:{space.namespace}:{session_id}"


def _position(cursor: str | None) -> tuple[str | None, int, list[str]]:
    if cursor is None:
        return None, 0, []
    try:
        node, at, keys = json.loads(cursor)
        if (node is None or isinstance(node, str)) and isinstance(at, int) and isinstance(keys, list):
            return node, at, keys
    except ValueError:
        pass
    raise InvalidOption("the cursor is not one of a Redis driver")
