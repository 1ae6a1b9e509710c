"""Sessions in Redis: one server, a primary that Sentinel names, or a cluster. Needs the extra `gridsession[redis]`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any, ClassVar, Final, TypeVar, Unpack

from gridsession._identity import Space
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import ServerClock
from gridsession.drivers._swap import OPTIONS, Found, Held, Settings, SwapDriver, Unanswered, Unsent, chosen
from gridsession.errors import ConnectFailed, InvalidOption, Unavailable
from gridsession.hooks import Hooks

try:
    from redis.asyncio import Redis, RedisCluster
    from redis.exceptions import RedisError
except ImportError as missing:
    raise InvalidOption("redis:// needs the redis client: pip install 'gridsession[redis]'") from missing

from gridsession.drivers._redis_client import READ, SWAP, client_of, told
from gridsession.drivers._redis_scan import Position, next_keys, values_of

__all__ = ["RedisDriver"]

T = TypeVar("T")

_VERSION_BYTES: Final = 8
_OPTIONS: Final = {"prefix": str, "wait_replicas": int, "max_in_flight": int, **OPTIONS}


class RedisDriver(SwapDriver):
    """`redis://host:6379/0`, `rediss://`, `redis+sentinel://host:26379,host:26379/service`, `redis+cluster://host:port`.

    A record is one string: 8 random bytes, drawn with each write, and the record. One round trip per read, two per
    change; one if this process was the last to change that session, a moment ago. The server's clock is what counts.
    Redis copies to replicas after it acknowledged: a failover may lose what was acknowledged in its last moments, also
    with `wait_replicas`, which makes it unlikely.

    Args:
        client: a `redis.asyncio` client without `decode_responses`; it is never closed here.
        prefix: what every key begins with.
        wait_replicas: so many replicas must have a change before it is acknowledged (not in a cluster).
        max_in_flight: calls under way at once, and so connections.
        deadline, poll, hooks, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.CLUSTER,
        survives=("the death of the process", "a restart or failover of Redis, as far as it persists and replicates"),
        expires_within=5.0,
        own_clock=False,
        pushes=False,
        tells_within=3.0,
    )
    patience = 5.0
    expects = True

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        prefix: str = "gridsession:",
        wait_replicas: int = 0,
        max_in_flight: int = 64,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(**settings)
        if client.get_encoder().decode_responses:
            raise InvalidOption("records are bytes: make the redis client without decode_responses=True")
        if max_in_flight < 1 or wait_replicas < 0:
            raise InvalidOption("max_in_flight must be at least 1, and wait_replicas not negative")
        if wait_replicas and isinstance(client, RedisCluster):
            raise InvalidOption("wait_replicas is not available in a Redis cluster: set min-replicas-to-write there")
        self._client = client
        self._prefix = prefix
        self._wait_replicas = wait_replicas
        self.ships_again = wait_replicas > 0
        self._gate = asyncio.Semaphore(max_in_flight)
        self._clock = ServerClock()
        self._place = "redis"
        self._owned: tuple[Redis | RedisCluster, ...] = ()
        self._closed = False

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> RedisDriver:
        """See `Driver.from_address`; options are those of the constructor, and `ssl_...` as redis-py has them."""
        # The loop around each attempt gives it up in time.
        made = client_of(address, known=tuple(_OPTIONS), timeout=None)
        driver = cls(made.client, hooks=hooks, **chosen(address, _OPTIONS))
        driver._place, driver._owned = made.place, made.owned
        return driver

    async def connect(self) -> None:
        """Ask the server its time."""
        self._closed = False
        try:
            await self.patiently(lambda: self.read(Space("connect"), ""))
        except Unavailable as error:
            await self.close()
            raise ConnectFailed(f"{error}; see whether Redis runs at {self._place}", address=self._place) from None

    async def close(self) -> None:
        """Close the client, if it was made here."""
        self._closed = True
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
        sent = time.monotonic()
        return self._held(await self._ask(READ.run(self._client, self._key(space, session_id))), sent)

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool | Held:
        """Compare the version and store, by one script, confirmed by replicas if so asked."""
        version = secrets.token_bytes(_VERSION_BYTES)
        value = b"" if data is None else version + data
        args = (held.version, value, keep_until or 0, before, held.now)
        key, copies, wanted = self._key(space, session_id), 0, self._wait_replicas
        sent = time.monotonic()
        if wanted:
            answer, copies = await self._ask(SWAP.run_confirmed(self._client, wanted, key, *args))
        else:
            answer = await self._ask(SWAP.run(self._client, key, *args))
        if isinstance(answer, list):
            return self._held(answer, sent)
        if not answer:
            return False
        self._clock.learn(answer, sent, time.monotonic())
        if copies < wanted:
            raise Unanswered(f"only {copies} of {wanted} replicas confirmed")
        return Held(data, version, answer)

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """What SCAN gives, primary after primary; what it gives beyond the limit travels in the cursor."""
        position = Position.read(cursor)
        if not position.keys:
            position = await self._ask(next_keys(self._client, position, self._key(space, prefix), limit))
        shown = position.keys[:limit]
        values = await self._ask(values_of(self._client, shown))
        records = [
            (f"key {key!a} in {self._place}", value[_VERSION_BYTES:])
            for key, value in zip(shown, values, strict=True)
            if value
        ]
        return Found(records, position._replace(keys=position.keys[limit:]).cursor, self.now())

    async def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        """The client's answer, as one of so many calls under way."""
        try:
            await self._gate.acquire()
        except BaseException:
            question.close()
            raise
        try:
            if self._closed:
                # A closed client would connect anew, and nobody would close that.
                question.close()
                raise Unsent(f"{self._place} was closed")
            return await question
        except (RedisError, OSError) as error:
            raise told(self._place, error) from None
        finally:
            self._gate.release()

    def _held(self, answer: Any, sent: float) -> Held:
        """What the scripts tell of a value: itself and the server's seconds and microseconds."""
        value, seconds, micros = answer
        now = int(seconds) * 1000 + int(micros) // 1000
        self._clock.learn(now, sent, time.monotonic())
        if value is None:
            return Held(None, b"", now)
        return Held(value[_VERSION_BYTES:], value[:_VERSION_BYTES], now)

    def _key(self, space: Space, session_id: str) -> str:
        return f"{self._prefix}{space.kind}:{space.namespace}:{session_id}"
