"""Members that are not our process: Hazelcast as its official image starts it, with what `gridsession jar` writes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridsession import Policy, SessionStore
from gridsession.cli import main
from gridsession.cli._grid import Member, examine
from gridsession.errors import GridSessionError
from gridsession.node.jars import member_jars
from gridsession.node.java import find_java
from gridsession.node.ports import free_ports

pytestmark = [pytest.mark.grid, pytest.mark.timeout(240)]


def write(output: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["jar", "--output", str(output), *options])
    assert not ended.value.code
    told: dict[str, str] = json.loads(capsys.readouterr().out)
    return told


@contextlib.contextmanager
def started(*folders: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Members as the image starts them: a folder on the class path, the configuration in it by its name."""
    java = find_java()
    logs = [(folder / "log").open("wb") for folder in folders]
    members = [
        subprocess.Popen(
            [
                str(java.executable),
                *java.flags(),
                "-Xmx128m",
                "-XX:TieredStopAtLevel=1",
                f"-Dhazelcast.config={folder}/gridsession-member.yaml",
                "-classpath",
                f"{member_jars().hazelcast}:{folder}/*",
                "com.hazelcast.core.server.HazelcastMemberStarter",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        for folder, log in zip(folders, logs, strict=True)
    ]
    try:
        yield members
    finally:
        for member, log in zip(members, logs, strict=True):
            member.kill()
            member.wait()
            log.close()


async def joined(url: str, count: int, folder: Path) -> list[Member]:
    """The members, once so many answer our probe."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + 60
    while True:
        try:
            reports = [member for member in await examine(url) if member.report is not None]
        except GridSessionError:
            reports = []
        if len(reports) == count:
            return reports
        assert loop.time() < ends, f"there are {len(reports)} members; one says {(folder / 'log').read_text()[-2000:]}"
        await asyncio.sleep(0.2)


def on_loopback(configuration: Path) -> None:
    """A test listens on loopback only; all else stays as it was written."""
    text = configuration.read_text()
    assert "public-address" not in text
    # It hands its partitions over when it is told to stop; the image's own default would not.
    assert "hazelcast.shutdownhook.policy: GRACEFUL" in text
    text = text.replace('hazelcast.socket.bind.any: "true"', 'hazelcast.socket.bind.any: "false"')
    text = text.replace("      enabled: false\n      interfaces:", "      enabled: true\n      interfaces:")
    configuration.write_text(text)


async def works(url: str) -> None:
    async with SessionStore.open(url, policy=Policy(ttl=600)) as store:
        for number in range(30):
            async with store.turn(f"line:{number}", message="m-1") as turn:
                turn.state["count"] = turn.state.get("count", 0) + 1
        await store.globals.set("rate", 36.5)
        assert [await store.session(f"line:{number}").get("count") for number in range(30)] == [1] * 30


async def test_a_store_opens_on_members_of_the_official_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two, on one machine and so each with an address of its own."""
    ports, name = free_ports(2), f"official-{secrets.token_hex(6)}"
    addresses = [f"127.0.0.1:{port}" for port in ports]
    folders = [tmp_path / str(port) for port in ports]
    options = ("--cluster-name", name, "--members-declared", "2", "--join", ",".join(addresses), "--bind", "127.0.0.1")
    for folder, port, address in zip(folders, ports, addresses, strict=True):
        told = write(folder, capsys, *options, "--port", str(port), "--public-address", address)
        assert told["hazelcast"] == "5.7.0"
        assert sorted(path.name for path in folder.iterdir()) == ["gridsession-member.jar", "gridsession-member.yaml"]
    url = f"hazelcast://{','.join(addresses)}/{name}"
    with started(*folders) as members:
        reports = await joined(url, 2, folders[1])
        assert {member.same_jar for member in reports} == {True}
        assert {(told.report.declared, told.report.sync_backups) for told in reports if told.report} == {(2, 1)}
        await works(url)
        members[0].terminate()
        assert await asyncio.to_thread(members[0].wait, 60) in (0, 143)


async def test_the_configuration_for_each_member_lets_hazelcast_find_its_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,), name = free_ports(1), f"official-{secrets.token_hex(6)}"
    told = write(tmp_path / "out", capsys, "--cluster-name", name, "--port", str(port))
    on_loopback(Path(told["configuration"]))
    url = f"hazelcast://127.0.0.1:{port}/{name}"
    with started(tmp_path / "out"):
        await joined(url, 1, tmp_path / "out")
        await works(url)


def test_a_member_with_an_address_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--cluster-name", "orders-7f3a", "--members-declared", "3", "--join", "10.0.0.2:5701")
    told = write(tmp_path, capsys, *options, "--public-address", "10.0.0.1:5701")
    text = Path(told["configuration"]).read_text()
    assert 'public-address: "10.0.0.1:5701"' in text
    assert 'member-list: ["10.0.0.1:5701", "10.0.0.2:5701"]' in text


def test_the_default_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["jar", "--output", str(tmp_path / "out")])
    assert ended.value.code
    assert "default cluster name" in f"{ended.value.code} {capsys.readouterr().err}".replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_members_that_would_not_find_each_other_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["jar", "--output", str(tmp_path / "out"), "--cluster-name", "orders-7f3a", "--members-declared", "3"])
    assert ended.value.code == 2
    assert "--join" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_where_to_listen_is_taken_from_the_environment_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDSESSION_BIND", "127.0.0.1")
    text = Path(write(tmp_path, capsys, "--cluster-name", "orders-7f3a")["configuration"]).read_text()
    assert 'hazelcast.socket.bind.any: "false"' in text
    text = Path(
        write(tmp_path, capsys, "--cluster-name", "orders-7f3a", "--bind", "0.0.0.0")["configuration"]
    ).read_text()
    assert 'hazelcast.socket.bind.any: "true"' in text


def test_one_file_for_all_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    join = "hz1:5701,hz2:5701,hz3:5701"
    told = write(tmp_path, capsys, "--cluster-name", "orders-7f3a", "--members-declared", "3", "--join", join)
    text = Path(told["configuration"]).read_text()
    assert "public-address" not in text
    assert 'member-list: ["hz1:5701", "hz2:5701", "hz3:5701"]' in text
