"""Sessions in MongoDB, one document each. Needs the extra `gridsession[mongo]`."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from gridsession._identity import Space
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession.drivers import Address, Promise, Reach
from gridsession.drivers._clock import ServerClock
from gridsession.drivers._swap import DEADLINE, POLL, Found, Held, SwapDriver, Unanswered, Unsent
from gridsession.errors import ConnectFailed, InvalidOption, Unavailable
from gridsession.hooks import Hooks

try:
    from bson import Binary
    from pymongo import AsyncMongoClient, errors
    from pymongo.read_preferences import Primary
    from pymongo.write_concern import WriteConcern
except ImportError as missing:
    raise InvalidOption("mongodb:// needs pymongo 4.9 or later: pip install 'gridsession[mongo]'") from missing

__all__ = ["MongoDriver"]

_ASK_TIME_EVERY: Final = 10.0
_VERSION_BYTES: Final = 8
_SELECTION_MS: Final = 3_000
_UNKNOWN_COMMAND: Final = 59
# Refused because this is not the primary: surely not applied. One that steps down or shuts down meanwhile (91, 189,
# 11600, 11602) may have applied what it then refused to confirm.
_NOT_PRIMARY: Final = frozenset((10058, 10107, 13435, 13436))
_STEPPING_DOWN: Final = frozenset((91, 189, 11600, 11602))
_DISK_FULL: Final = frozenset((14031, 12500))
_UNAUTHORISED: Final = frozenset((13, 18))
_Document = dict[str, Any]


class MongoDriver(SwapDriver):
    """`mongodb://host:27017/database`, `mongodb+srv://`: one document per session, in one collection.

    A document is `{_id: "sessions:namespace:id", version, record, until}`; a TTL index on `until` removes what ended.
    Changes are acknowledged by a majority. The primary's clock is what counts, as this process last heard of it.

    Args:
        client: an `AsyncMongoClient`; it is never closed here.
        database: where the collection is; None = the one that the client's URL names, else `gridsession`.
        collection: its name.
        deadline, poll, limits: see `SwapDriver`.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.CLUSTER,
        survives=("the death of the process", "the death of a minority of a replica set's members"),
        expires_within=60.0,
        own_clock=False,
        pushes=False,
    )

    def __init__(
        self,
        client: AsyncMongoClient[_Document],
        *,
        database: str | None = None,
        collection: str = "gridsession",
        deadline: float = DEADLINE,
        poll: float = POLL,
        hooks: Hooks | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(deadline=deadline, poll=poll, hooks=hooks, limits=limits)
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
        ours = {"collection": str, "deadline": float, "poll": float}
        chosen = {name: address.option(name, kind, None) for name, kind in ours.items() if name in address.options}
        theirs = {"serverSelectionTimeoutMS": str(_SELECTION_MS)}
        theirs |= {name: value for name, value in address.options.items() if name not in ours}
        location = address.location if "/" in address.location else f"{address.location}/"
        try:
            client: AsyncMongoClient[_Document] = AsyncMongoClient(
                f"{address.scheme}://{location}?{urlencode(theirs)}", tz_aware=True
            )
        except (errors.ConfigurationError, errors.InvalidURI, ValueError) as error:
            raise InvalidOption(f"not a MongoDB URL: {type(error).__name__}") from None
        driver = cls(client, hooks=hooks, **chosen)
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
        with self._typed():
            if time.monotonic() - self._heard > _ASK_TIME_EVERY:
                await self._ask_time()
            found = await self._collection.find_one({"_id": _key(space, session_id)})
        if found is None:
            return Held(None, None, self._clock.now())
        return Held(_record(found), found.get("version"), self._clock.now())

    async def swap(
        self, space: Space, session_id: str, held: Held, data: bytes | None, *, keep_until: int | None, before: int
    ) -> bool:
        """Insert, or change or delete what has the version that was read, by the server's own clock."""
        key = _key(space, session_id)
        unchanged: _Document = {"_id": key, "version": held.version}
        if before:
            unchanged["$expr"] = {"$lt": ["$$NOW", _moment(before)]}
        with self._typed():
            if data is None:
                return await self._collection.find_one_and_delete(unchanged, projection={"_id": 1}) is not None
            fields = {"version": Binary(secrets.token_bytes(_VERSION_BYTES)), "record": Binary(data)}
            if held.data is None:
                until = {} if keep_until is None else {"until": _moment(keep_until)}
                with contextlib.suppress(errors.DuplicateKeyError):
                    await self._collection.insert_one({"_id": key, **fields, **until})
                    return True
                return False
            change: _Document = {"$set": fields}
            if keep_until is None:
                change["$unset"] = {"until": ""}
            else:
                fields["until"] = _moment(keep_until)  # type: ignore[assignment]  # a document holds any value
            found = await self._collection.find_one_and_update(unchanged, change, projection={"_id": 1})
            return found is not None

    async def page(self, space: Space, prefix: str, cursor: str | None, limit: int) -> Found:
        """Documents in the order of their ids."""
        head = _key(space, "")
        first = head + prefix
        if cursor is not None and not cursor.startswith(head):
            raise InvalidOption("the cursor is not one of this space of a MongoDB driver")
        asked = {"$gte": first} if cursor is None else {"$gt": cursor}
        with self._typed():
            found = await self._collection.find({"_id": asked}).sort("_id", 1).limit(limit).to_list()
        # What begins with the prefix stands together, in whatever order the server has for text.
        ours = [one for one in found if one["_id"].startswith(first)]
        records = [(f"document {one['_id']!a} of {self._place}", _record(one)) for one in ours]
        return Found(records, ours[-1]["_id"] if len(ours) == limit else None, self._clock.now())

    async def _prepare(self) -> None:
        with self._typed():
            await self._ask_time()
            await self._collection.create_index("until", expireAfterSeconds=0, name="until")

    async def _ask_time(self) -> None:
        sent = time.monotonic()
        try:
            told = await self._client.admin.command("hello")
        except errors.OperationFailure as error:
            if error.code != _UNKNOWN_COMMAND:
                raise
            told = await self._client.admin.command("isMaster")
        self._heard = time.monotonic()
        moment: dt.datetime = told["localTime"]
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        self._clock.learn(round(moment.timestamp() * 1000), sent, self._heard)

    @contextlib.contextmanager
    def _typed(self) -> Iterator[None]:
        """Errors of pymongo in our words; those of the connection leave open whether the command arrived."""
        try:
            yield
        except (errors.ServerSelectionTimeoutError, errors.WaitQueueTimeoutError):
            raise Unsent(f"{self._place} has no primary") from None
        except (errors.OperationFailure, errors.NotPrimaryError) as error:
            raise self._refusal(error) from None
        except (errors.ConnectionFailure, OSError) as error:
            raise Unanswered(f"{self._place} did not answer ({type(error).__name__})") from None
        except errors.PyMongoError as error:
            reason = f"{type(error).__name__}; nothing was changed"
            raise Unavailable(f"{self._place}: {reason}", address=self._place) from None

    def _refusal(self, error: errors.OperationFailure | errors.NotPrimaryError) -> Exception:
        code = (error.details or {}).get("code") if isinstance(error.details, dict) else None
        if code in _NOT_PRIMARY and not isinstance(error, errors.WriteConcernError):
            return Unsent(f"{self._place} is not primary ({code})")
        unsure = (errors.WriteConcernError, errors.NotPrimaryError)
        if isinstance(error, unsure) or code in _STEPPING_DOWN or error.has_error_label("RetryableWriteError"):
            return Unanswered(f"{self._place} did not confirm ({code})")
        remedy = "see its log"
        if code in _UNAUTHORISED:
            remedy = "grant this user readWrite there"
        elif code in _DISK_FULL:
            remedy = "its disk is full"
        return Unavailable(f"{self._place} refused (code {code}); nothing was changed: {remedy}", address=self._place)


def _record(document: _Document) -> bytes:
    """The record's bytes; what is none of bytes is no record of any id either."""
    found = document.get("record")
    return found if isinstance(found, bytes) else b""


def _key(space: Space, session_id: str) -> str:
    return f"{space.kind}:{space.namespace}:{session_id}"


def _moment(milliseconds: int) -> dt.datetime:
    # Integers, because a float of seconds would lose the last millisecond.
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)
