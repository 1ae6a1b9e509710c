"""What the Redis driver does when things go wrong: typed errors, nothing acknowledged is lost, the next call works."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridsession import SessionStore
from gridsession.drivers import parse_url
from gridsession.drivers.redis import RedisDriver
from gridsession.errors import (
    ConnectFailed,
    CorruptRecord,
    GridSessionError,
    InvalidOption,
    OutcomeUnknown,
    StoreClosed,
    Unavailable,
)
from gridsession.hooks import Hooks
from gridsession.node.ports import free_ports
from gridsession.policy import Policy
from tests.contract.proxy import Proxy
from tests.contract.servers import (
    Server,
    redis_cluster,
    redis_says,
    redis_server,
    redis_with_sentinel,
    running,
)

pytestmark = pytest.mark.servers

ID = "line:U1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis that keeps an append-only file; each test leaves it running."""
    started = redis_server(tmp_path_factory.mktemp("redis"))
    with running(started):
        yield started


def open_store(server: Server, port: int | None = None, options: str = "") -> SessionStore:
    """A store in a namespace of its own; its calls take at most five seconds."""
    namespace = f"n{time.monotonic_ns()}"
    url = f"redis://127.0.0.1:{port or server.port}?namespace={namespace}{options}"
    return SessionStore.open(url, policy=Policy(deadline=5))


async def test_a_killed_server_loses_nothing_acknowledged(server: Server) -> None:
    async with open_store(server) as store:
        acknowledged, unknown = 0, 0
        done = asyncio.Event()

        async def count() -> None:
            nonlocal acknowledged, unknown
            while not done.is_set():
                try:
                    await store.session(ID).increment("n")
                    acknowledged += 1
                except OutcomeUnknown:
                    unknown += 1

        counters = [asyncio.create_task(count()) for _ in range(3)]
        for _ in range(2):
            before = acknowledged
            async with asyncio.timeout(20):
                while acknowledged < before + 20:
                    await asyncio.sleep(0.005)
            server.kill()
            await asyncio.to_thread(server.start)
        done.set()
        await asyncio.gather(*counters)
        assert acknowledged <= await store.session(ID).get("n") <= acknowledged + unknown


async def test_a_reset_in_the_middle_of_a_reply_applies_nothing_twice(server: Server) -> None:
    async with Proxy(server.port) as proxy, open_store(server, proxy.port) as store:
        session = store.session(ID)
        # A swap carries the record, so its request names the field.
        proxy.spare = lambda request: b"counter" not in request
        for number in range(1, 21):
            proxy.cut_replies = number % 3
            assert await session.increment("counter") == number
        assert proxy.cut == 14


async def test_a_primary_turned_replica_is_waited_for(server: Server) -> None:
    async with open_store(server) as store:
        session = store.session(ID)
        await session.set("a", 1)
        redis_says(server.port, "REPLICAOF", "127.0.0.1", str(free_ports(1)[0]))
        try:
            waiting = asyncio.create_task(session.set("a", 2))
            short = SessionStore.open(driver=store._driver, policy=Policy(deadline=0.3), namespace=store.namespace)
            async with short:
                with pytest.raises(ConnectFailed, match="READONLY"):
                    await short.session(ID).set("b", 1)
            assert not waiting.done()
        finally:
            redis_says(server.port, "REPLICAOF", "NO", "ONE")
        await waiting
        assert dict(await session.load()) == {"a": 2}


async def test_a_silent_server_does_not_outlast_the_deadline(server: Server) -> None:
    async with open_store(server) as store:
        session = store.session(ID)
        await session.set("a", 1)
        short = SessionStore.open(driver=store._driver, policy=Policy(deadline=0.3), namespace=store.namespace)
        async with short:
            server.signal(signal.SIGSTOP)
            try:
                started = time.monotonic()
                with pytest.raises(GridSessionError):
                    await short.session(ID).set("a", 2)
                with pytest.raises(Unavailable):
                    await short.session(ID).load()
                assert time.monotonic() - started < 3
            finally:
                server.signal(signal.SIGCONT)
        await session.set("a", 3)
        assert await session.get("a") == 3


async def test_full_memory_is_a_definite_no(server: Server) -> None:
    async with open_store(server) as store:
        session = store.session(ID)
        await session.set("a", 1)
        redis_says(server.port, "CONFIG", "SET", "maxmemory", "1")
        try:
            with pytest.raises(Unavailable, match="maxmemory"):
                await session.set("a", 2)
            assert await session.get("a") == 1
        finally:
            redis_says(server.port, "CONFIG", "SET", "maxmemory", "0")
        await session.set("a", 3)


async def test_what_is_no_record_is_an_error_that_names_the_key(server: Server) -> None:
    async with open_store(server) as store:
        for number, command in enumerate((("SET", "8bytes..nonsense"), ("RPUSH", "x"))):
            session = store.session(f"line:{number}")
            key = f"gridsession:sessions:{store.namespace}:line:{number}"
            redis_says(server.port, command[0], key, command[1])
            for call in (session.load(), session.set("a", 1)):
                with pytest.raises(CorruptRecord):
                    await call
            assert redis_says(server.port, "EXISTS", key) == "1"
        with pytest.raises(CorruptRecord, match="line:0"):
            await store.session("line:0").load()


