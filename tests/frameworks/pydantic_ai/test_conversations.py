"""What pydantic-ai asks of a conversation store; its own in-memory store is held against the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import BinaryImage, ModelRequest, UserPromptPart
from pydantic_ai.models.test import TestModel

from gridsession import Policy, SessionStore
from gridsession.dialects.pydantic_ai import GridConversationStore
from gridsession.errors import InvalidOption, TooLarge
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES

pytestmark = pytest.mark.frameworks

SAVES = 10


@pytest.fixture(params=["theirs", "memory", "grid"])
def place(request: pytest.FixtureRequest) -> str:
    """Where conversations are kept: in their own store, or in ours at one of two places."""
    if request.param != "grid":
        return "memory://" if request.param == "memory" else "theirs"
    grid: LocalGrid = request.getfixturevalue("grid")
    return grid.url


@asynccontextmanager
async def opened(place: str, namespace: str) -> AsyncGenerator[ConversationStore]:
    """A conversation store at that place."""
    if place == "theirs":
        yield InMemoryConversationStore()
        return
    async with SessionStore.open(place, namespace=namespace) as store:
        yield GridConversationStore(store)


def asked(text: str) -> ModelRequest:
    """A user's message."""
    return ModelRequest(parts=[UserPromptPart(content=text)])


def texts(conversation: Conversation | None) -> list[Any]:
    """What was asked."""
    assert conversation is not None
    return [message.parts[0].content for message in conversation.messages]  # type: ignore[union-attr]


async def grown(store: ConversationStore, conversation_id: str, *said: str) -> Conversation:
    """A conversation, saved with these messages at its end."""
    conversation = await store.load(conversation_id) or Conversation(conversation_id=conversation_id)
    conversation.messages += [asked(text) for text in said]
    await store.save(conversation)
    return conversation


