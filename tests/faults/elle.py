"""The appended tokens as transactions, in the form in which elle-cli reads list-append histories.

`python -m tests.faults.elle FILE... > history.json`, then `java -jar elle-cli.jar --model list-append history.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.faults.checking.calls import parsed

_LISTS = ("append:", "globals:")


def exported(paths: Iterable[Path | str]) -> Iterator[dict[str, Any]]:
    """The lines of all files in the order of their times, as operations of one history, numbered anew."""
    lines: list[dict[str, Any]] = []
    for path in paths:
        with Path(path).open("rb") as file:
            lines += _transactions(line for line in parsed(file, dict[str, Any]) if line["key"].startswith(_LISTS))
    lines.sort(key=lambda line: line["time"])
    for index, line in enumerate(lines):
        yield {"index": index, **line}


def _transactions(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One file's; of an answer, what was asked for is known from the call's beginning."""
    asked: dict[int, Any] = {}
    for line in lines:
        kind, key, f, value = line["type"], line["key"], line["f"], line["value"]
        if kind == "invoke":
            asked[line["op"]] = value
        token, seen = asked[line["op"]], None
        if kind == "ok" and f != "append":
            seen = value["state"].get("log", []) if f == "final" else value[2]
        steps = [] if f in ("read", "copy", "final") else [["append", key, token]]
        if f != "append":
            steps.append(["r", key, seen])
        yield {"type": kind, "f": "txn", "process": line["process"], "time": line["time"], "value": steps}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.elle", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    sys.stdout.write(
        "[" + ",\n".join(json.dumps(line) for line in exported(parser.parse_args(arguments).files)) + "]\n"
    )


if __name__ == "__main__":
    main()
