"""Conversations over several applications: whichever gets the next message goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from telegram import Update
from telegram.ext import (
    Application,
    CommandHandler,
    ContextTypes,
    ConversationHandler,
    MessageHandler,
    PicklePersistence,
    TypeHandler,
    filters,
)
from telegram.warnings import PTBUserWarning

from gridsession import SessionStore
from gridsession.dialects.python_telegram_bot import GridApplication, GridPersistence, _application
from gridsession.errors import InvalidOption, UsageError
from tests.frameworks.figures import FIGURES
from tests.frameworks.ptb.offline import errors, running, said, sent

pytestmark = pytest.mark.frameworks

Context = ContextTypes.DEFAULT_TYPE
TEXT = filters.TEXT & ~filters.COMMAND


async def begin(update: Update, context: Context) -> str:
    assert update.effective_message is not None
    await update.effective_message.reply_text("What?")
    return "item"


async def item(update: Update, context: Context) -> int:
    assert update.effective_message is not None
    await update.effective_message.reply_text("Ordered")
    return ConversationHandler.END


def orders(**options: Any) -> ConversationHandler[Any]:
    """A conversation of two messages."""
    options = {"name": "order", "persistent": True, "fallbacks": [], **options}
    return ConversationHandler([CommandHandler("order", begin)], {"item": [MessageHandler(TEXT, item)]}, **options)


async def count(update: Update, context: Context) -> None:
    assert context.user_data is not None
    context.user_data["count"] = context.user_data.get("count", 0) + 1


@asynccontextmanager
async def two(url: str, namespace: str, make: Callable[[], Any] = orders, **options: Any) -> AsyncIterator[list[Any]]:
    """Two applications of one bot, each with a client of its own where there are such."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(SessionStore.open(url, namespace=namespace)) for _ in range(2)]
        yield [
            await stack.enter_async_context(
                running(GridPersistence(stores[0] if url == "memory://" else store), make(), **options)
            )
            for store in stores
        ]


