"""Putting what a source gives in place: one record each, whole or not at all, and never over what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gridsession._commands import Install, Mode
from gridsession._identity import SessionId, check_key_text
from gridsession._link import Link, new_id, refuse
from gridsession._record import MAX_DURATION, Fields, Record, encode_field
from gridsession._reply import Status
from gridsession._store import SessionStore
from gridsession.errors import InvalidInput, InvalidValue, Refused, TooLarge
from gridsession.moving._parallel import each
from gridsession.moving._report import OnProgress, Progress, Report, Tally
from gridsession.moving.sources import Corrupt, Found, Item, Skipped, Source

_BATCH: Final = 256
_NAME_BYTES: Final = 255


async def import_sessions(
    source: Source,
    target: SessionStore,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> Report:
    """Import all that a source holds.

    A session that ends lives on for what it has left. Its ttl from then on is what the source says, else the target
    store's, else what is left. One that knows no end gets the target store's ttl from now on.

    Args:
        target: an open store, whose policy's ttl counts; with `dry_run` it is not asked anything.
        overwrite: replace a session that is there, with all it remembers, by the imported one.
        dry_run: read and check everything, and write nothing.

    Returns:
        Counts: imported (or found, if dry), existing (left as it is), ended, skipped (something else), failed.

    Raises:
        ConnectFailed: the source cannot be read.
        Unavailable, OutcomeUnknown: the target stopped answering; run it again, what is there stays.
    """
    report = Report()
    links = {link.space.kind: link for link in target._links}
    report.tally("import", "sessions")
    batch: list[Found] = []

    async def put(found: Found) -> None:
        kind = found.kind if isinstance(found, Item) else "sessions"
        await _Importer(links[kind], report.tally("import", kind), overwrite, dry_run).put(found)

    async def flush() -> None:
        await each(batch, put)
        batch.clear()
        if on_progress is not None:
            on_progress(Progress("import", "sessions", sum(tally.total for tally in report.tallies.values())))

    async for found in source.read():
        batch.append(found)
        if len(batch) >= _BATCH:
            await flush()
    await flush()
    return report


class _Importer:
    """One kind of item on its way to one place."""

    def __init__(self, target: Link, tally: Tally, overwrite: bool, dry_run: bool) -> None:
        self._target = target
        self._tally = tally
        self._overwrite = overwrite
        self._dry_run = dry_run

    async def put(self, found: Found) -> None:
        """Put one item in place, or say why not."""
        if isinstance(found, Skipped):
            self._tally.add("skipped")
        elif isinstance(found, Corrupt):
            self._tally.problem("failed", found.key, found.reason)
        elif found.left is not None and found.left <= 0:
            self._tally.add("ended")
        else:
            try:
                self._tally.add(await self._put(found))
            except (InvalidInput, Refused) as error:
                self._tally.problem("failed", found.key, str(error))

    async def _put(self, item: Item) -> str:
        name = SessionId.parse(item.id).text if item.kind == "sessions" else check_key_text(item.id).decode()
        bags = _fields(item.state, "$"), _fields(item.props, "$props")
        if self._dry_run:
            return "found"
        epoch = 0
        while True:
            now = self._target.driver.now()
            record = _record(name, item, bags, max(now, epoch), now, self._target.created_ttl)
            mode = Mode.IF_NEWER if self._overwrite else Mode.IF_ABSENT
            reply = await self._target.ask(name, Install(new_id(), self._target.not_after(), record.encode(), mode))
            if reply.status is Status.OK:
                return "imported"
            if reply.status is not Status.CONFLICT:
                refuse(reply)
            if record.expires_at is not None and record.expires_at <= reply.now:
                return "ended"
            if not self._overwrite:
                return "existing"
            # What is there may be of an epoch to come: made again and again within a millisecond, or by a clock ahead.
            epoch = reply.epoch + 1


def _record(name: str, item: Item, bags: tuple[Fields, Fields], epoch: int, now: int, default: int) -> Record:
    """A new session with as much time left as it had; `default` is the ttl, ms, of sessions made there (0 = none)."""
    ttl, left = item.ttl or default or None, item.left
    touched = now
    if left is not None and left <= MAX_DURATION:
        ttl = ttl if ttl is not None and 0 < ttl <= now + left else left
        touched = now + left - ttl
    if ttl is not None and ttl > MAX_DURATION:
        ttl = None
    return Record(name, epoch, True, 1, now, touched, ttl, bags=(*bags, {}))


def _fields(values: Mapping[str, Any], path: str) -> Fields:
    """The raw bytes of a bag.

    Raises:
        InvalidValue: a name or a value that cannot be stored.
        TooLarge: a name longer than any place takes.
    """
    fields = {}
    for name, value in values.items():
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise InvalidValue(f"{path}: a field's name is no Unicode text", path=path) from None
        if not 0 < size <= _NAME_BYTES:
            raise TooLarge(f"{path}: a field's name takes {size} bytes; 1 to 128 are allowed")
        try:
            fields[name] = encode_field(value)
        except InvalidValue as error:
            where = f"{path}.{name}{error.path[1:]}"
            raise InvalidValue(f"{where}{str(error)[len(error.path) :]}", path=where) from None
    return fields
