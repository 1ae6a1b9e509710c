"""Cases of the contract: the lease that a turn is made of, and turns."""

# ruff: noqa: PT012 - what is refused is the end of a turn, so the whole turn stands in the block

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gridsession import KEEP, Policy, Turn
from gridsession._commands import Delete, Release, Renew, Set
from gridsession._link import new_id
from gridsession._record import STATE, encode_field
from gridsession._reply import Grant, Reply, Status
from gridsession.errors import Conflict, Leased, LeaseLost
from gridsession.testing.contract._place import ID, Place, case, until

ONE = encode_field(1)


def _token(reply: Reply) -> int:
    assert reply.grant is not None
    return reply.grant.token


def _where(reply: Reply) -> int:
    assert (reply.status, _token(reply)) == (Status.LEASED, 0)
    assert reply.grant is not None
    return reply.grant.place


class LeaseCases:
    """One holder at a time, first come first served; whoever comes late cannot write."""

    @case
    async def test_one_holds_and_the_others_are_told_their_place(self, place: Place) -> None:
        held = await place.acquire(duration=20_000)
        assert _token(held) > 0
        assert held.grant == Grant(_token(held), held.now + 20_000)
        second, third = new_id(), new_id()
        assert _where(await place.acquire(second, patience=20_000)) == 1
        assert _where(await place.acquire(third, patience=20_000)) == 2
        assert _where(await place.acquire(second, patience=20_000)) == 1
        told = (await place.acquire(third, patience=20_000)).grant
        assert told is not None
        assert held.grant is not None
        assert told.until == held.grant.until

    @case
    async def test_asking_again_for_what_one_holds_is_the_same_grant(self, place: Place) -> None:
        request = new_id()
        first, again = await place.acquire(request), await place.acquire(request)
        assert again.grant == first.grant
        assert await place.waiting() == 0

    @case
    async def test_a_freed_session_goes_to_the_first_in_the_queue_alone(self, place: Place) -> None:
        first, second, third = new_id(), new_id(), new_id()
        token = _token(await place.acquire(first))
        await place.acquire(second, patience=20_000)
        await place.acquire(third, patience=20_000)
        await place.ask(Release(place.not_after(), token))
        assert _where(await place.acquire(third, patience=20_000)) == 2
        assert (await place.acquire(patience=0)).status is Status.LEASED, "a passer-by overtook the queue"
        granted = await place.acquire(second, patience=20_000)
        assert _token(granted) > token
        assert _where(await place.acquire(third, patience=20_000)) == 1

    @case
    async def test_one_who_left_the_queue_or_gave_back_is_not_served(self, place: Place) -> None:
        first, second, third = new_id(), new_id(), new_id()
        await place.acquire(first)
        await place.acquire(second, patience=20_000)
        await place.acquire(third, patience=20_000)
        await place.ask(Release(place.not_after(), 0, second))
        await place.ask(Release(place.not_after(), 0, first))
        assert _token(await place.acquire(third, patience=20_000)) > 0
        for late in (first, second):
            assert (await place.acquire(late)).status is Status.TOO_LATE, "a late copy holds it for nobody"

    @case
    async def test_a_waiter_that_stops_asking_drops_out(self, place: Place) -> None:
        token = _token(await place.acquire())
        told = await place.acquire(patience=100)
        behind = new_id()
        assert _where(await place.acquire(behind, patience=20_000)) == 2
        await place.ask(Release(place.not_after(), token))
        async for _ in place.moments(told.now + 100):
            reply = await place.acquire(behind, patience=20_000)
            assert bool(_token(reply)) is (reply.now >= told.now + 100)

    @case
    async def test_a_waiter_that_keeps_asking_keeps_its_place(self, place: Place) -> None:
        await place.acquire()
        first, behind, patience = new_id(), new_id(), 400
        asked = await place.acquire(first, patience=patience)
        assert _where(await place.acquire(behind, patience=60_000)) == 2
        for _ in range(5):
            await place.pass_until(asked.now + 150)
            before, asked = asked, await place.acquire(first, patience=patience)
            if asked.now - before.now > patience // 2:
                # The machine was too slow to keep asking; that is no case of this test.
                break
            assert _where(asked) == 1
            assert _where(await place.acquire(behind, patience=60_000)) == 2

    @case
    async def test_renewing_moves_the_end_and_only_for_the_holder(self, place: Place) -> None:
        token = _token(await place.acquire(duration=5_000))
        renewed = await place.ask(Renew(token, 20_000, place.not_after()))
        assert (renewed.status, renewed.grant) == (Status.OK, Grant(token, renewed.now + 20_000))
        assert (await place.ask(Renew(token + 1, 20_000, place.not_after()))).status is Status.LEASE_LOST
        assert (await place.ask(Release(place.not_after(), token + 1))).status is Status.LEASE_LOST
        assert await place.waiting() == 0

    @case
    async def test_a_lease_ends_when_due_and_its_holder_is_too_late(self, place: Place) -> None:
        granted = (await place.acquire(duration=200)).grant
        assert granted is not None
        other = new_id()
        async for _ in place.moments(granted.until):
            reply = await place.acquire(other)
            assert bool(_token(reply)) is (reply.now >= granted.until)
        token = granted.token
        assert _token(await place.acquire(other)) > token
        for late in (
            Renew(token, 5_000, place.not_after()),
            Release(place.not_after(), token),
            place.commit(Set(STATE, "a", ONE), token=token),
            Delete(new_id(), place.not_after(), token=token),
        ):
            assert (await place.ask(late)).status is Status.LEASE_LOST
        assert not (await place.inspect()).present

    @case
    async def test_an_ended_lease_is_lost_even_if_nobody_took_it(self, place: Place) -> None:
        granted = (await place.acquire(duration=50)).grant
        assert granted is not None
        await place.pass_until(granted.until)
        assert (await place.ask(Renew(granted.token, 5_000, place.not_after()))).status is Status.LEASE_LOST
        assert (await place.ask(place.commit(Set(STATE, "a", ONE), token=granted.token))).status is Status.LEASE_LOST
        assert not (await place.inspect()).present

    @case
    async def test_a_commit_can_end_the_lease_and_verbs_need_none(self, place: Place) -> None:
        token = _token(await place.acquire())
        assert (await place.ask(place.commit(Set(STATE, "verb", ONE)))).status is Status.OK
        assert (await place.ask(place.commit(Set(STATE, "a", ONE), token=token))).status is Status.OK
        assert await place.waiting() == 0
        assert (await place.ask(place.commit(Set(STATE, "b", ONE), token=token, release=True))).status is Status.OK
        assert (await place.ask(place.commit(Set(STATE, "c", ONE), token=token))).status is Status.LEASE_LOST
        assert _token(await place.acquire()) > token

    @case
    async def test_tokens_rise_also_over_a_delete(self, place: Place) -> None:
        tokens = []
        for _ in range(3):
            tokens.append(_token(await place.acquire()))
            await place.ask(place.commit(Set(STATE, "a", ONE), token=tokens[-1]))
            await place.ask(Delete(new_id(), place.not_after(), token=tokens[-1], release=True))
        assert tokens == sorted(set(tokens))

    @case
    async def test_a_held_session_that_does_not_exist_is_absent_to_every_other_question(self, place: Place) -> None:
        store = await place.store()
        session = store.session(ID)
        async with store.turn(ID) as turn:
            assert turn.state == {}
            assert not await session.exists()
            assert await session.ttl() == 0.0
            assert not (await session.load()).exists
            assert not await session.touch()
            assert not await session.delete()
            assert [session_id async for session_id in store.ids()] == []
        assert not await session.exists(), "a turn without changes made a session"


