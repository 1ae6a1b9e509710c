"""Opening against what is there and what is not: a clear error that names the address, within the connect timeout."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gridsession.drivers import parse_url
from gridsession.drivers.hazelcast import HazelcastDriver
from gridsession.drivers.hazelcast._probe import Report, check
from gridsession.errors import ConnectFailed, GridSessionError, InvalidOption, MemberUnfit, StoreClosed
from gridsession.hooks import Hooks
from gridsession.node.jars import member_jars
from gridsession.node.java import find_java
from gridsession.testing.local_grid import LocalGrid

pytestmark = pytest.mark.grid


def driver_for(url: str) -> HazelcastDriver:
    return HazelcastDriver.from_address(parse_url(url), Hooks())


async def refused(url: str, within: float) -> GridSessionError:
    """What opening raises; it leaves neither tasks nor connections (one left is a ResourceWarning, an error here)."""
    driver = driver_for(url)
    started = time.monotonic()
    with pytest.raises(GridSessionError) as caught:
        await driver.open()
    assert time.monotonic() - started < within
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(StoreClosed):
        driver.now()
    await driver.aclose()
    return caught.value


@contextmanager
def port_of(mute: bool) -> Iterator[int]:
    """A port where nobody listens, or where connections are accepted and nothing is ever said."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if mute:
            held.listen(8)
        yield int(held.getsockname()[1])


@pytest.mark.parametrize(
    ("mute", "says"), [(False, "nobody listens there"), (True, "accepts connections and stays mute")]
)
def test_without_a_member_it_says_what_the_address_did(mute: bool, says: str) -> None:
    async def scenario() -> None:
        with port_of(mute) as port:
            error = await refused(f"hazelcast://127.0.0.1:{port}/bots?connect_timeout=1", within=2.5)
        assert isinstance(error, ConnectFailed)
        assert f"127.0.0.1:{port}: {says}" in str(error)
        assert "gridsession node" in str(error)
        assert error.address == f"127.0.0.1:{port}"

    asyncio.run(scenario())


@pytest.mark.parametrize("mute", [False, True])
def test_opening_ends_at_whatever_moment_it_is_cancelled(mute: bool) -> None:
    async def scenario() -> None:
        with port_of(mute) as port:
            for turns in range(60):
                opening = asyncio.create_task(driver_for(f"hazelcast://127.0.0.1:{port}/bots").open())
                for _ in range(turns):
                    await asyncio.sleep(0)
                opening.cancel()
                await asyncio.wait({opening}, timeout=5)
                assert opening.cancelled(), f"cancelled after {turns} turns of the loop, it went on"

    asyncio.run(scenario())


def test_a_mute_address_does_not_keep_us_from_a_good_one(grid: LocalGrid) -> None:
    async def scenario() -> None:
        with port_of(mute=True) as port:
            driver = driver_for(f"hazelcast://127.0.0.1:{port},127.0.0.1:{grid.ports[0]}/{grid.cluster_name}")
            await driver.open()
            await driver.aclose()

    asyncio.run(scenario())


def test_opening_can_be_tried_again_on_the_same_driver() -> None:
    async def scenario() -> None:
        with port_of(mute=False) as port:
            driver = driver_for(f"hazelcast://127.0.0.1:{port}/bots?connect_timeout=0.5")
            for _ in range(2):
                with pytest.raises(ConnectFailed):
                    await driver.open()

    asyncio.run(scenario())


def test_a_wrong_cluster_name_is_said(grid: LocalGrid) -> None:
    async def scenario() -> None:
        error = await refused(f"hazelcast://127.0.0.1:{grid.ports[0]}/other-name?connect_timeout=2", within=3.5)
        assert isinstance(error, ConnectFailed)
        assert f"127.0.0.1:{grid.ports[0]}" in str(error)
        assert "check the cluster name of the URL" in str(error)
        assert "other-name" not in str(error)

    asyncio.run(scenario())


CONFIGURATION = """
hazelcast:
  cluster-name: bare
  properties:
    hazelcast.phone.home.enabled: "false"
  network:
    port: {{port: {port}, auto-increment: false}}
    interfaces: {{enabled: true, interfaces: [127.0.0.1]}}
    join:
      auto-detection: {{enabled: false}}
      multicast: {{enabled: false}}
"""


@contextmanager
def member_without_our_jar(directory: Path) -> Iterator[int]:
    java = find_java()
    with port_of(mute=False) as port:
        pass
    configuration = directory / "hazelcast.yaml"
    configuration.write_text(CONFIGURATION.format(port=port))
    process = subprocess.Popen(
        [
            str(java.executable),
            *java.flags(),
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            f"-Dhazelcast.config={configuration}",
            "-classpath",
            str(member_jars().hazelcast),
            "com.hazelcast.core.server.HazelcastMemberStarter",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def test_a_member_without_our_jar_is_named_with_the_remedy(grid: LocalGrid, tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        # The driver itself waits for the member: it goes on connecting until its timeout.
        error = await refused(f"hazelcast://127.0.0.1:{port}/bare?connect_timeout=40", within=42)
        assert isinstance(error, MemberUnfit)
        assert error.address == f"127.0.0.1:{port}"
        assert f"127.0.0.1:{port} does not have gridsession's jar" in str(error)
        assert "gridsession-member.jar" in str(error)

    with member_without_our_jar(tmp_path) as port:
        asyncio.run(scenario(port))


def report(address: str, *, declared: int = 3, backups: int = 1, seen: int = 3, skew: int = 0) -> Report:
    return Report(address, "0.1.0", "", declared, backups, 262_144, "", "5.7.0", seen, skew, skew + 5, 0, 5)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (report("b:2", declared=5), "a:1 declares 3 members"),
        (report("b:2", backups=2), "configured differently"),
        (report("b:2", seen=4), "b:2 sees 4 members but 3 are declared"),
        (report("b:2", skew=2_100), "the clock of b:2 is 2095 ms ahead of that of a:1"),
        (report("b:2", skew=-2_100), "the clock of a:1 is 2095 ms ahead of that of b:2"),
    ],
)
def test_members_that_do_not_fit_one_another_are_named(second: Report, says: str) -> None:
    with pytest.raises(MemberUnfit, match=says):
        check([report("a:1"), second])


def test_members_that_fit_are_taken() -> None:
    check([report("a:1"), report("b:2", skew=1_900)])


@pytest.mark.parametrize(
    "url",
    [
        "hazelcast:///bots",
        "hazelcast://host:0/bots",
        "hazelcast://host:x/bots",
        "hazelcast://user@host:5701/bots",
        "hazelcast://host:5701/bots/more",
        "hazelcast://host:5701/bots?deadline=0",
        "hazelcast://host:5701/bots?max_in_flight=0",
        "hazelcast://host:5701/bots?path=own",
        "hazelcast://host:5701/bots?colour=blue",
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(InvalidOption):
        driver_for(url)


def test_addresses_without_a_port_get_the_usual_one() -> None:
    settings = driver_for("hazelcast://one,two:5702")._settings
    assert settings.addresses == ("one:5701", "two:5702")
    assert settings.cluster_name == "gridsession"
