"""Sessions in MongoDB, one document each. Needs the extra `gridsession[mongo]`."""

from __future__ import annotations

import secrets
import time
from typing import ClassVar, Final, Unpack

from gridsession._identity import Space
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import ServerClock
from gridsession.drivers._swap import OPTIONS, Found, Held, Settings, SwapDriver, chosen
from gridsession.errors import ConnectFailed, InvalidOption, Unavailable
from gridsession.hooks import Hooks

try:
    from bson import Binary
    from pymongo import AsyncMongoClient, errors
    from pymongo.read_preferences import Primary
    from pymongo.write_concern import WriteConcern
except ImportError as missing:
    raise InvalidOption("mongodb:// needs pymongo 4.13 or later: pip install 'gridsession[mongo]'") from missing

from gridsession.drivers._mongo_client import Document, ask_time, client_of, moment, typed

__all__ = ["MongoDriver"]

_ASK_TIME_EVERY: Final = 10.0
_VERSION_BYTES: Final = 8
_OPTIONS: Final = {"collection": str, **OPTIONS}


class MongoDriver(SwapDriver):
    """`mongodb://host:27017/database`, `mongodb+srv://`: one document per session, in one collection.

    A document is `{_id: "sessions:namespace:id", version, record, until}`; a TTL index on `until` removes what ended.
    Changes are acknowledged by a majority: two round trips, or one if this process was the last to change that session,
    a moment ago. The primary's clock is what counts, as this process last heard of it.

    Args:
        client: an `AsyncMongoClient`; it is never closed here.
        database: where the collection is; None = the one that the client's URL names, else `gridsession`.
        collection: its name.
        deadline, poll, hooks, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.CLUSTER,
        survives=("the death of the process", "the death of a minority of a replica set's members"),
        expires_within=60.0,
        own_clock=False,
        pushes=False,
        tells_within=3.0,
    )
    expects = True

    def __init__(
        self,
        client: AsyncMongoClient[Document],
        *,
        database: str | None = None,
        collection: str = "gridsession",
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(**settings)
        found = client.get_database(database) if database else client.get_default_database("gridsession")
        self._client = client
        self._place = f"MongoDB {found.name}.{collection}"
        self._collection = found.get_collection(
            collection, read_preference=Primary(), write_concern=WriteConcern("majority")
        )
        self._clock = ServerClock()
        self._heard = 0.0
        self._owned = False

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> MongoDriver:
        """See `Driver.from_address`; options are `collection`, `deadline` and `poll`, and MongoDB's own."""
        client = client_of(address, ours=_OPTIONS)
        driver = cls(client, hooks=hooks, **chosen(address, _OPTIONS))
        driver._owned = True
        return driver

    async def connect(self) -> None:
        """Ask the server its time, and see to the TTL index."""
        try:
            await self.patiently(self._prepare)
        except Unavailable as error:
            await self.close()
            raise ConnectFailed(f"{error}; see whether MongoDB runs there", address=self._place) from None

    async def close(self) -> None:
        """Close the client, if it was made here."""
        if self._owned:
            await self._client.close()

    def now(self) -> int:
        """The primary's time as last heard of."""
        return self._clock.now()

    def where(self, space: Space, session_id: str) -> str:
        """The document."""
        return f"document {_key(space, session_id)!a} of {self._place}"

    async def read(self, space: Space, session_id: str) -> Held:
        """The document's record and version."""
        with typed(self._place):
            await self._keep_time()
            found = await self._collection.find_one({"_id": _key(space, session_id)})
        if found is None:
            return Held(None, None, self._clock.now())
        return Held(_record(found), found.get("version"), self._clock.now())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool | Held:
        """Insert, or change or delete what has the version that was read, by the server's own clock."""
        key = _key(space, session_id)
        unchanged: Document = {"_id": key, "version": held.version}
        if before:
            unchanged["$expr"] = {"$lt": ["$$NOW", moment(before)]}
        with typed(self._place):
            await self._keep_time()
            if data is None:
                return await self._collection.find_one_and_delete(unchanged, projection={"_id": 1}) is not None
            version = secrets.token_bytes(_VERSION_BYTES)
            fields: Document = {"version": Binary(version), "record": Binary(data)}
            if keep_until is not None:
                fields["until"] = moment(keep_until)
            if held.data is None:
                try:
                    await self._collection.insert_one({"_id": key, **fields})
                except errors.DuplicateKeyError:
                    return False
                return Held(data, version, self._clock.now())
            change = {"$set": fields} if keep_until is not None else {"$set": fields, "$unset": {"until": ""}}
            found = await self._collection.find_one_and_update(unchanged, change, projection={"_id": 1})
        return False if found is None else Held(data, version, self._clock.now())

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Documents in the order of their ids."""
        head = _key(space, "")
        first = head + prefix
        if cursor is not None and not cursor.startswith(head):
            raise InvalidOption("the cursor is not one of this space of a MongoDB driver")
        asked = {"$gte": first} if cursor is None else {"$gt": cursor}
        with typed(self._place):
            found = await self._collection.find({"_id": asked}).sort("_id", 1).limit(limit).to_list()
        # What begins with the prefix stands together, in whatever order the server has for text.
        ours = [one for one in found if one["_id"].startswith(first)]
        records = [(f"document {one['_id']!a} of {self._place}", _record(one)) for one in ours]
        return Found(records, ours[-1]["_id"] if len(ours) == limit else None, self._clock.now())

    async def _keep_time(self) -> None:
        if time.monotonic() - self._heard > _ASK_TIME_EVERY:
            self._heard = await ask_time(self._client, self._clock)

    async def _prepare(self) -> None:
        with typed(self._place):
            self._heard = await ask_time(self._client, self._clock)
            await self._collection.create_index("until", expireAfterSeconds=0, name="until")


def _record(document: Document) -> bytes:
    """The record's bytes; what is none of bytes is no record of any id either."""
    found = document.get("record")
    return found if isinstance(found, bytes) else b""


def _key(space: Space, session_id: str) -> str:
    return f"{space.kind}:{space.namespace}:{session_id}"
