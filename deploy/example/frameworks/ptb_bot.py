"""A bot that takes orders, in python-telegram-bot 22; any number of processes serve it together.

    python ptb_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl   # no network
    BOT_TOKEN=... python ptb_bot.py hazelcast://host:5701/cluster              # long polling

An update is handled in one turn of its chat and its user. Its effect is saved together with its id, so what a process
that dies has not saved can be delivered again, and what was saved is not handled twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from telegram import Update
from telegram.ext import (
    Application,
    CommandHandler,
    ContextTypes,
    ConversationHandler,
    MessageHandler,
    TypeHandler,
    filters,
)
from telegram.request import BaseRequest, RequestData

from gridsession import Policy, SessionStore
from gridsession.dialects.python_telegram_bot import GridApplication, GridPersistence

Context = ContextTypes.DEFAULT_TYPE
ITEM, COUNT = range(2)


async def counted(update: Update, context: Context) -> None:
    """Count every message of a user: two of them at once, or one handled twice, would show in it."""
    context.user_data["messages"] = context.user_data.get("messages", 0) + 1


async def order(update: Update, context: Context) -> int:
    """Begin."""
    await update.effective_message.reply_text("What would you like?")
    return ITEM


async def item(update: Update, context: Context) -> int:
    """Note what."""
    context.chat_data["item"] = update.effective_message.text
    await update.effective_message.reply_text("How many?")
    return COUNT


async def count(update: Update, context: Context) -> int:
    """Note how many, which completes the order."""
    if not update.effective_message.text.isdigit():
        await update.effective_message.reply_text("A number, please.")
        return COUNT
    ordered = [context.chat_data.pop("item"), int(update.effective_message.text)]
    context.user_data.setdefault("orders", []).append(ordered)
    await update.effective_message.reply_text("Ordered.")
    return ConversationHandler.END


async def total(update: Update, context: Context) -> None:
    """Say what was ordered so far."""
    orders = context.user_data.get("orders", [])
    await update.effective_message.reply_text(f"{sum(n for _, n in orders)} things in {len(orders)} orders")


def application_for(store: SessionStore, token: str, request: BaseRequest | None = None) -> GridApplication:
    """The bot over a store, which the caller closes."""
    builder = Application.builder().token(token).application_class(GridApplication)
    builder = builder.persistence(GridPersistence(store, lease=3))
    if request is not None:
        builder = builder.request(request).get_updates_request(request)
    application = builder.build()
    text = filters.TEXT & ~filters.COMMAND
    application.add_handler(TypeHandler(Update, counted), group=-1)
    application.add_handler(
        ConversationHandler(
            entry_points=[CommandHandler("order", order)],
            states={ITEM: [MessageHandler(text, item)], COUNT: [MessageHandler(text, count)]},
            fallbacks=[],
            name="order",
            persistent=True,
        )
    )
    application.add_handler(CommandHandler("total", total))
    return application


class Offline(BaseRequest):
    """Instead of Telegram: says on standard output what the bot would send."""

    read_timeout = 1.0

    async def initialize(self) -> None:
        """Nothing is opened."""

    async def shutdown(self) -> None:
        """Nothing was opened."""

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *args: Any, **kwargs: Any
    ) -> tuple[int, bytes]:
        """Answer `getMe` and `sendMessage`; a real one would take a while as well."""
        parameters = {} if request_data is None else request_data.parameters
        result: dict[str, Any] = {"id": 42, "is_bot": True, "first_name": "Orders", "username": "orders_bot"}
        if url.endswith("/sendMessage"):
            await asyncio.sleep(0.005)
            say({"chat": parameters["chat_id"], "text": parameters["text"]})
            chat = {"id": parameters["chat_id"], "type": "private"}
            result = {"message_id": 1, "date": 0, "chat": chat, "text": parameters["text"]}
        return 200, json.dumps({"ok": True, "result": result}).encode()


def say(what: object) -> None:
    """One line of JSON for whoever listens."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def replay(store: SessionStore) -> None:
    """Handle the updates on standard input, one a line, side by side; say of each one when its effect is saved."""
    async with application_for(store, os.environ.get("BOT_TOKEN", "42:offline"), Offline()) as application:

        async def handle(update: dict[str, Any]) -> None:
            try:
                await application.handle(Update.de_json(update, application.bot))
                say({"done": update["update_id"]})
            except Exception as error:  # noqa: BLE001 - a webhook would say status 500: deliver it again
                say({"failed": update["update_id"], "error": type(error).__name__})

        say({"ready": os.getpid()})
        async with asyncio.TaskGroup() as tasks:
            while line := await asyncio.to_thread(sys.stdin.readline):
                tasks.create_task(handle(json.loads(line)))


async def poll(store: SessionStore) -> None:
    """Ask Telegram for updates. One process may; several are fed by a webhook, through `application.handle`."""
    async with application_for(store, os.environ["BOT_TOKEN"]) as application:
        await application.start()
        await application.updater.start_polling()
        try:
            await asyncio.Event().wait()
        finally:
            await application.updater.stop()
            await application.stop()


async def main() -> None:
    """Open the store and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where sessions live")
    parser.add_argument("--namespace", default="orders")
    parser.add_argument("--replay", action="store_true", help="take updates from standard input, send nothing")
    options = parser.parse_args()
    async with SessionStore.open(options.url, namespace=options.namespace, policy=Policy(ttl=86400)) as store:
        await (replay(store) if options.replay else poll(store))


if __name__ == "__main__":
    asyncio.run(main())
