"""A platform that another package brings: found by its entry point, with all options of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridsession.errors import InvalidOption, UnknownEvent
from gridsession.platforms import events, message_id, session_ids

MODULE = """
from gridsession.platforms import Platform, Source, UnknownEvent, session_of


def identify(body, mode, options):
    if "room" not in body:
        raise UnknownEvent("a body of chirp has a room", platform="chirp", missing="room")
    source = Source(chat=str(body["room"]), user=str(body["author"]))
    return [(session_of("chirp:", source, options), body)]


CHIRP = Platform(identify, lambda event: event.get("id"))
NO_PLATFORM = object()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution on the path, as pip leaves one."""
    (tmp_path / "chirp_sessions.py").write_text(MODULE)
    metadata = tmp_path / "chirp_sessions-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: chirp-sessions\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[gridsession.platforms]\nchirp = chirp_sessions:CHIRP\nwrong = chirp_sessions:NO_PLATFORM\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("chirp_sessions", None)


@pytest.mark.usefixtures("installed")
def test_a_platform_of_another_package_is_found() -> None:
    body = {"room": "lobby", "author": 7, "id": "m1"}
    assert session_ids("chirp", body) == ["chirp:lobby"]
    assert session_ids("chirp", body, scope="user_in_chat", session_key_prefix="shop-") == ["chirp:shop-7:lobby"]
    [(_, event)] = events("chirp", b'{"room": "lobby", "author": 7, "id": "m1"}')
    assert message_id("chirp", event) == "m1"
    with pytest.raises(UnknownEvent):
        session_ids("chirp", {})


@pytest.mark.usefixtures("installed")
def test_what_is_no_platform_is_refused_and_known_ones_are_listed() -> None:
    with pytest.raises(InvalidOption, match=r"registered as platform 'wrong' is no gridsession\.platforms\.Platform"):
        session_ids("wrong", {})
    with pytest.raises(InvalidOption, match=r"known are: chirp, console, .*wrong"):
        session_ids("chirps", {})
