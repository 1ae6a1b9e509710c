"""Asking each member which expired sessions that it owns are to be claimed.

The question is an entry processor sent to the probe's map, by a key of a partition that the member owns: u8 layout (1),
text8 namespace, u16 most ids. The answer: u8 layout, u8 whether the member has looked yet, i64 cluster time, u16 count,
then each id as u16 length and UTF-8; big-endian.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from typing import Any, Final, NamedTuple

from gridsession._identity import Space
from gridsession._logs import logger
from gridsession._record import Reader
from gridsession.drivers import Due
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._call import NotSent, Overdue, ask, introduce, is_passing, server_class
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._probe import address_of, key_on
from gridsession.errors import CodecError, ConnectFailed

AGAIN: Final = 0.5
"""Seconds until asking again makes sense: together with a member's own half second this is how late it may hear."""
_CLASS_ID: Final = 8
_PATIENCE: Final = 2.0
"""Longest wait (s) for one member."""
_LITTLE_PATIENCE: Final = 0.1
"""The same (s) for one that did not answer the last time: a mute one must not keep the others' answers back."""
_MUTE_FOR: Final = 10.0
"""After so many seconds a mute member is waited for in full once more: it may only be slow."""
_MOST: Final = 65_535

_U16 = struct.Struct(">H")
_HEAD = struct.Struct(">BBqH")

_log = logger("hazelcast")


class _Told(NamedTuple):
    ids: list[str]
    looked: bool


class DueAsker:
    """Asks for one client; keys that lead to each member are kept."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys: dict[uuid.UUID, _wire.Key] = {}
        self._frames = _wire.ExecuteFrames(_wire.PROBE_MAP)
        self._cannot: set[uuid.UUID] = set()
        self._mute: dict[uuid.UUID, float] = {}

    async def due(self, space: Space, limit: int, patience: float) -> Due:
        """Ids due by now, of each member its share of `limit`, rounded up; as `Driver.due`.

        Raises:
            ConnectFailed: no member answered.
        """
        link = self._client.link
        until = asyncio.get_running_loop().time() + min(patience, _PATIENCE)
        name = space.namespace.encode()
        members = [member for member in link.members() if not member.lite_member]
        share = min(-(-limit // max(len(members), 1)), _MOST)
        question = bytes((1, len(name))) + name + _U16.pack(share)
        try:
            await introduce(link, _wire.records_map(space), until)
        except NotSent:
            raise link.failed() from None
        mute = self._still_mute(members)
        little = min(until, asyncio.get_running_loop().time() + _LITTLE_PATIENCE)
        told = await asyncio.gather(
            *(self._ask(member, question, little if member.uuid in mute else until) for member in members)
        )
        answers = [answer for answer in told if answer is not None]
        if not answers:
            raise ConnectFailed("no member told which sessions have expired; it is asked again")
        # Each member tells its own in order: taken in turn, the whole is about in order too.
        longest = max(len(answer.ids) for answer in answers)
        ids = [answer.ids[at] for at in range(longest) for answer in answers if at < len(answer.ids)]
        full = any(len(answer.ids) == share for answer in answers)
        return Due(ids, 0 if full else AGAIN / 5 if any(not answer.looked for answer in answers) else AGAIN)

    def _still_mute(self, members: list[Any]) -> set[uuid.UUID]:
        """Who did not answer lately; none if that is all of them, for then there is no answer to keep back."""
        now = asyncio.get_running_loop().time()
        self._mute = {which: until for which, until in self._mute.items() if until > now}
        mute = {member.uuid for member in members if member.uuid in self._mute}
        return mute if len(mute) < len(members) else set()

    async def _ask(self, member: Any, question: bytes, until: float) -> _Told | None:
        """What one member tells; None if it does not."""
        link = self._client.link
        key = self._keys.get(member.uuid)
        if key is None or link.owner(key.partition) != member.uuid:
            key = key_on(link, member.uuid)
            if key is None:
                return _Told([], looked=True)
            self._keys[member.uuid] = key
        data = _wire.processor_data(_CLASS_ID, question)
        try:
            message = await ask(link, self._frames.processor(data, key), until, partition=key.partition)
            self._mute.pop(member.uuid, None)
            return _read(_wire.answer(message))
        except Overdue as error:
            self._mute.setdefault(member.uuid, asyncio.get_running_loop().time() + _MUTE_FOR)
            reason = type(error).__name__
        except (NotSent, CodecError) as error:
            reason = type(error).__name__
        except Exception as error:  # noqa: BLE001 - the client raises what it likes; each means no answer
            reason = server_class(error)
            if not is_passing(error) and member.uuid not in self._cannot:
                self._cannot.add(member.uuid)
                # Also while members are restarted one by one with a newer jar.
                _log.warning("expiry.member_cannot_tell", address=address_of(member), reason=reason)
        _log.debug("expiry.member_silent", address=address_of(member), reason=reason)
        return None


def _read(body: bytes | None) -> _Told:
    if body is None:
        raise CodecError("a member finds the question for expired sessions malformed")
    reader = Reader(body)
    try:
        layout, looked, _, count = reader.unpack(_HEAD)
        if layout != 1:
            raise ValueError
        ids = [reader.take(reader.unpack(_U16)[0]).decode() for _ in range(count)]
        reader.end()
    except (struct.error, ValueError):
        raise CodecError("a member tells of expired sessions in a form that this version does not know") from None
    return _Told(ids, bool(looked))
