"""The judge of a run: every invariant over its histories. `python -m tests.faults.checker FILE... [--json]`.

Nothing here knows of a store: what counts is what callers asked, what they were told, when, and what stood there at
last.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from tests.faults.checking import judges, together
from tests.faults.checking.calls import Call, Violation, no_collection, parsed, read

INVARIANTS: Final = {
    "I1": "no acknowledged update is lost",
    "I2": "none is applied twice",
    "I3": "what took effect was asked for, and what definitely failed took none",
    "I4": "every answer is a prefix of the final list",
    "I5": "what was answered before another was sent stands before it",
    "I6": "a read shows what was acknowledged before it",
    "I7": "a revision for each change, rising by one",
    "I8": "one winner per expected revision or value, and no conflict without one",
    "I9": "no commit after a newer grant of the session",
    "I10": "two turns never hold one session at the same time",
    "I11": "deleted stays deleted",
    "I12": "nothing readable after its time, nothing gone before it",
    "I13": "fields written at once all survive",
    "I14": "nothing of another session",
    "I15": "who asks to be told of expired sessions is told of each, and one acknowledges it",
    "I16": "every call ends by its deadline; after a heal all are served",
    "I17": "what was not known is settled in the end",
    "I18": "copies equal their originals, and every record has a ttl",
}
_EVIDENCE: Final = 5
"""Violations of one invariant that are shown with their lines."""
_LARGE: Final = 200 * 2**20
"""Bytes of histories from which on two processes share the work."""


@dataclass(slots=True)
class Report:
    """What the checker found.

    Attributes:
        violations: in the order of the invariants; the first few of each hold the lines of the histories.
        counts: calls by `workload kind`, and what was not judged.
    """

    violations: list[Violation] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether no invariant was violated and something was acknowledged."""
        return not self.violations and any(name.endswith(" ok") for name in self.counts)

    @property
    def by_invariant(self) -> dict[str, int]:
        """How many violations of each; 0 too."""
        found = Counter(violation.invariant for violation in self.violations)
        return {name: found[name] for name in INVARIANTS}

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"holds": self.holds, "violations": self.by_invariant, "counts": self.counts,
                "evidence": [str(violation) for violation in self.violations if violation.evidence]}  # fmt: skip


def check(paths: Iterable[Path | str], *, processes: int | None = None) -> Report:
    """Judge all histories of one run together.

    Args:
        processes: how many share the work; None: 2 where it is much, else this one.
    """
    files = [Path(path) for path in paths]
    parts = processes or (2 if sum(path.stat().st_size for path in files) > _LARGE else 1)
    if parts == 1:
        with no_collection():
            found, counts = judges.judged(read(files))
    else:
        found, counts = together.judged(files, parts)
    violations = _owned(files, found)
    rank = {name: number for number, name in enumerate(INVARIANTS)}
    violations.sort(key=lambda violation: rank[violation.invariant])
    return Report(_with_evidence(files, violations), dict(sorted(counts.items())))


class _Numbered(Struct):
    op: int | None


def _owned(files: Sequence[Path], violations: Sequence[Violation]) -> list[Violation]:
    """Tokens that nobody sent to the key they were found under: sent to another one, it is I14."""
    strangers = {token for violation in violations for token in violation.strangers}
    if not strangers:
        return list(violations)
    owners: dict[int, str] = {}
    for path in files:
        with path.open("rb") as lines:
            for line in parsed(lines, Call):
                if line.kind == "invoke":
                    for token in line.asked if isinstance(line.asked, list) else (line.asked,):
                        if isinstance(token, int) and token in strangers:
                            owners[token] = line.key
    found: list[Violation] = []
    for violation in violations:
        others = {owners[token] for token in violation.strangers if token in owners} - {violation.key}
        text = f"{violation.text}; sent to {sorted(others)[:3]}"
        found.append(violation._replace(invariant="I14", text=text) if others else violation)
    return found


def _with_evidence(files: Sequence[Path], violations: Sequence[Violation]) -> list[Violation]:
    shown: dict[str, int] = defaultdict(int)
    wanted: dict[int, dict[int | None, list[str]]] = defaultdict(dict)
    chosen: set[int] = set()
    for number, violation in enumerate(violations):
        shown[violation.invariant] += 1
        if shown[violation.invariant] <= _EVIDENCE:
            chosen.add(number)
            for call in violation.calls:
                wanted[call.file][call.op] = []
    for file, ops in wanted.items():
        for op, line in _of(files[file], ops):
            ops[op].append(f"{files[file].name}: {json.dumps(line)[:600]}")
    return [
        violation._replace(evidence=tuple(line for call in violation.calls for line in wanted[call.file][call.op]))
        if number in chosen
        else violation
        for number, violation in enumerate(violations)
    ]


def _of(path: Path, ops: Container[int | None]) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Those lines of a file that are of these calls: only they are parsed whole."""
    number = Decoder(_Numbered).decode
    with path.open("rb") as lines:
        for text in lines:
            try:
                op = number(text).op
            except MsgspecError:
                # Cut off, or of NaN.
                continue
            if op in ops:
                yield op, json.loads(text)


def as_text(report: Report) -> str:
    """For people: each invariant with its violations, the counts, and some violations with their lines."""
    found = report.by_invariant
    lines = [f"{name:>4}  {found[name]:>6}  {text}" for name, text in INVARIANTS.items()]
    lines.append(", ".join(f"{name} {count:,}" for name, count in report.counts.items()))
    lines += [str(violation) for violation in report.violations if violation.evidence or not violation.calls]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 if every invariant holds, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--processes", type=int)
    asked = parser.parse_args(arguments)
    report = check(asked.files, processes=asked.processes)
    sys.stdout.write(json.dumps(report.as_json(), indent=1) + "\n" if asked.json else as_text(report))
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
