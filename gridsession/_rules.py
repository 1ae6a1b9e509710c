"""The rules: what a command does to a record. Pure: no I/O, no clock, no randomness. Java's `Rules.java` says the same.

The law of this file: everything that decides about leases, revisions, expiry, duplicates and limits is decided here,
and nowhere else. Drivers carry, dialects translate.

`apply(record, command, now)` gives the record afterwards and the reply. If nothing changed, the record that comes back
is the very object that went in; a driver writes only when it is another. The two rule sets are kept equal by
`tests/vectors` and by random sequences run against both.
"""

from __future__ import annotations

from dataclasses import replace

from gridsession._claims import acknowledge, claim_expired, expired
from gridsession._commands import (
    Absent,
    AckExpired,
    Acquire,
    AtRevision,
    Change,
    ClaimExpired,
    Command,
    Commit,
    Delete,
    Guard,
    Install,
    Load,
    Mode,
    NotRemembered,
    Present,
    Release,
    Renew,
    Touch,
    TtlMode,
    Unchanged,
    Want,
    digest,
)
from gridsession._context import Applied, Context
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._operations import Draft, Refusal, check_length, check_results, check_size, stored_elements
from gridsession._record import (
    APART,
    KEPT_UNCLAIMED,
    LIST,
    META,
    RECENT,
    Fields,
    Lease,
    Record,
    Remembered,
    Waiter,
    join_elements,
    next_count,
)
from gridsession._reply import Grant, Status, decode_results, encode_results
from gridsession.errors import CorruptRecord


def apply(
    record: Record | None, command: Command, now: int, session_id: str, limits: Limits = DEFAULT_LIMITS
) -> Applied:
    """What the command does to the record at time `now` (ms of the place's clock).

    Args:
        record: what is stored under the id, or None.
        session_id: the id the command is for; a new record gets it.

    Returns:
        The record afterwards (the same object if nothing is to be written) and the reply.

    Raises:
        CorruptRecord: the record cannot be counted on.
    """
    base = Record(session_id) if record is None else _settle(record, now)
    context = Context(record, base, now, session_id, limits)
    if len(session_id.encode()) > limits.id_bytes:
        return context.answer(Status.TOO_LARGE)
    # Refused and surely not applied: a sender that saw no answer to an earlier attempt still does not know about that
    # one. It comes before the ring, because the ring forgets an id soon.
    if command.not_after and command.not_after <= now:
        return context.answer(Status.TOO_LATE)
    if command.not_after - now > limits.horizon:
        return context.answer(Status.MALFORMED)
    match command:
        case Load():
            return _load(context, command)
        case Commit() | Delete() | Install() | AckExpired():
            return _change(context, command)
        case Renew():
            return _renew(context, command)
        case Release():
            return _release(context, command)
        case ClaimExpired():
            return claim_expired(context, command)


def _settle(record: Record, now: int) -> Record:
    """The record as every command sees it: what has ended by `now` is gone, whether or not anyone removed it."""
    due = record.expires_at
    if record.live and due is not None and due <= now:
        # Its data waits for who asked to be told, whatever comes next under this id.
        record = replace(_emptied(record), previous=expired(record, due)) if record.announce else _emptied(record)
    if record.previous and record.previous[0].expired + KEPT_UNCLAIMED <= now:
        kept = tuple([ended for ended in record.previous if ended.expired + KEPT_UNCLAIMED > now])
        record = replace(record, previous=kept)
    lease, queue, ring = record.lease, record.queue, record.ring
    if lease is not None and lease.until <= now:
        lease = None
    if queue:
        queue = tuple([waiter for waiter in queue if waiter.until > now])
    if ring:
        # Another place may judge the next attempt by a clock that is behind: it must still call it a duplicate.
        ring = tuple([entry for entry in ring if entry.not_after + APART > now])
    if lease is record.lease and len(queue) == len(record.queue) and len(ring) == len(record.ring):
        return record
    return _held(record, lease, queue, ring)


def _emptied(record: Record) -> Record:
    """What outlives a session: epoch and token (they only rise), lease and queue (a turn goes on), ring (retries), and
    the former sessions of this id whose end is still to be acknowledged."""
    return Record(
        record.id,
        record.epoch,
        last_token=record.last_token,
        lease=record.lease,
        queue=record.queue,
        ring=record.ring,
        previous=record.previous,
    )


def _held(
    record: Record, lease: Lease | None, queue: tuple[Waiter, ...], ring: tuple[Remembered, ...], token: int = 0
) -> Record:
    """The same session under another lease, queue and ring, and the last token if one was granted.

    Written out because `replace`, which looks up each field by name, costs as much as all else that a command does.
    """
    times = (record.revision, record.created, record.touched, record.ttl, record.max_lifetime)
    last = token or record.last_token
    asked, previous = record.announce, record.previous
    return Record(record.id, record.epoch, record.live, *times, last, lease, queue, ring, record.bags, asked, previous)


