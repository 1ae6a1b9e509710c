"""`python -m tests.bench [--quick] [--json] ...`: gridsession side by side with what people use instead.

One client process on one core, all servers on another, cases taking turns within each round, medians; every figure as
a ratio to an echo of the same bytes and to one Lua script through redis-py in the same run. Without options it takes
about half an hour and says so beforehand; `--quick` takes about two minutes.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from tests.bench import _apart, _marks, _plan, _recorded, _report
from tests.bench._cases import CASES, QUICK
from tests.bench._environment import environment, load_average, loop_name, surroundings
from tests.bench._places import heap_megabytes
from tests.bench._plan import Pace, Part
from tests.bench._plot import plot
from tests.bench._run import run, say
from tests.bench._work import NotRun

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
PLOT: Final = Path(__file__).with_name("turns.svg")
_HUGE_HEAP: Final = 4_096


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"cases: {', '.join(CASES)}",
    )
    made.add_argument("--quick", action="store_true", help="few cases, briefly; compares CPU with what was recorded")
    made.add_argument("--json", action="store_true", help="one object on standard output instead of tables")
    chosen = {"nargs": "+", "metavar": "N"}
    made.add_argument("--cases", nargs="+", choices=list(CASES), metavar="CASE", help="and what they are compared with")
    made.add_argument("--sizes", type=float, **chosen, help="KB of a session: 0.2 1 16 64")  # type: ignore[arg-type]
    made.add_argument("--callers", type=int, **chosen, help="turns at once in each client process: 1 16 128")  # type: ignore[arg-type]
    made.add_argument("--processes", type=int, **chosen, help="client processes: 1 4")  # type: ignore[arg-type]
    made.add_argument("--sessions", type=int, **chosen, help="sessions in the place: 1000 to 1000000")  # type: ignore[arg-type]
    made.add_argument("--seconds", type=float, help="of each stretch")
    made.add_argument("--rounds", type=int, help="stretches of each case; the median is told")
    made.add_argument("--warm-up", type=float, help="seconds for each case that a JVM answers")
    made.add_argument("--deadline", type=float, default=2.0, help="of gridsession's calls, s: how long op ids are kept")
    made.add_argument("--apart", action="store_true", help="globals and idle sessions too: part of a run of all cases")
    made.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    made.add_argument("--write", action="store_true", help=f"tables and plot to {RESULTS.name} and {PLOT.name}")
    made.add_argument("--record", action="store_true", help="keep the ratios of CPU for the next --quick")
    return made


def planned(options: argparse.Namespace) -> tuple[list[Part], Pace]:
    """What the options ask for."""
    pace = _plan.QUICK_PACE if options.quick else _plan.FULL
    given = {"rounds": options.rounds, "seconds": options.seconds, "warm": options.warm_up}
    pace = replace(pace, **{name: value for name, value in given.items() if value is not None})
    if _all(options):
        return (_plan.quick if options.quick else _plan.default)(options.deadline), pace
    parts = _plan.asked(
        cases=_plan.with_limits(options.cases or (QUICK if options.quick else tuple(CASES))),
        callers=options.callers or _plan.CALLERS,
        sizes=options.sizes or (1,),
        sessions=options.sessions or (),
        processes=options.processes or (1,),
        deadline=options.deadline,
    )
    return parts, pace


def _all(options: argparse.Namespace) -> bool:
    return not any((options.cases, options.sizes, options.callers, options.processes, options.sessions))


def with_apart(options: argparse.Namespace) -> bool:
    """Whether what costs no turn is measured, too."""
    return bool(options.apart or (_all(options) and not options.quick))


def _apart_from_turns(loop: str) -> list[_marks.Mark]:
    say("globals and idle sessions: about 1 min")
    try:
        return _marks.of_apart(_apart.measured(loop))
    except NotRun as lacking:
        return [_marks.Mark("globals and idle sessions", f"not run: {lacking}", "")]


def main(words: Sequence[str] | None = None) -> None:
    """Parse, plan, run, tell."""
    given = list(sys.argv[1:] if words is None else words)
    options = parser().parse_args(given)
    parts, pace = planned(options)
    # Ended from outside it ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    loop = loop_name(options.loop)
    say(f"about {sum(part.seconds(pace) for part in parts) / 60:.0f} min in {len(parts)} setting(s)")
    if max(heap_megabytes(part.setting) for part in parts) > _HUGE_HEAP:
        say("the largest setting needs some 16 GB of memory")
    facts = {**environment(parts, loop), "load before": load_average()}
    measured = run(parts, pace, loop)
    found, marks = _report.rows(measured), _marks.of_turns(measured)
    if with_apart(options):
        marks += _apart_from_turns(loop)
    facts["load after"] = load_average()
    ratios = _recorded.ratios(found)
    compared = _recorded.compare(ratios, _recorded.load(surroundings(loop)))
    command = " ".join(("python -m tests.bench", *given))
    if options.json:
        cases = [row.as_json() for row in found]
        cpu = [{"case": each.name, "now": each.now, "recorded": each.recorded, "rose": each.rose} for each in compared]
        told = [asdict(mark) for mark in marks]
        print(json.dumps({"command": command, "environment": facts, "cases": cases, "marks": told, "cpu": cpu}))
    else:
        print(_report.section(found, facts, command, None, marks))
    if options.quick:
        say(_recorded.report(compared))
    if options.record:
        _recorded.record(surroundings(loop), ratios)
    if options.write:
        picture = plot(found)
        if picture:
            PLOT.write_text(picture, encoding="utf-8")
        _report.write(RESULTS, _report.section(found, facts, command, PLOT.name if picture else None, marks))


if __name__ == "__main__":
    main()