async def test_scripts_that_the_server_forgot_are_sent_again(server: Server) -> None:
    async with open_store(server, options="&wait_replicas=0") as store:
        for _ in range(3):
            redis_says(server.port, "SCRIPT", "FLUSH")
            await store.session(ID).increment("n")
        assert await store.session(ID).get("n") == 3


async def test_a_name_is_looked_up_in_the_family_that_is_asked_for(server: Server) -> None:
    async with open_store(server, options="&family=4") as store:
        await store.session(ID).set("a", 1)
    for asked in ("family=5", "family=4&ssl=true"):
        with pytest.raises(InvalidOption, match="family"):
            SessionStore.open(f"redis://localhost:{server.port}?{asked}")
    with pytest.raises(ConnectFailed):
        async with open_store(server, options="&family=6"):
            pass


async def test_nobody_listening_is_said_with_the_address() -> None:
    port = free_ports(1)[0]
    driver = RedisDriver.from_address(parse_url(f"redis://user:secret@127.0.0.1:{port}?deadline=0.2"), Hooks())
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}") as told:
        await SessionStore.open(driver=driver)
    assert "secret" not in str(told.value)


async def test_too_few_replicas_is_not_an_acknowledgement(server: Server) -> None:
    async with open_store(server, options="&wait_replicas=1") as store:
        short = SessionStore.open(driver=store._driver, policy=Policy(deadline=1.5), namespace=store.namespace)
        async with short:
            with pytest.raises(OutcomeUnknown, match="replicas"):
                await short.session(ID).set("a", 1)


async def test_a_failover_keeps_what_a_replica_confirmed(tmp_path: Path) -> None:
    with redis_with_sentinel(tmp_path) as (primary, replica, sentinel):
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        async with SessionStore.open(f"{url}?wait_replicas=1") as store:
            for number in range(20):
                await store.session(f"line:{number}").set("a", number)
        async with SessionStore.open(url, policy=Policy(deadline=30)) as store:
            assert await store.session("line:0").get("a") == 0
            primary.kill()
            # The first call waits until Sentinel has promoted the replica.
            await store.session("line:new").set("a", 1)
            assert [await store.session(f"line:{number}").get("a") for number in range(20)] == list(range(20))
        assert "master" in redis_says(replica.port, "ROLE")


async def test_what_was_decided_by_a_clock_that_was_ahead_is_decided_anew(server: Server) -> None:
    async with open_store(server) as store:
        session, driver = store.session(ID), store._driver
        assert isinstance(driver, RedisDriver)
        await session.set("n", 1, ttl=2)
        # As after a failover to a server whose clock is behind: by what is known here, the session has ended.
        ((line, (held, record, at)),) = driver.known._stored.items()
        driver.known._stored[line] = held._replace(now=held.now + 3_000), record, at
        assert await session.increment("n") == 2
        left = await session.ttl()
        assert left is not None
        assert left <= 2


async def test_a_cluster_that_lost_a_part_is_waited_for(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as nodes:
        url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
        ids = [f"line:{number}" for number in range(12)]
        async with SessionStore.open(url, policy=Policy(deadline=20)) as store:
            for session_id in ids:
                await store.session(session_id).increment("n")
            nodes[2].kill()
            short = SessionStore.open(driver=store._driver, policy=Policy(deadline=0.5), namespace=store.namespace)
            async with short:
                failed = 0
                for session_id in ids:
                    try:
                        assert await short.session(session_id).get("n") == 1
                    except Unavailable:
                        failed += 1
                assert failed
            await asyncio.to_thread(nodes[2].start)
            for session_id in ids:
                assert await store.session(session_id).increment("n") == 2


async def test_calls_under_way_when_the_store_is_closed_end_in_an_error(server: Server) -> None:
    store = await open_store(server)
    server.signal(signal.SIGSTOP)
    try:
        calls = [asyncio.create_task(store.session(ID).increment("n")) for _ in range(3)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await store.aclose()
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, GridSessionError)
    finally:
        server.signal(signal.SIGCONT)
    with pytest.raises(StoreClosed):
        await store.session(ID).load()


async def test_who_still_queues_when_the_store_is_closed_sends_nothing_more(server: Server) -> None:
    store = await open_store(server, options="&max_in_flight=1")
    sessions = [store.session(f"line:{number}") for number in range(4)]
    for session in sessions:
        await session.set("a", 1)
    clients = redis_says(server.port, "CLIENT", "LIST").count("addr=")
    server.signal(signal.SIGSTOP)
    try:
        calls = [asyncio.create_task(session.set("a", 2)) for session in sessions]
        await asyncio.sleep(0)
        await store.aclose()
    finally:
        server.signal(signal.SIGCONT)
    first, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, OutcomeUnknown)
    assert [type(error) for error in others] == [StoreClosed] * 3
    async with SessionStore.open(f"redis://127.0.0.1:{server.port}", namespace=store.namespace) as again:
        assert [await again.session(session.id).get("a") for session in sessions[1:]] == [1] * 3
    assert redis_says(server.port, "CLIENT", "LIST").count("addr=") < clients


async def test_a_client_handed_in_is_never_closed(server: Server) -> None:
    from redis.asyncio import Redis

    async with Redis(port=server.port) as client:
        async with SessionStore.open(driver=RedisDriver(client, prefix="mine:")) as store:
            await store.session(ID).set("a", 1)
        assert await client.exists("mine:sessions:default:line:U1") == 1
