"""Users', chats' and bot data and the data behind buttons, shared by applications field by field."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.ext import CallbackQueryHandler, CommandHandler, ContextTypes, InvalidCallbackData, TypeHandler

from gridsession import Policy, SessionStore
from gridsession.dialects.python_telegram_bot import GridPersistence
from gridsession.errors import Conflict, InvalidValue, StoreClosed
from gridsession.hooks import CommandDone, Event
from tests.frameworks.ptb.offline import errors, pressed, running, said, seen, sent

pytestmark = pytest.mark.frameworks

Context = ContextTypes.DEFAULT_TYPE
Action = Callable[[Any], Coroutine[Any, Any, None] | None]


class Script:
    """A handler that does what the test says next."""

    def __init__(self, **options: Any) -> None:
        self.action: Action = lambda _: None
        self.handler = TypeHandler(Update, self._do, **options)

    async def _do(self, update: Update, context: Context) -> None:
        found = self.action(context)
        if found is not None:
            await found


class Replica:
    """An application and its script."""

    def __init__(self, application: Any, script: Script) -> None:
        self.application = application
        self._script = script

    async def hears(self, action: Action, user: int = 7, chat: int | None = None, number: int | None = None) -> None:
        """Handle an update of a user in a chat by this action."""
        await self.does(action, said(self.application, "Hi", user, chat, number))

    async def does(self, action: Action, update: Update) -> None:
        """Handle an update by this action."""
        self._script.action = action
        await self.application.process_update(update)


@asynccontextmanager
async def replicas(url: str, namespace: str, **options: Any) -> AsyncIterator[list[Replica]]:
    """Two applications of one bot."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(SessionStore.open(url, namespace=namespace)) for _ in range(2)]
        made = []
        for store in stores:
            script = Script(**options)
            persistence = GridPersistence(stores[0] if url == "memory://" else store, update_interval=60)
            made.append(Replica(await stack.enter_async_context(running(persistence, script.handler)), script))
        yield made


async def test_each_handler_sees_what_the_last_one_left_wherever_it_ran(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):

        def leave(context: Any) -> None:
            context.user_data.update({"name": "Ploy", 5: {"nested": [1]}})
            context.chat_data["topic"] = ("tea", 2)
            context.bot_data["open"] = True

        def change(context: Any) -> None:
            assert context.user_data == {"name": "Ploy", 5: {"nested": [1]}}
            assert context.chat_data == {"topic": ("tea", 2)}
            assert context.bot_data == {"open": True}
            context.user_data[5]["nested"].append(2)
            del context.user_data["name"]
            context.chat_data.clear()
            context.bot_data["open"] = False

        def check(context: Any) -> None:
            assert context.user_data == {5: {"nested": [1, 2]}}
            assert context.chat_data == {}
            assert context.bot_data == {"open": False}

        for chat in (-100, 7):
            await one.hears(leave, chat=chat)
            await other.hears(change, chat=chat)
            await one.hears(check, chat=chat)
            await other.hears(lambda context: context.user_data.clear(), chat=chat)
        assert not errors(one.application) + errors(other.application)


async def test_fields_of_the_bot_changed_at_once_merge_and_the_same_one_is_a_conflict(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):
        meet = asyncio.Barrier(2)

        def write(**fields: int) -> Action:
            async def action(context: Any) -> None:
                await meet.wait()
                context.bot_data.update(fields)

            return action

        # Both have read before one of them writes.
        await asyncio.gather(one.hears(write(a=1, same=1), user=1), other.hears(write(b=2, same=2), user=2))
        found = errors(one.application) + errors(other.application)
        assert found == [Conflict]
        await one.hears(lambda context: None)
        await other.hears(lambda context: None)
        assert one.application.bot_data == other.application.bot_data
        assert one.application.bot_data in ({"a": 1, "b": 2, "same": 1}, {"a": 1, "b": 2, "same": 2})
        assert len(errors(one.application) + errors(other.application)) == 1