class TurnCases:
    """One exchange held alone: read whole, committed once or not at all."""

    @case
    async def test_turns_come_one_after_another_in_their_order(self, place: Place) -> None:
        stores = [await place.store(), await place.store(driver=await place.another())]
        order: list[int] = []

        async def one(number: int) -> None:
            async with stores[number % 2].turn(ID, wait=30) as turn:
                order.append(number)
                turn.state["log"] = [*turn.state.get("log", []), number]

        async with stores[0].turn(ID):
            tasks = []
            for number in range(6):
                tasks.append(asyncio.create_task(one(number)))
                await until(_waiting(place, number + 1), "a turn that queues")
        await asyncio.gather(*tasks)
        assert order == list(range(6))
        assert await stores[0].session(ID).get("log") == order

    @case
    async def test_who_waits_too_long_is_told_so_and_leaves_the_queue(self, place: Place) -> None:
        store = await place.store()
        async with store.turn(ID):
            with pytest.raises(Leased) as told:
                await store.turn(ID, wait=0.05).__aenter__()
            assert told.value.place == 1
            assert 0 < told.value.retry_after <= 30
            with pytest.raises(Leased):
                await store.turn(ID, wait=0).__aenter__()
            assert await place.waiting() == 0

    @case
    async def test_a_cancelled_waiter_leaves_the_queue(self, place: Place) -> None:
        store = await place.store()
        async with store.turn(ID):
            waiter = asyncio.create_task(store.turn(ID, wait=30).__aenter__())
            await until(_waiting(place, 1), "a turn that queues")
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert await place.waiting() == 0

    @case
    async def test_an_exception_in_the_block_writes_nothing_and_frees_the_session(self, place: Place) -> None:
        store = await place.store()
        before = await store.session(ID).update(a=1)
        with pytest.raises(ZeroDivisionError):
            async with store.turn(ID) as turn:
                turn.state["a"] = 2
                raise ZeroDivisionError
        after = await store.session(ID).load()
        assert (dict(after), after.revision) == ({"a": 1}, before.revision)
        async with store.turn(ID, wait=0) as turn:
            assert turn.state == {"a": 1}

    @case
    async def test_a_late_turn_cannot_commit(self, place: Place) -> None:
        store = await place.store()
        with pytest.raises(LeaseLost):
            async with store.turn(ID) as turn:
                turn.state["late"] = 1
                # Somebody else's turn after ours ended: here it is given back by hand, for it renews itself.
                await place.ask(Release(place.not_after(), turn._token))
                async with store.turn(ID, wait=0) as other:
                    other.state["in time"] = 1
        assert dict(await store.session(ID).load()) == {"in time": 1}

    @case
    async def test_a_turn_of_a_message_takes_effect_once(self, place: Place) -> None:
        store = await place.store()
        repeated = []
        for _ in range(3):
            async with store.turn(ID, message="m1") as turn:
                repeated.append(turn.repeated)
                if not turn.repeated:
                    turn.state["n"] = turn.state.get("n", 0) + 1
        assert repeated == [False, True, True]
        assert await store.session(ID).get("n") == 1
        with pytest.raises(Conflict):
            async with store.turn(ID, exclusive=False, message="m2") as late:
                async with store.turn(ID, exclusive=False, message="m2") as early:
                    early.state["x"] = 1
                assert not late.repeated
                late.state["y"] = 1
        assert dict(await store.session(ID).load()) == {"n": 1, "x": 1}

    @case
    async def test_fields_changed_meanwhile_conflict_and_others_merge(self, place: Place) -> None:
        store = await place.store()
        session = store.session(ID)
        await session.update(a=1, b=1, gone=1)
        for exclusive in (True, False):
            async with store.turn(ID, exclusive=exclusive) as turn:
                await session.update(b=2)
                turn.state["a"] = 2
            assert dict(await session.load()) == {"a": 2, "b": 2, "gone": 1}
            with pytest.raises(Conflict):
                async with store.turn(ID, exclusive=exclusive) as turn:
                    await session.update(a=3)
                    turn.state["a"] = 4
                    turn.state["b"] = 4
            with pytest.raises(Conflict):
                async with store.turn(ID, exclusive=exclusive) as turn:
                    await session.update(gone=2)
                    del turn.state["gone"]
            with pytest.raises(Conflict):
                async with store.turn(ID, exclusive=exclusive) as turn:
                    await session.update(new=1)
                    turn.state["new"] = 2
            assert dict(await session.load()) == {"a": 3, "b": 2, "gone": 2, "new": 1}
            await session.update(b=1, gone=1)
            await session.remove("new")

    @case
    async def test_a_session_deleted_meanwhile_does_not_rise_again(self, place: Place) -> None:
        store = await place.store(Policy(ttl=3600))
        for exclusive in (True, False):
            await store.session(ID).update(a=1)
            with pytest.raises(Conflict):
                async with store.turn(ID, exclusive=exclusive) as turn:
                    assert await store.session(ID).delete()
                    turn.state["b"] = 1
            assert not await store.session(ID).exists()

    @case
    async def test_a_turn_can_delete_its_session_and_begin_another(self, place: Place) -> None:
        store = await place.store()
        session = store.session(ID)
        for exclusive in (True, False):
            before = await session.update(a=1)
            async with store.turn(ID, exclusive=exclusive) as turn:
                assert turn.exists
                turn.state["dropped"] = 1
                assert await turn.delete()
                assert (turn.state, turn.props, turn.exists) == ({}, {}, False)
                assert not await turn.delete()
            assert not await session.exists()
            await session.update(a=1)
            async with store.turn(ID, exclusive=exclusive) as turn:
                await turn.delete()
                turn.state["b"] = 2
                await turn.commit()
                assert turn.exists
                turn.state["c"] = 3
            after = await session.load()
            assert (dict(after), after.revision.epoch > before.revision.epoch) == ({"b": 2, "c": 3}, True)
            await session.delete()

    @case
    async def test_a_turn_deletes_only_the_session_it_read(self, place: Place) -> None:
        store = await place.store()
        session = store.session(ID)
        await session.update(a=1)
        with pytest.raises(Conflict):
            async with store.turn(ID, exclusive=False) as turn:
                await session.update(a=2)
                await turn.delete()
        with pytest.raises(LeaseLost):
            async with store.turn(ID) as turn:
                await place.ask(Release(place.not_after(), turn._token))
                await turn.delete()
        assert dict(await session.load()) == {"a": 2}

    @case
    async def test_a_turn_says_what_becomes_of_the_ttl(self, place: Place) -> None:
        store = await place.store(Policy(ttl=3600))
        session = store.session(ID)
        async with store.turn(ID, ttl=7200) as turn:
            assert not turn.exists
            turn.state["a"] = 1
        left = await session.ttl()
        assert left is not None
        assert 7100 < left <= 7200
        async with store.turn(ID, ttl=None) as turn:
            turn.state["a"] = 2
        assert await session.ttl() is None
        async with store.turn(ID, ttl=KEEP) as turn:
            turn.state["a"] = 3
        assert await session.ttl() is None

    @case
    async def test_run_again_until_it_fits(self, place: Place) -> None:
        store = await place.store()
        seen = []

        async def handler(turn: Turn) -> str:
            seen.append(turn.state.get("n"))
            if len(seen) < 3:
                await store.session(ID).increment("n")
            turn.state["n"] = 100
            return "done"

        assert await store.run(ID, handler) == "done"
        assert seen == [None, 1, 2]
        assert await store.session(ID).get("n") == 100


def _waiting(place: Place, count: int) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return await place.waiting() == count

    return asked
