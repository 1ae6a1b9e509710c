"""TLS between members and workers: every connection goes through stunnel, as deploy/README.md has it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gridsession.node.ports import free_ports
from gridsession.sync import SessionStore

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

RECIPE = Path(__file__).parents[2] / "deploy" / "stunnel"
COMMAND = [sys.executable, "-c", "from gridsession.cli import main; main()"]
NAME = "tunnelled-3c51"


class Tunnelled(NamedTuple):
    """Three members behind tunnels.

    Attributes:
        certificates: the folder of `certificates.sh`.
        doors: loopback ports of the tunnels' near ends, one for each member.
        guarded: ports of their far ends, where TLS is spoken.
    """

    certificates: Path
    doors: list[int]
    guarded: list[int]

    @property
    def url(self) -> str:
        return f"hazelcast://{','.join(f'127.0.0.1:{port}' for port in self.doors)}/{NAME}"


@contextlib.contextmanager
def running(*commands: list[str], log: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab"))
        started = []
        try:
            started += [subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) for command in commands]
            yield
        finally:
            for process in started:
                process.kill()
            for process in started:
                process.wait()


@pytest.fixture(scope="module")
def tunnelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnelled]:
    if not shutil.which("stunnel4"):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no stunnel4: apt-get install stunnel4")
    folder = tmp_path_factory.mktemp("tunnels")
    certificates = folder / "certificates"
    subprocess.run([RECIPE / "certificates.sh", certificates, "gridsession-member", "worker"], check=True, timeout=60)
    ports = free_ports(9)
    own, doors, guarded = ports[:3], ports[3:6], ports[6:]
    text = (RECIPE / "everywhere.conf").read_text().replace("/etc/gridsession", str(certificates))
    for number, (door, far) in enumerate(zip(doors, guarded, strict=True), 1):
        text = text.replace(f"127.0.0.1:1570{number}", f"127.0.0.1:{door}")
        text = text.replace(f"member{number}.example:5711", f"127.0.0.1:{far}")
    (folder / "everywhere.conf").write_text(text)
    tunnels = [["stunnel4", str(folder / "everywhere.conf")]]
    for number, (far, port) in enumerate(zip(guarded, own, strict=True), 1):
        text = (RECIPE / "member.conf").read_text().replace("/etc/gridsession", str(certificates))
        text = text.replace("accept = 5711", f"accept = 127.0.0.1:{far}").replace("127.0.0.1:5701", f"127.0.0.1:{port}")
        (folder / f"member{number}.conf").write_text(text)
        tunnels.append(["stunnel4", str(folder / f"member{number}.conf")])
    alike = ["--members-declared", "3", "--cluster-name", NAME, "--memory", "128m"]
    alike += ["--join", ",".join(f"127.0.0.1:{door}" for door in doors)]
    members = [
        [*COMMAND, "node", "--bind", "127.0.0.1", "--port", str(port), "--public-address", f"127.0.0.1:{door}", *alike]
        for port, door in zip(own, doors, strict=True)
    ]
    log = folder / "log"
    with running(*tunnels, log=log), running(*members, log=log):
        deadline = time.monotonic() + 120
        while log.read_text().count('"member_ready"') < 3:
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        yield Tunnelled(certificates, doors, guarded)


def test_a_worker_reaches_every_member_through_its_own_doors(tunnelled: Tunnelled) -> None:
    with SessionStore.open(tunnelled.url) as store:
        for number in range(50):
            store.session(f"line:{number}").set("n", number)
        with store.turn("line:7") as turn:
            turn.state["n"] += 1
        assert store.session("line:7").get("n") == 8
        assert sum(store.session(f"line:{number}").get("n") for number in range(50)) == sum(range(50)) + 1
        told = subprocess.run(
            [*COMMAND, "top", "--count", "1", "--interval", "1", "--json", "--url", tunnelled.url],
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        members = json.loads(told.stdout)["members"]
    # Each is known by its door, to clients and to the other members: no connection is made past the tunnels.
    assert {member["address"] for member in members} == {f"127.0.0.1:{door}" for door in tunnelled.doors}
    assert all(member["connected"] and member["partitions"] for member in members)


def test_who_has_no_certificate_of_ours_is_sent_away(tunnelled: Tunnelled) -> None:
    context = ssl.create_default_context(cafile=tunnelled.certificates / "ca.pem")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        ask(context, tunnelled.guarded[0])
    context.load_cert_chain(tunnelled.certificates / "worker.pem")
    # Who has one is through: it is the member that hangs up on what it does not understand.
    assert ask(context, tunnelled.guarded[0]) in (b"", b"H")


def ask(context: ssl.SSLContext, port: int) -> bytes:
    """What a member answers to nonsense, said through TLS; b"" = it hung up in peace."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="gridsession-member") as secured,
    ):
        assert secured.version() in {"TLSv1.2", "TLSv1.3"}
        secured.sendall(b"???")
        return secured.recv(1)
