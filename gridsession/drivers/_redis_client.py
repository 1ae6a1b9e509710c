"""What the Redis driver needs of redis-py: clients by URL, scripts by their digest, its errors in our words."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import redis.exceptions as faults
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from gridsession.drivers import Address
from gridsession.drivers._swap import Unanswered, Unsent
from gridsession.errors import CorruptRecord, InvalidOption, Unavailable

_TLS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_SECONDS: Final = 5.0
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_NO_HOST: Final = (
    "a redis URL is not redis://[user:password@]host:port/0: in names and passwords write # ? / @ : , [ ]"
    " percent-encoded"
)
_CONFIRM_MS: Final = 1_000
_CODES: Final = re.compile(
    r"\b(READONLY|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|UNBLOCKED|OOM|MISCONF|WRONGTYPE|NOAUTH|NOPERM|"
    r"WRONGPASS|NOSCRIPT)\b"
)
# redis-py takes the code off the text of those it has classes for.
_CODES_OF: Final[dict[type[Exception], str]] = {
    faults.ReadOnlyError: "READONLY",
    faults.MasterDownError: "MASTERDOWN",
    faults.ClusterDownError: "CLUSTERDOWN",
    faults.TryAgainError: "TRYAGAIN",
    faults.OutOfMemoryError: "OOM",
    faults.NoPermissionError: "NOPERM",
}
_PASSING: Final = frozenset(("READONLY", "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"))
_REMEDIES: Final = {
    "OOM": "its memory is full: raise maxmemory",
    "MISCONF": "it cannot write to its disk: see to its disk",
    "NOAUTH": "it wants a password: give one in the URL",
    "NOPERM": "this user may not run these commands: grant EVALSHA, EVAL, GET, SET, DEL, SCAN and MGET",
    "WRONGPASS": "it refused the password: correct it in the URL",
}


class Script:
    """A Lua script of one key, sent by its digest once the server knows it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Any, key: str, *args: bytes | int) -> Any:
        """Run it."""
        try:
            return await client.evalsha(self._digest, 1, key, *args)
        except faults.NoScriptError:
            return await client.eval(self._text, 1, key, *args)

    async def run_confirmed(self, client: Any, replicas: int, key: str, *args: bytes | int) -> Sequence[Any]:
        """Run it, then wait on the same connection until so many replicas have it; its answer and how many have."""
        answers: list[Any] = []
        for call in ("EVALSHA", self._digest), ("EVAL", self._text):
            async with client.pipeline(transaction=False) as pipe:
                pipe.execute_command(*call, 1, key, *args)
                pipe.execute_command("WAIT", replicas, _CONFIRM_MS)
                answers = await pipe.execute(raise_on_error=False)
            if not isinstance(answers[0], faults.NoScriptError):
                break
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


# Without a value GET answers false, which becomes nil: the list keeps its three places.
READ: Final = Script("""
local time = redis.call('TIME')
return {redis.call('GET', KEYS[1]), time[1], time[2]}
""")
# KEYS: the record. ARGV: its version when it was read ('' = absent), the value to store ('' = remove), until when the
# server may keep it and before when it must be stored (ms, 0 = no limit), and when this was decided (ms). Answers the
# server's time (ms) if it was stored, 0 if it was too late, and like the script above if another came first, or if it
# was decided in this server's future: by the clock of one that it took over from.
SWAP: Final = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] or now < tonumber(ARGV[5]) then
  return {redis.call('GET', KEYS[1]), time[1], time[2]}
end
local keep, before = tonumber(ARGV[3]), tonumber(ARGV[4])
if before > 0 and now >= before then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
elseif keep == 0 then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', string.format('%d', math.max(keep - now, 1))) end
return now
""")


@contextlib.contextmanager
def typed(place: str) -> Iterator[None]:
    """Errors of redis-py in our words."""
    try:
        yield
    except (faults.RedisError, OSError) as error:
        raise told(place, error) from None


def told(place: str, error: Exception) -> Exception:
    """An error of redis-py in our words; those of the connection leave open whether the command arrived."""
    match error:
        case faults.BusyLoadingError():
            return Unsent(f"{place} is loading its data")
        case faults.AuthenticationError() | faults.AuthorizationError():
            return _refused(place, "WRONGPASS")
        case faults.RedisClusterException() | faults.MaxConnectionsError():
            return Unsent(f"{place} ({type(error).__name__})")
        case faults.ResponseError():
            found = _CODES.search(str(error))
            code = found[0] if found else _CODES_OF.get(type(error), type(error).__name__)
            if code in _PASSING:
                return Unsent(f"{place} answered {code}")
            if code == "WRONGTYPE":
                return CorruptRecord(f"a key of {place} holds no string, so it is no record; it was left as it is")
            return _refused(place, code)
    return Unanswered(f"{place} did not answer ({type(error).__name__})")


def _refused(place: str, code: str) -> Unavailable:
    return Unavailable(
        f"{place} refused ({code}); nothing was changed: {_REMEDIES.get(code, 'see its log')}", address=place
    )


class _OfFamily(Connection):
    """A connection to an address of one family; the name is looked up again each time it connects."""

    def __init__(self, *, family: int, **options: Any) -> None:
        super().__init__(**options)
        self._name = self.host
        self._family = _FAMILIES[family]

    async def connect(self) -> None:
        """As its class does, to the first address of the family."""
        if not self.is_connected:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self._name, self.port, family=self._family, type=socket.SOCK_STREAM)
            self.host = str(found[0][4][0])
        await super().connect()  # type: ignore[no-untyped-call]  # untyped upstream


class _Where(NamedTuple):
    """A location's parts: user, password, hosts and ports, what follows the first slash."""

    user: str | None
    password: str | None
    hosts: list[tuple[str, int]]
    path: str