async def test_a_user_in_two_groups_at_once_is_served_in_turn(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):

        async def count(context: Any) -> None:
            found = context.user_data.get("count", 0)
            await asyncio.sleep(0)
            context.user_data["count"] = found + 1

        await asyncio.gather(*((one, other)[number % 2].hears(count, chat=-1 - number % 4) for number in range(40)))
        await one.hears(lambda context: None)
        assert one.application.user_data[7] == {"count": 40}


async def test_two_users_in_each_others_chats_do_not_wait_for_each_other(url: str, namespace: str) -> None:
    """As two business accounts that write to each other: what is the chat for one update is the user of another."""
    async with replicas(url, namespace) as (one, other):

        def count(context: Any) -> None:
            context.chat_data["count"] = context.chat_data.get("count", 0) + 1

        await asyncio.gather(
            *((one, other)[number % 2].hears(count, user=7 + number % 2, chat=8 - number % 2) for number in range(20))
        )
        for user in (7, 8):
            await one.hears(lambda context: None, user=user)
            assert one.application.chat_data[user] == {"count": 10}
        assert not errors(one.application) + errors(other.application)


async def test_what_was_saved_before_a_death_between_two_sessions_is_not_done_again(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):
        application = one.application

        def count(context: Any) -> None:
            for data in (context.user_data, context.chat_data):
                data["count"] = data.get("count", 0) + 1

        async def spoil(context: Any) -> None:
            count(context)
            # The chat's part cannot be saved any more; the user's can, and is saved first.
            store = await application.persistence.store()
            await store.session(application.persistence.session_id(-1)).set("chat:count", 10)

        await one.hears(spoil, chat=-1, number=1)
        assert errors(application) == [Conflict]
        await other.hears(count, chat=-1, number=1)
        await one.hears(count, chat=-1, number=1)
        await one.hears(lambda context: None, chat=-1)
        assert application.user_data[7] == {"count": 1}
        assert application.chat_data[-1] == {"count": 11}


async def test_what_cannot_be_stored_is_told_and_the_rest_is_saved(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):
        await one.hears(lambda context: context.user_data.update(fine=1, handle=object()), chat=-1)
        await one.hears(lambda context: context.user_data.update({(1, 2): 3}), user=8)
        await one.hears(lambda context: context.chat_data.update(fine=1), chat=-1)
        assert errors(one.application) == [InvalidValue, InvalidValue]
        await other.hears(lambda context: None, chat=-1)
        assert other.application.user_data[7] == {}
        assert other.application.chat_data[-1] == {"fine": 1}


async def test_a_handler_beside_the_update_saves_its_fields_without_touching_others(url: str, namespace: str) -> None:
    async with replicas(url, namespace, block=False) as (one, other):
        for replica in (one, other):
            await replica.application.start()
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def beside(context: Any) -> None:
            context.user_data["early"] = 1
            begun.set()
            await go_on.wait()
            context.user_data["slow"] = 1

        await one.hears(beside)
        await begun.wait()
        await one.hears(lambda context: context.user_data.update(beside=1))
        await other.hears(lambda context: context.user_data.update(quick=1))
        await asyncio.sleep(0)
        await other.application.update_persistence()
        go_on.set()
        while "slow" not in one.application.user_data[7]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await one.application.update_persistence()
        await other.hears(lambda context: None)
        await asyncio.sleep(0)
        assert other.application.user_data[7] == {"early": 1, "beside": 1, "slow": 1, "quick": 1}
        for replica in (one, other):
            await replica.application.stop()
        assert not errors(one.application) + errors(other.application)


async def test_data_can_be_dropped_and_read_for_others(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):
        for user in (7, 8):
            await one.hears(lambda context: context.user_data.update(name="Ploy"), user=user)
            await one.hears(lambda context: context.chat_data.update(name="Shop"), user=user)
        await one.hears(lambda context: context.application.drop_user_data(7))
        await one.hears(lambda context: context.application.drop_chat_data(8))
        application = other.application
        await other.hears(lambda context: None)
        assert application.user_data[7] == {}
        assert application.chat_data[7] == {"name": "Shop"}
        await application.persistence.refresh_user_data(8, application.user_data[8])
        await application.persistence.refresh_chat_data(8, application.chat_data[8])
        assert application.user_data[8] == {"name": "Ploy"}
        assert application.chat_data[8] == {}


