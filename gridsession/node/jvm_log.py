"""Reads the JVM's log: lines in, events out."""

from __future__ import annotations

import re
from typing import NamedTuple

# Marks that no message holds: a record may span lines (stack traces), and its end must be known without the next one.
_CUT, _END = "\x1f", "\x1e"
LOG_FORMAT = f"{_CUT}%4$s{_CUT}%3$s{_CUT}%5$s%6$s{_END}%n"

# What Hazelcast calls information is of use to its developers; the moments below are what operators wait for.
_LEVELS = {"SEVERE": "error", "WARNING": "warning"}
_ADDRESS = re.compile(r"^(?:\[[^\]]*\](?::\d+)? ){1,2}\[\d[\w.\-]*\] ?")
# Warnings that come by the hundred after a pause or a split, about messages that arrived too late to matter.
_LATE = re.compile(
    r"^(?:No Invocation found for|Ignoring heartbeat from|Following unknown addresses|Not updating members)"
)
_FAULT = re.compile(r"^(?:Exception in thread|Caused by:|Error|java\.lang\.\w+Error|Terminating due to)")
_KIND = re.compile(r"^(?:Exception in thread \S+ |Caused by: )?(?:[\w.$]+(?:Exception|Error): )?")
_LONGEST = 4000
# All that keeps strangers out; logs are read by more people than may know it.
_SECRET = re.compile(r"(Cluster name: )\S+")

# (pattern, name of the event, level): the moments an operator waits for.
_MOMENTS = (
    (re.compile(r"is STARTED$"), "member_started", "info"),
    (re.compile(r"is SHUTTING_DOWN$"), "member_stopping", "info"),
    (re.compile(r"is SHUTDOWN$"), "member_stopped", "info"),
    (re.compile(r"is MERGING$"), "member_merging", "warning"),
    (re.compile(r"is MERGED$"), "member_merged", "warning"),
    (re.compile(r"\s*Members \{size:(?P<size>\d+)"), "members_changed", "info"),
    (re.compile(r"suspected to be dead"), "member_suspected", "warning"),
    (re.compile(r"^Partition balance is ok|^All migration tasks have been completed"), "partitions_settled", "info"),
)


class LogEvent(NamedTuple):
    """One record of the JVM's log.

    Attributes:
        event: the name of a known moment, else `jvm_log`.
        level: error, warning, info or debug.
        logger: the Java class that wrote it.
        text: the message, with a stack trace if there is one; without Hazelcast's address prefix.
        size: how many members the cluster has, for `members_changed`, else 0.
    """

    event: str
    level: str
    logger: str
    text: str
    size: int = 0

    @property
    def headline(self) -> str:
        """The first line, and the root cause if there is a stack trace."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        causes = [line for line in lines[1:] if line.startswith("Caused by:")] or [
            line for line in lines[1:2] if not line.startswith("at ")
        ]
        return "; ".join(dict.fromkeys(_KIND.sub("", line) for line in (*lines[:1], *causes[-1:])))


class JvmLog:
    """Puts lines together into events."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def feed(self, line: str) -> LogEvent | None:
        """Takes one line, gives the event that it completes."""
        line = line.rstrip("\r\n")
        if not self._lines and not line.startswith(_CUT):
            # the JVM's own words, past all logging
            return _spoken(line) if line.strip() else None
        self._lines.append(line)
        return self.flush() if line.endswith(_END) else None

    def flush(self) -> LogEvent | None:
        """Gives what has been put together so far."""
        lines, self._lines = self._lines, []
        return _record("\n".join(lines).removesuffix(_END)) if lines else None


def _spoken(line: str) -> LogEvent:
    level = "error" if _FAULT.match(line) else "debug" if line.startswith("\tat ") else "warning"
    return LogEvent("jvm_output", level, "", line[:_LONGEST])


def _record(text: str) -> LogEvent:
    _, level_name, logger, message = (text.split(_CUT, 3) + [""] * 3)[:4]
    message = _SECRET.sub(r"\1***", _ADDRESS.sub("", message))[:_LONGEST].rstrip()
    level = _LEVELS.get(level_name, "debug")
    for pattern, name, moment_level in _MOMENTS:
        if found := pattern.search(message):
            return LogEvent(name, moment_level, logger, message.strip(), int(found.groupdict().get("size") or 0))
    return LogEvent("jvm_log", "debug" if _LATE.match(message) else level, logger, message)
