"""Being told that it is one's turn: members say on a topic who waits first for a session that nobody holds now.

There are 256 topics; a client draws one, ends its owner's text with it (`host:pid:7f`) so that members know where to
speak, and listens there from its first wait on. One that never waits installs nothing and hears nothing. What is heard
is a hint, `Grants.java` says the rest: a waiter that hears nothing asks again by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from hazelcast.protocol.codec import topic_add_message_listener_codec, topic_remove_message_listener_codec

from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._listen import Codec, Listener

_TOPIC: Final = "gridsession.grants."
_EARLY: Final = 64
"""Hints kept for waiters not known yet: the members may speak before their answer, which waits for a copy, is here."""
_STAGGER: Final = 0.05
"""Seconds over which all waiters ask again after events may have been missed."""

# The client's codecs have no type hints.
_ADD: Any = topic_add_message_listener_codec
_REMOVE: Any = topic_remove_message_listener_codec


def topic_listener(name: str) -> Codec:
    """The codec of a listener on a topic: each member tells what was published there."""

    def remove(registration: Any) -> Any:
        return _REMOVE.encode_request(name, registration)

    return _ADD.encode_request(name, True), _ADD.decode_response, remove


class Grants:
    """Who waits over one client, by request id.

    Attributes:
        topic: what the text of an owner that wants to be told ends with, after a colon.
    """

    def __init__(self, client: Client) -> None:
        self.topic = secrets.token_hex(1)
        self._client = client
        self._waiting: dict[bytes, Callable[[], None]] = {}
        self._early: deque[bytes] = deque(maxlen=_EARLY)
        self._listener: Listener[bytes] | None = None

    def expect(self, request_id: bytes, wake: Callable[[], None]) -> bool:
        """Have a waiter told; whether that works now."""
        if self._listener is None:
            codec = topic_listener(_TOPIC + self.topic)
            self._listener = Listener(self._client, codec, _request_id, self._on_told, self._on_gap, self._on_gap)
        if request_id not in self._waiting:
            self._waiting[request_id] = wake
            if request_id in self._early:
                wake()
        return self._listener.installed

    def forget(self, request_id: bytes) -> None:
        """It waits no longer."""
        self._waiting.pop(request_id, None)

    def _on_told(self, request_id: bytes) -> None:
        wake = self._waiting.get(request_id)
        if wake is not None:
            wake()
        else:
            self._early.append(request_id)

    def _on_gap(self) -> None:
        # Not all in the same instant, which would be a burst where members have just come or gone.
        loop, count = asyncio.get_running_loop(), len(self._waiting)
        for number, wake in enumerate(list(self._waiting.values())):
            loop.call_later(_STAGGER * number / count, wake)


def _request_id(message: Any) -> bytes:
    """What a message on the topic says; AttributeError or CodecError if it is another's."""
    return _wire.bytes_value(bytes(message.start_frame.next.buf))
