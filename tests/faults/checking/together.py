"""Histories judged by several processes: each reads some of the files, then each judges all calls of some of the keys.

The calls go from one to another through files, as MessagePack: half as long, and read five times as fast, as the two
lines that each of them was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

from msgspec.msgpack import Decoder, Encoder

from tests.faults.checking.calls import Call, histories, no_collection, read_file
from tests.faults.checking.judges import Judged
from tests.faults.checking.judges import judged as judged_alone


def judged(files: Sequence[Path], parts: int) -> Judged:
    """What `judges.judged` says of all of them, by so many processes."""
    # The longest first: else one process reads it while the others have nothing left to do.
    numbers = sorted(range(len(files)), key=lambda number: -files[number].stat().st_size)
    with (
        TemporaryDirectory(prefix="checker-") as folder,
        ProcessPoolExecutor(parts, mp_context=get_context("spawn")) as pool,
    ):
        notes = pool.map(partial(_sort_out, Path(folder), parts), numbers, [files[number] for number in numbers])
        said = [note for of_file in notes for note in of_file]
        results = list(pool.map(partial(_part, Path(folder), len(files), said), range(parts)))
    violations = [violation for found, _ in results for violation in found]
    return violations, sum((counts for _, counts in results), Counter[str]())


def _sort_out(folder: Path, parts: int, number: int, file: Path) -> list[Call]:
    """Read one file and put down each part's calls; gives the lines that are of no call."""
    calls, notes = dict[str, list[Call]](), list[Call]()
    with no_collection():
        read_file(file, number, calls, notes)
        shares: list[dict[str, list[Call]]] = [{} for _ in range(parts)]
        for key, of_key in calls.items():
            shares[crc32(key.encode()) % parts][key] = of_key
        for part, share in enumerate(shares):
            _file(folder, number, part).write_bytes(Encoder().encode(share))
    return notes


def _part(folder: Path, files: int, notes: Sequence[Call], part: int) -> Judged:
    decoder, calls = Decoder(dict[str, list[Call]]), dict[str, list[Call]]()
    with no_collection():
        for number in range(files):
            for key, of_key in decoder.decode(_file(folder, number, part).read_bytes()).items():
                calls.setdefault(key, []).extend(of_key)
        found = histories(calls, notes)
        if part:
            # What is said of no key, the first one judges.
            found.nonsense, found.hung = [], 0
        return judged_alone(found)


def _file(folder: Path, number: int, part: int) -> Path:
    return folder / f"{number}.{part}"
