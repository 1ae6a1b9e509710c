"""What is done to whom and when: a plan drawn from a seed, or read back from a run that is to be repeated.

A plan is a row of episodes. In one, up to two faults overlap; no more servers are out of service at a time than the
place promises to bear (a minority), unless a kind is about that. After each, all servers must be whole again before the
next: otherwise one episode would harm what another has already harmed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

from tests.faults.faults import FAULTS, Planned

_OVERLAP: Final = 0.35
# How often a kind is drawn, beside 1.
_OFTEN: Final = {"kill": 3.0, "partition": 2.0, "stop": 1.0, "rolling": 0.4, "partition-alone": 0.5,
                 "jar-missing": 0.5, "clock-far": 0.5}  # fmt: skip
# Nothing beside them: they wait for the whole themselves, or promise no majority.
_ALONE: Final = frozenset({"rolling"})
_SOFT: Final = ("loss", "delay", "client-kill", "client-pause", "client-cancel", "client-fork")


@dataclass(slots=True)
class Episode:
    """Faults that may overlap, then peace until all are whole, and some calm.

    Attributes:
        faults: each with its own time of begin.
        calm: seconds between being whole and the next episode.
    """

    faults: list[Planned]
    calm: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Episode:
        """Back from plain data."""
        return cls([Planned(**fault) for fault in data["faults"]], data["calm"])


def drawn(seed: int, kinds: Sequence[str], servers: Sequence[str], clients: Sequence[str]) -> Iterator[Episode]:
    """Episodes without end, the same for the same seed. Each kind comes once before they are drawn at random."""
    random = Random(seed)
    first = sorted(kinds, key=lambda kind: random.random())
    while True:
        kind = first.pop() if first else random.choices(kinds, [_OFTEN.get(each, 1.0) for each in kinds])[0]
        main = FAULTS[kind].plan(random, list(servers), list(clients))
        faults = [main]
        if (
            kind not in _ALONE
            and random.random() < _OVERLAP
            and (second := _beside(random, main, kinds, servers, clients))
        ):
            faults.append(second)
        yield Episode(faults, round(random.uniform(0.3, 1.5), 1))


def in_order(seed: int, kinds: Sequence[str], servers: Sequence[str], clients: Sequence[str]) -> list[Episode]:
    """Exactly these kinds in this order, for a run whose length must be known; `a+b` for two that overlap."""
    random = Random(seed)
    episodes = []
    for names in kinds:
        faults = [FAULTS[kind].plan(random, list(servers), list(clients)) for kind in names.split("+")]
        for later in faults[1:]:
            later.after = round(random.uniform(0.2, max(0.3, faults[0].seconds * 0.5)), 1)
        episodes.append(Episode(faults, 0.3))
    return episodes


def _beside(
    random: Random, main: Planned, kinds: Sequence[str], servers: Sequence[str], clients: Sequence[str]
) -> Planned | None:
    """A second fault that begins while the first lasts: a soft one, or a hard one on a server that is harmed anyway."""
    soft = [kind for kind in kinds if kind in _SOFT and kind != main.kind]
    hard = [kind for kind in kinds if kind in {"kill", "pause-short", "partition-short", "partition-oneway"}]
    harmed = [name for name in main.targets if name in servers]
    bears = (len(servers) - 1) // 2
    if hard and main.kind in {"loss", "delay", "pause-short", "partition-short", "partition"} and random.random() < 0.4:
        second = FAULTS[random.choice(hard)].plan(random, list(servers), list(clients))
        spare = bears - len(harmed) if FAULTS[main.kind].harms != "none" else bears
        # One host is not killed while it is frozen: who heals first would undo the other's fault.
        if second.kind == "kill" and main.kind.startswith("pause"):
            return None
        second.targets = [random.choice([name for name in servers if name not in harmed] if spare > 0 else harmed)]
    elif soft:
        second = FAULTS[random.choice(soft)].plan(random, list(servers), list(clients))
    else:
        return None
    second.after = round(random.uniform(0.2, max(0.3, main.seconds * 0.8)), 1)
    return second
