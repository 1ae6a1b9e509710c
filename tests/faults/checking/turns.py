"""Sessions held alone: grants in the order of revisions, no commit after a newer grant, no two at once (I9, I10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.faults.checking.calls import Call, Violation, last_look


class Held(NamedTuple):
    """A turn that was committed: the revision it found, the one it made, and when its caller had it (ns)."""

    epoch: int
    found: int
    made: int
    entered: int
    left: int
    call: Call


def _held(calls: Sequence[Call]) -> list[Held]:
    done = [call for call in calls if call.f in ("turn", "hold") and call.kind == "ok"]
    # (epoch, number) found and made, entered, left.
    return [Held(a[2], a[1], a[3], a[4], a[5], call) for call in done for a in (call.answer,)]


def fencing(key: str, calls: Sequence[Call]) -> Iterator[Violation]:
    """I9: who was granted the session later knows of every commit of those before; none of them commits afterwards."""
    held = sorted(_held(calls), key=lambda turn: (turn.found, turn.made))
    for turn, following in pairwise(held):
        same = turn.epoch == following.epoch
        if same and turn.found < following.found < turn.made:
            text = f"committed {turn.made}, granted at {turn.found}, after another was granted at {following.found}"
            yield Violation("I9", key, text, (turn.call, following.call))
            return
        if same and turn.found == following.found:
            text = f"two turns that found revision {turn.found} both committed"
            yield Violation("I9", key, text, (turn.call, following.call))
            return


def overlaps(key: str, calls: Sequence[Call]) -> Iterator[Violation]:
    """I10: two turns that both committed were not inside at the same time."""
    held = sorted(_held(calls), key=lambda turn: turn.entered)
    latest: Held | None = None
    for turn in held:
        if latest is not None and turn.entered < latest.left:
            together = (min(latest.left, turn.left) - turn.entered) / 1e6
            yield Violation("I10", key, f"two were inside together for {together:.1f} ms", (latest.call, turn.call))
            return
        if latest is None or turn.left > latest.left:
            latest = turn


def written(key: str, calls: Sequence[Call], looks: Sequence[Call]) -> Iterator[Violation]:
    """I1, I3 of turns that write a field of their own: what was acknowledged is there, what was refused is not."""
    look = last_look(looks)
    if look is None:
        return
    fields = look["state"]
    turns = [call for call in calls if call.f == "hold"]
    lost = [call for call in turns if call.kind == "ok" and f"t{call.asked}" not in fields]
    if lost:
        yield Violation("I1", key, f"{len(lost)} committed turns are not there", tuple(lost[:3]))
    refused = [call for call in turns if call.kind == "fail" and f"t{call.asked}" in fields]
    if refused:
        late = any(call.error == "LeaseLost" for call in refused)
        text = f"{len(refused)} turns were refused and yet wrote"
        yield Violation("I9" if late else "I3", key, text, tuple(refused[:3]))
    sent = {call.asked for call in turns}
    if strangers := tuple(value for value in fields.values() if value not in sent):
        yield Violation("I3", key, f"nobody wrote {list(strangers[:3])}", strangers=strangers)
