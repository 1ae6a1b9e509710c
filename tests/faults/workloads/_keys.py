"""Which session a caller uses next: few at a time, shared by all callers of all clients, and fresh ones soon."""

from __future__ import annotations

from tests.faults.workloads._caller import Caller


def key_of(caller: Caller, name: str, *, slots: int, most: int) -> str:
    """A session of one of `slots`, that this caller has used less than `most` times and that is not full.

    Clients go over to fresh ones with the generation, which they know by the clock they share.
    """
    memory, generation = caller.memory, caller.run.generation
    if memory.get("generation") != generation:
        memory.clear()
        memory["generation"] = generation
        memory["layers"] = [0] * slots
        memory["uses"] = [0] * slots
    # Some grow fast and are soon left, others live through a whole partition with few changes.
    slot = int(slots * caller.random.random() ** 3)
    if memory["uses"][slot] >= most:
        memory["uses"][slot] = 0
        memory["layers"][slot] += 1
    memory["uses"][slot] += 1
    memory["slot"] = slot
    return f"{name}:{generation}.{slot}.{memory['layers'][slot]}"


def full(caller: Caller, most: int = 10**9) -> None:
    """The session of the last `key_of` has grown enough: this caller goes on with the next."""
    caller.memory["uses"][caller.memory["slot"]] = most
