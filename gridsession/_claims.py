"""Part of the rules: what an expired session leaves behind, who has claimed it, and its end. Java: `Claims.java`.

A claim is a right for a time, as a lease is: one that ended may be claimed by another, and how often it was claimed
rises each time. Who was slow may still acknowledge as long as nobody else has claimed it: judged by the claim's id.
"""

from __future__ import annotations

from dataclasses import replace

from gridsession._commands import ClaimExpired
from gridsession._context import Applied, Context
from gridsession._operations import Refusal
from gridsession._record import MOST_ATTEMPTS, MOST_UNCLAIMED, MOST_UNCLAIMED_BYTES, Previous, Record
from gridsession._reply import Grant, Life, Status

Unclaimed = tuple[Previous, ...]


def expired(record: Record, due: int) -> Unclaimed:
    """The former sessions of an id when this one has expired at `due`: the oldest give way to it."""
    by_lifetime = record.ttl is None or due < record.touched + record.ttl
    times = (record.epoch, record.revision, record.created, due)
    previous = (*record.previous, Previous(*times, by_lifetime, bags=record.bags[:2]))
    weight = sum(ended.weight for ended in previous)
    while len(previous) > MOST_UNCLAIMED or (weight > MOST_UNCLAIMED_BYTES and len(previous) > 1):
        weight -= previous[0].weight
        previous = previous[1:]
    return previous


def _claim(previous: Unclaimed, asked: ClaimExpired, now: int) -> tuple[Unclaimed, int]:
    """What they are afterwards and the place of the one that is the asker's; -1 if none is or can be.

    Asked again under the same id, as when the answer was lost, it is the same one; only `renew` makes it last longer.
    """
    mine = next((place for place, ended in enumerate(previous) if ended.claim == asked.claim_id), -1)
    free = next((place for place, ended in enumerate(previous) if ended.until <= now), -1)
    # No id may stand twice: its acknowledgement would speak of two.
    place = mine if asked.renew or mine >= 0 else free
    if place < 0 or (not asked.renew and previous[place].until > now):
        return previous, place
    ended = previous[place]
    attempts = ended.attempts if asked.renew else min(ended.attempts + 1, MOST_ATTEMPTS)
    taken = replace(ended, claim=asked.claim_id, until=now + asked.duration, attempts=attempts)
    return (*previous[:place], taken, *previous[place + 1 :]), place


def acknowledge(previous: Unclaimed, claim_id: bytes) -> Unclaimed:
    """What is left when the one under this claim is done.

    Raises:
        Refusal: lease_lost: none is under this claim (any more).
    """
    left = tuple(ended for ended in previous if ended.claim != claim_id)
    if len(left) == len(previous):
        raise Refusal(Status.LEASE_LOST)
    return left


def claim_expired(context: Context, command: ClaimExpired) -> Applied:
    """Give what has expired to the asker, or say who may not have it."""
    record = context.base
    if any(entry.op_id == command.claim_id for entry in record.ring):
        # It was acknowledged under this id: a late copy of the claim must not hold the next one for nobody.
        return context.answer(Status.TOO_LATE)
    previous, place = _claim(record.previous, command, context.now)
    if place < 0:
        until = min((ended.until for ended in record.previous), default=0)
        lost = Status.LEASE_LOST if command.renew else Status.LEASED if until else Status.ABSENT
        stored = context.stored
        # What waited too long is forgotten now: while it is stored, whoever claims is sent here again and again.
        forgets = lost is Status.ABSENT and stored is not None and bool(stored.previous) and not record.previous
        grant = Grant(0, until) if lost is Status.LEASED else None
        return context.answer(lost, record if forgets else None, grant=grant)
    ended = previous[place]
    after, reply = context.answer(
        Status.OK,
        # One that holds it already writes nothing, whatever else has been settled meanwhile: that is settled again.
        None if previous is record.previous else replace(record, previous=previous),
        bags=None if command.renew else (*ended.bags, None),
        grant=Grant(ended.attempts, ended.until),
        results=(bytes((2 if ended.by_lifetime else 1, sum(other.until <= context.now for other in previous))),),
    )
    life = Life(ended.created, None, None, ended.expired)
    return after, reply._replace(epoch=ended.epoch, revision=ended.revision, life=life)