async def eventually(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    ends = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < ends, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


async def test_a_second_application_goes_on_where_with_theirs_it_drops_the_message(
    url: str, namespace: str, tmp_path: Path
) -> None:
    customers = range(1, 21)

    async def talk(one: Any, other: Any) -> int:
        for customer in customers:
            await one.process_update(said(one, "/order", customer))
        await one.update_persistence()
        for customer in customers:
            await other.process_update(said(other, "tea", customer))
        return sent(other).count("Ordered")

    async with two(url, namespace) as (one, other):
        assert await talk(one, other) == 20
        assert await talk(other, one) == 20
        assert sent(one).count("Ordered") == 20
        assert not errors(one) + errors(other)
    stock = [PicklePersistence(tmp_path / "states", update_interval=0.1) for _ in range(2)]
    async with (
        running(stock[0], orders(), kind=Application) as one,
        running(stock[1], orders(), kind=Application) as other,
    ):
        went_on = await talk(one, other)
    FIGURES["python-telegram-bot: conversations of 20 that a second process goes on with, PicklePersistence"] = went_on
    assert went_on == 0


async def test_fifty_updates_by_turns_all_count_and_with_theirs_they_do_not(
    url: str, namespace: str, tmp_path: Path
) -> None:
    async def write(one: Any, other: Any) -> None:
        for number in range(50):
            application = (one, other)[number % 2]
            await application.process_update(said(application, "Hi"))

    async with two(url, namespace, lambda: TypeHandler(Update, count)) as (one, other):
        await write(one, other)
        await one.process_update(said(one, "Hi"))
        assert one.user_data[7] == {"count": 51}
    stock = [PicklePersistence(tmp_path / "data", update_interval=0.1) for _ in range(2)]
    async with (
        running(stock[0], TypeHandler(Update, count), kind=Application) as one,
        running(stock[1], TypeHandler(Update, count), kind=Application) as other,
    ):
        await write(one, other)
    after = PicklePersistence(tmp_path / "data")
    left = (await after.get_user_data())[7]["count"]
    FIGURES["python-telegram-bot: updates of 50 that count, two processes by turns, PicklePersistence"] = left
    assert left == 25


async def test_conversations_per_chat_per_user_and_in_groups_are_kept_apart(url: str, namespace: str) -> None:
    async with two(url, namespace, lambda: orders(per_user=False)) as (one, other):
        await one.process_update(said(one, "/order", 7, chat=-1))
        await other.process_update(said(other, "tea", 7, chat=-2))
        await other.process_update(said(other, "tea", 7))
        assert not sent(other)
        await other.process_update(said(other, "tea", 8, chat=-1))
        assert sent(other) == ["Ordered"]
    async with two(url, namespace + "-2", lambda: orders(per_chat=False, name="order: [again]")) as (one, other):
        await one.process_update(said(one, "/order", 7, chat=-1))
        await other.process_update(said(other, "tea", 8, chat=-1))
        assert not sent(other)
        await other.process_update(said(other, "tea", 7, chat=-2))
        assert sent(other) == ["Ordered"]


async def test_a_change_is_pushed_so_that_a_timeout_does_not_end_what_goes_on_elsewhere(
    url: str, namespace: str
) -> None:
    async def again(update: Update, context: Context) -> str:
        return "item"

    def patient() -> ConversationHandler[Any]:
        states = {"item": [CommandHandler("again", again), MessageHandler(TEXT, item)]}
        return ConversationHandler(
            [CommandHandler("order", begin)], states, [], name="o", persistent=True, conversation_timeout=600
        )

    async with two(url, namespace, patient) as (one, other):
        first, second = (application.handlers[0][0] for application in (one, other))
        for application in (one, other):
            await application.job_queue.start()
        for customer in (7, 8):
            await one.process_update(said(one, "/order", customer))
        jobs = dict(first.timeout_jobs)
        assert list(jobs) == [(7, 7), (8, 8)]
        await other.process_update(said(other, "/again", 7))
        await eventually(lambda: (7, 7) not in first.timeout_jobs, "the first one heard of the second one's change")
        assert jobs[7, 7].removed
        # By now it heard of its own changes as well, and they are none of another's.
        assert first.timeout_jobs == {(8, 8): jobs[8, 8]}
        assert list(second.timeout_jobs) == [(7, 7)]
        await one.process_update(said(one, "tea"))
        assert sent(one)[-1] == "Ordered"
        assert list(first.timeout_jobs) == [(8, 8)]
        await eventually(lambda: not second.timeout_jobs, "the second one heard that it ended")
        for application in (one, other):
            await application.job_queue.stop()


async def test_an_update_delivered_twice_is_handled_once(url: str, namespace: str) -> None:
    async with two(url, namespace, lambda: TypeHandler(Update, count)) as (one, other):
        await asyncio.gather(*(each.handle(said(each, "Hi", number=5)) for each in (one, other, one)))
        await other.handle(said(other, "Hi", number=6))
        await one.handle(said(one, "Hi", number=6))
        await one.handle(said(one, "Hi", number=7))
        assert one.user_data[7] == {"count": 3}


async def test_at_start_it_refuses_what_it_cannot_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidOption, match="GridPersistence"):
        async with running(PicklePersistence("unused")):
            pass
    with pytest.warns(PTBUserWarning):
        by_message = orders(per_chat=False, per_user=False, per_message=True)
    with pytest.raises(InvalidOption, match="per chat or per user"):
        async with running(GridPersistence("memory://"), by_message):
            pass
    with pytest.raises(UsageError, match="GridApplication"):
        async with running(GridPersistence("memory://"), orders(), kind=Application):
            pass
    monkeypatch.setattr(_application, "TESTED", ((21, 11),))
    with pytest.raises(UsageError, match=r"not tested.*21\.11"):
        async with running(GridPersistence("memory://")):
            pass


async def test_at_start_it_refuses_a_library_without_the_part_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    initialised = GridApplication.__init__

    def without(self: Any, **options: Any) -> None:
        initialised(self, **options)
        del self._conversation_handler_conversations

    monkeypatch.setattr(GridApplication, "__init__", without)
    with pytest.raises(UsageError, match="_conversation_handler_conversations"):
        async with running(GridPersistence("memory://"), orders()):
            pass
