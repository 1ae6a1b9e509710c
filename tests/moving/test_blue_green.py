"""`deploy/blue_green.py`: from one real grid to another while bots work, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gridsession import Policy, SessionStore
from gridsession.moving import check_snapshot
from gridsession.testing.local_grid import LocalGrid
from tests.moving import counting_bot

pytestmark = pytest.mark.grid

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "blue_green.py"


def bot(url: str, result: Path, stop: Path, seed: int) -> list[str]:
    return [sys.executable, "-m", "tests.moving.counting_bot", url, str(result), str(stop), str(seed)]


def wait_for(path: Path, seconds: float = 60.0) -> dict[str, Any]:
    ends = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < ends, f"{path.name} does not come"
        time.sleep(0.05)
    told: dict[str, Any] = json.loads(path.read_text())
    return told


async def seed(url: str) -> None:
    """From before the move: sessions that nobody touches, and ones that are deleted while it goes on."""
    async with SessionStore.open(url, namespace="shop", policy=Policy(ttl=3600)) as store:
        await asyncio.gather(*(store.session(f"old:{number}").update(number=number) for number in range(300)))
        names = [f"short:{number}-{count}" for number in range(counting_bot.AT_ONCE) for count in range(1, 200)]
        await asyncio.gather(*(store.session(name).set("number", 1) for name in names))
        await store.globals.set("rate", 36.5)
    async with SessionStore.open(url, namespace="other-bot") as store:
        await store.session("line:1").set("name", "Ploy")


@pytest.mark.timeout(240)
def test_a_grid_is_moved_to_another_one_while_bots_work(tmp_path: Path) -> None:
    work, stop, later = tmp_path / "work", tmp_path / "stop", tmp_path / "never"
    with LocalGrid(1, memory="128m") as blue, LocalGrid(1, memory="128m") as green:
        asyncio.run(seed(blue.url))
        before = [subprocess.Popen(bot(blue.url, tmp_path / f"blue{one}", stop, one), cwd=ROOT) for one in (1, 2)]
        there = " ".join(f"[ -e {shlex.quote(str(tmp_path))}/blue{one} ] &&" for one in (1, 2)) + " true"
        command = f"touch {shlex.quote(str(stop))}; until {there}; do sleep 0.05; done"
        start = (
            f"{shlex.join(bot(green.url, tmp_path / 'green', later, 3))} > {shlex.quote(str(tmp_path / 'log'))} 2>&1 &"
        )
        try:
            moved = subprocess.run(
                [sys.executable, SCRIPT, blue.url, green.url, "--work", work, "--stop", command, "--start", start],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=200,
            )
            assert (moved.returncode, moved.stderr) == (0, "")
        finally:
            stop.touch()
            for each in before:
                each.wait(30)
        later.touch()
        told = [wait_for(tmp_path / name) for name in ("blue1", "blue2", "green")]
        assert [each["failed"] for each in told] == [[], [], []]
        lines = [json.loads(line) for line in moved.stdout.splitlines()]
        assert [line["step"] for line in lines[-2:]] == ["compared", "done"]
        assert lines[-2]["deleted"] > 0
        assert check_snapshot(work / "blue.gsr").content == check_snapshot(work / "green.gsr").content
        assert lines[-1]["seconds_without_answers"] < 60

        async def counted() -> None:
            turns = Counter[str]()
            for each in told:
                turns.update(each["turns"])
            deleted = {name for each in told for name in each["deleted"]}
            assert deleted
            async with SessionStore.open(green.url, namespace="shop") as store:
                found = {name: await store.session(name).get("count") async for name in store.ids("line:")}
                assert found == dict(turns)
                assert [await store.session(f"old:{number}").get("number") for number in range(300)] == [*range(300)]
                assert deleted.isdisjoint({name async for name in store.ids("short:")})
                done = [sum(each["turns"].values()) for each in told]
                assert await store.globals.load(fresh=True) == {
                    "rate": 36.5,
                    **{f"worker-{one}": count for one, count in zip((1, 2, 3), done, strict=True)},
                }
                assert 3000 < (await store.session("old:1").ttl() or 0) <= 3600
            async with SessionStore.open(green.url, namespace="other-bot") as store:
                assert await store.session("line:1").get("name") == "Ploy"

        asyncio.run(counted())


def test_a_grid_that_is_not_sound_is_left_alone(tmp_path: Path) -> None:
    where = "hazelcast://127.0.0.1:1/nobody?connect_timeout=1"
    stopped = tmp_path / "stopped"
    moved = subprocess.run(
        [sys.executable, SCRIPT, where, where, "--work", tmp_path, "--stop", f"touch {stopped}", "--start", "true"],
        capture_output=True,
        text=True,
    )
    assert moved.returncode == 1
    assert "gridsession doctor ended with 1" in moved.stderr
    assert not stopped.exists()
