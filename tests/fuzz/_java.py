"""The Java side: compiled from the sources as they stand, and one long-lived process that answers cases off a pipe."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, Final, NamedTuple, Self

from gridsession._limits import Limits
from gridsession.node.java import find_java
from tests.fuzz._cases import Case

HERE: Final = Path(__file__).resolve().parent
MEMBER: Final = HERE.parents[1] / "deploy" / "member"

_LIMITS = struct.Struct(">8q")
_CASE = struct.Struct(">BqH")
_SIZE = struct.Struct(">i")
_ANSWER = struct.Struct(">Bii")
_THREW: Final = 2


class Answer(NamedTuple):
    """What the Java rules made of a case.

    Attributes:
        written: whether `record` must be stored.
        allocated: bytes allocated on the way, garbage included.
        threw: the class of what was thrown, which nothing ever should be.
    """

    reply: bytes
    written: bool
    record: bytes | None
    allocated: int
    threw: str | None = None


class Compiled(NamedTuple):
    """The classes of the member and of what fuzzes it, and the Java that runs them."""

    java: Path
    classpath: str


def compiled(into: Path) -> Compiled:
    """Compile the Java files beside this one, and deploy/member unless its jar is that of the sources as they stand.

    Raises:
        BuildError: they do not compile, or the compiler cannot be had.
    """
    build = build_hook()
    jars = build.load_jars_module(HERE.parents[1])
    made = jars.member_jars(HERE.parents[1] / "gridsession" / "jars")
    compiler, classes = into / "ecj.jar", into / "classes"
    compiler.write_bytes(build.fetch(build.COMPILER))
    member = made.member
    if jars.manifest(member).get(jars.SOURCES_DIGEST_KEY) != jars.sources_digest(MEMBER):
        member = into / "member"
        build.compile_sources(MEMBER / "src" / "main" / "java", compiler, made.hazelcast, member)
    build.compile_sources(HERE, compiler, Path(f"{made.hazelcast}{os.pathsep}{member}"), classes)
    return Compiled(find_java().executable, os.pathsep.join(map(str, (classes, member, made.hazelcast))))


def build_hook() -> ModuleType:
    """The build's own code, which fetches by Maven coordinates and compiles."""
    spec = importlib.util.spec_from_file_location("_gridsession_build", MEMBER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class JavaRules:
    """The Java rules in a process of their own; a context manager.

    `send` a batch, do the same on this side, then `receive`.
    """

    def __init__(self, classes: Compiled, limits: Sequence[Limits], *, heap: str = "256m") -> None:
        self._numbers = {one: index for index, one in enumerate(limits)}
        options = (f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Xss512k")
        self._process = subprocess.Popen(
            [str(classes.java), *options, "-cp", classes.classpath, "com.gridsession.member.Answers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        names = Limits.__dataclass_fields__
        order = ("record_bytes", "fields", "name_bytes", "id_bytes", "ring", "waiters", "horizon", "operations")
        assert set(order) == set(names), "Java's Limits and Python's name the same"
        packed = b"".join(_LIMITS.pack(*(getattr(one, name) for name in order)) for one in limits)
        self._send(struct.pack(">H", len(limits)) + packed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def send(self, cases: Sequence[Case]) -> None:
        """Hand over a batch; it is answered while this process goes on."""
        parts = [_SIZE.pack(len(cases))]
        for case in cases:
            identity = case.id.encode()
            parts += (_CASE.pack(self._numbers[case.limits], case.now, len(identity)), identity)
            parts += (_SIZE.pack(-1),) if case.record is None else (_SIZE.pack(len(case.record)), case.record)
            parts += (_SIZE.pack(len(case.command)), case.command)
        self._send(b"".join(parts))

    def receive(self, count: int) -> list[Answer]:
        """The answers of the batch sent last.

        Raises:
            RuntimeError: the process ended, as on an error that no case may cause.
        """
        return [self._answer() for _ in range(count)]

    def _answer(self) -> Answer:
        what, allocated, size = _ANSWER.unpack(self._take(_ANSWER.size))
        reply = self._take(size)
        if what == _THREW:
            return Answer(b"", False, None, 0, reply.decode())
        if not what:
            return Answer(reply, False, None, allocated)
        (size,) = _SIZE.unpack(self._take(4))
        return Answer(reply, True, None if size < 0 else self._take(size), allocated)

    def _send(self, data: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(data)
        pipe.flush()

    def _take(self, size: int) -> bytes:
        pipe: IO[bytes] | None = self._process.stdout
        assert pipe is not None
        data = pipe.read(size)
        if len(data) != size:
            raise RuntimeError(f"the Java side ended (exit code {self._process.wait()})")
        return data
