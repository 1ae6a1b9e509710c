"""Lists of tokens: the final list is the witness of what took effect and in what order (I1 to I7, I14).

An update is anything that adds its token: an append, a commit, a turn, a run. Each tells where it found itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.faults.checking.calls import END, START, Call, Faults, Violation, last_look

_UPDATES: Final = frozenset({"append", "commit", "turn", "run"})
_READS: Final = frozenset({"read", "copy"})
"""Plain reads: no second member confirms them, so while there are faults they may be stale, or see what is not kept."""


@dataclass(slots=True)
class ListOf:
    """One key's final list and all that concerns it. `done`: the updates and `reads`: the reads that were answered."""

    key: str
    truth: Sequence[int]
    place: dict[int, int]
    updates: list[Call]
    done: list[Call]
    reads: list[Call]
    faults: Faults


def judge(key: str, calls: Sequence[Call], looks: Sequence[Call], faults: Faults) -> Iterator[Violation]:
    """All violations of one list; nothing of one that was never looked at."""
    look = last_look(looks)
    if look is None:
        return
    truth = look["state"].get("log", [])
    place = {token: index for index, token in enumerate(truth)}
    updates = [call for call in calls if call.f in _UPDATES]
    done = [call for call in updates if call.kind == "ok"]
    reads = [call for call in calls if call.f in _READS and call.kind == "ok"]
    subject = ListOf(key, truth, place, updates, done, reads, faults)
    for check in CHECKS:
        yield from check(subject)


def lost(subject: ListOf) -> Iterator[Violation]:
    """I1: what was acknowledged is there."""
    place = subject.place
    missing = [call for call in subject.done if call.asked not in place]
    if missing:
        yield Violation("I1", subject.key, f"{len(missing)} acknowledged and not in the final list", tuple(missing[:3]))


def doubled(subject: ListOf) -> Iterator[Violation]:
    """I2: nothing is there twice."""
    if len(subject.place) != len(subject.truth):
        twice = {token for token in subject.place if subject.truth.count(token) > 1}
        calls = [call for call in subject.updates if call.asked in twice]
        yield Violation("I2", subject.key, f"{len(twice)} stand in the final list more than once", tuple(calls[:3]))


def phantoms(subject: ListOf) -> Iterator[Violation]:
    """I3: what is there was sent, and was not refused."""
    sent = {call.asked for call in subject.updates}
    if len(sent) < len(subject.place) or not subject.place.keys() <= sent:
        strangers = tuple(token for token in subject.place if token not in sent)
        yield Violation("I3", subject.key, f"nobody sent {list(strangers[:3])}", strangers=strangers)
    refused = [call for call in subject.updates if call.kind == "fail" and call.asked in subject.place]
    if refused:
        text = f"{len(refused)} definitely failed, and yet took effect"
        yield Violation("I3", subject.key, text, tuple(refused[:3]))


def prefixes(subject: ListOf) -> Iterator[Violation]:
    """I4: every answer is a prefix of the final list, and says truly where its token stands."""
    truth, touch = subject.truth, subject.faults.touch
    wrong: list[Call] = []
    strangers: list[int] = []
    for call in subject.done:
        answer, f = call.answer, call.f
        if f == "append":
            if type(answer) is not int or not 0 < answer <= len(truth) or truth[answer - 1] != call.asked:
                wrong.append(call)
        elif f == "commit":
            seen = answer[2]
            # Answered again for a retry, it holds what came later too.
            if seen != truth[: len(seen)] or ((not seen or seen[-1] != call.asked) and call.asked not in seen):
                wrong.append(call)
                strangers += [token for token in seen if token not in subject.place]
        else:
            length, last = answer[-2:] if f == "turn" else answer
            before = truth[length - 1] if 0 < length <= len(truth) else None
            if last != before or truth[length : length + 1] != [call.asked]:
                wrong.append(call)
    for call in subject.reads:
        seen = call.answer[2]
        if seen != truth[: len(seen)] and not touch(call.start, call.ended):
            wrong.append(call)
            strangers += [token for token in seen if token not in subject.place]
    if wrong:
        text = f"{len(wrong)} answers are no prefix of the final list"
        yield Violation("I4", subject.key, text, tuple(wrong[:3]), strangers=tuple(strangers))


def order(subject: ListOf) -> Iterator[Violation]:
    """I5: what was answered before another was sent stands before it."""
    place = subject.place
    known = [call for call in subject.updates if call.asked in place]
    known.sort(key=lambda call: place[call.asked])
    latest = 0
    for call in known:
        if call.end < latest:
            later = next(other for other in known if other.start == latest)
            text = f"{call.asked} was answered before {later.asked} was sent, and stands after it"
            yield Violation("I5", subject.key, text, (later, call))
            return
        if call.start > latest:
            latest = call.start


def recency(subject: ListOf) -> Iterator[Violation]:
    """I6: a read shows what was answered before it began, and never less than its caller saw before."""
    if not subject.reads:
        return
    place, touch = subject.place, subject.faults.touch
    answered, reads = sorted(subject.done, key=END), sorted(subject.reads, key=START)
    most, index, own = 0, 0, dict[int, int]()
    copied = any(call.f == "copy" for call in reads)
    latest: Call | None = None
    for call in reads:
        while index < len(answered) and answered[index].end < call.start:
            done = answered[index]
            stands = place.get(done.asked, -1) + 1
            if copied:
                own[done.process] = max(own.get(done.process, 0), stands)
            if stands > most:
                most, latest = stands, done
            index += 1
        length = len(call.answer[2])
        # A local copy hears of others' changes later; of its own caller's it knows.
        asked = most if call.f == "read" else own.get(call.process, 0)
        if length < asked and not touch(call.start, call.ended):
            text = f"a read shows {length} tokens where {asked} were acknowledged before it began"
            yield Violation("I6", subject.key, text, (latest, call) if latest else (call,))
            return
        own[call.process] = max(own.get(call.process, 0), length)


def revisions(subject: ListOf) -> Iterator[Violation]:
    """I7: each change has a revision of its own, rising by one with each, in the order of the list."""
    shown: list[tuple[int, int, Call]] = []
    for call in subject.done:
        if call.f in ("commit", "turn"):
            number = call.answer[1] if call.f == "commit" else call.answer[3]
            shown.append((subject.place.get(call.asked, -1), number, call))
    shown.sort(key=lambda item: item[0])
    alone = not subject.key.startswith("beside:")
    for (place, number, call), (_, following, other) in pairwise(shown):
        if following <= number:
            yield Violation("I7", subject.key, f"revision {following} follows {number}", (call, other))
            return
        if alone and place >= 0 and number != place + 1:
            yield Violation("I7", subject.key, f"change {place + 1} is said to be revision {number}", (call,))
            return
    for call in subject.reads:
        if call.f == "read" and call.answer[1] not in (None, len(call.answer[2])):
            text = f"after {len(call.answer[2])} changes a read shows revision {call.answer[1]}"
            if not subject.faults.touch(call.start, call.ended):
                yield Violation("I7", subject.key, text, (call,))
                return


CHECKS: Final[tuple[Callable[[ListOf], Iterator[Violation]], ...]] = (
    lost, doubled, phantoms, prefixes, order, recency, revisions,
)  # fmt: skip
