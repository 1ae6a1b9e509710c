"""The operator's page names what there is, and a driver tells operators what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from gridsession import SessionStore
from gridsession._limits import Limits
from gridsession._record import Record
from gridsession.drivers import Driver, Space, driver_class, parse_url
from gridsession.drivers.mapping import MappingDriver
from gridsession.errors import Unsupported
from gridsession.hooks import Hooks
from tests.cli.running import Place
from tests.cli.test_terminal import COMMANDS

PAGE = Path(__file__).parents[2] / "deploy" / "README.md"


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.read_text().partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def test_each_option_of_a_node_is_in_the_table() -> None:
    told = set(re.findall(r"^\| `(--[a-z-]+)", section("Options"), re.MULTILINE))
    there = {text for each in COMMANDS["node",].params for text in each.opts} - {"--help"}
    assert told == there


def test_each_limit_is_in_the_table_with_its_default() -> None:
    (row,) = (line for line in section("Options").splitlines() if "GRIDSESSION_MAX_" in line)
    _, names, defaults, _, _ = row.split("|")
    said = [text.removeprefix("GRIDSESSION_MAX").lower().strip("_") for text in re.findall(r"`(\w+)`", names)]
    told = dict(zip(said, map(int, defaults.split(",")), strict=True))
    assert told == {each.name: each.default for each in fields(Limits)}


def test_each_command_is_told_of() -> None:
    words = set(re.findall(r"[a-z]+", " ".join(re.findall(r"`([^`]*)`", section("The command line")))))
    assert {path[0] for path in COMMANDS} <= words


def test_who_takes_no_place_and_no_namespace_is_named() -> None:
    said = " ".join(section("The command line").split("\n\n")[0].split())
    takes = {path[0]: {text for each in command.params for text in each.opts} for path, command in COMMANDS.items()}
    of_one_place = {name for name, options in takes.items() if "--url" in options}
    assert {name for name in of_one_place if "--namespace" not in takes[name]} == {"bench"}
    assert takes.keys() - of_one_place == {"copy", "import", "demo", "jar", "node"}
    assert {name for name in takes if "--json" not in takes[name]} == {"node"}
    assert {"bench", "copy", "import", "demo", "jar", "node"} <= set(re.findall(r"`(\w+)`", said))


def test_no_example_puts_the_clusters_name_where_others_see_it() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for line in "".join(blocks).splitlines():
        assert "--cluster-name" not in line
        assert line.startswith("export ") or "hazelcast://" not in line, line


def test_each_alert_is_in_the_runbook() -> None:
    alerts = re.findall(r"alert: *(\w+)", (PAGE.parent / "kubernetes" / "alerts.yaml").read_text())
    rows = re.findall(r"^\| `(Gridsession\w+)`", PAGE.read_text(), re.MULTILINE)
    assert sorted(alerts) == sorted(rows)


def driver_of(url: str) -> Driver:
    address = parse_url(url)
    return driver_class(address.scheme).from_address(address, Hooks())


@pytest.fixture
def spoken_of(place: Place) -> Driver:
    return driver_of(place.url)


async def looked_at(driver: Driver, namespace: str) -> None:
    """What is held is told, and looking changes nothing."""
    space = Space(namespace)
    async with SessionStore.open(driver=driver, namespace=namespace) as store:
        session = store.session("line:a")
        await session.set("a", 1)
        before = await session.load()
        async with store.turn("line:a", lease=30):
            held = Record.decode(await driver.stored(space, "line:a") or b"", expected_id="line:a")
            assert held.lease is not None
        assert (await session.load()).revision == before.revision
        assert await driver.stored(space, "line:b") is None
        await store.globals.set("rate", 1)
        assert namespace in await driver.namespaces()
        assert f"{namespace}-2" not in await driver.namespaces()


async def test_a_place_tells_what_it_holds(spoken_of: Driver, namespace: str) -> None:
    await spoken_of.open()
    try:
        await looked_at(spoken_of, namespace)
    finally:
        await spoken_of.aclose()


async def test_memory_tells_what_it_holds() -> None:
    await looked_at(driver_of("memory://"), "default")


async def test_who_cannot_tell_says_so() -> None:
    written: dict[str, Mapping[str, object]] = {}
    driver = MappingDriver(written)
    async with SessionStore.open(driver=driver) as store:
        await store.session("line:a").set("a", 1)
        assert await driver.stored(Space("default"), "line:a")
        with pytest.raises(Unsupported, match="name them"):
            await driver.namespaces()
