"""Session ids as an attacker chooses them: no two are taken for one, none escapes its place, none steers a terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from gridsession import SessionId
from gridsession._logs import logger
from gridsession.cli import logs
from gridsession.errors import InvalidSessionId
from tests.cli.conftest import script  # noqa: F401 - a fixture
from tests.hostile.conftest import Place

KEYS = (
    *("a", "A", "a ", " a", "a:", ":a", "::", "a:b", "a::b", "a/b", "a\\b", "/", "..", "../../etc/passwd", "~root"),
    *(
        "a%3Ab",
        "%",
        "%2e%2e",
        "%00",
        "*",
        "a*",
        "?",
        "[a-z]",
        "{a}",
        "{a",
        "a}",
        "$where",
        "a.b",
        "'; drop table x; --",
    ),
    *("\r\n", "a\nb", "\t", "\x01", "\x1b[2J", "\x1b]0;title\x07", "\x7f", "\x85", "\x9b31m", "\u2028", "\ufeff"),
    *("\u202eb", "\u2066a", "\u200b", "\u00e9", "e\u0301", "\u0130", "\u0131", "\ufffd", "\U0010ffff", "\U000e0001"),
    *("lock", "index", "sessions", "globals", "con", "nul", ".", "-", "--help", "a" * 2_043, "\u00e9" * 1_021),
)
REFUSED = ("", "\0", "a\0b", "\ud800", "a\udfffb", "x" * 10_240, "\u00e9" * 5_120, "\x1b]0;t\x07" * 2_000)
STEERING = [chr(code) for code in (*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))] + [
    "\u202a",
    "\u202b",
    "\u202c",
    "\u202d",
    "\u202e",
    "\u2066",
    "\u2067",
    "\u2068",
    "\u2069",
    "\u2028",
]


async def test_each_is_a_session_of_its_own(place: Place) -> None:
    async with place.open() as store:
        for number, key in enumerate(KEYS):
            await store.session(SessionId("test", key)).set("n", number)
        assert sorted([key async for key in store.ids()]) == sorted(f"test:{key}" for key in KEYS)
        for number, key in enumerate(KEYS):
            assert await store.session(f"test:{key}").get("n") == number
        # A prefix is text: neither a pattern nor folded.
        assert sorted([key async for key in store.ids("test:a*")]) == ["test:a*"]
        assert [key async for key in store.ids("test:[a-z]")] == ["test:[a-z]"]
        for key in ("*", "a*", "..", "\u00e9"):
            await store.session(SessionId("test", key)).delete()
        left = sorted(f"test:{key}" for key in KEYS if key not in ("*", "a*", "..", "\u00e9"))
        assert sorted([key async for key in store.ids()]) == left


async def test_what_is_no_id_is_refused_in_one_short_harmless_sentence(place: Place) -> None:
    async with place.open() as store:
        for key in REFUSED:
            for made in (lambda key=key: store.session(f"test:{key}"), lambda key=key: store.session(("test", key))):
                with pytest.raises((InvalidSessionId, TypeError)) as refused:
                    await made().get("n")
                said = str(refused.value)
                assert len(said) < 600
                assert said.isprintable()
        assert [key async for key in store.ids()] == []


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen() -> Iterator[_Screen]:
    """Where a command's log goes, on a terminal."""
    root = logging.getLogger("gridsession")
    before = root.handlers, root.level, root.propagate
    shown = _Screen()
    logs.configure(shown, level=logging.DEBUG)
    yield shown
    root.handlers, root.level, root.propagate = before


def test_no_log_steers_the_terminal_it_is_shown_on(screen: _Screen) -> None:
    hostile = "".join(STEERING)
    log = logger("hostile")
    log.warning(hostile, text=hostile, nested={"a": [hostile]}, key="\x1b]0;t\x07")
    try:
        raise ValueError(hostile)
    except ValueError as error:
        log.exception("failed", error=str(error))
    shown = screen.getvalue()
    assert "ValueError" in shown
    # The colours are ours; nothing else begins with an escape.
    plain = shown
    for colour in ("\x1b[0m", "\x1b[1m", "\x1b[2m", *(f"\x1b[{code}m" for code in range(30, 38))):
        plain = plain.replace(colour, "")
    assert not [mark for mark in STEERING if mark in plain]


def test_no_script_is_told_raw_control_characters(place: Place, script) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    if place.url is None:
        return
    with place.open_blocking() as store:
        for key in KEYS:
            store.session(SessionId("test", key)).update({"f\x1b[2J": "v\x1b]0;t\x07\u202e"})
    options = ("--url", place.url, "--namespace", place.namespace)
    commands = [("ls",), *(("show", f"test:{key}") for key in ("\x1b]0;title\x07", "\u202eb", "\x9b31m", "a"))]
    commands += [("show", "test:\x1b[2Jnone"), ("show", "\x1b]0;t\x07\u202e"), ("delete", "test:\x1b[2Jnone", "--yes")]
    commands += [("set", "test:a", "\x1b[2J=x"), ("set", "test:a", "\x1b[2J\u202e"), ("unset", "test:a", "\x1b[2Jz")]
    for command in commands:
        ended = script(*command, *options)
        for text in (ended.out, ended.errors):
            assert not [mark for mark in STEERING if mark in text], (command, text)
    for options in (("--url", "redis://\x1b]0;t\x07"), ("--url", place.url, "--namespace", "\x1b[2J\u202e")):
        ended = script("ls", *options)
        assert ended.code
        assert not [mark for mark in STEERING if mark in ended.out + ended.errors], (options, ended)
