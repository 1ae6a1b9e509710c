"""`python -m tests.fuzz`: hostile bytes for a bounded time, or so many cases. Ends with 1 if anything is found."""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fuzz import _guided
from tests.fuzz._cases import Case
from tests.fuzz._java import Compiled, JavaRules, compiled
from tests.fuzz._targets import TARGETS
from tests.fuzz._volume import Found, check, run

_WAYS = ("mutate", "atheris", "jazzer")


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for and tell what it came to."""
    asked = _asked(arguments)
    if asked.replay is not None:
        return _replay(asked.replay)
    seed = random.SystemRandom().randrange(1, 2**31) if asked.seed is None else asked.seed
    ways = asked.only or _WAYS
    share = asked.seconds / (len(ways) + ("mutate" in ways))
    print(f"seed {seed}; {', '.join(ways)}; about {asked.seconds} s", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        classes = compiled(Path(scratch))
        if "mutate" in ways:
            failed |= _mutate(seed, classes, asked.cases, 2 * share, asked.out)
        for one in _guided_runs(ways, classes, share, seed, asked.corpus or Path(scratch)):
            print(f"{one.name}: {one.inputs:,} inputs{', and a fault' if one.fault else ''}", flush=True)
            if one.fault:
                failed = True
                print(one.fault)
    return int(failed)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for all ways together, compiling aside (60)")
    parser.add_argument("--cases", type=int, help="mutate so many cases instead, however long it takes")
    parser.add_argument("--seed", type=int, help="to do the same again; else one by chance, which is told")
    parser.add_argument("--only", action="append", choices=_WAYS, help="only this way; may be given twice")
    parser.add_argument("--corpus", type=Path, help="keep what led somewhere in this folder, and begin with it")
    parser.add_argument("--out", type=Path, default=Path("fuzz-faults.jsonl"), help="where cases that fail are written")
    parser.add_argument("--replay", type=Path, help="give the cases of such a file to both sides again")
    return parser.parse_args(arguments)


def _mutate(seed: int, classes: Compiled, cases: int | None, seconds: float, out: Path) -> bool:
    found = run(seed, classes, cases=cases, seconds=None if cases else seconds)
    _tell(found)
    if found.faults:
        out.write_text("\n".join(found.faults) + "\n")
        print(f"FAULTS, written to {out}; see them again with --replay {out}:")
        print("\n".join(fault[:400] for fault in found.faults))
    return bool(found.faults)


def _tell(found: Found) -> None:
    statuses = ", ".join(f"{count:,} {name}" for name, count in found.statuses.most_common())
    python, java = (f"{beyond / 1024:,.0f} KB" for beyond in found.worst)
    print(
        f"mutate: {found.cases:,} cases to both sides in {found.seconds:,.0f} s; {found.written:,} changed a record; "
        f"{statuses}\nmemory beyond 4 times the input, at most: {python} (Python), {java} (Java, garbage included); "
        f"the process grew by {found.growth / 1024:,.0f} KB in all\n{len(found.faults)} faults",
        flush=True,
    )


def _guided_runs(
    ways: Sequence[str], classes: Compiled, share: float, seed: int, corpus: Path
) -> Iterator[_guided.Run]:
    if "atheris" in ways:
        if importlib.util.find_spec("atheris") is None:
            yield _guided.Run("atheris", 0, 'it is not installed: pip install -e ".[test]" (Linux, x86-64)')
            return
        for name in TARGETS:
            yield _guided.atheris(name, max(1, round(share / len(TARGETS))), seed, corpus)
    if "jazzer" in ways:
        yield _guided.jazzer(classes, max(5, round(share)), seed, corpus)


def _replay(path: Path) -> int:
    cases = [Case.read(json.loads(line)) for line in path.read_text().splitlines()]
    found = Found()
    limits = list(dict.fromkeys(case.limits for case in cases))
    with tempfile.TemporaryDirectory() as scratch, JavaRules(compiled(Path(scratch)), limits) as java:
        check(cases, java, found)
    _tell(found)
    print("\n".join(found.faults))
    return int(bool(found.faults))


if __name__ == "__main__":
    started = time.monotonic()
    code = main(sys.argv[1:])
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)
