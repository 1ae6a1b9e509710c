"""`watch`, `top` and `doctor`, as scripts and on a terminal."""

from __future__ import annotations

import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from gridsession.cli._findings import findings
from gridsession.cli._grid import Member, State
from gridsession.drivers.hazelcast._probe import Heap, Report
from gridsession.sync import SessionStore
from gridsession.testing.local_grid import LocalGrid
from tests.cli.conftest import Script
from tests.cli.running import Place, Terminal, process


def test_watch_tells_of_changes_until_it_has_seen_enough(place: Place) -> None:
    with process("watch", *place.options, "--prefix", "line:", "--limit", "2") as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["event"] == "watching"
        with SessionStore.open(place.url, namespace=place.namespace) as store:
            store.session("telegram:1").set("a", 1)
            store.session("line:a").set("secret", "sesame")
            first = json.loads(watching.stdout.readline())
            assert (first["event"], first["id"], first["revision"]) == ("change", "line:a", 1)
            assert "sesame" not in json.dumps(first)
            store.session("line:a").delete()
            second = json.loads(watching.stdout.readline())
            assert (second["event"], second["id"], second["revision"]) == ("gone", "line:a", None)
        assert watching.wait(20) == 0


def test_watch_and_top_on_a_terminal_until_ctrl_c(place: Place, terminal: Terminal) -> None:
    with SessionStore.open(place.url, namespace=place.namespace) as store:
        terminal.type("watch", *place.options)
        terminal.wait_for("watching; Ctrl-C ends it")
        store.session("line:a").set("a", 1)
        terminal.wait_for(r"\d\d:\d\d:\d\d\.\d+  revision 1 +line:a")
        terminal.keys("\x03")
        assert terminal.ended()[0] == 0
        terminal.type("top", *place.options, "--interval", "0.3")
        text = terminal.wait_for(r"sessions +1 ")
        text += terminal.wait_for(r"failed reads +0")
        if place.url.startswith("hazelcast"):
            terminal.wait_for(r"127\.0\.0\.1:\d+ +yes +\d+ +\d+/\d+")
        assert "changes per second" in text
        terminal.keys("\x03")
        assert terminal.ended()[0] == 0


def test_top_tells_what_a_client_can_see(place: Place, script: Script) -> None:
    with SessionStore.open(place.url, namespace=place.namespace) as store:
        for number in range(3):
            store.session(f"line:{number}").set("a", 1)
    looked = script("top", *place.options, "--interval", "0.3", "--count", "2")
    assert (looked.code, looked.errors, len(looked.lines)) == (0, "", 2)
    last = looked.last
    assert (last["sessions"], last["changes_per_second"], last["failed_reads"]) == (3, 0.0, 0)
    assert last["p99_ms"] >= last["p50_ms"] > 0
    if place.url.startswith("hazelcast"):
        assert [member["connected"] for member in last["members"]] == [True] * 3
        assert sum(member["partitions"] for member in last["members"]) == 271
        for member in last["members"]:
            heap = member["heap"]
            assert 0 < heap["live"] < heap["most"] <= 192 << 20
            assert 0 < heap["used"] <= heap["most"]
    else:
        assert last["members"] is None


def test_doctor_finds_nothing_wrong_with_what_is_well(place: Place, script: Script, terminal: Terminal) -> None:
    looked = script("doctor", *place.options)
    assert (looked.code, looked.errors, looked.last["ok"]) == (0, "", True)
    code, text = terminal.run("doctor", *place.options)
    assert code == 0
    if place.url.startswith("hazelcast"):
        members = [line for line in looked.lines if line["event"] == "member"]
        assert len(members) == 3
        for member in members:
            assert (member["same_jar"], member["safe"], member["declared"], member["sees"]) == (True, True, 3, 3)
            assert abs(member["clock_ms"]) < 100
            assert member["address"] in text
            assert 0 < member["heap"]["used"] <= member["heap"]["most"] <= 192 << 20
        assert re.search(r"\d+/1\d\d$", text, re.MULTILINE), "heap in MiB"
        assert looked.last["copies"] == "confirmed"
        assert "no fault was found" in text
    else:
        assert "atomic within one host" in text


def test_doctor_says_that_nobody_is_there(script: Script) -> None:
    looked = script("doctor", "--url", "hazelcast://127.0.0.1:1/nobody?connect_timeout=0.5")
    assert looked.code == 1
    (finding,) = (line for line in looked.lines if line["event"] == "finding")
    assert finding["level"] == "fault"
    assert "127.0.0.1:1: nobody listens there" in finding["what"]


@pytest.mark.fault
def test_doctor_finds_the_member_that_is_missing(script: Script) -> None:
    with LocalGrid(2) as grid:
        grid.kill(1)
        looked = script("doctor", "--url", grid.url)
        assert looked.code == 1
        assert looked.last["ok"] is False
        found = [line["what"] for line in looked.lines if line["event"] == "finding"]
        assert any("1 of 2 members" in what or "no connection" in what for what in found), found
        deadline = time.monotonic() + 30
        while (left := _members(script, grid.url))[0]["sees"] != 1:
            assert time.monotonic() < deadline, "it is not missed"
        assert [member["safe"] for member in left] == [False], "said of copies that were on the one that is gone"


def _members(script: Script, url: str) -> list[dict[str, Any]]:
    return [line for line in script("doctor", "--url", url).lines if line["event"] == "member"]


def report(address: str = "a:1", **changes: object) -> Report:
    told = Report(address, "0.1.0", "abc", 3, 1, 262_144, "id", "5.7.0", 3, 1000, 1001, 1000, 1001)
    return told._replace(**changes)


