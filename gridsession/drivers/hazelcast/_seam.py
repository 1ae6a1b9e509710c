"""Where this driver reaches into the official client: the private names it uses, and pickle taken out.

The client's version is pinned in pyproject.toml; `check_seam` compares what is installed with what is used, so that a
client changed under us is a clear error at open and not a wrong answer later.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, NoReturn

from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config
from hazelcast.internal.asyncio_connection import Connection, ConnectionManager
from hazelcast.internal.asyncio_invocation import InvocationService
from hazelcast.internal.asyncio_listener import ListenerService
from hazelcast.serialization.api import StreamSerializer
from hazelcast.serialization.data import Data

from gridsession.errors import Unavailable

_PICKLE_TYPE: Final = -120
_REMEDY: Final = "install hazelcast-python-client >=5.7,<5.8"

_ATTRIBUTES: Final = (
    "_connection_manager._connect_all_members_task",
    "_connection_manager._heartbeat_manager._heartbeat_task",
    "_connection_manager._heartbeat_manager._tasks",
    "_connection_manager.active_connections",
    "_internal_partition_service._partition_table",
    "_internal_partition_service.get_partition_owner",
    "_internal_partition_service.partition_count",
    "_invocation_service._clean_resources_task",
    "_invocation_service._next_correlation_id.get_and_increment",
    "_invocation_service._pending",
    "_invocation_service._shutdown",
    "_listener_service._registration_lock",
)

data: Final[Callable[[bytes], Any]] = Data
"""Bytes that are a `Data` already, for codecs of the client."""


def new_client(config: Config) -> Any:
    """A client, not started, that neither reads nor writes pickles, nor makes a lost ping an error of the program.

    Raises:
        Unavailable: pickle could not be taken out of it, or it lacks a private attribute that we use.
    """
    client = HazelcastClient(config)
    _check_attributes(client)
    refuse_pickle(client)
    client._connection_manager._heartbeat_manager._tasks = _Pings()
    return client


class _Pings(set[Any]):
    """The client's pings under way. It looks at none of their ends, and asyncio would report each that failed."""

    def discard(self, ping: Any, /) -> None:
        if not ping.cancelled():
            # The connection's end tells of it.
            ping.exception()
        super().discard(ping)


def _check_attributes(client: Any) -> None:
    for path in _ATTRIBUTES:
        found = client
        for name in path.split("."):
            if not hasattr(found, name):
                raise Unavailable(f"the Hazelcast client has no {path}: {_REMEDY}")
            found = getattr(found, name)


class _Refuse(StreamSerializer):
    """Stands where the client keeps its pickle serializer."""

    def read(self, inp: object) -> NoReturn:
        raise TypeError("gridsession never reads pickles")

    def write(self, out: object, obj: object) -> NoReturn:
        raise TypeError("gridsession never writes pickles")

    def get_type_id(self) -> int:
        return _PICKLE_TYPE

    def destroy(self) -> None:
        """Nothing is held."""


def refuse_pickle(client: Any) -> None:
    """Take pickle out of a client, reading and writing, and make sure that it is out.

    Raises:
        Unavailable: it could not be taken out; such a client must not be used.
    """
    service = client._serialization_service
    registry = service._registry
    refuse = _Refuse()
    registry._id_dict[_PICKLE_TYPE] = refuse
    registry._python_serializer = refuse
    service._python_serializer = refuse
    # The pickle of `len([])`: harmless where it is read.
    harmless = b"c__builtin__\nlen\n(]tR."
    planted = data(b"\0\0\0\0\xff\xff\xff\x88" + len(harmless).to_bytes(4, "big") + harmless)
    attempts: tuple[Callable[[], Any], ...] = (lambda: service.to_object(planted), lambda: service.to_data({"a": 1}))
    for attempt in attempts:
        try:
            attempt()
        except Exception:  # noqa: BLE001, S112 - whatever kind: it was refused
            continue
        raise Unavailable(f"pickle could not be switched off in the Hazelcast client: {_REMEDY}")


def check_seam() -> None:
    """Make sure that the installed client has the private functions that `_link.py`, `_call.py` and `_listen.py` use.

    The attributes they use are looked at in each client that `new_client` makes; those of a connection cannot be. What
    `_tap.py` uses beyond them is tried out there: without it commands only cost more.

    Raises:
        Unavailable: it has not; the message names the versions that do.
    """
    expected: tuple[tuple[Callable[..., Any], tuple[str, ...]], ...] = (
        (ConnectionManager._create_connection, ("self", "address")),
        (ConnectionManager._authenticate, ("self", "connection")),
        (ConnectionManager._on_auth, ("self", "response", "connection")),
        (ConnectionManager._get_or_connect_to_address, ("self", "address")),
        (ConnectionManager._get_or_connect_to_member, ("self", "member")),
        (ConnectionManager.on_connection_close, ("self", "closed_connection", "unsafe")),
        (ConnectionManager._translate, ("self", "address")),
        (ConnectionManager._translate_member_address, ("self", "member")),
        (InvocationService._complete, ("self", "invocation", "client_message")),
        (InvocationService._notify_error, ("self", "invocation", "error")),
        (
            ListenerService.register_listener,
            (
                "self",
                "registration_request",
                "decode_register_response",
                "encode_deregister_request",
                "handler",
            ),
        ),
        (ListenerService.deregister_listener, ("self", "user_registration_id")),
        (Connection.send_message, ("self", "message")),
    )
    for function, names in expected:
        if tuple(inspect.signature(function).parameters) != names:
            raise Unavailable(f"the Hazelcast client's {function.__qualname__} is not as expected: {_REMEDY}")
