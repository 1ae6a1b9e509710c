"""`ls`, `show`, `set`, `unset`, `clear`, `delete` and `globals`, as scripts and on a terminal."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gridsession.policy import Policy
from gridsession.sync import SessionStore
from tests.cli.conftest import Script
from tests.cli.running import Place, Terminal


def opened(place: Place, **how: float) -> SessionStore:
    return SessionStore.open(place.url, namespace=place.namespace, policy=Policy(**how))


def test_ls_tells_of_each_session_and_extends_no_life(place: Place, script: Script) -> None:
    with opened(place, ttl=600) as store:
        for name in ("line:a", "line:b", "telegram:1"):
            store.session(name).update(step=1, name="x" * 50)
        store.session("line:b").set("step", 2)
        store.session("line:for-ever").commit(ttl=None, if_absent=True)
        listed = script("ls", *place.options)
        assert (listed.code, listed.errors) == (0, "")
        rows = {row["id"]: row for row in listed.lines}
        assert rows.keys() == {"line:a", "line:b", "line:for-ever", "telegram:1"}
        assert (rows["line:a"]["revision"], rows["line:b"]["revision"], rows["line:b"]["fields"]) == (1, 2, 2)
        assert 0 < rows["line:a"]["idle"] + rows["line:a"]["ttl_left"] == pytest.approx(600, abs=0.01)
        assert rows["line:for-ever"]["ttl_left"] is None
        assert rows["line:a"]["bytes"] > 50
        again = {row["id"]: row for row in script("ls", *place.options).lines}
        assert again["line:a"]["idle"] > rows["line:a"]["idle"]
        assert again["line:a"]["revision"] == 1
        with_prefix = script("ls", *place.options, "--prefix", "line:").lines
        assert {row["id"] for row in with_prefix} == {"line:a", "line:b", "line:for-ever"}
        assert len(script("ls", *place.options, "--limit", "2").lines) == 2
        assert script("ls", *place.options, "--idle-over", "2h") == (0, "", "")
        assert len(script("ls", *place.options, "--idle-over", "0", "--limit", "3").lines) == 3


def test_show_masks_secrets_tells_the_lease_and_touches_nothing(place: Place, script: Script) -> None:
    with opened(place, ttl=600, wait=20) as store:
        session = store.session("line:a")
        session.update(price=Decimal("9.50"), apiKey="sesame", nested={"list": [{"password": "sesame", "n": 1}]})
        session.props.set("name", "Ploy")
        session.remember("m1")
        shown = script("show", "line:a", *place.options)
        assert (shown.code, shown.errors) == (0, "")
        facts = shown.last
        masked = {"$masked": True}
        assert facts["state"] == {
            "price": {"$decimal": "9.50"},
            "apiKey": masked,
            "nested": {"list": [{"password": masked, "n": 1}]},
        }
        assert (facts["props"], facts["remembered"], facts["revision"]) == ({"name": "Ploy"}, {"messages": 1}, 3)
        assert (facts["ttl"], facts["max_lifetime"]) == (600, None)
        assert facts["idle"] + facts["ttl_left"] == pytest.approx(600, abs=0.01)
        assert facts["lease"] == {"owner": None, "since": None, "left": None, "token": None, "waiting": []}
        again = script("show", "line:a", *place.options, "--reveal").last
        assert again["state"]["apiKey"] == "sesame"
        assert again["idle"] > facts["idle"]
        waiter = threading.Thread(target=take_a_turn, args=(store, "line:a"))
        with store.turn("line:a", lease=30):
            waiter.start()
            deadline = time.monotonic() + 10
            while not (lease := script("show", "line:a", *place.options).last["lease"])["waiting"]:
                assert time.monotonic() < deadline
            assert [lease["owner"]] == lease["waiting"]
            assert 0 < lease["left"] <= 30
            assert datetime.fromisoformat(lease["since"]) < datetime.now(UTC)
        waiter.join()


def take_a_turn(store: SessionStore, session_id: str) -> None:
    with store.turn(session_id):
        pass


def test_an_operator_changes_fields_and_leaves_the_life_alone(place: Place, script: Script) -> None:
    with opened(place, ttl=600) as store:
        session = store.session("line:a")
        session.update(a=1, b=2, c=3, price=Decimal(1))
        session.props.update(x=1, y=2)
        there = script("show", "line:a", *place.options).last
        put = script("set", "line:a", *place.options, "a=2", 'step="pay"', 'price={"$decimal": "9.50"}', "l=[1, null]")
        assert (put.code, put.last["changed"], put.last["revision"]) == (0, True, there["revision"] + 1)
        assert dict(session.load()) == {"a": 2, "b": 2, "c": 3, "step": "pay", "price": Decimal("9.50"), "l": [1, None]}
        assert script("show", "line:a", *place.options).last["idle"] > there["idle"]
        assert script("set", "line:a", *place.options, "a=2").last["changed"] is False
        assert script("unset", "line:a", *place.options, "b", "nothing", "--yes").code == 0
        assert script("unset", "line:a", *place.options, "y", "--bag", "props", "--yes").code == 0
        assert script("clear", "line:a", *place.options, "--retain", "a,step", "--ttl", "90s", "--yes").code == 0
        snapshot = session.load()
        assert (dict(snapshot), dict(snapshot.props)) == ({"a": 2, "step": "pay"}, {"x": 1})
        assert 80 < (session.ttl() or 0) <= 90
        assert script("clear", "line:a", *place.options, "--bag", "props", "--ttl", "never", "--yes").code == 0
        assert (len(session.load().props), session.ttl()) == (0, None)
        gone = script("delete", "line:a", "line:b", *place.options, "--yes")
        assert (gone.code, [line["deleted"] for line in gone.lines]) == (1, [True, False])


@pytest.mark.parametrize(
    "asked", [("show",), ("set", "a=1"), ("unset", "a", "--yes"), ("clear", "--yes"), ("delete", "--yes")]
)
def test_a_session_that_is_not_there_is_not_made(asked: tuple[str, ...], place: Place, script: Script) -> None:
    command, *rest = asked
    done = script(command, "line:nobody", *rest, *place.options)
    assert done.code == 1
    assert "line:nobody" in done.out + done.errors
    assert script("ls", *place.options).out == ""


def test_set_makes_a_session_if_it_is_told_to(place: Place, script: Script) -> None:
    made = script("set", "line:new", "a=1", "--create", "--url", f"{place.url}?ttl=60", "--namespace", place.namespace)
    assert (made.code, made.last["revision"]) == (0, 1)
    with opened(place) as store:
        assert 50 < (store.session("line:new").ttl() or 0) <= 60


def test_globals_are_listed_shown_put_and_deleted(place: Place, script: Script) -> None:
    assert script("globals", "list", *place.options).out == ""
    for name, value in (("rate", "36.5"), ("gateway_token", '"sesame"'), ("open", "true")):
        assert script("globals", "set", name, value, *place.options).code == 0
    assert script("globals", "set", "short", "[1, 2]", "--ttl", "10m", *place.options).code == 0
    listed = {line["name"]: line["value"] for line in script("globals", "list", *place.options).lines}
    assert listed == {"rate": 36.5, "gateway_token": {"$masked": True}, "open": True, "short": [1, 2]}
    assert script("globals", "get", "gateway_token", "--reveal", *place.options).last["value"] == "sesame"
    shown = script("globals", "get", "short", *place.options).last
    assert 590 < shown["ttl_left"] <= 600
    with opened(place) as store:
        assert store.globals.get("rate") == 36.5
        assert script("globals", "delete", "rate", "--yes", *place.options).last == {"name": "rate", "deleted": True}
        assert store.globals.get("rate", fresh=True) is None
    assert script("globals", "delete", "rate", "--yes", *place.options).code == 1
    assert script("globals", "get", "rate", *place.options).code == 1


def test_on_a_terminal_there_are_tables_and_questions(place: Place, terminal: Terminal) -> None:
    with opened(place, ttl=600) as store:
        store.session("line:a").update(step="pay", pin="4711")
        store.session("line:\x1b[2Jb").set("\x9bevil", "\x1b]0;title\x07")
        code, text = terminal.run("ls", *place.options, "--prefix", "line:")
        assert (code, "idle" in text, "2 sessions" in text) == (0, True, True)
        assert "line:\\x1b[2Jb" in text
        assert "\x1b[1m" in terminal.raw
        code, text = terminal.run("show", "line:a", *place.options)
        assert code == 0
        assert '"pay"' in text
        assert "***" in text
        assert "4711" not in text
        assert "lease" in text
        assert "free" in text
        code, text = terminal.run("show", "line:\x1b[2Jb", *place.options)
        assert (code, "\x9b" in terminal.raw, "]0;title\x07" in terminal.raw) == (0, False, False)
        code, text = terminal.run("set", "line:a", "step=1", *place.options)
        assert (code, "now at revision 2" in text) == (0, True)
        for answer, code in (("n", 1), ("y", 0)):
            terminal.type("clear", "line:a", "--retain", "step", *place.options)
            terminal.wait_for(r"but 'step'\? \[y/N\]:")
            terminal.keys(f"{answer}\n")
            assert terminal.ended()[0] == code
        terminal.type("unset", "line:a", "step", *place.options)
        terminal.wait_for(r"Remove 'step' of 'line:a'\? \[y/N\]:")
        terminal.keys("y\n")
        assert terminal.ended()[0] == 0
        assert dict(store.session("line:a").load()) == {}
        code, text = terminal.run("delete", "line:a", "--yes", *place.options)
        assert (code, "line:a: deleted" in text) == (0, True)
        assert terminal.run("globals", "set", "rate", "36.5", *place.options)[0] == 0
        assert "36.5" in terminal.run("globals", "list", *place.options)[1]
        assert "36.5" in terminal.run("globals", "get", "rate", *place.options)[1]
        assert terminal.run("globals", "delete", "rate", "--yes", *place.options)[0] == 0
