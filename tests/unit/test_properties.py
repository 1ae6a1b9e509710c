"""What must hold whatever happens to a session: random scripts and random bytes against the Python rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridsession._commands import (
    AckExpired,
    Change,
    ClaimExpired,
    Command,
    Commit,
    Delete,
    Install,
    Load,
    Release,
    Renew,
)
from gridsession._limits import Limits
from gridsession._record import META, Record, encode_fields
from gridsession._reply import Reply, Status, decode_reply
from gridsession._rules import apply
from gridsession._wire import apply_bytes, decode_command
from gridsession.errors import Unsupported
from tests.strategies import START, Script, commands, mutated, records, resolved, scripts, timed

ID = "line:U1"
LIMITS = Limits(record_bytes=2_000, fields=12, name_bytes=8, ring=8, waiters=2)


@dataclass(frozen=True)
class Step:
    """One command of a script, and what the rules made of it."""

    now: int
    command: Command
    before: bytes | None
    after: bytes | None
    reply: Reply
    record: Record | None = field(repr=False)


def _play(script: Script, limits: Limits = LIMITS) -> Iterator[Step]:
    now, stored, reply, token = START, None, None, 0
    sent: list[Command] = []
    for distance, drawn in script:
        now += distance
        # A resend is the very command that was sent, with the placeholders it had then.
        command = _sent_before(drawn, sent) or resolved(drawn, reply, token)
        sent.append(command)
        after, answer = apply_bytes(stored, command.encode(), now, ID, limits)
        reply = decode_reply(answer, expected_id=ID.encode())
        if reply.grant is not None and reply.grant.token:
            token = reply.grant.token
        yield Step(now, command, stored, after, reply, None if after is None else Record.decode(after, expected_id=ID))
        stored = after


def _sent_before(drawn: Command, sent: list[Command]) -> Command | None:
    if not isinstance(drawn, Change):
        return None
    for command in sent:
        if isinstance(command, type(drawn)) and (command.op_id, command.not_after) == (drawn.op_id, drawn.not_after):
            return replace(command, retry=drawn.retry)
    return None


def _at(record: Record | None) -> tuple[int, int]:
    return (0, 0) if record is None else (record.epoch, record.revision)


@given(scripts())
def test_revision_rises_by_exactly_one_per_applied_commit(script: Script) -> None:
    last: Record | None = None
    for step in _play(script):
        now_live = step.record is not None and step.record.live
        was_live = last is not None and last.live and (last.expires_at is None or last.expires_at > step.now)
        applied = (
            isinstance(step.command, Commit)
            and step.reply.status is Status.OK
            and not step.reply.duplicate
            and step.after is not step.before
        )
        if applied and now_live:
            assert step.record is not None
            if was_live:
                assert last is not None
                ineffective = step.record.revision == last.revision
                assert step.record.epoch == last.epoch
                assert ineffective or step.record.revision == last.revision + 1
                assert not ineffective or step.record.bags == last.bags
            else:
                assert step.record.revision == 1
                assert last is None or step.record.epoch > last.epoch
            assert (step.reply.epoch, step.reply.revision) == _at(step.record)
        elif not isinstance(step.command, Install) and step.record is not None and step.record.live:
            assert _at(step.record) == _at(last)
        last = step.record


@given(scripts())
def test_epoch_revision_and_tokens_never_fall(script: Script) -> None:
    best, token, deleted_at = (0, 0), 0, 0
    for step in _play(script):
        record = step.record
        if record is None:
            continue
        assert record.last_token >= token
        token = record.last_token
        assert record.epoch >= best[0]
        if record.live:
            assert _at(record) >= best
            assert record.epoch > deleted_at or _at(record) >= best
            best = _at(record)
        if isinstance(step.command, Delete) and step.reply.status is Status.OK and not step.reply.duplicate:
            deleted_at = record.epoch


@given(scripts())
def test_a_deleted_session_comes_back_only_in_a_later_epoch(script: Script) -> None:
    deleted: int | None = None
    for step in _play(script):
        record = step.record
        if isinstance(step.command, Delete) and step.reply.status is Status.OK and not step.reply.duplicate:
            assert record is not None
            assert not record.live
            assert record.bags == ({}, {}, {})
            deleted = record.epoch
        elif deleted is not None and record is not None and record.live:
            assert record.epoch > deleted


@given(scripts())
def test_what_was_refused_leaves_the_bytes_as_they_were(script: Script) -> None:
    refusals = set(Status) - {Status.OK, Status.ABSENT, Status.LEASED}
    for step in _play(script):
        retry = isinstance(step.command, Change) and step.command.retry
        if step.reply.duplicate or (step.reply.status in refusals and not retry):
            assert step.after is step.before
        elif step.reply.status in refusals and step.after is not step.before:
            # A refused retry is remembered, and nothing else is written.
            assert step.record is not None
            before = Record.decode(step.before) if step.before is not None else Record(ID)
            assert step.record.bags == (before.bags if step.record.live else ({}, {}, {}))
            assert step.record.ring[-1].op_id == step.command.op_id  # type: ignore[union-attr]  # retry: a change
            assert step.record.ring[-1].status == step.reply.status


@given(scripts())
def test_the_ring_forgets_nothing_until_a_second_after_its_deadline(script: Script) -> None:
    held: dict[bytes, Any] = {}
    for step in _play(script):
        ring = {entry.op_id: entry for entry in step.record.ring} if step.record is not None else {}
        assert step.record is None or len(ring) == len(step.record.ring)
        for op_id, entry in held.items():
            assert entry.not_after + 1_000 <= step.now or ring.get(op_id) == entry
        held = ring


@given(scripts())
def test_a_resend_answers_what_the_first_attempt_answered(script: Script) -> None:
    answers: dict[bytes, tuple[int, Reply]] = {}
    for step in _play(script):
        command, reply = step.command, step.reply
        if not isinstance(command, Change):
            continue
        until, first = answers.get(command.op_id, (0, None))
        if first is not None and step.now < until and step.now < command.not_after:
            if command.not_after - step.now > LIMITS.horizon:
                continue
            assert reply.duplicate
            assert (reply.status, reply.epoch, reply.revision) == (first.status, first.epoch, first.revision)
            assert reply.results == first.results
            assert step.after is step.before
        elif not reply.duplicate and step.after is not step.before and step.record is not None:
            entry = next((entry for entry in step.record.ring if entry.op_id == command.op_id), None)
            if entry is not None:
                assert entry.not_after == command.not_after
                answers[command.op_id] = (command.not_after, reply)


@given(scripts())
def test_a_commit_with_an_effect_is_always_remembered(script: Script) -> None:
    for step in _play(script):
        if not isinstance(step.command, Change) or step.reply.duplicate or step.reply.status is not Status.OK:
            continue
        before = Record.decode(step.before) if step.before is not None else Record(ID)
        if step.record is not None and (step.record.revision, step.record.bags) != (before.revision, before.bags):
            assert any(entry.op_id == step.command.op_id for entry in step.record.ring)


@given(scripts())
def test_at_most_one_holder_at_a_time_and_each_grant_has_its_own_token(script: Script) -> None:
    granted: dict[int, bytes] = {}
    until, holder = 0, None
    for step in _play(script):
        command, reply = step.command, step.reply
        lease = step.record.lease if step.record is not None else None
        if isinstance(command, Load) and command.acquire is not None and reply.grant is not None and reply.grant.token:
            request = command.acquire.request_id
            assert granted.setdefault(reply.grant.token, request) == request
            assert step.now >= until or holder == request
            assert lease is not None
            assert (lease.request_id, lease.token) == (request, reply.grant.token)
            assert reply.status in (Status.OK, Status.ABSENT)
        live = lease is not None and lease.until > step.now
        until, holder = (lease.until, lease.request_id) if live and lease is not None else (0, None)


@given(scripts())
def test_nothing_is_done_under_a_token_that_does_not_hold(script: Script) -> None:
    last: Record | None = None
    for step in _play(script):
        command = step.command
        token = command.token if isinstance(command, Commit | Delete | Renew | Release) else 0
        lease = last.lease if last is not None else None
        holds = lease is not None and lease.token == token and lease.until > step.now
        if token and not holds and not step.reply.duplicate:
            assert step.reply.status in (Status.LEASE_LOST, Status.TOO_LATE, Status.BUSY, Status.MALFORMED)
        last = step.record


@given(scripts())
def test_nothing_is_readable_from_its_end_on_and_all_is_before(script: Script) -> None:
    for step in _play(script):
        record = step.record
        if record is None or not record.live or step.after is None:
            continue
        due = record.expires_at
        moments = [step.now] if due is None else [due - 1, due, due + 1]
        for moment in moments:
            if moment < step.now:
                continue
            _, answer = apply_bytes(step.after, Load().encode(), moment, ID, LIMITS)
            reply = decode_reply(answer, expected_id=ID.encode())
            alive = due is None or moment < due
            assert reply.present is alive
            assert reply.bags == ((record.bags[0], record.bags[1], None) if alive else (None, None, None))


def _ends(stored: bytes | None, now: int) -> dict[int, bytes]:
    """The ends that wait for their acknowledgement: of which epoch, and what the session held."""
    if stored is None:
        return {}
    record = Record.decode(stored)
    found = {ended.epoch: ended.bags for ended in record.previous}
    if record.live and record.announce and record.expires_at is not None and record.expires_at <= now:
        found[record.epoch] = record.bags[:2]
    return {epoch: encode_fields(bags[0]) + encode_fields(bags[1]) for epoch, bags in found.items()}


@given(scripts())
def test_an_end_waits_with_its_data_until_it_is_acknowledged_once(script: Script) -> None:
    acknowledged: set[int] = set()
    for step in _play(script):
        waiting = _ends(step.before, step.now)
        left = _ends(step.after, step.now)
        gone = waiting.keys() - left.keys()
        assert len(waiting) < 8, "the script makes the oldest give way: let it have fewer steps"
        if gone:
            assert isinstance(step.command, AckExpired)
            assert step.reply.status is Status.OK
            assert len(gone) == 1
            assert not gone & acknowledged
            acknowledged |= gone
        assert not left.keys() & acknowledged
        assert all(left[epoch] == data for epoch, data in waiting.items() if epoch in left)


@given(scripts())
def test_a_claim_holds_one_end_alone(script: Script) -> None:
    until: dict[int, tuple[bytes, int]] = {}
    for step in _play(script):
        command, reply = step.command, step.reply
        if isinstance(command, ClaimExpired) and reply.status is Status.OK:
            holder, ends = until.get(reply.epoch, (command.claim_id, 0))
            assert holder == command.claim_id or ends <= step.now
            assert reply.grant is not None
            until[reply.epoch] = command.claim_id, reply.grant.until
            assert step.record is not None
            assert len({ended.claim for ended in step.record.previous if ended.claim}) == sum(
                bool(ended.claim) for ended in step.record.previous
            )


@given(scripts())
def test_a_reply_never_shows_meta_unless_it_is_asked_by_name(script: Script) -> None:
    for step in _play(script):
        if step.reply.bags[META] is not None:
            assert isinstance(step.command, Load)
            assert any(asked.bag == META for asked in step.command.names or ())


@given(scripts())
def test_limits_hold_whatever_happens(script: Script) -> None:
    for step in _play(script):
        if step.record is None:
            continue
        assert sum(map(len, step.record.bags)) <= LIMITS.fields
        assert len(replace(step.record, ring=(), queue=(), lease=None, previous=()).encode()) <= LIMITS.record_bytes
        assert len(step.record.ring) <= LIMITS.ring + 1
        assert len(step.record.queue) <= LIMITS.waiters
        assert all(entry.not_after <= step.now + LIMITS.horizon for entry in step.record.ring)


@given(scripts())
def test_what_the_rules_write_they_can_read_and_a_driver_keeps_it_long_enough(script: Script) -> None:
    for step in _play(script):
        assert step.reply.status is not Status.CORRUPT
        assert step.reply.now == step.now
        if step.after is None or step.record is None:
            continue
        assert step.record.encode() == step.after
        until = step.record.retained_until
        if until is not None:
            settled, reply = apply(step.record, Load(), until, ID, LIMITS)
            assert not reply.present
            assert settled is step.record


@given(scripts(), st.integers(0, 14), st.sampled_from((1, 2)))
def test_a_command_delivered_twice_in_a_row_is_applied_once(script: Script, at: int, times: int) -> None:
    for number, step in enumerate(_play(script)):
        if number != at or not isinstance(step.command, Change) or step.reply.status is not Status.OK:
            continue
        stored = step.after
        for _ in range(times):
            stored, answer = apply_bytes(stored, step.command.encode(), step.now, ID, LIMITS)
            again = decode_reply(answer, expected_id=ID.encode())
            assert again.results == step.reply.results or not again.duplicate
        assert _fields(stored) == _fields(step.after)


def _fields(stored: bytes | None) -> Any:
    record = Record(ID) if stored is None else Record.decode(stored)
    return record.live, record.revision, record.bags


def test_the_header_and_ring_of_an_idle_session_take_at_most_160_bytes() -> None:
    identity = "line:" + "U" * 41
    assert len(identity) == 46
    command = Commit(bytes(16), START + 10_000, created_ttl=900_000, created_max_lifetime=86_400_000)
    stored, _ = apply_bytes(None, command.encode(), START, identity)
    assert stored is not None
    with_ring = len(stored)
    without = len(replace(Record.decode(stored), ring=()).encode())
    assert (with_ring, without) <= (160, 160)


# --- bytes ------------------------------------------------------------------------------------------------------------


@given(st.one_of(st.none(), st.binary(max_size=200), records().map(Record.encode)), st.binary(max_size=200))
@example(None, b"")
@example(b"", b"\x01\x01")
@settings(max_examples=200)
def test_any_bytes_get_a_reply(stored: bytes | None, command: bytes) -> None:
    after, answer = apply_bytes(stored, command, START, ID)
    reply = decode_reply(answer, expected_id=ID.encode())
    if reply.status in (Status.MALFORMED, Status.UNSUPPORTED, Status.CORRUPT):
        assert after is stored


_spoilt_commands = commands().map(lambda made: timed(made, START + 5_000).encode()).flatmap(mutated)
_spoilt_records = records(ID).map(Record.encode).flatmap(lambda data: st.just(data) | mutated(data))


@given(_spoilt_records, _spoilt_commands)
@settings(max_examples=300)
def test_spoilt_commands_and_records_get_a_reply(stored: bytes, command: bytes) -> None:
    after, answer = apply_bytes(stored, command, START, ID)
    decode_reply(answer, expected_id=ID.encode())
    if after is not stored:
        assert after is not None
        Record.decode(after, expected_id=ID)


@given(_spoilt_commands)
@settings(max_examples=200)
def test_a_command_that_is_read_is_written_the_same(data: bytes) -> None:
    try:
        command = decode_command(data)
    except (ValueError, Unsupported):
        return
    assert command.encode() == data
