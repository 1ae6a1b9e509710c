"""Every command as a stranger types it in a real terminal, and what each one's help must say."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from gridsession import SessionStore
from gridsession.cli import application
from gridsession.moving import snapshot
from gridsession.node.ports import free_ports
from gridsession.testing.local_grid import LocalGrid
from tests.cli.tmux import WIDTH, Tmux


class Step(NamedTuple):
    """A command as it is typed, what is then to be seen, and how it ends.

    `{...}` stand for what a run provides, see `here`; `keys` are pressed once their pattern is to be seen.
    """

    typed: str
    shows: str
    code: int = 0
    keys: tuple[tuple[str, str], ...] = ()


STEPS = (
    Step("ls", r"idle +ttl left +revision +fields +size +id\n(.*\n)*.*telegram:42\n(.*\n)*3 sessions"),
    Step("ls --prefix line: --limit 1", r"line:U\d\n1 session\n"),
    Step("ls --namespace nobody", r"^0 sessions\n"),
    Step("show telegram:42", r'id +telegram:42\n(.*\n)*lease +free\n(.*\n)*state +password +\*\*\*\n.*locale +"th-TH"'),
    Step("show telegram:43", r"^gridsession: there is no session 'telegram:43'\n", 1),
    Step("show nonsense", r"'nonsense' is not a session id", 2),
    Step("""set telegram:42 'step="pay"' n=3""", r"^telegram:42: now at revision 2\n"),
    Step("set telegram:42 step=pay", r"the value of 'step' is not JSON .*text needs", 2),
    Step(
        "unset telegram:42 locale", r"now at revision 2\n", keys=((r"Remove 'locale' of 'telegram:42'\? \[y/N\]", "y"),)
    ),
    Step("clear telegram:42 --retain locale --yes", r"now at revision 2\n"),
    Step("delete telegram:42", r"telegram:42: deleted\n", keys=((r"Delete 'telegram:42'\? \[y/N\]", "y"),)),
    Step("delete telegram:42", r"\[y/N\]", 1, keys=((r"\[y/N\]", "n"),)),
    Step("globals list", r"global +value\ngateway_token +\*\*\*\nrate +36\.5\n"),
    Step("globals get rate", r"^36\.5\n"),
    Step("globals get nobody", r"^gridsession: there is no global 'nobody'\n", 1),
    Step("globals set rate 37", r"^rate is set\n"),
    Step("globals delete rate --yes", r"^rate is deleted\n"),
    Step("watch", r"watching; Ctrl-C ends it\n", keys=((r"watching; Ctrl-C ends it\n", "C-c"),)),
    Step("top --interval 0.3", r"read p50 / p99 +[\d.]+ / ", keys=((r"sessions +3\n", "C-c"),)),
    Step("top --count 1 --interval 0.3 --url {grid}", r"member +connected(.*\n)+127\.0\.0\.1:\d+ +yes"),
    Step("doctor", r"it answers: .*\natomic within one host"),
    Step("doctor --url {grid}", r"127\.0\.0\.1:\d+(.*\n)+no fault was found"),
    Step("snapshot new.gsr", r"snapshot sessions: 3 saved\n(.*\n)*new\.gsr: 5 records of default"),
    Step("snapshot saved.gsr", r"\[y/N\]", 1, keys=((r"Replace saved\.gsr\? \[y/N\]", "n"),)),
    Step("restore saved.gsr --url {other}", r"verify sessions: 3 same\n", keys=((r"over older ones\? \[y/N\]", "y"),)),
    Step("copy {place} {copied}", r"verify sessions: 3 same\nverify globals: 2 same\n"),
    Step("import theirs {imported} --from bottender-file", r"import sessions: 1 imported\n"),
    Step(
        "bench --seconds 0.1 --rounds 1 --warm-up 0 --sessions 10 --callers 2",
        r"case +callers +a second(.*\n)+turn +2 ",
    ),
    Step("chat", r"Count: 1\n", keys=((r"You >\s*$", "Hi"), (r"Bot > Count: 1\n", "C-d"))),
    Step("demo --members 1 --workers 1 --seconds 1 --kill none", r"lost +│ +0 │"),
    Step(
        "jar --output jars --cluster-name orders-7f3a",
        r"jars/gridsession-member\.jar, for Hazelcast 5\.(.*\n)+"
        r" *docker run -v /.+/jars:/opt/gridsession:ro -e CLASSPATH='/opt/gridsession/\*' \\\n"
        r" *-e JAVA_OPTS=-Dhazelcast\.config=/opt/gridsession/gridsession-member\.yaml \\\n"
        r" *hazelcast/hazelcast:5\.\d+\.\d+\n",
    ),
    Step("node --port {port} --memory 64m", r"node_stopped", keys=((r"member_ready", "C-c"),)),
    Step("node --bind 0.0.0.0", r"^gridsession: refusing to listen on 0\.0\.0\.0 under the default", 2),
    Step("ls --url hazelcast://127.0.0.1:1/x?connect_timeout=0.2", r"127\.0\.0\.1:1: nobody\n?listens there; check", 1),
    Step("ls --url nowhere://x", r"no driver for nowhere://; known: file,", 2),
    Step("--version", r"^gridsession \d+\.\d+"),
)


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands below this one, with their names."""
    for name, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from walk(below, (*path, name))
        else:
            yield (*path, name), below


