"""Redis and MongoDB as sources: opened by URL, only ever read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from gridsession.drivers import parse_url
from gridsession.errors import ConnectFailed, InvalidOption

REDIS: Final = ("redis", "rediss", "redis+sentinel", "redis+cluster")
MONGO: Final = ("mongodb", "mongodb+srv")
_BATCH: Final = 200


class Entry(NamedTuple):
    """One key of a Redis: its text (None = no string is there) and the ms it still lives (None = for ever)."""

    key: str
    text: bytes | None
    left: int | None


async def redis_entries(url: str, pattern: str = "*") -> AsyncIterator[Entry]:
    """All keys of a Redis database that match, each once; with SCAN, GET and PTTL alone.

    Raises:
        InvalidOption: the URL makes no sense, or redis-py is missing.
        ConnectFailed: the server does not answer, or refuses.
    """
    _check_scheme(url, REDIS)
    try:
        from gridsession.drivers import _redis_client as redis_client
    except ImportError:
        raise InvalidOption("redis:// needs redis-py 5.1 or later: pip install 'gridsession[redis]'") from None
    from gridsession.drivers._swap_run import Unanswered, Unsent

    made = redis_client.client_of(parse_url(url), ())
    try:
        with redis_client.typed(made.place):
            seen: set[bytes] = set()
            batch: list[bytes] = []
            async for key in made.client.scan_iter(match=pattern, count=_BATCH):
                if key not in seen:
                    seen.add(key)
                    batch.append(key)
                if len(batch) >= _BATCH:
                    for entry in await _read(made.client, batch):
                        yield entry
                    batch = []
            for entry in await _read(made.client, batch):
                yield entry
    except (Unsent, Unanswered) as error:
        raise ConnectFailed(f"nothing more can be read: {error}", address=made.place) from None
    finally:
        for client in made.owned:
            with contextlib.suppress(Exception):
                await client.aclose()


async def _read(client: Any, keys: list[bytes]) -> list[Entry]:
    if not keys:
        return []
    async with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.get(key)
            pipe.pttl(key)
        answers = await pipe.execute(raise_on_error=False)
    entries = []
    for key, text, left in zip(keys, answers[::2], answers[1::2], strict=True):
        if isinstance(left, int) and left == -2:
            continue  # it ended meanwhile
        if isinstance(text, Exception) and "WRONGTYPE" not in str(text):
            raise text  # only what is no string may be passed over, not what may not be read
        held = text if isinstance(text, bytes) else None
        entries.append(Entry(key.decode(errors="replace"), held, left if isinstance(left, int) and left >= 0 else None))
    return entries


async def mongo_documents(url: str, collection: str) -> AsyncIterator[dict[str, Any]]:
    """All documents of a collection.

    Args:
        collection: unless the URL says `?collection=`.

    Raises:
        InvalidOption: the URL makes no sense, or pymongo is missing.
        ConnectFailed: the server does not answer, or refuses.
    """
    _check_scheme(url, MONGO)
    try:
        from gridsession.drivers import _mongo_client as mongo_client
    except ImportError:
        raise InvalidOption("mongodb:// needs pymongo 4.13 or later: pip install 'gridsession[mongo]'") from None
    from gridsession.drivers._swap_run import Unanswered, Unsent

    address = parse_url(url)
    client = mongo_client.client_of(address, ("collection",))
    found = client.get_default_database("test").get_collection(address.options.get("collection", collection))
    place = f"MongoDB {found.database.name}.{found.name}"
    try:
        with mongo_client.typed(place):
            async for document in found.find({}, batch_size=_BATCH):
                yield document
    except (Unsent, Unanswered) as error:
        raise ConnectFailed(f"nothing more can be read: {error}", address=place) from None
    finally:
        with contextlib.suppress(Exception):
            await client.close()


def is_server(place: str, *schemes: str) -> bool:
    """Whether a place is a URL of one of these schemes."""
    return place.partition("://")[0] in schemes and "://" in place


def _check_scheme(url: str, schemes: tuple[str, ...]) -> None:
    if not is_server(url, *schemes):
        # What was given is not told again, for it may hold a password.
        raise InvalidOption(f"this is read from a URL that begins with {'://, '.join(schemes)}://")
