"""Move a running grid to another one, as for another minor version of Hazelcast, which cannot join a running cluster.

    python deploy/blue_green.py BLUE_URL GREEN_URL --work DIR --stop COMMAND --start COMMAND

The URLs may be in the environment instead, GRIDSESSION_BLUE_URL and GRIDSESSION_GREEN_URL: a cluster's name is a
secret, and whoever is on the machine sees the arguments of commands.

Blue is the grid that runs, green a second one, empty: it is refused if it holds anything in a namespace that blue has.
Only the command line of gridsession is used, and its reader of snapshots; nothing at blue is ever changed, so until the
workers write to green the way back is to start them on blue again.

1. Doctor: both grids are sound, and green is empty.
2. Snapshot of blue to DIR/blue.gsr, restored to green while the workers go on; and again, three times at most, until
   little has changed meanwhile.
3. COMMAND of --stop: it stops the workers and returns when they have ended. Webhooks meanwhile get no answer, and their
   platforms post them again.
4. The last snapshot is restored, what was carried and blue deleted meanwhile is deleted at green, and both are compared
   by digest. What green has from elsewhere is never deleted: then it ends here.
5. COMMAND of --start: it starts the workers with green's URL.

Nothing that blue acknowledged is lost. Message ids are copied too, so a webhook that is posted again does not count
twice. A turn that is under way when its worker is stopped is what it always is: not committed. From 3 to 5 nothing is
answered; how long that took is said at the end. It ends with 1, before --start, if the two do not hold the same.

DIR remembers which move it is of, how far that came and what was carried (move.json). The same command again goes on
with a move that ended before --start; once --start was run, it changes nothing any more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gridsession.moving import snapshot_keys

OURS = "gridsession-nodes"
"""Where the nodes of one grid agree on things; not to be moved."""
FEW = 50
"""So many records are quickly copied while the workers stand still."""
PASSES = 3
KINDS = ("sessions", "globals")
TRIES = 3
AT_ONCE = 200


class Failed(Exception):
    """A step did not come out as it must."""


class Move:
    """What DIR remembers of a move: between which grids, how far it came, and what it brought to green.

    Attributes:
        step: `carrying`, `starting` (the workers may write to green from now on) or `done`.
        carried: names of what was, or was about to be, restored to green, by `namespace/kind`.
    """

    def __init__(self, work: Path, blue: str, green: str) -> None:
        self.blue, self.green, self.work = blue, green, work
        self.step, self.carried = "carrying", dict[str, set[str]]()
        self._file = work / "move.json"
        # A URL tells the cluster's name, which is a secret.
        self._between = [hashlib.sha256(url.encode()).hexdigest() for url in (blue, green)]
        if self._file.exists():
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            if kept["between"] != self._between:
                raise Failed(f"{work} is of a move between other grids: give another folder")
            self.step = kept["step"]
            self.carried = {name: set(names) for name, names in kept["carried"].items()}

    def reached(self, step: str) -> None:
        """Keep that it came so far."""
        self.step = step
        carried = {name: sorted(names) for name, names in self.carried.items()}
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"between": self._between, "step": step, "carried": carried}), encoding="utf-8")
        new.replace(self._file)

    def will_carry(self, file: Path, namespaces: Iterable[str]) -> None:
        """Keep what a snapshot holds, before it is restored; Failed if green has something of its own there."""
        for name in namespaces:
            if f"{name}/sessions" in self.carried:
                continue
            if ids(self.green, name, "--limit", "1") or globals_of(self.green, name):
                raise Failed(
                    f"green holds something in namespace {name!r} that this move did not bring: give an empty grid. "
                    f"If an earlier move brought it, say --work with the folder of that one"
                )
            self.carried.update({f"{name}/{kind}": set() for kind in KINDS})
        for name, kind, key in snapshot_keys(file):
            self.carried[f"{name}/{kind}"].add(key)
        self.reached("carrying")


def gridsession(url: str, *arguments: str, may_fail: bool = False) -> list[dict[str, Any]]:
    """Run a command of gridsession on a place; its lines of JSON."""
    command = [sys.executable, "-c", "from gridsession.cli import main; main()", *arguments, "--json"]
    place = os.environ | {"GRIDSESSION_URL": url}
    ended = subprocess.run(command, env=place, capture_output=True, text=True, check=False)
    if ended.returncode and not may_fail:
        raise Failed(
            f"gridsession {arguments[0]} ended with {ended.returncode}: {ended.stderr or ended.stdout[-2000:]}"
        )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def say(step: str, **facts: Any) -> None:
    """A line for people and scripts."""
    print(json.dumps({"step": step, **facts}), flush=True)  # noqa: T201 - what a script is for


def snapshot(url: str, file: Path, namespaces: list[str]) -> dict[str, Any]:
    """All of some namespaces (none = all there are) in a file; what the command said of it."""
    chosen = [part for name in namespaces for part in ("--namespace", name)] or ["--all-namespaces"]
    done = gridsession(url, "snapshot", str(file), *chosen, "--yes")[-1]
    if not done["ok"]:
        raise Failed(f"not everything of {file} could be read: {done['counts']}")
    return done


def carry(move: Move) -> dict[str, Any]:
    """A snapshot of blue, restored to green, where only what is newer is taken; what was said of the snapshot."""
    began = time.monotonic()
    file = move.work / "blue.gsr"
    taken = snapshot(move.blue, file, [])
    if any(name.startswith(f"{OURS}/") for name in taken["records"]):
        taken = snapshot(move.blue, file, _namespaces(taken))
    move.will_carry(file, _namespaces(taken))
    told = gridsession(move.green, "restore", str(file), "--elapsed", "--yes")[-1]
    taken["restored"] = sum(told["counts"].get(f"restore {kind}", {}).get("restored", 0) for kind in KINDS)
    say("carried", restored=taken["restored"], bytes=taken["bytes"], seconds=round(time.monotonic() - began, 3))
    return taken


def _namespaces(taken: dict[str, Any]) -> list[str]:
    return sorted({name.rpartition("/")[0] for name in taken["records"]} - {OURS})


def ids(url: str, namespace: str, *options: str) -> set[str]:
    """The sessions of a namespace."""
    return {line["id"] for line in gridsession(url, "ls", "--namespace", namespace, *options)}


def globals_of(url: str, namespace: str) -> set[str]:
    """The names of a namespace's globals."""
    return {line["name"] for line in gridsession(url, "globals", "list", "--namespace", namespace)}