# --- load -----------------------------------------------------------------------------------------------------------


def _load(context: Context, command: Load) -> Applied:
    if command.names is not None and len(command.names) > context.limits.operations:
        return context.answer(Status.TOO_LARGE)
    record, grant = context.base, None
    if command.acquire is not None:
        record, grant, status = _acquire(context, record, command.acquire)
        if status is not Status.OK:
            return context.answer(status, _changed(context, record), grant=grant)
    if command.touch is not None and record.live:
        record = _touched(record, command.touch, context.now)
    seen = command.seen is not None and _remembers(record, command.seen)
    bags = None
    if command.names is not None and record.live:
        bags = _selected(record, command)
    return context.answer(
        Status.OK if record.live else Status.ABSENT,
        _changed(context, record),
        want=command.want,
        bags=bags,
        grant=grant,
        results=(record.whole(),) if command.want is Want.WHOLE and record.live else (),
        seen=seen,
    )


def _changed(context: Context, record: Record) -> Record | None:
    """The record if it must be written: settling alone is no reason to write."""
    return None if record is context.base else record


def _selected(record: Record, command: Load) -> tuple[Fields | None, Fields | None, Fields | None]:
    """Only the fields asked for; each bag asked about answers, if only that it has none of them."""
    found: list[dict[str, bytes] | None] = [None, None, None]
    for asked in command.names or ():
        bag = found[asked.bag]
        if bag is None:
            bag = found[asked.bag] = {}
        raw = record.bags[asked.bag].get(asked.name)
        if raw is not None:
            bag[asked.name] = _tail(raw, asked.tail)
    return found[0], found[1], found[2]


def _tail(raw: bytes, count: int) -> bytes:
    if count < 0 or raw[0] not in (LIST, RECENT):
        return raw
    parts = stored_elements(raw)
    return raw if count >= len(parts) else join_elements(raw[0], parts[len(parts) - count :])


def _touched(record: Record, touch: Touch, now: int) -> Record:
    """Restart the ttl. It can never pass created + max_lifetime: `expires_at` is the earlier of both."""
    ttl = record.ttl if touch.ttl < 0 else touch.ttl or None
    due = record.expires_at
    if ttl == record.ttl and (due is None or due - now >= touch.if_less_than):
        return record
    touched = replace(record, ttl=ttl, touched=now)
    # At its max_lifetime a session gains nothing by being touched: not worth a write.
    return record if ttl == record.ttl and touched.expires_at == due else touched


# --- leases ---------------------------------------------------------------------------------------------------------


def _acquire(context: Context, record: Record, asked: Acquire) -> tuple[Record, Grant, Status]:
    """Grant the lease to the first who waits, else queue.

    A queue entry lasts as long as its waiter keeps asking; one that stops (it died) drops out by itself. A free lease
    is kept for the first in the queue: that is what makes it first in, first out across processes.
    """
    now, lease, queue = context.now, record.lease, record.queue
    if any(entry.op_id == asked.request_id for entry in record.ring):
        # This request was given back before: a late copy of it must not hold the session for nobody.
        return record, Grant(0, 0), Status.TOO_LATE
    mine = next((place for place, waiter in enumerate(queue) if waiter.request_id == asked.request_id), None)
    if lease is not None and lease.request_id == asked.request_id:
        # The first answer was lost: the same grant again, never a second one behind itself.
        return record, Grant(lease.token, lease.until), Status.OK
    if lease is None and (mine == 0 or not queue):
        # Above the last one, and if it can be the time itself, so that a token tells since when its lease is held.
        token = max(next_count(record.last_token), now)
        granted = Lease(asked.owner, asked.request_id, token, now + asked.duration)
        rest = tuple(waiter for waiter in queue if waiter.request_id != asked.request_id)
        return _held(record, granted, rest, record.ring, token), Grant(token, granted.until), Status.OK
    until = lease.until if lease is not None else queue[0].until
    if mine is not None:
        waiter = queue[mine]
        # Half the patience must be left, so that most questions of a waiter write nothing.
        if (waiter.until - now) * 2 < asked.patience:
            queue = (*queue[:mine], replace(waiter, until=now + asked.patience), *queue[mine + 1 :])
            record = _held(record, lease, queue, record.ring)
        return record, Grant(0, until, mine + 1), Status.LEASED
    if asked.patience <= 0:
        return record, Grant(0, until, len(queue) + 1), Status.LEASED
    if len(queue) >= context.limits.waiters:
        return record, Grant(0, until, len(queue) + 1), Status.BUSY
    queue = (*queue, Waiter(asked.owner, asked.request_id, now + asked.patience))
    return _held(record, lease, queue, record.ring), Grant(0, until, len(queue)), Status.LEASED


