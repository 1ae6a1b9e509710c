"""The constructors of 1.0.5 and 0.15.17: which place each form names, for how long, and what is refused."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects import bottender, toolbot
from gridsession.dialects.bottender import (
    FileSessionStore,
    GridSessionStore,
    MemorySessionStore,
    MongoSessionStore,
    RedisSessionStore,
)
from gridsession.errors import InvalidOption

YEAR = 365 * 24 * 60 * 60


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that are opened by what a test does; they are opened all the same."""
    urls = []
    proper = SessionStore.open

    def listen(url: str | None = None, **options: Any) -> SessionStore:
        urls.append(str(url))
        return proper(url, **options)

    monkeypatch.setattr(SessionStore, "open", listen)
    return urls


@pytest.mark.parametrize(
    ("arguments", "url", "seconds"),
    [
        ((), "memory://", YEAR),
        ((None,), "memory://", YEAR),
        ((0,), "memory://", YEAR),
        ((math.inf,), "memory://", YEAR),
        (({},), "memory://", YEAR),
        ((1000,), "memory://?max_size=1000", YEAR),
        ((500.0, 15), "memory://?max_size=500", 900),
        (({"maxSize": 500},), "memory://?max_size=500", YEAR),
        (({"max_size": 500}, 0.5), "memory://?max_size=500", 30),
        ((None, 0), "memory://", YEAR),
        ((None, dt.timedelta(hours=1)), "memory://", 3600),
        ((None, math.inf), "memory://", None),
    ],
)
def test_memory(arguments: tuple[Any, ...], url: str, seconds: float | None, opened: list[str]) -> None:
    store = MemorySessionStore(*arguments)
    assert (opened, store.expires_in) == ([url], seconds)


