"""Workloads through the public API only: what bots do, in a form whose history can be judged."""

from __future__ import annotations

from typing import Final

from tests.faults.workloads._caller import FAILED, Caller, Run, Workload
from tests.faults.workloads.appends import Appends, GlobalAppends
from tests.faults.workloads.counters import (
    Allowed,
    CompareAndSet,
    DisjointFields,
    Increments,
    Remembered,
    Taken,
)
from tests.faults.workloads.expired import Expired
from tests.faults.workloads.lives import ExpectedRevisions, Expiring, Recreated
from tests.faults.workloads.turns import Leases, Runs, Turns, TurnsBesideVerbs

__all__ = ["FAILED", "READS", "WORKLOADS", "Caller", "Run", "Workload"]

_ALL: Final = (
    Appends(),
    Increments(),
    DisjointFields(),
    Turns(),
    Runs(),
    CompareAndSet(),
    ExpectedRevisions(),
    Remembered(),
    Allowed(),
    Taken(),
    Recreated(),
    Leases(),
    TurnsBesideVerbs(),
    GlobalAppends(),
    Expiring(),
    Expired(),
)
WORKLOADS: Final[dict[str, Workload]] = {workload.name: workload for workload in _ALL}
"""By name, which is the platform of their sessions too."""
READS: Final = frozenset({"copy", "final", "get", "load", "read"})
"""Names of calls that change nothing."""
