"""`python -m tests.faults`: harm a grid under load and judge what its clients saw."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.faults import isolation, report
from tests.faults.faults import FAULTS, impossible
from tests.faults.lab import Setup
from tests.faults.place import Grid, Place, RedisSentinel
from tests.faults.runner import PLAN, Runner
from tests.faults.schedule import Episode, drawn, in_order
from tests.faults.shrink import shrink
from tests.faults.spoiled import SPOILED

_RUNS: Final = Path(tempfile.gettempdir()) / "gridsession-faults"
_PLACES: Final[dict[str, type[Place]]] = {"grid": Grid, "redis-sentinel": RedisSentinel}
_CANNOT: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 if nothing was violated, 1 if something was, 2 if called wrongly, 3 if it cannot run here."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    asked = _parser().parse_args(words)
    if asked.clean:
        shutil.rmtree(_RUNS, ignore_errors=True)
        return 0
    if not isolation.inside():
        if obstacle := isolation.obstacle():
            print(f"cannot run here: {obstacle}", file=sys.stderr)
            return _CANNOT
        return isolation.enter(words)
    isolation.settle()
    return _replayed(asked) if asked.replay or asked.shrink else _fresh(asked)


def _fresh(asked: argparse.Namespace) -> int:
    kinds = _kinds(asked)
    setup = Setup(
        place=asked.place, members=asked.members, clients=asked.clients, workloads=asked.workloads,
        callers=asked.callers, heap=asked.memory, seed=asked.seed, preload=asked.preload,
        wait_replicas=asked.wait_replicas, spoiled=asked.spoiled, deadline=asked.deadline,
    )  # fmt: skip
    servers = [f"m{number}" for number in range(asked.members)]
    clients = [f"c{number}" for number in range(asked.clients)]
    plan = in_order if asked.in_order else drawn
    seconds = None if asked.in_order else asked.seconds if asked.seconds is not None else asked.minutes * 60
    found = _run(setup, plan(asked.seed, kinds, servers, clients), seconds, kinds, asked)
    return 0 if report.holds(found) else 1


def _replayed(asked: argparse.Namespace) -> int:
    folder = Path(asked.replay or asked.shrink)
    kept = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    setup, episodes = Setup(**kept["setup"]), [Episode.from_json(each) for each in kept["episodes"]]

    def fails(setup: Setup, episodes: list[Episode]) -> bool:
        kinds = [fault.kind for episode in episodes for fault in episode.faults]
        return not report.holds(_run(setup, episodes, None, kinds, asked))

    if asked.replay:
        return 1 if fails(setup, episodes) else 0
    from tests.faults.workloads import WORKLOADS

    workloads = list(WORKLOADS) if setup.workloads == "all" else setup.workloads.split(",")
    setup, episodes = shrink(setup, episodes, workloads, fails, tries=asked.tries)
    faults = [f"{fault.kind} {','.join(fault.targets)}" for episode in episodes for fault in episode.faults]
    print(f"it still fails with {len(faults)} faults ({'; '.join(faults)}) and the workloads {setup.workloads}")
    return 1


def _run(
    setup: Setup, episodes: Iterable[Episode], seconds: float | None, kinds: Sequence[str], asked: argparse.Namespace
) -> dict[str, Any]:
    parent = Path(asked.folder or _RUNS)
    parent.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%m%d-%H%M%S")
    folder = Path(tempfile.mkdtemp(prefix=f"{stamp}-seed{setup.seed}-", dir=parent))
    say = (lambda _: None) if asked.json else partial(print, file=sys.stderr, flush=True)
    runner = Runner(setup, episodes, seconds, folder, say, kinds=kinds, at_least=asked.at_least)
    course = runner.run()
    runner.say("checking")
    found = report.judge(setup, course, folder)
    report.keep(found, folder)
    print(json.dumps(found) if asked.json else report.as_text(found), flush=True)
    if report.holds(found) and not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    elif not asked.json:
        print(f"kept: {folder}; again: python -m tests.faults --replay {folder}; smaller: --shrink {folder}")
    return found


def _kinds(asked: argparse.Namespace) -> list[str]:
    able = _PLACES[asked.place].able
    fitting = [kind for kind, fault in FAULTS.items() if fault.needs is None or fault.needs in able]
    chosen = asked.faults.split(",") if asked.faults else fitting
    if unknown := {kind for names in chosen for kind in names.split("+")} - set(FAULTS):
        _parser().error(f"no such fault: {', '.join(sorted(unknown))}")
    if asked.members < 3:
        _parser().error("--members must be at least 3: fewer have no majority without one of them")
    lacking = {kind: f"{asked.place} has no such thing" for kind in FAULTS if kind not in fitting} | impossible()
    left = []
    for names in chosen:
        if reasons := {kind: lacking[kind] for kind in names.split("+") if kind in lacking}:
            print(f"left out: {names} ({reasons})", file=sys.stderr)
        else:
            left.append(names)
    return left


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, epilog=f"Faults: {', '.join(FAULTS)}."
    )
    parser.add_argument("--members", type=int, default=3, help="3 or 5 (default 3)")
    parser.add_argument("--clients", type=int, default=2, help="client processes (default 2)")
    parser.add_argument("--callers", type=int, help="tasks that call, in each client; default: what the workloads want")
    parser.add_argument("--minutes", type=float, default=2.0, help="with faults (default 2)")
    parser.add_argument("--seconds", type=float, help="the same in seconds")
    parser.add_argument("--mixed", action="store_true", help="all faults that the place can have; the default")
    parser.add_argument("--faults", help="only these, separated by commas")
    parser.add_argument(
        "--in-order", action="store_true", help="exactly these faults, once each, as often as they are named"
    )
    parser.add_argument(
        "--at-least", type=int, default=0, metavar="N", help="go on in peace until N calls were answered"
    )
    parser.add_argument("--workloads", default="all", help="only these, separated by commas (default all)")
    parser.add_argument("--seed", type=int, default=1, help="draws the plan and what clients do (default 1)")
    parser.add_argument("--memory", default="512m", help="heap of each member (default 512m; half an hour fills 192m)")
    parser.add_argument("--preload", type=int, default=0, metavar="N", help="fill in N sessions before")
    parser.add_argument("--place", choices=_PLACES, default="grid", help="what is harmed (default grid)")
    parser.add_argument("--wait-replicas", type=int, default=0, help="redis-sentinel: replicas that confirm a change")
    parser.add_argument("--deadline", type=float, default=10.0, help="seconds one call may take (default 10)")
    parser.add_argument("--spoiled", choices=SPOILED, help="a grid that lacks one property, to see it caught")
    parser.add_argument(
        "--folder", help=f"where runs keep their files (default {_RUNS.name} in the system's temporary folder)"
    )
    parser.add_argument("--keep", action="store_true", help="keep histories and logs of a run that went well, too")
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON, and nothing else")
    parser.add_argument("--replay", metavar="DIR", help="carry out the plan of a kept run again")
    parser.add_argument("--shrink", metavar="DIR", help="look for a smaller plan that still fails")
    parser.add_argument("--tries", type=int, default=12, help="with --shrink: runs at most (default 12)")
    parser.add_argument(
        "--clean", action="store_true", help="remove what kept runs left; processes never outlive theirs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