@pytest.mark.parametrize(
    ("arguments", "directory", "seconds"),
    [
        ((), ".sessions", YEAR),
        ((None, 10), ".sessions", 600),
        (("",), ".sessions", YEAR),
        (({},), ".sessions", YEAR),
        (("my-sessions-folder",), "my-sessions-folder", YEAR),
        (("a b/100% #?ü", 1), "a b/100% #?ü", 60),
        (({"dirname": ".session"}, 1), ".session", 60),
        ((Path("deep") / "er",), "deep/er", YEAR),
    ],
)
async def test_file(
    arguments: tuple[Any, ...], directory: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileSessionStore(*arguments)
    # What is relative is so to where the process stood when the bot was made.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.expires_in == seconds
    async with store:
        await store.write("line:U1", {"_state": {"count": 1}})
    assert [path for path in (tmp_path / directory).rglob("*.gsr") if path.is_file()]
    assert not list((tmp_path / "elsewhere").iterdir())


TWO = "mongodb://db1.example.net:27017,db2.example.net:2500/?replicaSet=test"


@pytest.mark.parametrize(
    ("arguments", "url", "seconds"),
    [
        ((), "mongodb://127.0.0.1:27017?collection=sessions", YEAR),
        (("mongodb://localhost:27017",), "mongodb://localhost:27017?collection=sessions", YEAR),
        # 0.15.17
        (("mongodb://localhost:27017/", {"collectionName": "session"}, 10),
         "mongodb://localhost:27017/?collection=session", 600),
        ((TWO, {"collectionName": "my-sessions"}), f"{TWO}&collection=my-sessions", YEAR),
        (("mongodb://u:p@h/bot", None, 1), "mongodb://u:p@h/bot?collection=sessions", 60),
        # 1.0.5
        (("mongodb://localhost:27017", 15), "mongodb://localhost:27017?collection=sessions", 900),
        (({"url": "mongodb+srv://example.net", "collectionName": "s"}, 1),
         "mongodb+srv://example.net?collection=s", 60),
        (({"collection_name": "s"},), "mongodb://127.0.0.1:27017?collection=s", YEAR),
    ],
)  # fmt: skip
def test_mongo(arguments: tuple[Any, ...], url: str, seconds: float, opened: list[str]) -> None:
    store = MongoSessionStore(*arguments)
    assert (opened, store.expires_in) == ([url], seconds)


@pytest.mark.parametrize(
    ("arguments", "url", "seconds"),
    [
        ((), "redis://127.0.0.1:6379/0", YEAR),
        ((6380,), "redis://127.0.0.1:6380/0", YEAR),
        (("6380", 5), "redis://127.0.0.1:6380/0", 300),
        (("redis://:authpassword@127.0.0.1:6380/4",), "redis://:authpassword@127.0.0.1:6380/4", YEAR),
        (("rediss://example.net", 1), "rediss://example.net", 60),
        (("example.net:6380/1",), "redis://example.net:6380/1", YEAR),
        (({"port": 6379, "host": "127.0.0.1", "family": 4, "password": "auth", "db": 0},),
         "redis://:auth@127.0.0.1:6379/0", YEAR),
        (({"host": "::1", "family": 6, "db": 2},), "redis://[::1]:6379/2", YEAR),
        (({"host": "localhost", "family": 6},), "redis://[::1]:6379/0", YEAR),
        (({"family": 4},), "redis://127.0.0.1:6379/0", YEAR),
        (({"host": "cache.internal", "family": 4},), "redis://cache.internal:6379/0?family=4", YEAR),
        (({"username": "bot@home", "password": "p/a:s s@?#", "host": "example.net", "port": "6380"},),
         "redis://bot%40home:p%2Fa%3As%20s%40%3F%23@example.net:6380/0", YEAR),
        (({"host": "example.net", "tls": {}},), "rediss://example.net:6379/0", YEAR),
        (({"host": "example.net", "tls": False, "keyPrefix": "bot:"},),
         "redis://example.net:6379/0?prefix=bot%3A", YEAR),
    ],
)  # fmt: skip
def test_redis(arguments: tuple[Any, ...], url: str, seconds: float, opened: list[str]) -> None:
    store = RedisSessionStore(*arguments)
    assert (opened, store.expires_in) == ([url], seconds)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MemorySessionStore("many"), "max_size"),
        (lambda: MemorySessionStore(-1), "max_size"),
        (lambda: MemorySessionStore(1.5), "max_size"),
        (lambda: MemorySessionStore(True), "max_size"),
        (lambda: MemorySessionStore({"size": 5}), "known are: max_size"),
        (lambda: MemorySessionStore(5, -1), "expires_in"),
        (lambda: MemorySessionStore(5, "10"), "expires_in must be minutes or a timedelta, not str"),
        (lambda: MemorySessionStore(5, -3), "positive and at most 100 years, not -3 minutes"),
        (lambda: MemorySessionStore(5, dt.timedelta(seconds=-3)), "positive"),
        (lambda: toolbot.MemorySessionStore(5, [10]), "expires_in must be seconds or a timedelta, not list"),
        (lambda: toolbot.MemorySessionStore(5, -3), "not -3 seconds"),
        (lambda: MemorySessionStore({5: 1}), "mapping of names"),
        (lambda: MemorySessionStore(5, True), "expires_in"),
        (lambda: MemorySessionStore(5, math.nan), "expires_in"),
        (lambda: FileSessionStore(5), "dirname"),
        (lambda: FileSessionStore({"directory": "x"}), "known are: dirname"),
        (lambda: MongoSessionStore("redis://localhost"), "mongodb://"),
        (lambda: MongoSessionStore("mongodb://localhost", {"collection": "x"}), "collection_name"),
        (lambda: MongoSessionStore("mongodb://localhost", {"collectionName": 5}), "collection_name"),
        (lambda: MongoSessionStore({"url": "mongodb://localhost"}, {"collectionName": "x"}), "once"),
        (lambda: MongoSessionStore("mongodb://localhost", 5, 10), "once"),
        (lambda: RedisSessionStore("mongodb://localhost"), "redis://"),
        (lambda: RedisSessionStore({"hots": "localhost"}), "known are: host, port"),
        (lambda: RedisSessionStore({"keyPrefix": "a", "key_prefix": "b"}), "twice"),
        (lambda: RedisSessionStore({"host": "a b"}), "host"),
        (lambda: RedisSessionStore({"port": "x"}), "port"),
        (lambda: RedisSessionStore({"port": 70000}), "70000"),
        (lambda: RedisSessionStore({"db": -1}), "db"),
        (lambda: RedisSessionStore({"family": 5}), "family"),
        (lambda: RedisSessionStore({"family": 6, "host": "127.0.0.1"}), "IPv4"),
        (lambda: RedisSessionStore({"password": 5}), "password"),
        (lambda: GridSessionStore(5), "cannot be wrapped"),
        (lambda: GridSessionStore("nowhere"), "scheme"),
        (lambda: GridSessionStore("memory://", 0), "expires_in"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: RedisSessionStore("redis://:geheim/geheim@example.net:6379/0"),
        lambda: RedisSessionStore("redis://:geheim@geheim:geheim/0"),
        lambda: RedisSessionStore("redis://user:geheim@example.net:port/0"),
        lambda: RedisSessionStore("geheim:geheim@example.net/geheim"),
        lambda: RedisSessionStore("redis://:x@example.net/0?password=geheim"),
        lambda: RedisSessionStore({"password": "geheim", "host": ":geheim@"}),
        lambda: RedisSessionStore({"password": "geheim", "port": "geheim"}),
        lambda: MongoSessionStore("mongodb://user:geheim/geheim@example.net:x/db"),
        lambda: MongoSessionStore("mongodb://user:geheim@:geheim"),
        lambda: MongoSessionStore("mongodb://user@geheim:geheim@example.net/?w=geheim"),
        lambda: GridSessionStore("user:geheim@example.net"),
    ],
)
def test_no_error_shows_a_password(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidOption) as raised:
        make()
    assert "geheim" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize("dialect", [bottender, toolbot])
