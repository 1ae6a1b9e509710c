"""A bot that takes orders, in aiogram 3; any number of processes serve it together.

    python aiogram_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl   # no network: one line per reply
    BOT_TOKEN=... python aiogram_bot.py hazelcast://host:5701/cluster --port 8080  # behind your webhook

An update is handled in one turn of its conversation. Its effect is saved together with its id, before Telegram hears
that it was received: whatever a process that dies has not saved, Telegram delivers again, and nothing else twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from aiogram import Bot, Dispatcher, F
from aiogram.client.session.base import BaseSession
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.methods import SendMessage
from aiogram.types import Chat, Message, TelegramObject
from aiogram.webhook.aiohttp_server import SimpleRequestHandler, setup_application
from aiohttp import web

from gridsession import Policy, SessionStore
from gridsession.dialects.aiogram import GridStorage, handle_once

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class Order(StatesGroup):
    """Where a customer stands."""

    item = State()
    count = State()


async def counted(handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
    """Count every message of a conversation: two of them at once, or one handled twice, would show in it."""
    state: FSMContext = data["state"]
    await state.update_data(messages=await state.get_value("messages", 0) + 1)
    return await handler(event, data)


async def order(message: Message, state: FSMContext) -> None:
    """Begin."""
    await state.set_state(Order.item)
    await message.answer("What would you like?")


async def item(message: Message, state: FSMContext) -> None:
    """Note what."""
    await state.update_data(item=message.text)
    await state.set_state(Order.count)
    await message.answer("How many?")


async def count(message: Message, state: FSMContext) -> None:
    """Note how many, which completes the order."""
    if not (message.text or "").isdigit():
        await message.answer("A number, please.")
        return
    data = await state.get_data()
    await state.update_data(orders=[*data.get("orders", []), [data["item"], int(message.text or "0")]])
    await state.set_state(None)
    await message.answer("Ordered.")


async def total(message: Message, state: FSMContext) -> None:
    """Say what was ordered so far."""
    orders = (await state.get_data()).get("orders", [])
    await message.answer(f"{sum(number for _, number in orders)} things in {len(orders)} orders")


def dispatcher_for(store: SessionStore) -> Dispatcher:
    """The bot's handlers over a store, which the caller closes."""
    storage = GridStorage(store)
    dispatcher = Dispatcher(storage=storage, events_isolation=storage.create_isolation(lease=3))
    handle_once(dispatcher)
    dispatcher.message.outer_middleware(counted)
    dispatcher.message.register(order, Command("order"))
    dispatcher.message.register(total, Command("total"))
    dispatcher.message.register(item, Order.item, F.text)
    dispatcher.message.register(count, Order.count, F.text)
    return dispatcher


class Offline(BaseSession):
    """Instead of Telegram: says on standard output what the bot would send."""

    async def make_request(self, bot: Bot, method: Any, timeout: int | None = None) -> Any:  # noqa: ASYNC109 - theirs
        """Answer `sendMessage`; a real one would take a while as well."""
        if not isinstance(method, SendMessage):
            raise NotImplementedError(type(method).__name__)
        await asyncio.sleep(0.005)
        say({"chat": method.chat_id, "text": method.text})
        return Message(message_id=1, date=0, chat=Chat(id=int(method.chat_id), type="private"), text=method.text)

    async def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        """Nothing is downloaded."""
        raise NotImplementedError
        yield b""

    async def close(self) -> None:
        """Nothing was opened."""


def say(what: object) -> None:
    """One line of JSON for whoever listens."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def replay(store: SessionStore) -> None:
    """Handle the updates on standard input, one a line, side by side; say of each one when its effect is saved."""
    dispatcher = dispatcher_for(store)
    bot = Bot(os.environ.get("BOT_TOKEN", "42:offline"), session=Offline())

    async def handle(update: dict[str, Any]) -> None:
        try:
            await dispatcher.feed_raw_update(bot, update)
            say({"done": update["update_id"]})
        except Exception as error:  # noqa: BLE001 - to a webhook, this is status 500: deliver it again
            say({"failed": update["update_id"], "error": type(error).__name__})

    say({"ready": os.getpid()})
    async with asyncio.TaskGroup() as tasks:
        while line := await asyncio.to_thread(sys.stdin.readline):
            tasks.create_task(handle(json.loads(line)))


async def serve(store: SessionStore, port: int) -> None:
    """Handle what is posted to /webhook; status 200 says that its effect is saved."""
    dispatcher, bot, application = dispatcher_for(store), Bot(os.environ["BOT_TOKEN"]), web.Application()
    SimpleRequestHandler(dispatcher, bot, handle_in_background=False).register(application, path="/webhook")
    setup_application(application, dispatcher, bot=bot)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def main() -> None:
    """Open the store and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where sessions live")
    parser.add_argument("--namespace", default="orders")
    parser.add_argument("--replay", action="store_true", help="take updates from standard input, send nothing")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    async with SessionStore.open(options.url, namespace=options.namespace, policy=Policy(ttl=86400)) as store:
        await (replay(store) if options.replay else serve(store, options.port))


if __name__ == "__main__":
    asyncio.run(main())
