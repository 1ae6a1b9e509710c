"""What the Mongo driver needs of pymongo: a client by URL, the primary's clock, its errors in our words."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
import warnings
from collections.abc import Collection, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from pymongo import AsyncMongoClient, errors

from gridsession.drivers import Address
from gridsession.drivers._clock import ServerClock
from gridsession.drivers._swap_run import Unanswered, Unsent
from gridsession.errors import InvalidOption, Unavailable

_SELECTION_MS: Final = 3_000
_UNKNOWN_COMMAND: Final = 59
# Refused because this is not the primary: surely not applied. One that steps down or shuts down meanwhile (91, 189,
# 11600, 11602) may have applied what it then refused to confirm.
_NOT_PRIMARY: Final = frozenset((10058, 10107, 13435, 13436))
_STEPPING_DOWN: Final = frozenset((91, 189, 11600, 11602))
_DISK_FULL: Final = frozenset((14031, 12500))
_UNAUTHORISED: Final = frozenset((13, 18))

Document = dict[str, Any]


def client_of(address: Address, ours: Collection[str]) -> AsyncMongoClient[Document]:
    """A client for a URL, not yet connected; all options but ours are MongoDB's.

    Raises:
        InvalidOption: the URL makes no sense.
    """
    theirs = {"serverSelectionTimeoutMS": str(_SELECTION_MS)}
    theirs |= {name: value for name, value in address.options.items() if name not in ours}
    location = address.location if "/" in address.location else f"{address.location}/"
    try:
        with warnings.catch_warnings():
            # pymongo only warns of an option that it does not know: a misspelt namespace would go unnoticed.
            warnings.simplefilter("error", UserWarning)
            return AsyncMongoClient(f"{address.scheme}://{location}?{urlencode(theirs)}", tz_aware=True)
    except UserWarning:
        names = ", ".join(sorted({*ours, "deadline", "namespace", "ttl"}))
        raise InvalidOption(f"an option of the MongoDB URL is neither ours ({names}) nor MongoDB's own") from None
    except (errors.ConfigurationError, errors.InvalidURI, ValueError) as error:
        raise InvalidOption(f"not a MongoDB URL: {type(error).__name__}") from None


async def ask_time(client: AsyncMongoClient[Document], clock: ServerClock) -> float:
    """Have the clock learn the primary's time; when it was heard (monotonic seconds)."""
    sent = time.monotonic()
    try:
        told = await client.admin.command("hello")
    except errors.OperationFailure as error:
        if error.code != _UNKNOWN_COMMAND:
            raise
        told = await client.admin.command("isMaster")
    heard = time.monotonic()
    told_time: dt.datetime = told["localTime"]
    if told_time.tzinfo is None:
        told_time = told_time.replace(tzinfo=dt.UTC)
    clock.learn(round(told_time.timestamp() * 1000), sent, heard)
    return heard


def moment(milliseconds: int) -> dt.datetime:
    """A time in ms since 1970 as MongoDB keeps it."""
    # Integers, because a float of seconds would lose the last millisecond.
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)


@contextlib.contextmanager
def typed(place: str) -> Iterator[None]:
    """Errors of pymongo in our words; those of the connection leave open whether the command arrived."""
    try:
        yield
    except (errors.ServerSelectionTimeoutError, errors.WaitQueueTimeoutError):
        raise Unsent(f"{place} has no primary") from None
    except (errors.OperationFailure, errors.NotPrimaryError) as error:
        raise _refusal(place, error) from None
    except (errors.ConnectionFailure, OSError) as error:
        raise Unanswered(f"{place} did not answer ({type(error).__name__})") from None
    except errors.PyMongoError as error:
        raise Unavailable(f"{place}: {type(error).__name__}; nothing was changed", address=place) from None


def _refusal(place: str, error: errors.OperationFailure | errors.NotPrimaryError) -> Exception:
    code = (error.details or {}).get("code") if isinstance(error.details, dict) else None
    if code in _NOT_PRIMARY and not isinstance(error, errors.WriteConcernError):
        return Unsent(f"{place} is not primary ({code})")
    unsure = (errors.WriteConcernError, errors.NotPrimaryError)
    if isinstance(error, unsure) or code in _STEPPING_DOWN or error.has_error_label("RetryableWriteError"):
        return Unanswered(f"{place} did not confirm ({code})")
    remedy = "see its log"
    if code in _UNAUTHORISED:
        remedy = "grant this user readWrite there"
    elif code in _DISK_FULL:
        remedy = "its disk is full"
    return Unavailable(f"{place} refused (code {code}); nothing was changed: {remedy}", address=place)
