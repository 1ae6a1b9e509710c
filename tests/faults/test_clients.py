"""The processes that call a place under faults."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path


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
