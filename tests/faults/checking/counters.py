"""Numbers, fields of one writer each, values that are new once, one yes per interval (I1 to I3, I5 to I7, I13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from tests.faults.checking.calls import END, NEVER, START, Call, Faults, Violation, last_look

_CLOCKS: Final = 300 * 10**6
"""ns by which the members' clocks may differ, none of them skewed on purpose."""
_SKEWED: Final = 2_500 * 10**6
"""ns, where a fault skewed them: members refuse to join above 2 s."""


def skew(faults: Faults) -> int:
    """How far (ns) a time kept by members may be off in this run."""
    return _SKEWED if any("skew" in kind or "clock" in kind for kind in faults.kinds) else _CLOCKS


def increments(key: str, calls: Sequence[Call], looks: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    """I1, I2: the number is that of the increments. I5, I6: each answer is in its place."""
    made = [call for call in calls if call.f == "increment"]
    done = sorted((call for call in made if call.kind == "ok"), key=lambda call: call.answer)
    look = last_look(looks)
    if look is not None:
        number, unknown = look["state"].get("n", 0), sum(call.kind == "info" for call in made)
        highest = done[-1:] if done and done[-1].answer > number else []
        if number < len(done) or highest:
            yield Violation("I1", key, f"{number} at the end, after {len(done)} acknowledged", tuple(highest))
        if number > len(done) + unknown:
            text = f"{number} at the end, after {len(done)} acknowledged and {unknown} perhaps done"
            yield Violation("I2", key, text, tuple(done[-2:]))
    for call, following in pairwise(done):
        if call.answer == following.answer:
            yield Violation("I1", key, f"two increments were answered {call.answer}", (call, following))
            break
    yield from _rising(key, done)
    yield from _fresh(key, done, [call for call in calls if call.f == "get" and call.kind == "ok"], faults)


def _rising(key: str, done: Sequence[Call]) -> Iterator[Violation]:
    latest = None
    for call in done:
        if latest is not None and call.end < latest.start:
            yield Violation("I5", key, f"{call.answer} was answered before {latest.answer} was sent", (latest, call))
            return
        if latest is None or call.start > latest.start:
            latest = call


def _fresh(key: str, done: Sequence[Call], reads: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    ended, most, index = sorted(done, key=END), 0, 0
    for call in sorted(reads, key=START):
        while index < len(ended) and ended[index].end < call.start:
            most = max(most, ended[index].answer)
            index += 1
        if call.answer < most and not faults.touch(call.start, call.ended):
            yield Violation("I6", key, f"{call.answer} is read after {most} was acknowledged", (call,))
            return


def fields(key: str, calls: Sequence[Call], looks: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    """I13: fields written by different callers at once all survive. I6: one's own is answered. I7: a revision each."""
    updates = [call for call in calls if call.f == "update"]
    perhaps = {call.asked[1] for call in updates if call.kind == "info"}
    sent = {(call.asked[0], call.asked[1]) for call in updates if call.kind != "fail"}
    done = sorted((call for call in updates if call.kind == "ok"), key=END)
    latest: dict[str, Call] = {}
    look, index = last_look(looks), 0
    for call in sorted(done, key=START):
        while index < len(done) and done[index].end < call.start:
            latest[done[index].asked[0]] = done[index]
            index += 1
        shown = call.answer[2]
        if shown.get(call.asked[0]) != call.asked[1]:
            yield Violation("I6", key, f"the answer shows {shown.get(call.asked[0])} in its own field", (call,))
        yield from _survive(key, latest, shown, perhaps, call)
        if not shown.items() <= sent:
            strange = [item for item in shown.items() if item not in sent]
            text = f"nobody wrote {strange[:2]}"
            yield Violation("I3", key, text, (call,), strangers=tuple(value for _, value in strange))
            return
    if look is not None:
        yield from _survive(key, {call.asked[0]: call for call in done}, look["state"], perhaps, None)
        yield from _counted(key, look["revision"][1], updates)
    numbers = [call.answer[1] for call in done]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        both = [call for call in done if call.answer[1] == twice]
        yield Violation("I7", key, f"{len(both)} commits are said to be revision {twice}", tuple(both))


def _survive(
    key: str, latest: dict[str, Call], shown: dict[str, int], perhaps: set[int], reader: Call | None
) -> Iterator[Violation]:
    for name, call in latest.items():
        value = shown.get(name)
        # Tokens of one caller rise; one not known to be done may have come late.
        if (value is None or value < call.asked[1]) and value not in perhaps:
            seen = (call,) if reader is None else (call, reader)
            yield Violation("I13", key, f"{name} holds {value} after {call.asked[1]} was acknowledged", seen)
            return


def _counted(key: str, number: int, updates: Sequence[Call]) -> Iterator[Violation]:
    done, perhaps = (sum(call.kind == kind for call in updates) for kind in ("ok", "info"))
    if not done <= number <= done + perhaps:
        yield Violation("I7", key, f"revision {number} after {done} changes and {perhaps} that were perhaps done")


def remembered(key: str, calls: Sequence[Call], looks: Sequence[Call]) -> Iterator[Violation]:
    """I2: one hears that it is new. I3: not new only what came before. I1: what was remembered stays so."""
    seen = {call.answer["pass"]: call for call in looks}
    by_message: dict[int, list[Call]] = {}
    for call in calls:
        if call.f == "remember":
            by_message.setdefault(call.asked, []).append(call)
    for message, asked in by_message.items():
        new = [call for call in asked if call.kind == "ok" and call.answer is True]
        if len(new) > 1:
            yield Violation("I2", key, f"{len(new)} callers heard that {message} is new", tuple(new))
        first = min((call.start for call in asked if call.kind == "info" or call.answer is True), default=NEVER)
        known = [call for call in asked if call.kind == "ok" and call.answer is False]
        if early := [call for call in known if call.end < first]:
            yield Violation("I3", key, f"{message} was said to be known before anybody sent it", tuple(early[:2]))
        if new and (forgotten := [call for call in known if call.end < new[0].start]):
            yield Violation("I1", key, f"{message} was known, and new again", (forgotten[0], new[0]))
    told = {message for message, asked in by_message.items() if any(call.kind == "ok" for call in asked)}
    for number, look in sorted(seen.items()):
        new_now = set(look.answer["new"])
        known_before = told if number == min(seen) else set(range(31))
        if number > min(seen) and min(seen) > 1:
            known_before = told
        if lost := new_now & known_before:
            acked = [call for message in lost for call in by_message.get(message, ()) if call.kind == "ok"]
            yield Violation("I1", key, f"{sorted(lost)} are new at look {number}", (*acked[:2], look))
    if 1 in seen and 30 not in seen[1].answer["new"]:
        yield Violation("I3", key, "a message that never came was said to be known", (seen[1],))


def allowed(key: str, calls: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    """I2: one yes per interval. I3: a no only within the interval of a yes."""
    off = skew(faults)
    asked = sorted((call for call in calls if call.f == "allow" and call.kind != "fail"), key=START)
    yes = [call for call in asked if call.answer is True]
    for call, following in pairwise(yes):
        interval = int(call.asked * 1e9)
        # Each took effect at some time between its beginning and its end: they may be as far apart as this.
        apart = max(following.end - call.start, call.end - following.start)
        if apart < interval - off:
            seconds = apart / 1e9
            yield Violation("I2", key, f"two were told yes within {seconds:.3f} s", (call, following))
            return
    grants = [call for call in asked if call.answer is True or call.kind == "info"]
    index = 0
    for call in asked:
        if call.answer is not False:
            continue
        interval = int(call.asked * 1e9) + off
        # Grants that are over for this call are over for all that begin later.
        while index < len(grants) and grants[index].ended + interval < call.start and grants[index].kind == "ok":
            index += 1
        if not any(grant.start <= call.end for grant in grants[index : index + 20]):
            yield Violation("I3", key, "told no, and nobody was told yes within the interval before", (call,))
            return
