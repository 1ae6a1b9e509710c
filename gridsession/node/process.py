"""One member as a child process: start it, wait until it is ready, stop or kill it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from gridsession._logs import logger
from gridsession.errors import MemberFailed
from gridsession.node.command import command_line, dismiss, guard
from gridsession.node.config import NodeConfig
from gridsession.node.health import Health
from gridsession.node.jars import JARS_DIRECTORY, MemberJars, checkout_sources, member_jars, staleness
from gridsession.node.java import Java, find_java
from gridsession.node.jvm_log import JvmLog, LogEvent
from gridsession.node.metrics import METRICS_FILE, METRICS_PROPERTY, Told, told_in, unfit

START_SECONDS: Final = 60.0
KILLED_AFTER: Final = 5.0
"""Seconds a member has, past its `drain_timeout`, to end by itself: then it is killed."""
_KEPT_FAULTS = 3
# Any thread may be given a signal (signal(7)), and Python handles it when the main thread next runs: who waits without
# end must look up. Seen by the kernel's trace: SIGTERM to a node went to the thread that answers health checks.
_SIGNALS_SEEN: Final = 0.5

_log = logger("node")


class MemberProcess:
    """A member's JVM. It ends with this Python process, however that one ends.

    Args:
        config: what the member is told.
        java: the Java to run it; None: the first that is found.
        jvm_options: more options for the JVM.
        on_event: called with each event of the JVM's log, on the thread that reads it; None: they are logged.
        jars: other jars than this package's, as those of an earlier version; they are taken as they are.

    Attributes:
        startup_seconds: what its last start took; None until it has started.
        founded: it found no cluster and made a new one, which was empty.
        holding: why it must not be sent work although it joined; empty if it may.

    Raises:
        JavaNotFound: there is no Java 17 or later.
        MemberFailed: the package's jars are missing or, in a source tree, stale.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        java: Java | None = None,
        jvm_options: Sequence[str] = (),
        on_event: Callable[[LogEvent], None] | None = None,
        jars: MemberJars | None = None,
    ) -> None:
        if jars is None and (fault := staleness(JARS_DIRECTORY, checkout_sources())):
            raise MemberFailed(
                f"{fault}. In a source tree, build the jars with python deploy/member/hatch_build.py "
                "(or pip install -e .); elsewhere, install gridsession again."
            )
        self.config = config
        self.startup_seconds: float | None = None
        self.founded = False
        self.holding = ""
        self._java = java or find_java()
        self._jars = jars or member_jars()
        self._jvm_options = tuple(jvm_options)
        self._on_event = on_event or self._report
        self._changed = threading.Condition()
        self._members = 0
        self._faults: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._run_dir: Path | None = None
        self._asked_to_stop = False
        self._asked_at: float | None = None
        self._stop_seconds = 0.0
        self._ended = False

    @property
    def pid(self) -> int:
        """The JVM's process id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the JVM runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the JVM ended; None while it runs or before it is started."""
        return None if self._process is None else self._process.poll()

    @property
    def stopped_as_asked(self) -> bool:
        """Whether it ended because `stop` or `kill` was called."""
        return self._asked_to_stop and not self.alive

    @property
    def cut_short(self) -> bool:
        """Whether its time was up, or it was killed, before it handed its partitions over as `ask_to_stop` asked."""
        late = self._stop_seconds >= self.config.drain_timeout
        return self._asked_at is not None and (late or self.returncode == -signal.SIGKILL)

    @property
    def members(self) -> int:
        """How many members this one last saw in the cluster, itself included; 0 before it joined."""
        return self._members

    @property
    def health(self) -> Health:
        """How it stands, for who orchestrates it."""
        config, members = self.config, self._members
        reason = ""
        if not self.alive:
            reason = "its JVM has ended" if self._ended else "its JVM is not started"
        elif self._asked_to_stop:
            reason = "it hands its partitions over and stops"
        elif self.startup_seconds is None:
            reason = "it is starting"
        elif members < config.majority:
            reason = f"it sees {members} of the {config.majority} members that must be there to serve"
        elif self.holding:
            reason = self.holding
        elif config.http is not None:
            reason = unfit(self.told)
        return Health(self.alive or not self._ended, not reason, reason, members, config.majority)

    @property
    def told(self) -> Told | None:
        """What the member last told of itself in numbers; None before it did, or if its `http` is None."""
        run_dir = self._run_dir
        return None if run_dir is None else told_in(run_dir / METRICS_FILE)

    def start(self, *, founding: bool = False) -> None:
        """Starts the JVM and returns at once; see `wait_ready`.

        Args:
            founding: there is no cluster yet, so do not look for it; saves a second.
        """
        if self.alive:
            raise MemberFailed(f"the member at {self.config.address} runs already")
        if self._reader is not None:
            # What it still reads of a JVM that died must not be taken for the new one's.
            self._reader.join()
        self._clean_up()
        self._members, self._faults, self.startup_seconds, self._asked_to_stop = 0, [], None, False
        self._asked_at, self._stop_seconds = None, 0.0
        self._ended = self.founded = False
        if self.config.data_dir:
            self.config.data_dir.mkdir(parents=True, exist_ok=True)
        self._run_dir = Path(tempfile.mkdtemp(prefix="gridsession-member-"))
        configuration = self._run_dir / "member.yaml"
        config = replace(self.config, join=()) if founding else self.config
        configuration.write_text(config.yaml(), encoding="utf-8")
        options = self._jvm_options
        if self.config.http is not None:
            options = (*options, f"-D{METRICS_PROPERTY}={self._run_dir / METRICS_FILE}")
        started = time.monotonic()
        self._process = subprocess.Popen(
            command_line(self._java, self.config, configuration, options, self._jars),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=self.config.data_dir or self._run_dir,
            # Ctrl-C in the terminal is for us: we stop the member, partitions first
            start_new_session=True,
        )
        self._guard = guard(self._process.pid)
        self._reader = threading.Thread(
            target=self._read,
            args=(self._process, self._guard, started),
            name=f"member-{self.config.port}",
            daemon=True,
        )
        self._reader.start()

    def wait_ready(self, timeout: float = START_SECONDS, *, members: int = 1) -> float:
        """Waits until the member serves and sees so many members; returns what its own start took, in seconds.

        Raises:
            MemberFailed: it ended, or is not ready in time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready(members) or self._ended, timeout)
            if self._ready(members) and self.startup_seconds is not None:
                return self.startup_seconds
        if self._ended:
            raise self._failure("ended while starting")
        raise self._failure(f"is not ready after {timeout:g} s: it sees {self._members} of {members} members")

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits until the JVM has ended and its log is read; returns its exit code, None if it still runs."""
        reader = self._reader
        if reader is None:
            return self.returncode
        if timeout is not None:
            reader.join(timeout)
        while timeout is None and reader.is_alive():
            reader.join(_SIGNALS_SEEN)
        return self.returncode

    def failure(self) -> MemberFailed:
        """Why the JVM ended, from its log, as an error to raise."""
        return self._failure("ended")

    def stop(self, timeout: float | None = None) -> None:
        """Stops it gracefully: it hands its partitions to the others first.

        Args:
            timeout: seconds until it is killed; None: 5 more than the configuration's `drain_timeout`.
        """
        timeout = self.config.drain_timeout + KILLED_AFTER if timeout is None else timeout
        if self.alive:
            self.ask_to_stop()
            if self.wait(timeout) is None:
                _log.warning("member_killed", address=self.config.address, after_seconds=timeout)
                self.kill()
        self._clean_up()

    def ask_to_stop(self) -> None:
        """Asks it to stop gracefully and returns at once."""
        self._asked_to_stop = True
        process = self._running()
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once, as a crash would (SIGKILL)."""
        self._asked_to_stop = True
        if self._process is not None:
            self._process.kill()
            self.wait()
        self._clean_up()

    def pause(self) -> None:
        """Freezes it (SIGSTOP), as a long garbage collection or a stalled host would."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen member run on."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise MemberFailed(f"the member at {self.config.address} has not been started")
        return self._process

    def _ready(self, members: int) -> bool:
        return self.startup_seconds is not None and self._members >= members

    def _read(self, process: subprocess.Popen[str], watching: subprocess.Popen[bytes], started: float) -> None:
        log, stdout = JvmLog(), process.stdout
        assert stdout is not None
        try:
            for event in _events(log, stdout):
                self._tell(event)
                with self._changed:
                    self._note(event, started)
                    self._changed.notify_all()
        finally:
            stdout.close()
            process.wait()
            if self._asked_at is not None:
                # The JVM closes its log while it stops: that Hazelcast gave up handing over is told by the time only.
                self._stop_seconds = time.monotonic() - self._asked_at
            dismiss(watching)
            with self._changed:
                # Said here and not read off this thread, which still lives while it tells.
                self._ended = True
                self._changed.notify_all()

    def _tell(self, event: LogEvent) -> None:
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - were the log read no further, the JVM would block on writing it
            _log.exception("on_event_failed", member=self.config.address, error=type(error).__name__)

    def _note(self, event: LogEvent, started: float) -> None:
        if event.event == "member_started":
            self.startup_seconds = time.monotonic() - started
        elif event.event == "members_changed":
            if not self._members:
                self.founded = event.size == 1
            self._members = event.size
        elif event.event == "member_merging":
            # What it founded goes up in a cluster that was there.
            self.founded = False
        elif event.level == "error":
            self._faults = [*self._faults, event.headline][-_KEPT_FAULTS:]

    def _report(self, event: LogEvent) -> None:
        facts: dict[str, object] = {"members": event.size} if event.size else {}
        if event.level != "info":
            # a known moment says all by its name
            facts |= {"text": event.text, "java_logger": event.logger}
        getattr(_log, event.level)(event.event, member=self.config.address, **facts)

    def _failure(self, what: str) -> MemberFailed:
        code = self.returncode
        why = "; ".join(dict.fromkeys("; ".join(self._faults).split("; "))) or "its log says nothing of it"
        if code == -signal.SIGKILL:
            why = "killed by SIGKILL; if nobody did that, the system was out of memory"
        ending = "" if code is None else f" (exit code {code})"
        return MemberFailed(f"the member at {self.config.address} {what}{ending}: {why}", returncode=code)

    def _clean_up(self) -> None:
        if self._run_dir is not None:
            shutil.rmtree(self._run_dir, ignore_errors=True)
            self._run_dir = None


def _events(log: JvmLog, stdout: IO[str]) -> Iterator[LogEvent]:
    for line in stdout:
        if event := log.feed(line):
            yield event
    if event := log.flush():
        yield event