def _holds(record: Record, token: int) -> bool:
    return record.lease is not None and record.lease.token == token


def _renew(context: Context, command: Renew) -> Applied:
    record = context.base
    lease = record.lease
    # A lease that ended is lost even if nobody took it: its holder may not count on what it read before.
    if lease is None or lease.token != command.token:
        return context.answer(Status.LEASE_LOST)
    until = context.now + command.duration
    return context.answer(
        Status.OK, replace(record, lease=replace(lease, until=until)), grant=Grant(command.token, until)
    )


def _release(context: Context, command: Release) -> Applied:
    record = context.base
    if command.token:
        if not _holds(record, command.token):
            return context.answer(Status.LEASE_LOST)
        return context.answer(Status.OK, _freed(context, record, command.not_after))
    lease, request_id = record.lease, command.request_id
    if lease is not None and lease.request_id == request_id:
        return context.answer(Status.OK, _freed(context, record, command.not_after))
    queue = tuple([waiter for waiter in record.queue if waiter.request_id != request_id])
    ring = _given_back(context, record, request_id, command.not_after)
    if len(queue) == len(record.queue) and ring is record.ring:
        return context.answer(Status.OK)
    return context.answer(Status.OK, _held(record, lease, queue, ring))


def _freed(context: Context, record: Record, not_after: int) -> Record:
    """The record without its lease, and (unless the ring is full) sure to refuse a late copy of its request."""
    if record.lease is None:
        return record
    ring = _given_back(context, record, record.lease.request_id, not_after)
    return _held(record, None, record.queue, ring)


def _given_back(context: Context, record: Record, request_id: bytes, not_after: int) -> tuple[Remembered, ...]:
    """The ring, remembering a request as over. A turn commits under its request's id, so mostly it does already."""
    # Only half of it: turns that give up at once, over and over, must not leave changes without a place.
    full = len(record.ring) >= context.limits.ring // 2
    if full or any(entry.op_id == request_id for entry in record.ring):
        return record.ring
    entry = Remembered(request_id, not_after, Status.LEASE_LOST, record.epoch, record.revision, b"")
    return (*record.ring, entry)


# --- changes --------------------------------------------------------------------------------------------------------


def _change(context: Context, command: Change) -> Applied:
    """Duplicate, lease, guards, then the change itself; whatever refuses leaves the record as it was."""
    record = context.base
    want = command.want if isinstance(command, Commit) else Want.NOTHING
    for entry in record.ring:
        if entry.op_id == command.op_id:
            return _duplicate(context, entry, want)
    if len(record.ring) >= context.limits.ring:
        return context.answer(Status.BUSY)
    try:
        check_length(command, context.limits)
        match command:
            case Commit():
                _check_token(record, command.token)
                _check_guards(record, command.guards)
                return _commit(context, record, command)
            case Delete():
                _check_token(record, command.token)
                _check_guards(record, command.guards)
                return _delete(context, record, command)
            case Install():
                return _install(context, record, command)
            case AckExpired():
                left = replace(record, previous=acknowledge(record.previous, command.op_id))
                return context.answer(Status.OK, _remember_op(left, command, Status.OK, record.revision, b""))
    except Refusal as refusal:
        kept = None
        if command.retry:
            # An earlier attempt may still be on its way. It must find this answer, not a session in which it now fits.
            kept = _remember_op(record, command, refusal.status, record.revision, b"")
        return context.answer(refusal.status, kept, index=refusal.index)


def _duplicate(context: Context, entry: Remembered, want: Want) -> Applied:
    """The first attempt's answer, with the record of now where it was asked for."""
    _, reply = context.answer(
        Status(entry.status), want=Want.RECORD if want is Want.CHANGED else want, results=decode_results(entry.results)
    )
    return context.stored, reply._replace(duplicate=True, epoch=entry.epoch, revision=entry.revision)


def _remember_op(record: Record, command: Change, status: Status, revision: int, results: bytes) -> Record:
    entry = Remembered(command.op_id, command.not_after, status, record.epoch, revision, results)
    return _held(record, record.lease, record.queue, (*record.ring, entry))


def _check_token(record: Record, token: int) -> None:
    if token and not _holds(record, token):
        raise Refusal(Status.LEASE_LOST)


def _check_guards(record: Record, guards: tuple[Guard, ...]) -> None:
    for index, guard in enumerate(guards):
        match guard:
            case Absent():
                held = not record.live
            case Present():
                if not record.live:
                    raise Refusal(Status.ABSENT, index)
                continue
            case AtRevision(epoch, revision):
                held = record.live and record.epoch == epoch and revision in (0, record.revision)
            case NotRemembered():
                held = not _remembers(record, guard)
            case Unchanged(bag, name, expected):
                held = digest(record.bags[bag].get(name)) == expected
        if not held:
            raise Refusal(Status.CONFLICT, index)


