"""One measured stretch of turns, and the work that each turn does: shared by `gridsession bench` and tests/bench."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

Turn = Callable[[int, int], Awaitable[object]]
"""Does one turn on the session of this index, as the caller's turn of this number."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured stretch: turns per second, latencies in ms, the client's CPU in us a turn."""

    turns_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Median:
    """The median of each figure over several stretches, and the slowest and quickest of them in turns per second."""

    turns_per_second: int
    slowest: int
    quickest: int
    p50_ms: float
    p99_ms: float
    cpu_us: float

    @classmethod
    def of(cls, stretches: Sequence[Figure]) -> Median:
        """That of these stretches, at least one."""
        rates = [each.turns_per_second for each in stretches]
        return cls(
            round(statistics.median(rates)),
            round(min(rates)),
            round(max(rates)),
            round(statistics.median(each.p50_ms for each in stretches), 2),
            round(statistics.median(each.p99_ms for each in stretches), 2),
            round(statistics.median(each.cpu_us for each in stretches), 1),
        )


async def measure(turn: Turn, *, callers: int, seconds: float, sessions: int) -> Figure:
    """Let so many callers do turns on random sessions, one after another each, for so long."""
    latencies: list[float] = []
    clock = time.perf_counter
    ends = clock() + seconds

    async def caller(seed: int) -> None:
        pick, number = random.Random(seed).randrange, 0  # noqa: S311 - the same sessions in each run, no secret
        while number == 0 or clock() < ends:
            began = clock()
            await turn(pick(sessions), number)
            latencies.append(clock() - began)
            number += 1

    gc.collect()
    began, cpu = clock(), time.process_time()
    await asyncio.gather(*(caller(seed) for seed in range(callers)))
    elapsed, used = clock() - began, time.process_time() - cpu
    latencies.sort()
    count = len(latencies)
    return Figure(count / elapsed, latencies[count // 2] * 1e3, latencies[int(count * 0.99)] * 1e3, used / count * 1e6)


def session_id(index: int, prefix: str = "") -> str:
    """An id as long as LINE's; those of different prefixes, of hexadecimal digits, are different."""
    return f"line:U{prefix}{index:0{32 - len(prefix)}x}"


def session(index: int) -> dict[str, Any]:
    """Thirteen fields, about 1 KB encoded; the same for the same index."""
    source = random.Random(index)  # noqa: S311 - the same in each run, no secret

    def words(length: int) -> str:
        return "".join(source.choice("abcdefghijklmnop qrstuvwxyz") for _ in range(length))

    return {
        "v": 1,
        "user_id": f"U{index:032x}",
        "channel": "line",
        "locale": "th-TH",
        "state": "order:confirm",
        "step": 3,
        "created": 1.7e9 + index,
        "last_seen": 1.7e9 + index + 5,
        "last_msg": words(48),
        "slots": {f"slot_{number}": words(12) for number in range(8)},
        "cart": [{"sku": words(8), "qty": number, "price": 99.5} for number in range(3)],
        "history": [words(40) for _ in range(8)],
        "flags": {"vip": False, "muted": False, "nps": 7},
    }


def change(number: int) -> dict[str, Any]:
    """What one turn merges: two fields."""
    return {"step": number & 1023, "last_msg": f"thank you, please send it to my home {number % 1_000_000:06d}"}
