"""Users', chats' and bot data field by field, conversation states, and the data behind buttons."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote

from telegram.ext import BasePersistence, PersistenceInput

from gridsession import ABSENT, SessionId, SessionStore, Turn
from gridsession import operations as op
from gridsession.dialects._place import Place
from gridsession.errors import Conflict, InvalidValue, UsageError
from gridsession.policy import Duration

Data = dict[Any, Any]
Key = tuple[int | str, ...]


class GridPersistence(BasePersistence[Data, Data, Data]):
    """What applications share; a `GridApplication` uses it. Data are dicts with keys that are str or int.

    Nothing is loaded at start but the bot's data. Data of a user other than the update's own is there after
    `await persistence.refresh_user_data(id, application.user_data[id])`. Give the store a ttl: chats that nobody writes
    in any more, and keyboards of a process that died, stay until then.

    Args:
        store: an open store, which stays its owner's; or a URL (None = `GRIDSESSION_URL`), opened at first use.
        store_data: which kinds to keep; all, if not given.
        update_interval: seconds until what jobs and non-blocking handlers changed is saved; the rest is saved at once.
        lease: for how long others wait for a process that died; a living one renews it, however long a handler takes.
        wait: how long an update waits for those before it.

    Attributes:
        followed: whether a `GridApplication` uses it, without which conversations cannot be shared.
    """

    followed = False

    def __init__(
        self,
        store: SessionStore | str | None = None,
        *,
        store_data: PersistenceInput | None = None,
        update_interval: float = 1.0,
        lease: Duration = 30.0,
        wait: Duration = 60.0,
    ) -> None:
        super().__init__(store_data, update_interval)
        self._place = Place(store)
        self._lease = lease
        self._wait = wait
        self._held: dict[str, Turn] = {}
        self._known: dict[tuple[str, int | str], dict[str, Any]] = {}
        self._keyboards: set[str] = set()

    async def store(self) -> SessionStore:
        """The store, open."""
        return await self._place.store()

    def session_id(self, part: int | str) -> str:
        """The session of a chat or a user (its id), of the bot ("bot"), or of a keyboard ("keyboard:<uuid>")."""
        return SessionId("ptb", f"{self.bot.id}:{part}").text

    @asynccontextmanager
    async def turns(self, parts: Iterable[int], update_id: int) -> AsyncIterator[dict[int, Turn]]:
        """Turns of these chats and users, the first one saved last; none if it knows the update already.

        Raises:
            Leased: the wait ran out.
            LeaseLost, Conflict: on leaving; nothing of that session and those before it was saved.
        """
        store, held = await self.store(), dict[int, Turn]()
        async with AsyncExitStack() as stack:
            for part in parts:
                asked = store.turn(self.session_id(part), lease=self._lease, wait=self._wait, message=update_id)
                turn = await stack.enter_async_context(asked)
                if turn.repeated and not held:
                    break
                if turn.repeated:
                    # A process died between the two commits: this one was made, the first one is still to be made.
                    stack.callback(setattr, turn, "state", copy.deepcopy(turn.state))
                held[part] = self._held[turn.id] = turn
                stack.callback(self._held.pop, turn.id)
            yield held

    # --- data --------------------------------------------------------------------------------------------------------

    async def get_user_data(self) -> dict[int, Data]:
        """Nothing: a user's data is read when it is needed."""
        return {}

    async def get_chat_data(self) -> dict[int, Data]:
        """Nothing: a chat's data is read when it is needed."""
        return {}

    async def get_bot_data(self) -> Data:
        """The bot's data."""
        data: Data = {}
        await self.refresh_bot_data(data)
        return data

    async def refresh_user_data(self, user_id: int, user_data: Data) -> None:
        """Make the data what it is on the grid now; what was changed here and is not saved yet stays."""
        await self._refresh("user", user_id, user_data)

    async def refresh_chat_data(self, chat_id: int, chat_data: Data) -> None:
        """As `refresh_user_data`."""
        await self._refresh("chat", chat_id, chat_data)

    async def refresh_bot_data(self, bot_data: Data) -> None:
        """As `refresh_user_data`."""
        await self._refresh("bot", "bot", bot_data)

    async def update_user_data(self, user_id: int, data: Data) -> None:
        """Save the fields that changed since they were read.

        Raises:
            Conflict: some were changed by another process meanwhile; those stay as they are, the others were saved.
            InvalidValue: a value cannot be stored; nothing was saved.
        """
        await self._update("user", user_id, data)

    async def update_chat_data(self, chat_id: int, data: Data) -> None:
        """As `update_user_data`."""
        await self._update("chat", chat_id, data)

    async def update_bot_data(self, data: Data) -> None:
        """As `update_user_data`."""
        await self._update("bot", "bot", data)

    async def drop_user_data(self, user_id: int) -> None:
        """Remove all data of a user."""
        await self._drop("user", user_id)

    async def drop_chat_data(self, chat_id: int) -> None:
        """Remove all data of a chat."""
        await self._drop("chat", chat_id)

    async def _refresh(self, kind: str, part: int | str, data: Data) -> None:
        name = self.session_id(part)
        turn = self._held.get(name)
        found: Mapping[str, Any] = turn.state if turn is not None else await (await self.store()).session(name).load()
        read = {field: found[field] for field in found if _is(kind, field)}
        fresh = copy.deepcopy(read)
        if (known := self._known.get((kind, part))) is not None:
            # What cannot be stored is told when it is to be saved, and gone afterwards.
            with contextlib.suppress(InvalidValue):
                fresh.update(_changes(known, _pack(kind, data)))
        self._known[kind, part] = copy.deepcopy(read)
        data.clear()
        data.update(_unpack({field: value for field, value in fresh.items() if value is not ABSENT}))

    async def _update(self, kind: str, part: int | str, data: Data) -> None:
        fields, name = _pack(kind, data), self.session_id(part)
        changed = _changes(self._known.get((kind, part), {}), fields)
        known, self._known[kind, part] = self._known.get((kind, part)), copy.deepcopy(fields)
        turn = self._held.get(name)
        if turn is not None:
            for field, value in changed.items():
                turn.state.pop(field, None)
                turn.state.update({} if value is ABSENT else {field: value})
        elif known is None:
            await (await self.store()).session(name).update(fields)
        elif changed:
            made = [op.compare_and_set(field, known.get(field, ABSENT), value) for field, value in changed.items()]
            snapshot = await (await self.store()).session(name).commit(*made)
            if not all(snapshot.results):
                raise Conflict(f"{kind} data changed here and in another process; its fields stay", session_id=name)

    async def _drop(self, kind: str, part: int) -> None:
        async def empty(turn: Turn) -> None:
            turn.state = {field: value for field, value in turn.state.items() if not _is(kind, field)}

        self._known.pop((kind, part), None)
        name = self.session_id(part)
        if name in self._held:
            await empty(self._held[name])
        else:
            await (await self.store()).run(name, empty)

    # --- conversations -----------------------------------------------------------------------------------------------

    async def get_conversations(self, name: str) -> dict[Key, object]:
        """Nothing: `GridApplication` reads the states that matter before each update.

        Raises:
            UsageError: the application is another one.
        """
        if not self.followed:
            raise UsageError("conversations are shared by ApplicationBuilder.application_class(GridApplication) only")
        return {}

    async def update_conversation(self, name: str, key: Key, new_state: object | None) -> None:
        """Save a conversation's state; None ends it.

        Raises:
            InvalidValue: the state cannot be stored: use int, str or tuples of them.
        """
        session, field = self.session_id(key[0]), f"conversation:{quote(name, safe='')}:{json.dumps(key)}"
        made = op.remove(field) if new_state is None else op.set(field, new_state)
        turn = self._held.get(session)
        if turn is None:
            await (await self.store()).session(session).commit(made)
        else:
            turn.state.pop(field, None)
            turn.state.update({} if new_state is None else {field: new_state})

    @staticmethod
    def conversations(fields: Mapping[str, Any]) -> dict[tuple[str, Key], object]:
        """The conversation states among a session's fields, by name and key."""
        found = {}
        for field in fields:
            if field.startswith("conversation:"):
                name, _, key = field.removeprefix("conversation:").partition(":")
                found[unquote(name), tuple(json.loads(key))] = fields[field]
        return found

    # --- callback data -----------------------------------------------------------------------------------------------

    async def get_callback_data(self) -> None:
        """Nothing: a keyboard is read when one of its buttons is pressed."""

    async def update_callback_data(self, data: tuple[list[tuple[str, float, Data]], dict[str, str]]) -> None:
        """Save the keyboards that are new here, and delete those that were dropped.

        Raises:
            InvalidValue: what is behind a button cannot be stored.
        """
        keyboards = {uuid: {"time": time, "buttons": buttons} for uuid, time, buttons in data[0]}
        known, self._keyboards = self._keyboards, set(keyboards)
        store = await self.store()
        for uuid in keyboards.keys() - known:
            await store.session(self.session_id(f"keyboard:{uuid}")).update(keyboards[uuid])
        for uuid in known - keyboards.keys():
            await store.session(self.session_id(f"keyboard:{uuid}")).delete()

    async def keyboard(self, uuid: str) -> tuple[str, float, Data] | None:
        """One keyboard, as `telegram.ext.CallbackDataCache` takes it; None if there is none."""
        found = await (await self.store()).session(self.session_id(f"keyboard:{uuid}")).load()
        if not found.exists:
            return None
        self._keyboards.add(uuid)
        return uuid, found["time"], found["buttons"]

    async def flush(self) -> None:
        """Close the store if it is ours: everything was saved."""
        await self._place.aclose()


def _is(kind: str, field: str) -> bool:
    return field.startswith((f"{kind}:", f"{kind}#"))


def _pack(kind: str, data: Data) -> dict[str, Any]:
    """Data as fields of a session: `user:name` for a key that is text, `user#7` for a number."""
    fields = {}
    for key, value in data.items():
        if type(key) not in (str, int):
            raise InvalidValue(f"a key of {kind}_data is a str or an int, not {type(key).__name__}")
        fields[f"{kind}:{key}" if isinstance(key, str) else f"{kind}#{key}"] = value
    return fields


def _unpack(fields: Mapping[str, Any]) -> Data:
    data: Data = {}
    for field, value in fields.items():
        kind = field.replace("#", ":").partition(":")[0]
        key = field[len(kind) + 1 :]
        data[key if field[len(kind)] == ":" else int(key)] = value
    return data


def _changes(known: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """What differs, as it would be stored; ABSENT for what is gone."""
    changed: dict[str, Any] = dict.fromkeys(known.keys() - fields.keys(), ABSENT)
    for field, value in fields.items():
        made = op.set(field, value)
        if field not in known or op.set(field, known[field]) != made:
            changed[field] = value
    return changed