class Made(NamedTuple):
    """A client, what must be closed with it, and how messages call the place (without a password)."""

    client: Redis | RedisCluster
    owned: tuple[Redis | RedisCluster, ...]
    place: str


def client_of(address: Address, known: tuple[str, ...], *, timeout: float | None = _SECONDS) -> Made:
    """A client for a URL, not yet connected.

    Args:
        known: options that are not the client's.
        timeout: seconds each answer may take; None where the caller sees to that, and spares redis-py a task a command.

    Raises:
        InvalidOption: the URL makes no sense.
    """
    address.only(*known, *_TLS, "ssl", "family")
    sentinel, cluster = address.scheme == "redis+sentinel", address.scheme == "redis+cluster"
    where = _split(address, 26379 if sentinel else 6379)
    place = ",".join(f"{host}:{port}" for host, port in where.hosts)
    options: dict[str, Any] = {name: address.options[name] for name in _TLS if name in address.options}
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = address.option("ssl_check_hostname", bool, True)
    if address.scheme == "rediss" or address.option("ssl", bool, False):
        options["ssl"] = True
    # No retries of its own: the loop around knows what may be sent again, and until when.
    options |= {
        "username": where.user,
        "password": where.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": _SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    if cluster:
        nodes = [ClusterNode(host, port) for host, port in where.hosts]
        everywhere = RedisCluster(startup_nodes=nodes, **options)
        return Made(everywhere, (everywhere,), f"Redis cluster {place}")
    if sentinel:
        service, _, number = where.path.partition("/")
        if not service:
            raise InvalidOption("write the URL as redis+sentinel://host:26379,host:26379/service-name")
        seconds = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
        watchers = Sentinel(  # type: ignore[no-untyped-call]  # untyped upstream
            where.hosts, sentinel_kwargs=seconds, db=_database(number), **options
        )
        primary = watchers.master_for(service)
        return Made(primary, (primary, *watchers.sentinels), f"Redis primary {service!a} of Sentinel {place}")
    if len(where.hosts) != 1:
        raise InvalidOption("redis:// takes one host; several are for redis+sentinel:// and redis+cluster://")
    host, port = where.hosts[0]
    options |= {"host": host, "port": port, "db": _database(where.path)}
    family = address.option("family", int, 0)
    if not family:
        server = Redis(**options)
    elif family not in _FAMILIES or options.pop("ssl", False):
        raise InvalidOption("family is 4 (IPv4) or 6 (IPv6), and not for TLS, which needs the server's name")
    else:
        server = Redis.from_pool(ConnectionPool(connection_class=_OfFamily, family=family, **options))
    return Made(server, (server,), f"Redis {place}")


def _split(address: Address, port: int) -> _Where:
    authority, _, path = address.location.partition("/")
    if "@" in path:
        raise InvalidOption(_NO_HOST)
    credentials, _, hosts = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    found = []
    for text in (hosts or "localhost").split(","):
        host, number = re.fullmatch(r"(\[[^]]*\]|[^:]*)(?::([0-9]+))?", text), port
        if host is None or (host[2] and not 0 < int(host[2]) < 65536):
            # Never told: with a password that is not percent-encoded this is half of it.
            raise InvalidOption(_NO_HOST)
        number = int(host[2]) if host[2] else port
        found.append((host[1].strip("[]") or "localhost", number))
    return _Where(unquote(user) or None, unquote(password) if colon else None, found, path)


def _database(text: str) -> int:
    if not text:
        return 0
    if not text.isdigit():
        raise InvalidOption(
            "what follows the host in a redis URL is the number of a database, as in redis://host:6379/0"
        )
    return int(text)