async def test_of_saves_at_once_one_wins_and_the_others_are_told(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        await grown(store, "c", "before")
        loaded = [await store.load("c") for _ in range(SAVES)]

        async def save(number: int, conversation: Conversation | None) -> str:
            assert conversation is not None
            conversation.messages.append(asked(str(number)))
            try:
                await store.save(conversation)
            except ConversationConflict:
                return "conflict"
            return str(number)

        outcomes = await asyncio.gather(*(save(number, each) for number, each in enumerate(loaded)))
        winner = [outcome for outcome in outcomes if outcome != "conflict"]
        FIGURES[f"pydantic_ai: of 10 saves at once ({place.partition(':')[0]})"] = {
            "won": len(winner),
            "conflicts": outcomes.count("conflict"),
        }
        assert (len(winner), outcomes.count("conflict")) == (1, SAVES - 1)
        assert texts(await store.load("c")) == ["before", *winner]
        if isinstance(store, GridConversationStore):  # the losers left nothing
            ids = [found async for found in (await store._place.store()).ids()]
            assert len(ids) == 1 + 2

        async def again(number: int) -> None:
            while True:
                try:
                    await grown(store, "c", f"again {number}")
                except ConversationConflict:
                    continue
                return

        await asyncio.gather(*(again(number) for number in range(SAVES)))
        assert sorted(texts(await store.load("c"))[2:]) == [f"again {number}" for number in range(SAVES)]


async def test_of_first_saves_at_once_one_wins(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        new = [Conversation(conversation_id="c", messages=[asked(str(number))]) for number in range(SAVES)]
        outcomes = await asyncio.gather(*(store.save(each) for each in new), return_exceptions=True)
        assert sum(isinstance(outcome, ConversationConflict) for outcome in outcomes) == SAVES - 1


async def test_a_long_conversation_is_read_whole_and_by_its_end(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        for part in range(5):
            await grown(store, "c", *(f"{part}.{number}" for number in range(25)))
        said = [f"{part}.{number}" for part in range(5) for number in range(25)]
        assert texts(await store.load("c")) == said
        assert texts(await store.load("c", limit=40)) == said[-40:]
        assert texts(await store.load("c", limit=0)) == []
        entries = await store.load_entries("c")
        assert entries is not None
        assert [entry.parent_id for entry in entries] == [None, *(entry.id for entry in entries[:-1])]
        assert await store.read_entry(entries[70].id) == entries[70]
        with pytest.raises(LookupError):
            await store.read_entry("nobody")
        window = await store.load("c", limit=3)
        assert window is not None
        window.messages.append(asked("after the window"))
        await store.save(window)
        assert texts(await store.load("c")) == [*said, "after the window"]


async def test_branches_and_forks_share_what_is_before(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        first = await grown(store, "c", "a", "b", "c")
        branched = await store.branch("c", at=2, expected_revision=first.revision or "")
        branched.messages.append(asked("other c"))
        await store.save(branched)
        assert texts(await store.load("c")) == ["a", "b", "other c"]
        fork = await store.fork("c", at=1, new_conversation_id="fork")
        fork.messages.append(asked("forked b"))
        await store.save(fork)
        with pytest.raises(ConversationConflict):
            await store.fork("c", new_conversation_id="fork")
        assert texts(await store.load("fork")) == ["a", "forked b"]
        record = await store.read_record("c")
        assert record is not None
        back = await store.branch("c", from_entry=record.branches[0], expected_revision=record.revision)
        assert texts(back) == ["a", "b", "c"]
        await store.delete("c")
        assert await store.load("c") is None
        assert texts(await store.load("fork")) == ["a", "forked b"]
        if isinstance(store, GridConversationStore):  # the fork, and its two messages
            assert len([found async for found in (await store._place.store()).ids()]) == 3
        with pytest.raises(UserError):
            await store.fork("c")


async def test_a_conversation_that_goes_on_from_what_is_gone_is_refused(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        nowhere = ConversationRecord(conversation_id="c", head_id="gone")
        with pytest.raises(ConversationConflict):
            await store.write_record(nowhere, expected_revision=None)
        entry = ConversationEntry(parent_id=None, message=asked("a"))
        record = ConversationRecord(conversation_id="c", head_id=entry.id)
        with pytest.raises(ConversationConflict):
            await store.write_record(record, new_entries=[entry], expected_revision="stale")
        with pytest.raises(LookupError):
            await store.read_entry(entry.id)
        with pytest.raises(ConversationConflict):
            await store.delete_record("c", expected_revision="any")
        await store.write_record(record, new_entries=[entry], expected_revision=None)
        with pytest.raises(ConversationConflict):
            await store.delete_record("c", expected_revision="stale")
        await store.delete_record("c", expected_revision=record.revision)
        with pytest.raises(LookupError):
            await store.read_entry(entry.id)


async def test_records_are_listed_by_scope_the_last_saved_first(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        for number in range(6):
            conversation = Conversation(conversation_id=f"c{number}", messages=[asked("a")])
            await store.save(conversation, scope="even" if number % 2 == 0 else "odd")
        listed = [record.conversation_id for record in await store.list_conversations()]
        assert listed == [f"c{number}" for number in range(5, -1, -1)]
        assert [r.conversation_id for r in await store.list_conversations(scope="odd", limit=2)] == ["c5", "c3"]
        assert await store.load("c1", scope="even") is None
        await store.delete("c1", scope="even")
        assert await store.load("c1") is not None


async def test_runs_of_an_agent_go_on_with_usage_and_content(place: str, namespace: str) -> None:
    async with opened(place, namespace) as store:
        agent = Agent(TestModel())
        for turn in range(3):
            conversation = await store.load("c") or Conversation(conversation_id="c")
            image = BinaryImage(data=bytes(range(256)), media_type="image/png")
            result = await agent.run([f"turn {turn}", image], conversation=conversation)
            await store.save(result)
        loaded = await store.load("c")
        assert loaded is not None
        assert loaded.usage.requests == 3
        assert loaded.messages == result.conversation.messages


async def test_a_ttl_needs_reading_to_keep_what_is_read(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace, policy=Policy(ttl=60)) as store:
        with pytest.raises(InvalidOption, match="touch_on_read"):
            await GridConversationStore(store).load("c")
    policy = Policy(ttl=60, touch_on_read=True)
    async with SessionStore.open("memory://", namespace=namespace, policy=policy) as store:
        conversations = GridConversationStore(store)
        await grown(conversations, "c", "a")
        with pytest.raises(TooLarge):
            await grown(conversations, "c", "b" * 300_000)
        assert texts(await conversations.load("c")) == ["a"]
    ours = GridConversationStore(f"memory://?namespace={namespace}&ttl=60")
    await grown(ours, "c", "a")
    assert texts(await ours.load("c")) == ["a"]
    await ours.close()
