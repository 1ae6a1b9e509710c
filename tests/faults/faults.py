"""Every kind of fault, by name."""

from __future__ import annotations

import shutil
from typing import Final

from tests.faults.fault import Fault, Planned
from tests.faults.of_clients import ClientCancel, ClientFork, ClientKill, ClientPause
from tests.faults.of_network import (
    AlonePartition,
    Delay,
    Loss,
    OneWayPartition,
    Partition,
    ResetPartition,
    RingPartition,
    ShortPartition,
)
from tests.faults.of_servers import (
    FarClock,
    FullDisk,
    Kill,
    LongPause,
    MissingJar,
    NearClock,
    OlderJar,
    OutOfMemory,
    Rolling,
    ShortPause,
    Stop,
)

__all__ = ["FAULTS", "Fault", "Planned", "impossible"]

FAULTS: Final[dict[str, type[Fault]]] = {
    fault.kind: fault
    for fault in (
        Kill, Stop, Rolling, ShortPause, LongPause,
        Partition, ShortPartition, ResetPartition, OneWayPartition, RingPartition, AlonePartition,
        Loss, Delay, NearClock, FarClock, OutOfMemory, FullDisk, MissingJar, OlderJar,
        ClientKill, ClientPause, ClientCancel, ClientFork,
    )
}  # fmt: skip
"""By kind."""


def impossible() -> dict[str, str]:
    """The kinds that this machine lacks something for, and what."""
    found = {}
    try:
        with open("/dev/net/tun", "r+b", buffering=0):  # noqa: PTH123 - opened to see whether it can be
            pass
    except OSError as error:
        found[Delay.kind] = f"/dev/net/tun: {error.strerror}"
    if shutil.which("cc") is None:
        found |= {clock.kind: "no C compiler to set a clock off with" for clock in (NearClock, FarClock)}
    return found
