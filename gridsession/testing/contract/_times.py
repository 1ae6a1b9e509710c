"""Cases of the contract: when sessions end. Every reply carries the place's time, so "when" is exact on any clock."""

from __future__ import annotations

from gridsession import KEEP, Policy, operations
from gridsession._commands import Allow, Load, Remember, Set, Touch, TtlMode, Want
from gridsession._record import PROPS, STATE, encode_field
from gridsession._reply import Status
from gridsession.testing.contract._place import ID, Place, case, until

ONE = encode_field(1)


class TimeCases:
    """Nothing readable after expiry, nothing gone before it."""

    @case
    async def test_a_session_lives_until_its_ttl_and_not_a_millisecond_longer(self, place: Place) -> None:
        made = await place.create(ID, Set(STATE, "a", ONE), Set(PROPS, "p", ONE), ttl=250)
        due = made.now + 250
        assert made.life is not None
        assert made.life.expires_at == due
        seen = []
        async for _ in place.moments(due):
            reply = await place.ask(Load())
            seen.append(reply.present)
            assert reply.present is (reply.now < due)
            assert reply.status is (Status.OK if reply.present else Status.ABSENT)
            assert reply.bags == (({"a": ONE}, {"p": ONE}, None) if reply.present else (None, None, None))
        assert seen[0]
        assert not seen[-1]

    @case
    async def test_after_expiry_a_session_begins_anew(self, place: Place) -> None:
        made = await place.create(ID, Set(STATE, "a", ONE), Remember("messages", b"\x01", 10), ttl=50)
        await place.pass_until(made.now + 50)

        async def is_listed_no_more() -> bool:
            return not (await place.driver.scan(place.space)).ids

        # Who lists goes by its own idea of the place's clock; soon the place itself removes what ended.
        await until(is_listed_no_more, "the end of a session in the list", seconds=1)
        again = await place.ask(place.commit(Set(STATE, "b", ONE), Remember("messages", b"\x01", 10), want=Want.RECORD))
        assert again.bags[STATE] == {"b": ONE}
        assert again.results == (None, True), "an ended session's messages are still remembered"
        assert (again.revision, again.life is not None and again.life.expires_at) == (1, None)
        assert again.epoch > made.epoch

    @case
    async def test_the_ttl_is_still_set_after_ten_updates(self, place: Place) -> None:
        store = await place.store(Policy(ttl=900))
        session = store.session(ID)
        for number in range(10):
            await session.update(number=number)
            await session.increment("n")
            await session.append("log", number)
        reply = await place.ask(place.commit(Set(STATE, "last", ONE)))
        assert reply.life is not None
        assert (reply.life.ttl, reply.life.expires_at) == (900_000, reply.now + 900_000)
        left = await session.ttl()
        assert left is not None
        assert 0 < left <= 900

    @case
    async def test_an_inspection_does_not_extend_a_life(self, place: Place) -> None:
        made = await place.create(ID, Set(STATE, "a", ONE), ttl=60_000)
        store = await place.store()
        session = store.session(ID)
        await place.pass_until(made.now + 30)
        for _ in range(3):
            assert await session.exists()
            assert await session.ttl()
            assert await session.get("a") == 1
            assert (await session.load()).exists
            assert [session_id async for session_id in store.ids()] == [ID]
        assert (await place.inspect()).life == made.life

    @case
    async def test_touch_restarts_the_ttl_or_sets_another(self, place: Place) -> None:
        made = await place.create(ID, Set(STATE, "a", ONE), ttl=60_000)
        session = (await place.store()).session(ID)
        # From now: a driver that knows the place's clock from its last answer may be behind by as long as that took.
        await place.pass_until(await place.now() + 21)
        assert await session.touch()
        touched = await place.inspect()
        assert touched.revision == made.revision
        assert touched.life is not None
        assert touched.life.expires_at is not None
        assert made.now + 60_020 <= touched.life.expires_at <= touched.now + 60_000
        assert await session.touch(3600)
        longer = await place.inspect()
        assert longer.life is not None
        assert longer.life.ttl == 3_600_000

    @case
    async def test_touch_writes_only_when_little_is_left(self, place: Place) -> None:
        made = await place.create(ttl=60_000)
        await place.pass_until(made.now + 20)
        due = made.now + 60_000
        for less_than in (50_000, due - await place.now(), 60_000):
            reply = await place.ask(Load(Want.REVISION, touch=Touch(less_than), not_after=place.not_after()))
            assert (reply.life != made.life) is (due - reply.now < less_than)
            if reply.life != made.life:
                break
        assert reply.life != made.life

    @case
    async def test_reads_touch_where_the_policy_says_so(self, place: Place) -> None:
        store = await place.store(Policy(ttl=60, touch_on_read=True, touch_below=1))
        session = store.session(ID)
        await session.set("a", 1)
        for read in (session.load(), session.get("a")):
            before = await place.inspect()
            await place.pass_until(before.now + 20)
            await read
            after = await place.inspect()
            assert before.life is not None
            assert after.life is not None
            assert (after.life.expires_at or 0) >= (before.life.expires_at or 0) + 20
            assert after.revision == before.revision

    @case
    async def test_max_lifetime_is_never_extended(self, place: Place) -> None:
        store = await place.store(Policy(ttl=900, max_lifetime=1000))
        session = store.session(ID)
        await session.set("a", 1)
        made = (await place.inspect()).life
        assert made is not None
        await session.touch(5000)
        await session.commit(operations.set("b", 1), ttl=7200)
        await session.commit(operations.set("c", 1), ttl=None)
        await session.commit(operations.set("d", 1), ttl=KEEP)
        life = (await place.inspect()).life
        assert life is not None
        assert life.expires_at == made.created + 1_000_000

    @case
    async def test_a_life_ends_with_max_lifetime_under_steady_use(self, place: Place) -> None:
        made = await place.ask(place.commit(Set(STATE, "a", ONE), created_ttl=60_000, created_max_lifetime=200))
        async for _ in place.moments(made.now + 200):
            reply = await place.ask(Load(touch=Touch(60_000), not_after=place.not_after()))
            assert reply.present is (reply.now < made.now + 200)

    @case
    async def test_without_a_ttl_a_session_never_expires(self, place: Place) -> None:
        session = (await place.store()).session(ID)
        await session.set("a", 1)
        assert await session.ttl() is None
        await session.commit(operations.set("a", 2), ttl=900)
        assert await session.ttl() is not None
        await session.commit(operations.set("a", 3), ttl=None)
        assert await session.ttl() is None
        assert (await place.ask(place.commit(Set(STATE, "a", ONE), ttl_mode=TtlMode.RESTART))).life is not None
        assert await session.ttl() is None

    @case
    async def test_allow_says_yes_once_per_interval(self, place: Place) -> None:
        opened, given = 0, 0
        while given < 3:
            async for _ in place.moments(opened + 150):
                asked = await place.ask(place.commit(Allow("gate", 150)))
                assert asked.results == (asked.now - opened >= 150,)
                if asked.results == (True,):
                    opened, given = asked.now, given + 1
                    break
        assert (await place.ask(place.commit(Allow("other", 150)))).results == (True,)