def test_no_repr_shows_a_place(dialect: Any) -> None:
    for store in (
        dialect.RedisSessionStore("redis://:geheim@example.net/0", 10),
        dialect.MongoSessionStore("mongodb://user:geheim@example.net", {"collectionName": "geheim"}),
        dialect.FileSessionStore("geheim"),
    ):
        assert "geheim" not in repr(store) + repr(store.sessions) + repr(vars(store))
    assert repr(dialect.MemorySessionStore(5, math.inf)) == "<MemorySessionStore, never expires>"


@pytest.mark.parametrize(
    ("place", "expires_in", "seconds"),
    [
        ("memory://", None, None),
        ("memory://?ttl=900", None, 900),
        ("memory://?ttl=900", 1, 60),
        ("memory://?ttl=900", math.inf, None),
        ("memory://", dt.timedelta(seconds=5), 5),
    ],
)
async def test_a_place_of_ours_keeps_its_own_expiry_unless_told(
    place: str, expires_in: float | None, seconds: float | None
) -> None:
    async with GridSessionStore(place, expires_in) as store:
        assert store.expires_in == seconds
        await store.write("line:U1", {"_state": {"count": 1}})
        left = await store.sessions.session("line:U1").ttl()
        assert left is None if seconds is None else seconds - 1 < (left or 0) <= seconds


@pytest.mark.parametrize(
    ("store", "seconds"),
    [
        (lambda: toolbot.MemorySessionStore(5, 10), 10),
        (toolbot.MemorySessionStore, YEAR),
        (lambda: toolbot.FileSessionStore("dir", 0), YEAR),
        (lambda: toolbot.RedisSessionStore(6380, 0.5), 0.5),
        (lambda: toolbot.MongoSessionStore("mongodb://localhost:27017/", {"collectionName": "session"}, 10), 10),
        (lambda: toolbot.MemorySessionStore(None, dt.timedelta(minutes=1)), 60),
        (lambda: toolbot.GridSessionStore("memory://", 7), 7),
    ],
)
def test_toolbot_counts_in_seconds(store: Callable[[], Any], seconds: float) -> None:
    assert store().expires_in == seconds
