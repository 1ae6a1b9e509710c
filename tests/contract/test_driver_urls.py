"""What the URLs of the compare-and-swap drivers may say, and what they are refused for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridsession.drivers import driver_class, parse_url
from gridsession.drivers._redis_client import client_of
from gridsession.drivers.file import directory_of
from gridsession.errors import InvalidOption
from gridsession.hooks import Hooks


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", "Redis localhost:6379"),
        ("redis://example.org", "Redis example.org:6379"),
        ("redis://[::1]:7000/3", "Redis ::1:7000"),
        ("rediss://user:p%40ss@example.org:1", "Redis example.org:1"),
        ("redis+cluster://a:1,b", "Redis cluster a:1,b:6379"),
        ("redis+sentinel://:secret@a,b:2/main/1", "Redis primary 'main' of Sentinel a:26379,b:2"),
    ],
)
def test_redis_places_are_called_without_their_passwords(url: str, place: str) -> None:
    made = client_of(parse_url(url), ())
    assert made.place == place
    assert made.client in made.owned


def test_a_redis_url_reaches_the_client() -> None:
    made: Any = client_of(parse_url("rediss://user:p%40ss@example.org:1/3?ssl_ca_certs=ca.pem"), ())
    given = made.client.connection_pool.connection_kwargs
    wanted = {"host": "example.org", "port": 1, "db": 3, "username": "user", "password": "p@ss"}
    assert wanted.items() <= given.items()
    assert given["ssl_ca_certs"] == "ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "redis://a,b",
        "redis://a:b",
        "redis://a:99999",
        "redis://a/first",
        "redis://a?unknown=1",
        "redis://a?deadline=soon",
        "redis://a?deadline=0",
        "redis://a?max_in_flight=0",
        "redis+sentinel://a",
        "redis+cluster://a?wait_replicas=1",
        "mongodb://",
        "mongodb://a:b",
        "mongodb://a?deadline=-1",
        "mongodb://a?nmespace=shop",
        "file://",
        "file://host/dir",
        "file:///dir?unknown=1",
        "file:///dir?fsync=perhaps",
        "lmdb://dir",
        "lmdb:///dir?max_bytes=many",
    ],
)
def test_what_makes_no_sense_is_refused(url: str) -> None:
    address = parse_url(url)
    with pytest.raises(InvalidOption):
        driver_class(address.scheme).from_address(address, Hooks())


@pytest.mark.parametrize("character", ["#", "[", "]", "?", "\u2100"])
def test_a_password_with_an_odd_character_is_refused_and_nothing_of_it_is_shown(character: str) -> None:
    for url in f"redis://user:half{character}other@host/1", f"mongodb://half{character}other@host/?ttl=9":
        with pytest.raises(InvalidOption) as refused:
            driver_class("memory").from_address(parse_url(url), Hooks())
        assert "percent-encoded" in str(refused.value)
        assert "half" not in str(refused.value)
        assert "other" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:half/other@host",
        "redis://host/half@other",
        "redis://:1234567/other@host",
        "redis+sentinel://:half,other/x@host/main",
        "redis+sentinel://host/half@other",
    ],
)
def test_a_redis_password_that_was_not_encoded_is_not_shown(url: str) -> None:
    with pytest.raises(InvalidOption, match="percent-encoded") as refused:
        client_of(parse_url(url), ())
    assert not {"half", "other", "1234567"} & set(re.findall(r"\w+", str(refused.value)))


@pytest.mark.parametrize(
    ("url", "directory"),
    [("file:///a/b", "/a/b"), ("file:///a%20b", "/a b"), ("lmdb://./a", "a"), ("file://../a", "../a")],
)
def test_directories_are_absolute_or_begin_with_a_dot(url: str, directory: str) -> None:
    assert directory_of(parse_url(url)) == Path(directory)


@pytest.mark.parametrize(
    ("scheme", "module", "extra"),
    [("redis", "redis", "redis"), ("mongodb", "pymongo", "mongo"), ("lmdb", "lmdb", "lmdb")],
)
def test_a_client_that_is_not_installed_is_said_with_its_extra(scheme: str, module: str, extra: str) -> None:
    program = (
        "import sys; sys.modules[sys.argv[2]] = None\n"
        "from gridsession.drivers import driver_class\n"
        "from gridsession.errors import InvalidOption\n"
        "try: driver_class(sys.argv[1])\n"
        "except InvalidOption as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, scheme, module], capture_output=True, text=True, check=True)
    assert f"gridsession[{extra}]" in run.stdout
