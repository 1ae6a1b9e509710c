"""A world of this run's own: the lab runs in fresh mount, process and network namespaces, as root or rootless.

Whatever the lab starts, mounts and configures lives in there and ends with it: the first process of a process
namespace takes all others along, however it ends, and the kernel drops namespaces that nobody uses. So nothing has to
be torn down, not even after a crash.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

_LIFELINE = "GRIDSESSION_FAULTS_LIFELINE"
_STOP = b"s"
_PROGRAMS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "iptables": "iptables"}


def obstacle() -> str | None:
    """Why this machine cannot run the lab, in words; None if it can."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=_path()) is None:
            return f"{program} is not there: install Debian's package {package}"
    trial = "mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add trial"
    trial += " && ip -n trial link add name br0 type bridge"
    trial += " && nsenter --net=/run/netns/trial iptables -A INPUT -s 10.66.0.1 -j DROP"
    run = subprocess.run(
        [*_unshare(), "sh", "-c", trial], capture_output=True, text=True, timeout=30, env=_environment(), check=False
    )
    if run.returncode == 0:
        return None
    need = "" if os.geteuid() == 0 else "; run it as root, or allow user namespaces (kernel.unprivileged_userns_clone)"
    return f"no network namespaces here ({(run.stderr or run.stdout).strip() or 'unshare failed'}){need}"


def inside() -> bool:
    """Whether this process is the first of a world of its own."""
    return _LIFELINE in os.environ


def enter(arguments: Sequence[str]) -> int:
    """Runs `python -m tests.faults` with these arguments in a world of its own; returns its exit code.

    SIGINT and SIGTERM are passed on once, as a wish to end early; if this process dies, so does that world.
    """
    ours, theirs = os.pipe()
    command = [*_unshare(), sys.executable, "-m", "tests.faults", *arguments]
    process = subprocess.Popen(
        command, pass_fds=(ours,), env=_environment() | {_LIFELINE: str(ours)}, start_new_session=True
    )
    os.close(ours)

    def ask_to_end(*_: object) -> None:
        os.write(theirs, _STOP)

    before = {each: signal.signal(each, ask_to_end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        os.close(theirs)


def settle() -> None:
    """Inside: makes room for namespaces' names, and ends with the process outside."""
    reading = int(os.environ.pop(_LIFELINE))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/netns").mkdir()

    def watch() -> None:
        while os.read(reading, 1):
            os.kill(os.getpid(), signal.SIGINT)
        # nobody is left to see the end
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _unshare() -> list[str]:
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rootless, "--mount", "--net", "--pid", "--mount-proc", "--kill-child"]


def _path() -> str:
    # iptables and ip are elsewhere than what plain users have on PATH
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": _path()}
