"""Bottender's configuration: a dict or a file, both ways to write a name, and what is wrong in it is said."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.bottender import MemorySessionStore, Sessions
from gridsession.errors import GridSessionError, InvalidOption, InvalidValue, StoreClosed
from gridsession.testing.local_grid import LocalGrid
from tests.contract.servers import redis_server, running
from tests.dialects.stores import OwnStore

EVENT = {"type": "message", "source": {"type": "user", "userId": "U1"}}
ID = "line:U1"

AS_DOCUMENTED = """
[initialState]
count = 0

[session]
driver = "memory"
expiresIn = 15

[session.stores.memory]
maxSize = 500
[session.stores.file]
dirname = ".session"
[session.stores.redis]
port = 6379
host = "127.0.0.1"
password = "auth"
db = 0
[session.stores.mongo]
url = "mongodb://localhost:27017"
collectionName = "sessions"

[channels.line]
enabled = true
path = "/webhooks/line"
accessToken = "not ours to read"
"""
IN_OUR_NAMES = {
    "initial_state": {"count": 0},
    "session": {
        "driver": "memory",
        "expires_in": 15,
        "stores": {
            "memory": {"max_size": 500},
            "mongo": {"url": "mongodb://localhost:27017", "collection_name": "sessions"},
        },
    },
}


@pytest.fixture(autouse=True)
def _nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GRIDSESSION_URL", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield server.port


async def one_event(config: Any) -> tuple[float | None, dict[str, Any]]:
    """How long a session lives after an event under a configuration, and what is stored of it."""
    async with Sessions(config) as sessions:
        async with sessions.context("line", EVENT) as context:
            context.set_state({"count": context.state.get("count", 0) + 1})
        stored = await sessions.store.read(ID)
        assert stored is not None
        return await sessions.store.sessions.session(ID).ttl(), stored["_state"]


# --- where it is written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["toml", "json", "dict in our names"])
async def test_a_configuration_is_a_dict_or_a_file(form: str, tmp_path: Path) -> None:
    config: Any = IN_OUR_NAMES
    if form != "dict in our names":
        config = tmp_path / f"bottender.config.{form}"
        camel = {"initialState": {"count": 0}, "session": {"driver": "memory", "expiresIn": 15}}
        config.write_text(AS_DOCUMENTED if form == "toml" else json.dumps(camel))
    for given in (config, str(config) if isinstance(config, Path) else config):
        left, state = await one_event(given)
        assert 895 < (left or 0) <= 900
        assert state == {"count": 1}


async def test_without_any_sessions_are_in_memory_and_never_expire() -> None:
    for config in (None, {}, {"session": {}}, {"session": {"driver": "memory"}}):
        assert await one_event(config) == (None, {"count": 1})


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("bottender.config.js", "module.exports = {}", "TOML or JSON"),
        ("missing.toml", None, "cannot be read"),
        ("broken.toml", "[session", "not what its name says"),
        ("broken.json", "{", "not what its name says"),
        ("list.json", "[]", "mapping"),
    ],
)
def test_a_file_that_is_none_is_said(name: str, text: str | None, why: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidOption, match=why):
        Sessions(tmp_path / name)


# --- where sessions live ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "made"),
    [
        ({"driver": "file"}, ".session"),
        ({"driver": "file", "stores": {"file": {"dirname": "kept"}}}, "kept"),
        ({"driver": "lmdb", "stores": {"lmdb": {"path": "a place", "max_bytes": 1 << 24}}}, "a place"),
        ({"driver": "lmdb", "stores": {"lmdb": "kept"}}, "kept"),
    ],
)
async def test_sessions_in_a_directory_outlive_the_process(session: Any, made: str, tmp_path: Path) -> None:
    assert await one_event({"session": session}) == (None, {"count": 1})
    assert await one_event({"session": session}) == (None, {"count": 2})
    assert (tmp_path / made).is_dir()


async def test_sessions_in_redis(redis_port: int) -> None:
    url = f"redis://127.0.0.1:{redis_port}/0"
    by_name = {"port": redis_port, "host": "127.0.0.1", "db": 0, "family": 4}
    for number, options in enumerate((by_name, {"url": url}, url, redis_port), start=1):
        config = {"session": {"driver": "redis", "stores": {"redis": options}, "expiresIn": dt.timedelta(seconds=70)}}
        left, state = await one_event(config)
        assert 65 < (left or 0) <= 70
        assert state == {"count": number}


@pytest.mark.grid
async def test_sessions_on_the_grid(grid: LocalGrid, namespace: str) -> None:
    members = [f"127.0.0.1:{port}" for port in grid.ports]
    by_parts = {"members": members, "cluster": grid.cluster_name, "namespace": namespace, "connectTimeout": 5}
    for number, session in enumerate(
        [
            {"driver": "hazelcast", "stores": {"hazelcast": by_parts}},
            {"driver": "hazelcast", "stores": {"hazelcast": {"url": grid.url, "namespace": namespace}}},
            {"driver": "hazelcast", "stores": {"hazelcast": f"{grid.url}?namespace={namespace}"}},
            {"driver": f"{grid.url}?namespace={namespace}"},
        ],
        start=1,
    ):
        assert await one_event({"session": session}) == (None, {"count": number})


async def test_a_driver_of_ones_own() -> None:
    own, ours = OwnStore(), MemorySessionStore()
    kept = {"own": own, "ours": ours, "made": lambda: own, "url": f"file://{Path.cwd()}/kept"}
    for driver, number in (("own", 1), ("own", 2), ("made", 3), ("ours", 1), ("ours", 2), ("url", 1)):
        _, state = await one_event({"session": {"driver": driver, "stores": kept}})
        assert state == {"count": number}, driver
    await ours.aclose()


async def test_what_a_function_makes_is_closed_and_may_be_awaited() -> None:
    made: list[SessionStore] = []

    async def make() -> SessionStore:
        made.append(SessionStore.open("memory://"))
        return made[-1]

    config = {"session": {"driver": "mine", "stores": {"mine": make}}}
    assert await one_event(config) == (None, {"count": 1})
    assert made[0].loop is None
    with pytest.raises(StoreClosed):
        await made[0].session(ID).load()
    with pytest.raises(InvalidOption, match="wrapped"):
        await Sessions({"session": {"driver": "mine", "stores": {"mine": object}}})


async def test_the_driver_may_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    choice = {"env": "APP_ENV", "production": "file", "test": f"file://{tmp_path}/tested", "default": "memory"}
    config: dict[str, Any] = {"session": {"driver": choice}}
    for value, number in (
        ("production", 1),
        ("production", 2),
        (None, 1),
        ("else", 1),
        ("", 1),
        ("env", 1),
        ("test", 1),
    ):
        if value is None:
            monkeypatch.delenv("APP_ENV")
        else:
            monkeypatch.setenv("APP_ENV", value)
        assert (await one_event(config))[1] == {"count": number}, value
    assert (tmp_path / "tested").is_dir()
    del choice["default"]
    monkeypatch.setenv("APP_ENV", "else")
    with pytest.raises(InvalidOption, match=r"APP_ENV is none of production, test"):
        Sessions(config)


async def test_where_no_driver_is_named_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRIDSESSION_URL", f"file://{tmp_path}/kept?ttl=60")
    for number in (1, 2):
        left, state = await one_event({"session": {"stores": {"memory": {"maxSize": 5}}}})
        assert 55 < (left or 0) <= 60
        assert state == {"count": number}
    assert await one_event({"session": {"driver": "memory"}}) == (None, {"count": 1})
    left, _ = await one_event({"session": {"expires_in": 2}})
    assert 115 < (left or 0) <= 120
    monkeypatch.setenv("GRIDSESSION_URL", "")
    assert await one_event(None) == (None, {"count": 1})


async def test_memory_may_be_bounded() -> None:
    config = {"session": {"driver": "memory", "stores": {"memory": {"maxSize": 2}}}}
    async with Sessions(config) as sessions:
        for user in ("U1", "U2", "U3"):
            async with sessions.context("line", {"source": {"type": "user", "userId": user}}):
                pass
        assert {session["id"] for session in await sessions.store.all()} == {"line:U3", "line:U2"}


# --- what is wrong in it ----------------------------------------------------------------------------------------------

DRIVERS = "file, hazelcast, lmdb, memory, mongo, redis"
WRONG: dict[str, tuple[Any, str]] = {
    "driver": ({"session": {"driver": "mongodb"}}, f"'mongodb' is not known; known are: {DRIVERS}"),
    "custom driver": ({"session": {"driver": "b", "stores": {"a": OwnStore()}}}, "known are: a, file"),
    "driver's kind": ({"session": {"driver": 5}}, r"session.driver \(a int\) is not known"),
    "driver with a password": ({"session": {"driver": "redis//:hunter2@host"}}, r"\(a str\) is not known"),
    "name": ({"sesion": {}}, "'sesion'; known are: session, initial_state"),
    "session's name": ({"session": {"expires": 5}}, "'expires'; known are: driver, expires_in, stores"),
    "twice": ({"initialState": {}, "initial_state": {}}, "given twice"),
    "no mapping": ({"session": "memory"}, "session must be a mapping"),
    "stores": ({"session": {"stores": ["memory"]}}, "session.stores must be a mapping"),
    "number as name": ({1: {}}, "mapping of names"),
    "memory": ({"session": {"stores": {"memory": {"size": 5}}}}, "size.*max_size"),
    "memory's value": ({"session": {"stores": {"memory": {"maxSize": "many"}}}}, "max_size"),
    "file": ({"session": {"stores": {"file": {"dir": "x"}}}}, "'dir'; known are: dirname"),
    "file's value": ({"session": {"stores": {"file": {"dirname": 5}}}}, "dirname"),
    "redis": ({"session": {"stores": {"redis": {"hostname": "x"}}}}, "hostname.*host"),
    "redis url and more": ({"session": {"stores": {"redis": {"url": "redis://h", "db": 1}}}}, "with a url"),
    "mongo": ({"session": {"stores": {"mongo": {"uri": "x"}}}}, "uri.*url"),
    "hazelcast": ({"session": {"stores": {"hazelcast": {"hosts": []}}}}, "'hosts'; known are: url, members"),
    "hazelcast's members": ({"session": {"stores": {"hazelcast": {"members": "a:1"}}}}, "list"),
    "hazelcast's cluster": ({"session": {"stores": {"hazelcast": {"cluster": 5}}}}, "name"),
    "hazelcast twice": ({"session": {"stores": {"hazelcast": {"url": "x", "members": ["a"]}}}}, "not both"),
    "hazelcast's url": ({"session": {"stores": {"hazelcast": {"url": 5}}}}, "must be text"),
    "lmdb": ({"session": {"stores": {"lmdb": {"dir": "x"}}}}, "'dir'; known are: path"),
    "lmdb's path": ({"session": {"stores": {"lmdb": {"path": 5}}}}, "directory"),
    "store": ({"session": {"stores": {"mine": 5}}}, "session.stores.mine is no store"),
    "options of no driver": ({"session": {"driver": "sql", "stores": {"sql": {"url": "x"}}}}, "sql.*known are: file"),
    "store as text": ({"session": {"stores": {"mine": "memory"}}}, "no URL"),
    "scheme": ({"session": {"driver": "cassandra://host"}}, "no driver for cassandra://; known"),
    "expiry": ({"session": {"expiresIn": -1}}, "positive"),
    "no expiry": ({"session": {"expiresIn": 0}}, "positive"),
    "expiry's kind": ({"session": {"expiresIn": "15"}}, "expires_in"),
    "environment": ({"session": {"driver": {"production": "mongo"}}}, "variable"),
    "platform": ({"channels": {"icq": {}}}, "icq.*known are"),
    "channel's name": ({"channels": {"slack": {"includeBotMesages": True}}}, "is include_bot_messages meant"),
}


@pytest.mark.parametrize(
    "config", [5, ["memory"], b"bottender.config.toml", object()], ids=["number", "list", "bytes", "object"]
)
def test_what_is_no_configuration_is_said(config: Any) -> None:
    with pytest.raises(InvalidOption, match=f"a mapping or the path of a file, not {type(config).__name__}"):
        Sessions(config)


@pytest.mark.parametrize(("config", "why"), WRONG.values(), ids=WRONG.keys())
def test_what_makes_no_sense_is_said_at_once(config: Any, why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        Sessions(config)


def test_an_initial_state_that_cannot_be_stored_is_said_at_once() -> None:
    with pytest.raises(InvalidValue, match=r"\$\.a\[0\]"):
        Sessions({"initialState": {"a": [object()]}})
    with pytest.raises(InvalidValue, match="initial_state"):
        Sessions({"initialState": [1]})


@pytest.mark.parametrize("config", [c for c, _ in WRONG.values()], ids=WRONG.keys())
def test_no_error_tells_a_password(config: Any) -> None:
    told = {**config, "session": {**(config.get("session") if isinstance(config.get("session"), dict) else {})}}
    stores = told["session"].get("stores")
    told["session"]["stores"] = {
        "redis": {"password": "hunter2"},
        **(stores if isinstance(stores, dict) else {}),
    }
    said = ""
    try:
        Sessions(told)
    except GridSessionError as error:
        said = str(error)
    assert "hunter2" not in said


# --- channels ---------------------------------------------------------------------------------------------------------


async def test_a_channel_says_whose_its_sessions_are() -> None:
    config = {
        "channels": {
            "slack": {"includeBotMessages": True, "signingSecret": "not ours to read", "scope": "thread"},
            "line": {"getSessionKeyPrefix": lambda event: f"{event.destination}:", "accessToken": "x"},
            "telegram": {"session_key_prefix": "shop/", "mode": "bottender"},
            "console": {"mockPlatform": "line"},
        },
        "plugins": [],
    }
    sessions = Sessions(config, session_key_prefix="all/")
    slack = {"event": {"type": "message", "channel": "C1", "bot_id": "B1", "thread_ts": "1.2"}}

    def ids(platform: str, body: Any) -> list[str | None]:
        return [event.session_id for event in sessions.events(platform, body)]

    assert ids("slack", slack) == ["slack:all/C1:1.2"]
    assert ids("line", {"events": [{**EVENT, "destination": "Ubot"}]}) == ["line:Ubot:U1"]
    assert ids("telegram", {"message": {"chat": {"id": 5}}}) == ["telegram:shop/5"]
    assert ids("console", {"message": {"text": "Hi"}}) == ["line:all/1"]
    assert ids("viber", {"event": "seen", "user_id": "v"}) == ["viber:all/v"]