def _remembers(record: Record, asked: NotRemembered) -> bool:
    raw = record.bags[META].get(asked.name)
    return raw is not None and raw[0] == RECENT and asked.value in stored_elements(raw)


def _commit(context: Context, record: Record, command: Commit) -> Applied:
    now = context.now
    draft = Draft(record, now, context.limits)
    draft.clear(command.clear, command.retain)
    for index, operation in enumerate(command.operations):
        draft.run(index, operation)
    # A commit whose operations all found nothing to do (not new, not allowed, nothing to pop) writes nothing: no
    # revision, no ttl. One without operations is asked for to write, e.g. to create an empty session.
    asked = bool(command.operations or command.clear)
    results = draft.results
    remembered = encode_results(results) if results else b""
    if asked and not draft.effective:
        kept = None
        if command.retry or command.release:
            kept = _remember_op(record, command, Status.OK, record.revision, remembered)
            check_results(kept, context.limits)
            kept = _freed(context, kept, command.not_after) if command.release else kept
        return context.answer(Status.OK, kept, want=command.want, results=results, bags=draft.shown(command.want))
    made = _written(record, command, now, draft.bags, remembered)
    made = _freed(context, made, command.not_after) if command.release else made
    check_size(made, context.limits)
    return context.answer(Status.OK, made, want=command.want, results=results, bags=draft.shown(command.want))


def _written(record: Record, command: Commit, now: int, bags: tuple[Fields, Fields, Fields], results: bytes) -> Record:
    """The session with these bags, one revision on, its ttl as asked for, and the op id in its ring."""
    epoch, touched, ttl = record.epoch, record.touched, record.ttl
    created, max_lifetime = record.created, record.max_lifetime
    if not record.live:
        # Epochs only rise: from the cluster's milliseconds, so also above those of a record long forgotten.
        epoch = next_count(epoch) if epoch else now
        created = touched = now
        ttl = (command.ttl if command.ttl_mode is TtlMode.SET else command.created_ttl) or None
        max_lifetime = command.created_max_lifetime or None
    elif command.ttl_mode is not TtlMode.KEEP:
        touched = now
        ttl = command.ttl or None if command.ttl_mode is TtlMode.SET else ttl
    revision = next_count(record.revision)
    times = (revision, created, touched, ttl, max_lifetime)
    ring = (*record.ring, Remembered(command.op_id, command.not_after, Status.OK, epoch, revision, results))
    asked, holding = record.announce or command.announce, (record.last_token, record.lease, record.queue)
    return Record(record.id, epoch, True, *times, *holding, ring, bags, asked, record.previous)


def _delete(context: Context, record: Record, command: Delete) -> Applied:
    if not record.live:
        kept = None
        if command.retry or command.release:
            kept = _remember_op(record, command, Status.ABSENT, 0, b"")
            kept = _freed(context, kept, command.not_after) if command.release else kept
        return context.answer(Status.ABSENT, kept)
    gone = _remember_op(_emptied(record), command, Status.OK, record.revision, b"")
    gone = _freed(context, gone, command.not_after) if command.release else gone
    after, reply = context.answer(Status.OK, gone)
    return after, reply._replace(revision=record.revision)


def _install(context: Context, record: Record, command: Install) -> Applied:
    """Put the given session in place; what belongs to this place (lease, queue, ring, last token) stays."""
    try:
        given = Record.decode(command.record, expected_id=context.id, strict=True)
    except CorruptRecord:
        raise Refusal(Status.MALFORMED) from None
    if not given.live:
        raise Refusal(Status.MALFORMED)
    if any(len(name.encode()) > context.limits.name_bytes for fields in given.bags for name in fields):
        raise Refusal(Status.TOO_LARGE)
    due = given.expires_at
    if due is not None and due <= context.now:
        raise Refusal(Status.CONFLICT)
    if record.live:
        fits = command.mode is Mode.IF_NEWER and (given.epoch, given.revision) > (record.epoch, record.revision)
    else:
        # A copy as old as what was deleted is not newer than the deletion.
        fits = command.mode is Mode.IF_ABSENT or given.epoch > record.epoch
    if not fits:
        raise Refusal(Status.CONFLICT)
    made = replace(
        given,
        epoch=given.epoch if given.epoch > record.epoch or record.live else next_count(record.epoch),
        last_token=max(given.last_token, record.last_token),
        lease=record.lease,
        queue=record.queue,
        ring=record.ring,
        previous=record.previous,
    )
    made = _remember_op(made, command, Status.OK, made.revision, b"")
    check_size(made, context.limits)
    return context.answer(Status.OK, made)