ROOT: Any = typer.main.get_command(application())
COMMANDS = dict(walk(ROOT))


def named(typed: str) -> tuple[str, ...]:
    """The command that a typed line calls; () of none."""
    command, path = ROOT, ()
    for word in shlex.split(typed):
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path = (*path, word)
    return path


def test_every_command_is_typed_in_the_terminal() -> None:
    assert COMMANDS.keys() - {named(step.typed) for step in STEPS} == set()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_command_and_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert re.match(r"[A-Z].*[.:]", command.help, re.DOTALL)
    options = {text for each in command.params for text in each.opts if each.param_type_name == "option"}
    for each in command.params:
        assert each.help, f"{each.opts} of {path} says nothing"
        assert each.help.endswith("."), each.help
    if "--url" in options:
        # Whoever asks a place says whose sessions, and may be a script.
        assert "--json" in options
        assert "--namespace" in options or "in a namespace of its own" in command.help


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module")
def tmux(folder: Path) -> Iterator[Tmux]:
    if not shutil.which("tmux") and os.environ.get("CI") != "true":
        pytest.skip("no tmux on PATH: apt-get install tmux")
    (folder / "place").mkdir()
    terminal = Tmux(folder, {"GRIDSESSION_URL": (folder / "place").as_uri()})
    yield terminal
    terminal.close()


@pytest.fixture
def here(folder: Path) -> dict[str, str]:
    """A place with three sessions and two globals, a snapshot of it, and names for what is to be made."""
    (folder / "theirs").mkdir(exist_ok=True)
    (folder / "theirs" / "telegram:1.json").write_text(json.dumps({"id": "telegram:1", "_state": {"a": 1}}))
    for name in ("saved.gsr", "new.gsr"):
        (folder / name).unlink(missing_ok=True)
    asyncio.run(_fill(folder))
    (port,) = free_ports(1)
    places = {name: (folder / name).as_uri() for name in ("place", "other", "copied", "imported")}
    return {**places, "port": str(port)}


async def _fill(folder: Path) -> None:
    async with SessionStore.open((folder / "place").as_uri()) as store:
        async for session_id in store.ids():
            await store.session(session_id).delete()
        for name in ("line:U1", "line:U2"):
            await store.session(name).update(step="address")
        await store.session("telegram:42").update(password="sesame", locale="th-TH")
        await store.globals.set("rate", 36.5)
        await store.globals.set("gateway_token", "sesame")
        await snapshot(store, folder / "saved.gsr")


@pytest.mark.parametrize("step", [step for step in STEPS if "{grid}" not in step.typed], ids=lambda step: step.typed)
def test_as_a_stranger_types_it(step: Step, tmux: Tmux, here: dict[str, str]) -> None:
    _type(step, tmux, here)


@pytest.mark.grid
@pytest.mark.parametrize("step", [step for step in STEPS if "{grid}" in step.typed], ids=lambda step: step.typed)
def test_as_a_stranger_asks_a_grid(step: Step, tmux: Tmux, here: dict[str, str], grid: LocalGrid) -> None:
    _type(step, tmux, {**here, "grid": grid.url})


def _type(step: Step, tmux: Tmux, here: dict[str, str]) -> None:
    typed = f"gridsession {step.typed.format_map(here)}"
    tmux.type(typed)
    try:
        for pattern, keys in step.keys:
            tmux.wait_for(pattern)
            tmux.keys(keys, *(() if keys.startswith("C-") else ("Enter",)))
        assert tmux.ended() == step.code
    except BaseException:
        # For the next one's sake.
        tmux.keys("C-c")
        raise
    shown = tmux.screen()
    assert re.search(step.shows, shown, re.MULTILINE), shown
    assert "sesame" not in shown
    assert "Traceback" not in shown
    # What the terminal had to break would not be a table any more; of a log, and of what is to be pasted, lines are as
    # long as they are.
    long = r"(\^C)?\d{4}-\d\d-\d\dT| *docker run "
    answer = [line for line in shown.splitlines() if typed not in line and not re.match(long, line)]
    assert max(map(len, answer), default=0) <= WIDTH, shown


@pytest.mark.parametrize("variable", ["", "NO_COLOR=1 "])
def test_colours_where_they_are_wanted(variable: str, tmux: Tmux, here: dict[str, str]) -> None:
    tmux.type(f"{variable}gridsession ls --url nonsense; {variable}gridsession globals list")
    tmux.wait_for(r"rate +36\.5\n<ended")
    assert bool(re.search(r"\x1b\[([\d;]*;)?3[0-7]m", tmux.screen(colours=True))) == (not variable)