async def test_nothing_but_the_bots_data_is_read_at_start(namespace: str) -> None:
    done: list[Event] = []
    async with SessionStore.open("memory://", namespace=namespace, hooks=[done.append]) as store:
        script = Script()
        script.action = lambda context: context.user_data.update(name="Ploy")
        async with running(GridPersistence(store), script.handler) as application:
            for user in range(1, 31):
                await application.process_update(said(application, "Hi", user))
        done.clear()
        async with running(GridPersistence(store), script.handler) as application:
            started = [event.session_id for event in done if isinstance(event, CommandDone)]
            assert started == ["ptb:42:bot"]
            done.clear()
            await application.process_update(said(application, "Hi", 1))
            calls = [
                event.command for event in done if isinstance(event, CommandDone) and event.session_id[-4:] != ":bot"
            ]
            assert calls == ["Load", "Commit"]


def menu(context: Any) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("Tea", callback_data=("tea", {"price": 40}))]])


async def test_a_button_is_understood_by_an_application_that_did_not_send_it(url: str, namespace: str) -> None:
    pushed: list[object] = []

    async def offer(update: Update, context: Context) -> None:
        assert update.effective_message is not None
        await update.effective_message.reply_text("Choose", reply_markup=menu(context))

    async def press(update: Update, context: Context) -> None:
        assert update.callback_query is not None
        pushed.append(update.callback_query.data)
        if not isinstance(update.callback_query.data, InvalidCallbackData):
            context.drop_callback_data(update.callback_query)

    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(SessionStore.open(url, namespace=namespace)) for _ in range(2)]
        one, other, third = [
            await stack.enter_async_context(
                running(
                    GridPersistence(stores[0] if url == "memory://" else store),
                    CommandHandler("menu", offer),
                    CallbackQueryHandler(press),
                    buttons=True,
                )
            )
            for store in (*stores, stores[0])
        ]
        await one.process_update(said(one, "/menu"))
        markup = seen[id(one)][0][0]["reply_markup"]
        update = pressed(other, markup)
        assert isinstance(update.callback_query.data, InvalidCallbackData)
        await other.process_update(update)
        assert pushed == [("tea", {"price": 40})]
        # It was dropped by the second: nobody else finds it any more.
        await third.process_update(pressed(third, markup))
        assert isinstance(pushed[1], InvalidCallbackData)
        assert not errors(one) + errors(other) + errors(third)
        assert sent(one) == ["Choose"]


async def test_an_update_of_nobody_is_handled_as_well(url: str, namespace: str) -> None:
    async with replicas(url, namespace) as (one, other):
        await one.hears(lambda context: context.bot_data.update(votes=1))
        nobodys = Update(900_001)  # as the one of a poll is
        await other.does(lambda context: context.bot_data.update(votes=context.bot_data["votes"] + 1), nobodys)
        await one.hears(lambda context: None)
        assert one.application.bot_data == {"votes": 2}


async def test_sessions_take_the_stores_ttl_and_a_store_of_its_own_is_closed(namespace: str) -> None:
    script = Script()
    script.action = lambda context: context.user_data.update(name="Ploy")
    async with SessionStore.open("memory://", namespace=namespace, policy=Policy(ttl=900)) as store:
        async with running(GridPersistence(store), script.handler) as application:
            await application.process_update(said(application, "Hi"))
        assert 890 < (await store.session("ptb:42:7").ttl() or 0) <= 900
    persistence = GridPersistence(f"memory://?namespace={namespace}")
    async with running(persistence, script.handler) as application:
        await application.process_update(said(application, "Hi"))
    with pytest.raises(StoreClosed):
        await persistence.store()
