"""Writes tests/vectors/*.json from the tables next to it, after asserting that the rules do what the tables say.

python tests/vectors/make.py            write the files
python tests/vectors/make.py --check    only compare; exit 1 if a file differs from the tables
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from table import Case, Table, differences  # noqa: E402  # found through the path above

from gridsession._record import Record  # noqa: E402
from gridsession._reply import decode_reply  # noqa: E402
from gridsession._wire import apply_bytes  # noqa: E402
from gridsession.errors import CorruptRecord  # noqa: E402

THEMES = (
    "load",
    "commit_guards",
    "operations",
    "clear",
    "ttl",
    "lease",
    "duplicate",
    "expiry",
    "unclaimed",
    "tombstone",
    "install",
    "limits",
    "malformed",
    "corrupt",
)


def faults(case: Case) -> list[str]:
    """Where the rules differ from what the table says must be."""
    after, answer = apply_bytes(case.stored, case.command, case.now, case.session_id, case.place())
    expected = case.reply.encode()
    found = []
    if answer != expected:
        told = decode_reply(answer, expected_id=case.session_id.encode())
        found += differences(case.reply, told) or ["reply: equal, but not in its bytes (order of fields?)"]
    if after != case.after:
        found += _unlike(case.after, after)
    if case.after == case.stored and after is not case.stored:
        found.append("after: nothing changed, so the very object must come back")
    return found


def _unlike(expected: bytes | None, found: bytes | None) -> list[str]:
    """Where two stored records differ, attribute by attribute if both can be read."""
    try:
        wanted, stands = Record.decode(expected or b""), Record.decode(found or b"")
    except CorruptRecord:
        return [f"after: must be {expected and expected.hex()}\n             is {found and found.hex()}"]
    unlike = []
    for name in (field.name for field in dataclasses.fields(Record)):
        must, does = getattr(wanted, name), getattr(stands, name)
        if must != does:
            unlike.append(f"after.{name}: must be {must!r}\n{'':{13 + len(name)}}is {does!r}")
    return unlike or ["after: equal, but not in its bytes (order of fields?)"]


def render(table: Table) -> str:
    """The text of one file."""
    return json.dumps({"cases": [case.document() for case in table.cases]}, indent=1, ensure_ascii=True) + "\n"


def main(arguments: list[str]) -> int:
    """Check every case against the rules, then write or compare the files."""
    wrong = total = 0
    names: set[str] = set()
    for theme in THEMES:
        table: Table = importlib.import_module(f"cases_{theme}").TABLE
        for case in table.cases:
            total += 1
            found = faults(case)
            if case.name in names:
                found.append("another case has the same name")
            names.add(case.name)
            if found:
                wrong += 1
                sys.stderr.write(f"{theme}: {case.name}\n" + "".join(f"    {line}\n" for line in found))
        wrong += _file(HERE / f"{theme}.json", render(table), check="--check" in arguments)
    sys.stderr.write(f"{total} cases, {wrong} wrong\n")
    return 1 if wrong else 0


def _file(path: Path, text: str, *, check: bool) -> int:
    if not check:
        path.write_text(text, encoding="ascii")
        return 0
    if path.exists() and path.read_text(encoding="ascii") == text:
        return 0
    sys.stderr.write(f"{path.name} is not what the tables say: run python tests/vectors/make.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
