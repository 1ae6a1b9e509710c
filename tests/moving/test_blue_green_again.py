"""`deploy/blue_green.py` a second time, or to a place in use: nothing is deleted that it did not bring."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gridsession.moving import snapshot_keys
from gridsession.sync import SessionStore

SCRIPT = Path(__file__).parents[2] / "deploy" / "blue_green.py"


class Moved(NamedTuple):
    code: int
    lines: list[dict[str, Any]]
    errors: str


class Places:
    """Two places, and the script between them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stopped, self.started = folder, folder / "stopped", folder / "started"
        for name in ("blue", "green"):
            (folder / name).mkdir()

    def open(self, name: str) -> SessionStore:
        return SessionStore.open((self.folder / name).as_uri(), namespace="shop")

    def green_has(self) -> set[str]:
        with self.open("green") as green:
            return {*green.ids()} | {*green.globals.load(fresh=True)}

    def move(self, *, work: str = "work", stop: str = "", start: str = "", blue: str = "blue") -> Moved:
        """One run; whether it came to --stop and to --start can then be seen."""
        for each in (self.stopped, self.started):
            each.unlink(missing_ok=True)
        urls = [(self.folder / name).as_uri() for name in (blue, "green")]
        stop, start = (
            f"touch {shlex.quote(str(mark))}{more and f' && {more}'}"
            for mark, more in ((self.stopped, stop), (self.started, start))
        )
        command: list[str | Path] = [
            sys.executable,
            SCRIPT,
            "--work",
            self.folder / work,
            "--stop",
            stop,
            "--start",
            start,
        ]
        # Where it is not to be seen in the list of processes.
        told = os.environ | dict(zip(("GRIDSESSION_BLUE_URL", "GRIDSESSION_GREEN_URL"), urls, strict=True))
        ended = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60)
        return Moved(ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    with made.open("blue") as blue:
        for name in ("line:1", "line:2"):
            blue.session(name).set("a", 1)
        blue.globals.set("rate", 36.5)
    return made


def test_the_same_command_again_changes_nothing(places: Places) -> None:
    first = places.move()
    assert (first.code, first.lines[-1]["step"]) == (0, "done"), first.errors
    assert places.green_has() == {"line:1", "line:2", "rate"}
    with places.open("green") as green:
        # Workers go on where they are now.
        green.session("line:new").set("a", 1)
        green.session("line:1").delete()
        green.globals.set("fresh", True)
    again = places.move()
    assert (again.code, [line["step"] for line in again.lines]) == (0, ["nothing"]), again.errors
    assert "is done" in again.lines[0]["why"]
    assert not places.stopped.exists()
    assert places.green_has() == {"line:new", "line:2", "rate", "fresh"}
    # A folder that knows nothing of the move makes no difference.
    other = places.move(work="other")
    assert other.code == 1
    assert "green holds something in namespace 'shop'" in other.errors
    assert not places.stopped.exists()
    assert places.green_has() == {"line:new", "line:2", "rate", "fresh"}


def test_a_move_that_ended_early_goes_on_and_deletes_only_what_it_brought(places: Places) -> None:
    early = places.move(stop="false")
    assert (early.code, places.started.exists()) == (1, False)
    # What it holds is what may be deleted.
    file = places.folder / "work" / "blue.gsr"
    assert sorted(snapshot_keys(file)) == [
        ("shop", "globals", "rate"),
        ("shop", "sessions", "line:1"),
        ("shop", "sessions", "line:2"),
    ]
    (places.folder / "elsewhere").mkdir()
    other = places.move(blue="elsewhere")
    assert (other.code, other.lines) == (1, [])
    assert "move between other grids" in other.errors
    with places.open("blue") as blue:
        blue.session("line:1").delete()
        blue.globals.delete("rate")
    with places.open("green") as green:
        green.session("line:strange").set("a", 1)
    strange = places.move()
    assert strange.code == 1
    assert "green holds 1 record(s) in namespace 'shop' that this move did not bring" in strange.errors
    assert not places.started.exists()
    assert places.green_has() == {"line:1", "line:2", "line:strange", "rate"}
    with places.open("green") as green:
        green.session("line:strange").delete()
    on = places.move()
    assert (on.code, on.lines[-2]["deleted"]) == (0, 2), on.errors
    assert places.green_has() == {"line:2"}


def test_once_workers_may_write_to_green_nothing_is_carried_any_more(places: Places) -> None:
    assert places.move(start="false").code == 1
    with places.open("green") as green:
        green.session("line:new").set("a", 1)
    again = places.move()
    assert (again.code, again.lines) == (1, [])
    assert "start the workers by hand" in again.errors
    assert not places.stopped.exists()
    assert places.green_has() == {"line:1", "line:2", "line:new", "rate"}
