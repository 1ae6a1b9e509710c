"""The processes that call a place under faults."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.faults.clients import Client
from tests.faults.fault import Planned
from tests.faults.of_clients import ClientKill


def test_a_client_that_is_cut_off_from_its_start_ends_well_when_asked_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"hazelcast://127.0.0.1:{mute.getsockname()[1]}/nobody"
        client = subprocess.Popen(
            [sys.executable, "-m", "tests.faults._client", "--url", url, "--history", str(tmp_path / "history.jsonl")]
        )
        try:
            mute.settimeout(30)
            with mute.accept()[0]:
                client.send_signal(signal.SIGTERM)
                assert client.wait(10) == 0
        finally:
            client.kill()
            client.wait()


def test_a_client_that_another_fault_will_end_is_not_killed_by_this_one() -> None:
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        lasting, passing = processes
        running = [Client(1, "c0", lasting), Client(2, "c0", passing, passing=True)]
        lab = SimpleNamespace(clients=SimpleNamespace(running=running))
        ClientKill(cast("Any", lab), Planned("client-kill", ["c0"], 0.0, 1.0)).start()
        assert lasting.wait(10) == -signal.SIGKILL
        passing.terminate()
        assert passing.wait(10) == -signal.SIGTERM
    finally:
        for process in processes:
            process.kill()
            process.wait()
