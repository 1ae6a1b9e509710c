"""Importing what Bottender, Opengram, JAWCE and aiogram stored, written here as they write it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from gridsession import Policy, SessionStore
from gridsession.dialects.bottender import GridSessionStore
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import ConnectFailed, InvalidOption, Unavailable
from gridsession.moving import SOURCES, Options, Report, import_sessions, open_source
from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.contract.servers import mongo_server, redis_server, running

NEAR = 5.0
"""Seconds that two readings of what is left may be apart."""


def ms(seconds_ago: float = 0) -> int:
    """A moment as JavaScript tells it."""
    return round((time.time() - seconds_ago) * 1000)


def bottender(session_id: str, seconds_ago: float = 0, **more: Any) -> dict[str, Any]:
    """A session as Bottender 1.5 writes it."""
    platform, _, key = session_id.partition(":")
    user = {"id": key, "_updatedAt": "2026-11-21T10:00:00.000Z"}
    return {"id": session_id, "platform": platform, "_state": {"count": 3}, "user": user} | {
        "lastActivity": ms(seconds_ago),
        **more,
    }


async def bring(name: str, place: str, target: SessionStore, *, overwrite: bool = False, **options: Any) -> Report:
    """Import into an open store."""
    return await import_sessions(open_source(name, place, Options(**options)), target, overwrite=overwrite)


def memory(ttl: float | None = None) -> SessionStore:
    """A store of its own; not open."""
    return SessionStore.open(driver=MemoryDriver(), policy=Policy(ttl=ttl))


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield server.port


@pytest.fixture
def theirs(redis_port: int) -> Iterator[redis.Redis]:
    """A client of an empty database, as the other system has it."""
    with redis.Redis(port=redis_port, db=3) as client:
        client.flushdb()
        yield client


@pytest.fixture
def url(redis_port: int) -> str:
    """The same database."""
    return f"redis://127.0.0.1:{redis_port}/3"


def dump(client: redis.Redis) -> dict[bytes, Any]:
    """Everything in a database."""
    return {key: (client.dump(key), client.ttl(key) == -1) for key in client.scan_iter()}  # type: ignore[union-attr]


# --- Bottender -------------------------------------------------------------------------------------------------------


async def test_bottender_files(tmp_path: Path) -> None:
    folder = tmp_path / ".sessions"
    folder.mkdir()
    written = {
        "telegram:1.json": bottender("telegram:1"),
        "line@U2.json": bottender("line:U2", 600, group={"id": "C1", "members": [{"id": "U2"}]}),
        "viber:old.json": bottender("viber:old", 7_200),
        "slack:stateless.json": {"id": "slack:stateless", "platform": "slack", "lastActivity": ms()},
        "console:1.json": bottender("console:1", _state=["no", "object"]),
        "7.json": bottender("7"),
        "line@U9@1.json": {"lastActivity": ms(), "_state": {"a": 1}},
    }
    for name, session in written.items():
        (folder / name).write_text(json.dumps(session))
    (folder / "broken.json").write_text('{"id": "telegram:9", "secret": ')
    (folder / "list.json").write_text("[1]")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "README").write_text("not a session")
    async with memory() as store:
        report = await bring("bottender-file", str(folder), store, expires_in=60)
        assert report.counts() == {"import sessions": {"imported": 5, "ended": 1, "failed": 4}}
        keys = {key for key, _ in report.tally("import", "sessions").problems}
        assert keys == {"broken.json", "list.json", "deep.json", "console:1.json"}
        assert "secret" not in repr(report)
        assert await store.session("telegram:1").ttl() == pytest.approx(3_600, abs=NEAR)
        assert await store.session("line:U2").ttl() == pytest.approx(3_000, abs=NEAR)
        await store.session("line:U2").touch()
        assert await store.session("line:U2").ttl() == pytest.approx(3_600, abs=NEAR)
        bots = await GridSessionStore(store).init()
        for name in ("telegram:1.json", "line@U2.json", "7.json"):
            assert await bots.read(written[name]["id"]) == written[name]
        assert (await bots.read("slack:stateless") or {})["_state"] == {}
        assert await store.session("line:U9@1").get("a") == 1


async def test_without_an_end_the_target_says_how_long(tmp_path: Path) -> None:
    (tmp_path / "telegram:1.json").write_text(json.dumps(bottender("telegram:1", 100_000)))
    for ttl in (None, 900):
        async with memory(ttl) as store:
            assert (await bring("bottender-file", str(tmp_path), store)).ok
            assert await store.session("telegram:1").ttl() == pytest.approx(ttl, abs=NEAR)


async def test_bottender_redis(theirs: redis.Redis, url: str) -> None:
    session = bottender("telegram:1", 300)
    theirs.set("telegram:1", json.dumps(session), ex=600)
    theirs.set("line:U2", json.dumps(bottender("line:U2", 9_999)))
    theirs.set("slack:odd", json.dumps(bottender("slack:odd", 7)), ex=600)
    theirs.set("viber:broken", '{"lastActivity": 1, "_state": {"secret"')
    theirs.set("cart:7", '{"a": 1}')
    theirs.set("greeting", "hello")
    theirs.set("bytes", b"\xff\xfe")
    theirs.rpush("jobs", "one")
    for number in range(500):
        theirs.set(f"other:{number}", number)
    before = dump(theirs)
    async with memory(1_200) as store:
        report = await bring("bottender-redis", url, store)
        assert report.counts() == {"import sessions": {"imported": 3, "skipped": 504, "failed": 1}}
        assert [key for key, _ in report.tally("import", "sessions").problems] == ["viber:broken"]
        assert await (await GridSessionStore(store).init()).read("telegram:1") == session
        # 15 minutes from the last activity: of those 10 are left, and each new activity gives 15 again.
        assert await store.session("telegram:1").ttl() == pytest.approx(600, abs=NEAR)
        await store.session("telegram:1").touch()
        assert await store.session("telegram:1").ttl() == pytest.approx(900, abs=NEAR)
        assert await store.session("line:U2").ttl() == pytest.approx(1_200, abs=NEAR)
        # Where that is no number of minutes, the target's ttl counts from the next activity on.
        assert await store.session("slack:odd").ttl() == pytest.approx(600, abs=NEAR)
        await store.session("slack:odd").touch()
        assert await store.session("slack:odd").ttl() == pytest.approx(1_200, abs=NEAR)
    assert dump(theirs) == before


@pytest.mark.grid
async def test_onto_the_grid(tmp_path: Path, grid: LocalGrid, namespace: str) -> None:
    (tmp_path / "telegram:1.json").write_text(json.dumps(bottender("telegram:1", 300)))
    (tmp_path / "263770000000.session").write_text('{"jCurrent": "MENU"}')
    (tmp_path / "global.session").write_text('{"rate": 36.5}')
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        for overwrite, outcome in ((False, "imported"), (False, "existing"), (True, "imported")):
            report = await bring("bottender-file", str(tmp_path), store, expires_in=15, overwrite=overwrite)
            assert report.counts() == {"import sessions": {outcome: 1}}
        assert await store.session("telegram:1").get("count") == 3
        assert await store.session("telegram:1").ttl() == pytest.approx(600, abs=NEAR)
        assert (await bring("jawce-file", str(tmp_path), store)).ok
        assert await store.globals.get("rate", fresh=True) == 36.5


async def test_what_is_there_stays_unless_it_shall_be_overwritten(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / f"telegram:{name}.json").write_text(json.dumps(bottender(f"telegram:{name}")))
    clock = ManualClock(ms())
    async with SessionStore.open(driver=MemoryDriver(clock=clock)) as store:
        await store.session("telegram:1").set("ours", True)
        await store.session("telegram:1").remember("message-1")
        clock.advance(1)  # what is imported now would be newer
        report = await bring("bottender-file", str(tmp_path), store)
        assert report.ok
        assert report.counts() == {"import sessions": {"existing": 1, "imported": 1}}
        assert dict(await store.session("telegram:1").load()) == {"ours": True}
        for _ in range(3):  # again and again within a millisecond
            report = await bring("bottender-file", str(tmp_path), store, overwrite=True)
            assert report.counts() == {"import sessions": {"imported": 2}}
        assert dict(await store.session("telegram:1").load()) == {"count": 3}
        assert await store.session("telegram:1").remember("message-1")  # it is another session now


async def test_a_dry_run_finds_what_would_fail_and_asks_the_target_nothing(tmp_path: Path) -> None:
    (tmp_path / "telegram:1.json").write_text(json.dumps(bottender("telegram:1")))
    (tmp_path / "telegram:2.json").write_text(json.dumps(bottender("telegram:2", _state={"x" * 300: 1})))
    (tmp_path / "telegram:3.json").write_text('{"_state": {"\\ud800": 1}}')
    (tmp_path / "telegram:.json").write_text("{}")
    source = open_source("bottender-file", str(tmp_path))
    report = await import_sessions(source, memory(), dry_run=True)
    assert report.counts() == {"import sessions": {"found": 2, "failed": 2}}


async def test_what_the_target_refuses_is_named_without_its_value(tmp_path: Path) -> None:
    (tmp_path / "telegram:1.json").write_text(json.dumps(bottender("telegram:1", _state={"note": "sesame" * 100_000})))
    (tmp_path / "telegram:2.json").write_text(json.dumps(bottender("telegram:2", _state={"x" * 200: 1})))
    (tmp_path / "telegram:3.json").write_text(json.dumps(bottender("telegram:3", _state={"": 1})))
    (tmp_path / "telegram:4.json").write_text(json.dumps(bottender("telegram:4", _state={"deep": [[[1]]]})))
    async with memory() as store:
        report = await bring("bottender-file", str(tmp_path), store)
        assert report.counts() == {"import sessions": {"failed": 3, "imported": 1}}
        assert "sesame" not in repr(report)


# --- Opengram --------------------------------------------------------------------------------------------------------


def keyv(session: dict[str, Any], ends: int | None, outer: int | None = None) -> str:
    """What keyv stores of an Opengram session."""
    return json.dumps({"value": {"session": session, "expires": ends}, "expires": outer})


async def test_opengram_keyv_in_redis(theirs: redis.Redis, url: str) -> None:
    theirs.set("keyv:11:22", keyv({"count": 2, "text": "::colon", "photo": ":base64:aGk="}, ms(-600)))
    theirs.set("sets:namespace:keyv:keyv:33:44", keyv({"a": [1, {"b": ":"}]}, None))
    theirs.set("keyv:55:66", keyv({"a": 1}, ms(5)))
    theirs.set("keyv:77:88", keyv({"a": 1}, ms(-600), ms(-60)))
    theirs.set("keyv:broken", '{"value": {"session": {"secret')
    theirs.set("keyv:other", '{"value": 1, "expires": null}')
    theirs.sadd("namespace:keyv", "keyv:11:22")
    async with memory(1_200) as store:
        report = await bring("opengram-keyv", url, store)
        assert report.counts() == {"import sessions": {"imported": 3, "ended": 1, "failed": 1, "skipped": 2}}
        assert dict(await store.session("opengram:11:22").load()) == {"count": 2, "text": ":colon", "photo": b"hi"}
        assert dict(await store.session("opengram:33:44").load()) == {"a": [1, {"b": ""}]}
        for key, left in (("11:22", 600), ("33:44", 1_200), ("77:88", 60)):
            assert await store.session(f"opengram:{key}").ttl() == pytest.approx(left, abs=NEAR)


@pytest.mark.parametrize(
    "shape",
    [
        lambda text: {"cache": [["bots:1:2", {"value": text, "expire": ms(-600)}]], "lastExpire": 1},
        lambda text: {"cache": [["bots:1:2", {"value": json.loads(text)["value"]}]]},
        lambda text: {"bots::bots:1:2": text},
        lambda text: {"1:2": json.loads(text)["value"], "other": 5},
    ],
)
async def test_opengram_keyv_in_a_file(tmp_path: Path, shape: Any) -> None:
    file = tmp_path / "keyv.json"
    file.write_text(json.dumps(shape(keyv({"count": 2}, ms(-600)))))
    async with memory() as store:
        report = await bring("opengram-keyv", str(file), store, prefix="bots", expires_in=15)
        assert report.ok
        assert [session_id async for session_id in store.ids()] == ["opengram:1:2"]
        assert await store.session("opengram:1:2").get("count") == 2
        assert await store.session("opengram:1:2").ttl() == pytest.approx(600, abs=NEAR)
        await store.session("opengram:1:2").touch()
        assert await store.session("opengram:1:2").ttl() == pytest.approx(900, abs=NEAR)


# --- JAWCE -----------------------------------------------------------------------------------------------------------


async def test_jawce_files(tmp_path: Path) -> None:
    user = {"jCurrent": "MENU", "kUserProps": {"name": "Tino"}, "jProps": {"vip": True}}
    (tmp_path / "263770000000.session").write_text(json.dumps(user))
    (tmp_path / "263771111111.session").write_text(json.dumps({"pywce_prop_key": "odd"}))
    (tmp_path / "global.session").write_text(json.dumps({"rate": 36.5, "names": ["a", "b"]}))
    old = tmp_path / "263772222222.session"
    old.write_text("{}")
    os.utime(old, (time.time() - 7_200,) * 2)
    async with memory() as store:
        report = await bring("jawce-file", str(tmp_path), store, expires_in=30)
        assert report.counts() == {
            "import sessions": {"imported": 1, "ended": 1, "failed": 1},
            "import globals": {"imported": 2},
        }
        snapshot = await store.session("whatsapp-cloud:263770000000").load()
        assert (dict(snapshot), dict(snapshot.props)) == ({"jCurrent": "MENU"}, {"name": "Tino", "vip": True})
        assert await store.session("whatsapp-cloud:263770000000").ttl() == pytest.approx(1_800, abs=NEAR)
        assert await store.globals.get("rate") == 36.5
        assert await store.globals.get("names") == ["a", "b"]


# --- aiogram ---------------------------------------------------------------------------------------------------------


async def test_aiogram_redis(theirs: redis.Redis, url: str) -> None:
    theirs.set("fsm:-100:7:state", "Form:name", ex=600)
    theirs.set("fsm:-100:7:data", '{"name": "Ploy"}', ex=900)
    theirs.set("fsm:-100:5:7:data", '{"topic": true}')
    theirs.set("fsm:1:1:data", "[1]")
    theirs.set("fsm:1:1:lock", "x")
    theirs.set("fsm:a:b:state", "x")
    theirs.set("elsewhere", "x")
    async with memory() as store:
        report = await bring("aiogram-redis", url, store, bot=42)
        assert report.counts() == {"import sessions": {"imported": 2, "failed": 1, "skipped": 2}}
        snapshot = await store.session("aiogram:42:-100:7").load()
        assert (dict(snapshot), dict(snapshot.props)) == ({"name": "Ploy"}, {"state": "Form:name"})
        assert await store.session("aiogram:42:-100:7").ttl() == pytest.approx(900, abs=NEAR)
        assert dict(await store.session("aiogram:42:-100:7:thread=5").load()) == {"topic": True}
        assert await store.session("aiogram:42:-100:7:thread=5").ttl() is None


async def test_aiogram_redis_with_every_part_in_its_keys(theirs: redis.Redis, url: str) -> None:
    theirs.set("my*fsm:42:1:7:default:state", "A")
    theirs.set("my*fsm:42:biz/1:1:5:7:side:state", "B")
    theirs.set("myXfsm:42:1:8:default:state", "C")
    asked = {"prefix": "my*fsm", "with_bot_id": True, "with_business_connection_id": True, "with_destiny": True}
    async with memory() as store:
        report = await bring("aiogram-redis", url, store, **asked)
        assert report.counts() == {"import sessions": {"imported": 2}}
        found = {session_id: await store.session(session_id).props.get("state") async for session_id in store.ids()}
        assert found == {"aiogram:42:1:7": "A", "aiogram:42:1:7:thread=5:business=biz%2F1:destiny=side": "B"}
        with pytest.raises(InvalidOption, match="do not hold the bot's id"):
            await bring("aiogram-redis", url, store)


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bottender-redis", "aiogram-redis", "opengram-keyv"])
async def test_a_redis_that_does_not_answer_is_an_error_by_its_address(name: str) -> None:
    async with memory() as store:
        with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:1\b"):
            await bring(name, "redis://:sesame@127.0.0.1:1", store, bot=1)


async def test_what_may_not_be_read_is_an_error_and_not_passed_over(theirs: redis.Redis, redis_port: int) -> None:
    theirs.set("telegram:1", json.dumps(bottender("telegram:1")))
    theirs.acl_setuser("half", enabled=True, passwords=["+sesame"], keys=["*"], commands=["+@all", "-get"])
    async with memory() as store:
        with pytest.raises(Unavailable, match="NOPERM") as raised:
            await bring("bottender-redis", f"redis://half:sesame@127.0.0.1:{redis_port}/3", store)
    assert "sesame" not in str(raised.value)


async def test_a_place_that_makes_no_sense_is_refused() -> None:
    async with memory() as store:
        for name, place in (
            ("jawce-file", "/nowhere"),
            ("bottender-file", "/nowhere"),
            ("opengram-keyv", "/nowhere"),
            ("opengram-keyv", "https://example.com"),
            ("bottender-mongo", "mongodb://"),
        ):
            with pytest.raises(InvalidOption):
                await bring(name, place, store)
        for name in SOURCES:
            for place in "mongo://u:sesame@host/0", "http:/sesame@host":
                with pytest.raises(InvalidOption) as refused:
                    await bring(name, place, store, bot=1)
                assert "sesame" not in str(refused.value)
    with pytest.raises(InvalidOption, match="known: aiogram-redis, bottender-file"):
        open_source("telegraf", "/tmp")


@pytest.mark.servers
async def test_bottender_and_keyv_in_mongo(tmp_path: Path) -> None:
    server = mongo_server(tmp_path / "mongo")
    with running(server):
        place = f"mongodb://127.0.0.1:{server.port}/bots"
        session = bottender("telegram:1", 300)
        documents: list[dict[str, Any]] = [{**session}, {"id": "telegram:2", "other": 1}, {"_id": "x"}]
        with pymongo.MongoClient(place) as client:
            client.bots.sessions.insert_many(documents)
            client.bots.elsewhere.insert_one({**bottender("line:U1")})
            client.bots.keyv.insert_one({"key": "keyv:1:2", "value": keyv({"count": 2}, None), "expiresAt": None})
            before = list(client.bots.sessions.find())
            async with memory() as store:
                report = await bring("bottender-mongo", place, store, expires_in=15)
                assert report.counts() == {"import sessions": {"imported": 1, "skipped": 2}}
                assert await (await GridSessionStore(store).init()).read("telegram:1") == session
                assert await store.session("telegram:1").ttl() == pytest.approx(600, abs=NEAR)
                assert (await bring("bottender-mongo", f"{place}?collection=elsewhere", store)).ok
                assert await store.session("line:U1").exists()
                assert (await bring("opengram-keyv", place, store)).ok
                assert await store.session("opengram:1:2").get("count") == 2
            assert list(client.bots.sessions.find()) == before