def prune(move: Move, namespaces: set[str]) -> int:
    """Delete at green what was carried there and blue no longer has; how many. Failed if green has more than that."""
    count = 0
    for name in sorted(namespaces):
        where = ("--namespace", name, "--yes")
        # Green first: what ends in between is then not taken for something that is too much.
        left = sorted(ids(move.green, name) - ids(move.blue, name))
        names = sorted(globals_of(move.green, name) - globals_of(move.blue, name))
        if strange := {*left} - move.carried[f"{name}/sessions"] | {*names} - move.carried[f"{name}/globals"]:
            raise Failed(
                f"green holds {len(strange)} record(s) in namespace {name!r} that this move did not bring: who writes "
                "there? Nothing of it was deleted; start the workers on blue again"
            )
        for start in range(0, len(left), AT_ONCE):
            gridsession(move.green, "delete", *left[start : start + AT_ONCE], *where, may_fail=True)
        for each in names:
            gridsession(move.green, "globals", "delete", each, *where, may_fail=True)
        count += len(left) + len(names)
    return count


def command(text: str) -> None:
    """Run what the operator gave."""
    if subprocess.run(text, shell=True, check=False).returncode:  # noqa: S602 - it is the operator's own
        raise Failed(f"this failed: {text}")


def run(move: Move, stop: str, start: str) -> None:
    """The whole way; Failed if a step does not come out as it must."""
    if move.step == "done":
        say("nothing", why=f"the move of {move.work} is done; another one needs an empty grid and another folder")
        return
    if move.step == "starting":
        raise Failed(
            "--start was run before and did not end well: workers may have written to green, so nothing is carried any "
            "more. Both held the same then: start the workers by hand, on one of the two only"
        )
    for url in (move.blue, move.green):
        gridsession(url, "doctor")
    for _ in range(PASSES):
        if carry(move)["restored"] <= FEW:
            break
    stopped = time.monotonic()
    command(stop)
    for _ in range(TRIES):
        if settle(move):
            break
        # A session that ended between two looks is no difference that stays.
    else:
        raise Failed("blue and green do not hold the same: does a worker still run? Start them on blue again")
    move.reached("starting")
    command(start)
    move.reached("done")
    say("done", seconds_without_answers=round(time.monotonic() - stopped, 3))


def settle(move: Move) -> bool:
    """Bring over the rest, now that nobody works; whether both hold the same."""
    ours, deleted = carry(move), 0
    namespaces = _namespaces(ours)
    theirs = snapshot(move.green, move.work / "green.gsr", namespaces)
    if theirs["content"] != ours["content"]:
        more = [name for name, count in theirs["records"].items() if count != ours["records"].get(name)]
        deleted = prune(move, {name.rpartition("/")[0] for name in more})
        theirs = snapshot(move.green, move.work / "green.gsr", namespaces)
    equal = bool(theirs["content"] == ours["content"])
    say("compared", equal=equal, deleted=deleted, blue=ours["records"], green=theirs["records"])
    return equal


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Move a running grid to another one; see the head of this file.")
    for name, text in (("blue", "the grid that runs"), ("green", "the grid to move to, empty")):
        told = os.environ.get(f"GRIDSESSION_{name.upper()}_URL")
        parser.add_argument(name, metavar=f"{name.upper()}_URL", nargs="?" if told else None, default=told, help=text)
    parser.add_argument("--work", type=Path, required=True, help="the move's own folder; keep it until all is well")
    parser.add_argument("--stop", required=True, help="stops the workers; returns when they have ended")
    parser.add_argument("--start", required=True, help="starts the workers with green's URL")
    asked = parser.parse_args()
    asked.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        run(Move(asked.work, asked.blue, asked.green), asked.stop, asked.start)
    except Failed as error:
        sys.exit(f"blue_green: {error}")


if __name__ == "__main__":
    main()
