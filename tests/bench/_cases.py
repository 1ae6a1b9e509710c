"""All cases by their keys, in the order of the table."""

from __future__ import annotations

from typing import Final

from tests.bench import _cases_grid, _cases_local, _cases_redis
from tests.bench._echo import echo
from tests.bench._work import Case, bare_loop

LOOP: Final = "loop"
ECHO: Final = "echo"
REDIS: Final = "redis-lua"

_LIMITS: Final = (
    Case(LOOP, "bare event loop, no place", bare_loop),
    Case(ECHO, "echo, the same bytes", echo, ("echo",)),
)
CASES: Final = {case.key: case for case in (*_LIMITS, *_cases_grid.CASES, *_cases_redis.CASES, *_cases_local.CASES)}
QUICK: Final = (LOOP, ECHO, REDIS, "grid-update", "grid-turn", "grid-load")