def well(address: str = "a:1", **changes: object) -> Member:
    return Member(address, True, report=report(address, **changes), state=State(True, 3, 0), same_jar=True)


def test_a_heap_full_of_garbage_is_none_of_sessions() -> None:
    assert findings([well("a:1", heap=Heap(199 << 20, 100 << 20, 200 << 20)), well("b:1")], {}) == []


def test_doctor_finds_a_heap_that_fills_with_sessions(script: Script) -> None:
    with LocalGrid(1, memory="64m") as grid, SessionStore.open(grid.url) as store:
        for number in range(200):
            store.session(f"line:{number}").set("text", secrets.token_bytes(200_000))
        deadline = time.monotonic() + 20
        while not (found := _heap_findings(script, grid.url)):
            assert time.monotonic() < deadline, "it is not found"
        (finding,) = found
        assert finding["level"] == "advice"
        assert re.match(r"(6|7)\d% of its heap is needed", finding["what"])


def _heap_findings(script: Script, url: str) -> list[dict[str, Any]]:
    lines = script("doctor", "--url", url).lines
    return [line for line in lines if line["event"] == "finding" and "heap" in line["what"]]


def test_nothing_is_found_where_all_is_well() -> None:
    assert findings([well("a:1"), well("b:1"), well("c:1")], {}) == []


@pytest.mark.parametrize(
    ("bad", "level", "what"),
    [
        (Member("c:1", False), "fault", "no connection"),
        (Member("c:1", True, fault="does not have gridsession's jar"), "fault", "does not have gridsession's jar"),
        (Member("c:1", True), "advice", "owns no data yet"),
        (well("c:1", declared=2), "fault", "declares members: 2, at others 3"),
        (well("c:1", sync_backups=2), "fault", "sync backups: 2, at others 1"),
        (well("c:1", record_limit=5), "fault", "record limit (bytes): 5"),
        (well("c:1", version="0.2.0"), "advice", "jar is 0.2.0, at others 0.1.0"),
        (well("c:1", hazelcast="5.8.0"), "advice", "Hazelcast is 5.8.0"),
        (well("c:1", clock_low=4000, clock_high=4001), "fault", "2999 ms ahead"),
        (well("c:1", clock_low=1900, clock_high=1901), "advice", "899 ms ahead"),
        (well("c:1", heap=Heap(190 << 20, 130 << 20, 200 << 20)), "advice", "65% of its heap is needed"),
        (well("c:1", heap=Heap(190 << 20, 170 << 20, 200 << 20)), "fault", "85% of its heap is needed"),
        (well("c:1", seen=4), "fault", "4 members are there and 3 are declared"),
        (well("c:1", copied=False), "fault", "still being made"),
    ],
)
def test_each_trouble_of_a_member_is_found_at_it(bad: Member, level: str, what: str) -> None:
    (found,) = findings([well("a:1"), well("b:1"), bad], {})
    assert found.level == level
    assert what in found.what
    assert found.where in ("c:1", "grid")
    assert found.do


@pytest.mark.parametrize(
    ("state", "level", "what"),
    [
        (State(False, 1, 0), "fault", "not in its normal state"),
        (State(True, 101, 0), "advice", "101 clients"),
        (State(True, 1, 2), "advice", "took over a second"),
    ],
)
def test_each_state_that_is_not_normal_is_found(state: State, level: str, what: str) -> None:
    bad = Member("a:1", True, report=report(), state=state, same_jar=True)
    (found,) = findings([bad], {})
    assert (found.level, what in found.what) == (level, True)


@pytest.mark.parametrize(
    ("told", "level", "what"),
    [
        ({"seen": 2}, "fault", "1 of 3 members missing"),
        ({"seen": 1}, "fault", "no majority"),
        ({"declared": 1, "sync_backups": 0, "seen": 1}, "advice", "kept once only"),
        ({"declared": 2, "seen": 2}, "advice", "no majority of two"),
    ],
)
def test_what_is_wrong_with_all_of_them_is_found_once(told: dict[str, int], level: str, what: str) -> None:
    (found,) = findings([well("a:1", **told), well("b:1", **told)], {})
    assert (found.level, found.where, what in found.what) == (level, "grid", True)


def test_copies_that_do_not_confirm_and_other_jars_are_found() -> None:
    other = Member("a:1", True, report=report(), same_jar=False)
    copies, jar = findings([other], {"a:1": 7})
    assert (copies.level, "7 of its partitions" in copies.what) == ("fault", True)
    assert (jar.level, "other sources" in jar.what) == ("advice", True)


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path, script: Script) -> None:
    for command in ("ls", "top", "watch", "doctor"):
        assert script(command, "--url", f"file://{tmp_path}/nowhere").code == 2
    assert not (tmp_path / "nowhere").exists()


def test_each_bench_goes_to_one_namespace_and_leaves_no_session_of_its_own(tmp_path: Path, script: Script) -> None:
    url = tmp_path.as_uri()
    with SessionStore.open(url, namespace="bench") as store:
        store.session("line:mine").set("a", 1)
    for _ in range(2):
        ended = script(
            "bench",
            "--url",
            url,
            "--seconds",
            "0.1",
            "--rounds",
            "1",
            "--warm-up",
            "0",
            "--sessions",
            "3",
            "--callers",
            "1",
        )
        assert (ended.code, {line["case"] for line in ended.lines}) == (0, {"load", "update", "turn"})
    told = script("snapshot", str(tmp_path / "all.gsr"), "--url", url, "--all-namespaces", "--json").last
    assert told["records"] == {"bench/sessions": 1, "bench/globals": 0}
