"""Cases of the contract: commands by hand, as a retry or another client sends them."""

from __future__ import annotations

from dataclasses import replace

from gridsession._codec import encode
from gridsession._commands import (
    Absent,
    Append,
    AtRevision,
    Commit,
    Delete,
    Field,
    Guard,
    Increment,
    Install,
    Load,
    Mode,
    NotRemembered,
    Pop,
    Present,
    Remember,
    Remove,
    Set,
    Take,
    TtlMode,
    Unchanged,
    Want,
    digest,
)
from gridsession._link import new_id
from gridsession._record import PROPS, STATE, Record, encode_field
from gridsession._reply import Status
from gridsession.testing.contract._place import ID, Place, case

ONE = encode_field(1)
LOG = encode_field(["a", "b", "c"])
M1 = encode("m1")


class CommandCases:
    """Guards, duplicates, late commands, and what replies carry."""

    @case
    async def test_the_same_commit_twice_is_applied_once_and_answered_alike(self, place: Place) -> None:
        await place.create(ID, Set(STATE, "log", LOG), Set(STATE, "ticket", ONE))
        commit = place.commit(
            Increment(STATE, "n", 1),
            Append(STATE, "log", (encode("d"),)),
            Pop(STATE, "log", first=True),
            Take(STATE, "ticket"),
            Remember("messages", M1, 10),
            Remove(STATE, "nothing"),
            want=Want.RECORD,
        )
        first = await place.ask(commit)
        second = await place.ask(commit)
        third = await place.ask(replace(commit, retry=True))
        assert (first.status, first.duplicate) == (Status.OK, False)
        assert first.results == (ONE, encode_field(4), encode("a"), ONE, True, False)
        for again in (second, third):
            assert (again.status, again.duplicate) == (Status.OK, True)
            assert (again.results, again.epoch, again.revision) == (first.results, first.epoch, first.revision)
        loaded = await place.ask(Load())
        assert loaded.revision == first.revision
        assert loaded.bags[STATE] == {"log": encode_field(["b", "c", "d"]), "n": ONE}

    @case
    async def test_a_duplicate_is_known_after_other_commits_and_after_a_delete(self, place: Place) -> None:
        commit = place.commit(Increment(STATE, "n", 1))
        first = await place.ask(commit)
        for _ in range(30):
            await place.ask(place.commit(Increment(STATE, "n", 1)))
        again = await place.ask(commit)
        assert (again.duplicate, again.revision, again.results) == (True, first.revision, first.results)
        await place.ask(Delete(new_id(), place.not_after()))
        again = await place.ask(commit)
        assert (again.duplicate, again.status, again.epoch, again.revision) == (
            True,
            Status.OK,
            first.epoch,
            first.revision,
        )
        assert not (await place.inspect()).present, "a late copy raised a deleted session"

    @case
    async def test_the_same_delete_twice_is_one_delete(self, place: Place) -> None:
        await place.create()
        delete = Delete(new_id(), place.not_after())
        first = await place.ask(delete)
        await place.create()
        again = await place.ask(delete)
        assert (first.status, first.duplicate) == (Status.OK, False)
        assert (again.status, again.duplicate) == (Status.OK, True)
        assert (await place.inspect()).present, "a late copy deleted the next session"

    @case
    async def test_a_refused_retry_stays_refused(self, place: Place) -> None:
        commit = place.commit(Increment(STATE, "n", 1), guards=[Present()], retry=True)
        assert (await place.ask(commit)).status is Status.ABSENT
        await place.create()
        again = await place.ask(commit)
        assert (again.status, again.duplicate) == (Status.ABSENT, True)
        first_attempt = await place.ask(replace(commit, retry=False))
        assert (first_attempt.status, first_attempt.duplicate) == (Status.ABSENT, True)
        assert (await place.ask(Load())).bags[STATE] == {}

    @case
    async def test_a_refused_first_attempt_may_be_sent_again(self, place: Place) -> None:
        commit = place.commit(Increment(STATE, "n", 1), guards=[Present()])
        assert (await place.ask(commit)).status is Status.ABSENT
        await place.create()
        again = await place.ask(commit)
        assert (again.status, again.duplicate, again.results) == (Status.OK, False, (ONE,))

    @case
    async def test_after_its_deadline_a_command_is_refused(self, place: Place) -> None:
        commit = Commit(new_id(), await place.now() + 300, (Increment(STATE, "n", 1),))
        unsent = replace(commit, op_id=new_id())
        assert (await place.ask(commit)).status is Status.OK
        await place.pass_until(commit.not_after)
        # Also one that was applied: what remembers it may be gone by now.
        for late in (unsent, commit, Delete(new_id(), commit.not_after), replace(commit, retry=True)):
            assert (await place.ask(late)).status is Status.TOO_LATE
        assert (await place.ask(Load())).bags[STATE] == {"n": ONE}

    @case
    async def test_a_deadline_too_far_ahead_is_malformed(self, place: Place) -> None:
        far = await place.now() + 400_000
        assert (await place.ask(Commit(new_id(), far, (Increment(STATE, "n", 1),)))).status is Status.MALFORMED
        assert not (await place.inspect()).present

    @case
    async def test_guards_hold_or_nothing_changes(self, place: Place) -> None:
        made = await place.create(ID, Set(STATE, "a", ONE), Remember("messages", M1, 10))
        two = encode_field(2)
        holding: list[Guard] = [
            Present(),
            AtRevision(made.epoch, made.revision),
            AtRevision(made.epoch, 0),
            NotRemembered("messages", encode("m2")),
            NotRemembered("others", M1),
            Unchanged(STATE, "a", digest(ONE)),
            Unchanged(STATE, "b", b""),
            Unchanged(PROPS, "a", b""),
        ]
        failing: list[tuple[Guard, Status]] = [
            (Absent(), Status.CONFLICT),
            (AtRevision(made.epoch, made.revision + 1), Status.CONFLICT),
            (AtRevision(made.epoch + 1, made.revision), Status.CONFLICT),
            (AtRevision(made.epoch - 1, 0), Status.CONFLICT),
            (NotRemembered("messages", M1), Status.CONFLICT),
            (Unchanged(STATE, "a", digest(two)), Status.CONFLICT),
            (Unchanged(STATE, "a", b""), Status.CONFLICT),
            (Unchanged(STATE, "b", digest(ONE)), Status.CONFLICT),
        ]
        for guard, status in failing:
            for guards in ([guard], [*holding, guard]):
                reply = await place.ask(place.commit(Set(STATE, "a", two), guards=guards))
                assert (reply.status, reply.index) == (status, len(guards) - 1), guard
                deleted = await place.ask(Delete(new_id(), place.not_after(), tuple(guards)))
                assert (deleted.status, deleted.index) == (status, len(guards) - 1), guard
        before = await place.ask(Load())
        assert (before.revision, before.bags[STATE]) == (made.revision, {"a": ONE})
        reply = await place.ask(place.commit(Set(STATE, "a", two), guards=holding))
        assert (reply.status, reply.revision) == (Status.OK, made.revision + 1)

    @case
    async def test_an_absent_session_fails_every_guard_that_asks_for_one(self, place: Place) -> None:
        for guard, status in (
            (Present(), Status.ABSENT),
            (AtRevision(1, 0), Status.CONFLICT),
            (Unchanged(STATE, "a", digest(ONE)), Status.CONFLICT),
        ):
            assert (await place.ask(place.commit(Set(STATE, "a", ONE), guards=[guard]))).status is status
        assert not (await place.inspect()).present
        reply = await place.ask(place.commit(Set(STATE, "a", ONE), guards=[Absent(), Unchanged(STATE, "a", b"")]))
        assert reply.status is Status.OK

    @case
    async def test_a_reply_carries_what_was_wanted(self, place: Place) -> None:
        await place.create(ID, Set(STATE, "a", ONE), Set(PROPS, "p", ONE), Remember("messages", M1, 10))
        shown = {}
        for want in (Want.NOTHING, Want.REVISION, Want.CHANGED, Want.RECORD):
            reply = await place.ask(place.commit(Set(STATE, "b", ONE), want=want))
            assert reply.present
            shown[want] = (reply.life is not None, reply.bags)
        assert shown == {
            Want.NOTHING: (False, (None, None, None)),
            Want.REVISION: (True, (None, None, None)),
            Want.CHANGED: (True, ({"b": ONE}, {}, None)),
            Want.RECORD: (True, ({"a": ONE, "b": ONE}, {"p": ONE}, None)),
        }

    @case
    async def test_a_load_by_name_gives_those_fields_and_the_tail_of_a_list(self, place: Place) -> None:
        await place.create(ID, Set(STATE, "log", LOG), Set(STATE, "a", ONE), Set(PROPS, "p", ONE))
        names = (Field(STATE, "log", 2), Field(STATE, "nothing"), Field(PROPS, "p"))
        reply = await place.ask(Load(Want.NOTHING, names))
        assert reply.bags == ({"log": encode_field(["b", "c"])}, {"p": ONE}, None)
        tails = [await place.ask(Load(Want.NOTHING, (Field(STATE, "log", tail),))) for tail in (0, 3, 4, -1)]
        assert [reply.bags[STATE] for reply in tails] == [{"log": encode_field([])}, *[{"log": LOG}] * 3]

    @case
    async def test_a_load_tells_whether_a_value_is_remembered(self, place: Place) -> None:
        await place.ask(place.commit(Remember("messages", M1, 10)))
        for seen, expected in (("m1", True), ("m2", False)):
            reply = await place.ask(Load(seen=NotRemembered("messages", encode(seen))))
            assert reply.seen is expected
            assert reply.bags[STATE] == {}

    @case
    async def test_install_puts_a_record_with_its_revision(self, place: Place) -> None:
        now = await place.now()
        given = Record(ID, now, True, 7, now, now, 60_000, bags=({"a": ONE}, {}, {}))
        reply = await place.ask(Install(new_id(), place.not_after(), given.encode()))
        assert reply.status is Status.OK
        loaded = await place.ask(Load())
        assert (loaded.epoch, loaded.revision, loaded.bags[STATE]) == (now, 7, {"a": ONE})
        assert loaded.life is not None
        assert (loaded.life.created, loaded.life.expires_at) == (now, now + 60_000)
        for mode, revision, status in (
            (Mode.IF_ABSENT, 9, Status.CONFLICT),
            (Mode.IF_NEWER, 7, Status.CONFLICT),
            (Mode.IF_NEWER, 6, Status.CONFLICT),
            (Mode.IF_NEWER, 8, Status.OK),
        ):
            newer = replace(given, revision=revision, bags=({"b": ONE}, {}, {}))
            reply = await place.ask(Install(new_id(), place.not_after(), newer.encode(), mode))
            assert reply.status is status, (mode, revision)
        loaded = await place.ask(Load())
        assert (loaded.revision, loaded.bags[STATE]) == (8, {"b": ONE})

    @case
    async def test_the_whole_record_is_read_and_put_back_with_all_it_remembers(self, place: Place) -> None:
        fields = Set(STATE, "a", ONE), Set(PROPS, "p", ONE), Remember("messages", M1, 10)
        made = await place.create(ID, *fields, ttl=60_000)
        await place.acquire()
        (whole,) = (await place.ask(Load(Want.WHOLE, confirm=True, not_after=place.not_after()))).results
        assert isinstance(whole, bytes)
        record = Record.decode(whole, expected_id=ID, strict=True)
        assert (record.epoch, record.revision, record.expires_at) == (made.epoch, 1, made.now + 60_000)
        assert (record.lease, record.queue, record.ring) == (None, (), ())
        await place.ask(Delete(new_id(), place.not_after()))
        assert (await place.ask(Load(Want.WHOLE))).results == ()
        older = await place.ask(Install(new_id(), place.not_after(), whole, Mode.IF_NEWER))
        assert older.status is Status.CONFLICT, "a copy must not raise what was deleted after it was made"
        assert (await place.ask(Install(new_id(), place.not_after(), whole))).status is Status.OK
        loaded = await place.ask(Load(seen=NotRemembered("messages", M1)))
        assert (loaded.seen, loaded.bags[STATE], loaded.bags[PROPS]) == (True, {"a": ONE}, {"p": ONE})

    @case
    async def test_a_commit_that_finds_nothing_to_do_writes_nothing(self, place: Place) -> None:
        made = await place.create(ID, Remember("messages", M1, 10), ttl=60_000)
        await place.pass_until(made.now + 20)
        reply = await place.ask(place.commit(Remember("messages", M1, 10), Pop(STATE, "log"), Remove(STATE, "a")))
        assert (reply.status, reply.results) == (Status.OK, (False, None, False))
        assert (reply.revision, reply.life) == (made.revision, made.life)
        nobody = await place.ask(place.commit(Remove(STATE, "a")), "test:nobody")
        assert (nobody.status, nobody.present) == (Status.OK, False)

    @case
    async def test_ttl_restarts_keeps_or_is_set(self, place: Place) -> None:
        made = await place.create(ttl=60_000)
        await place.pass_until(made.now + 20)
        kept = await place.ask(place.commit(Set(STATE, "a", ONE), ttl_mode=TtlMode.KEEP))
        assert kept.life == made.life
        restarted = await place.ask(place.commit(Set(STATE, "a", ONE), created_ttl=1))
        assert restarted.life is not None
        assert restarted.life.expires_at == restarted.now + 60_000
        for ttl, expires_in in ((90_000, 90_000), (0, None)):
            changed = await place.ask(place.commit(Set(STATE, "a", ONE), ttl_mode=TtlMode.SET, ttl=ttl))
            assert changed.life is not None
            assert changed.life.expires_at == (None if expires_in is None else changed.now + expires_in)
