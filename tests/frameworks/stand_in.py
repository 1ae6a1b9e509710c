"""Stands in for Telegram: delivers recorded updates to worker processes, each until it was received."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "deploy" / "example" / "frameworks"
_CUSTOMERS = 10
_READY_SECONDS = 60.0
_ANSWER_SECONDS = 60.0


def recorded() -> list[dict[str, Any]]:
    """The updates of ten customers, in the order in which they wrote."""
    return [json.loads(line) for line in (EXAMPLES / "updates.jsonl").read_text("utf-8").splitlines()]


class Worker:
    """One process of a bot, fed line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._reading = asyncio.create_task(self._read())
        self._ready = asyncio.Event()
        self._given = 0
        self.done: list[int] = []
        self.failed: list[str] = []

    @classmethod
    async def start(cls, bot: str, *arguments: str) -> Worker:
        """Start an example and wait until it takes updates."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, str(EXAMPLES / bot), *arguments, "--replay")
        worker = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
        await asyncio.wait_for(worker._ready.wait(), _READY_SECONDS)
        return worker

    @property
    def busy(self) -> bool:
        """Whether updates are being handled now."""
        return bool(self._waiting)

    async def deliver(self, update: dict[str, Any]) -> bool:
        """Post an update; whether the worker said that it is done (it may die first)."""
        if self._process.returncode is not None or self._reading.done():
            return False
        assert self._process.stdin is not None
        self._given += 1
        answer = self._waiting.setdefault(update["update_id"], asyncio.get_running_loop().create_future())
        try:
            self._process.stdin.write(json.dumps(update).encode() + b"\n")
            await self._process.stdin.drain()
        except ConnectionError:
            return False
        return await asyncio.wait_for(asyncio.shield(answer), _ANSWER_SECONDS)

    async def kill(self) -> None:
        """End it at once, as soon as it is in the middle of something and was given more that it never looks at.

        If every customer waits for it already, nobody has more to give.
        """
        while not self.busy:
            await asyncio.sleep(0.001)
        self._process.send_signal(signal.SIGSTOP)
        given = self._given
        while self._given == given and len(self._waiting) < _CUSTOMERS:
            await asyncio.sleep(0.001)
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def stop(self) -> None:
        """End it when it has done what it was given."""
        if self._process.returncode is None and self._process.stdin is not None:
            self._process.stdin.close()
            await asyncio.wait_for(self._process.wait(), _READY_SECONDS)
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "ready" in said:
                self._ready.set()
            elif "done" in said:
                self.done.append(said["done"])
                self._answer(said["done"], True)
            elif "failed" in said:
                self.failed.append(said["error"])
                self._answer(said["failed"], False)
        for update_id in list(self._waiting):
            self._answer(update_id, False)

    def _answer(self, update_id: int, received: bool) -> None:
        answer = self._waiting.pop(update_id, None)
        if answer is not None and not answer.done():
            answer.set_result(received)


async def deliver_all(workers: Sequence[Worker], *, kill: Worker | None = None, seed: int = 9) -> dict[str, int]:
    """Deliver the recorded updates: each customer's one after another, the customers side by side, to any worker.

    What a worker did not acknowledge is delivered again; so is now and then what was acknowledged, as after a response
    that got lost. `kill` is killed when a third was done, in the middle of its work.

    Returns:
        How often something was delivered, delivered again for want of an answer, and delivered again after one.
    """
    chance = random.Random(seed)
    counts: dict[str, int] = defaultdict(int)
    chats: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for update in recorded():
        chats[update["message"]["chat"]["id"]].append(update)
    alive = list(workers)

    async def write(updates: list[dict[str, Any]]) -> None:
        for update in updates:
            counts["delivered"] += 1
            while not await chance.choice(alive).deliver(update):
                counts["again"] += 1
            if chance.random() < 0.3:
                counts["twice"] += 1
                while not await chance.choice(alive).deliver(update):
                    counts["again"] += 1

    async def end(worker: Worker) -> None:
        while sum(len(each.done) for each in workers) < len(recorded()) // 3:
            await asyncio.sleep(0.001)
        await worker.kill()
        alive.remove(worker)

    async with asyncio.TaskGroup() as tasks:
        for updates in chats.values():
            tasks.create_task(write(updates))
        if kill is not None:
            tasks.create_task(end(kill))
    return counts


async def two_workers_one_killed(bot: str, url: str, namespace: str) -> dict[str, int]:
    """Run an example in two processes that share one place, deliver everything, and kill one in the middle of its work.

    Returns:
        What `deliver_all` counted.
    """
    workers = await asyncio.gather(*(Worker.start(bot, url, "--namespace", namespace) for _ in range(2)))
    try:
        counts = await deliver_all(workers, kill=workers[0])
    finally:
        for worker in workers:
            await worker.stop()
    assert workers[0].done, "the one that was killed did something before"
    assert counts["again"] > 0, "it was killed in the middle of its work"
    assert counts["twice"] > 0
    # On a machine that is slow enough, a living worker too may overrun its lease; that is said, and done again.
    assert {error for worker in workers for error in worker.failed} <= {"LeaseLost"}
    return dict(counts)


def exchanged() -> dict[int, list[str]]:
    """What each chat's conversation with a counting agent must be, both sides, if nothing is lost or handled twice."""
    texts: dict[int, list[str]] = defaultdict(list)
    for update in recorded():
        texts[update["message"]["chat"]["id"]].append(update["message"]["text"])
    return {
        chat: [line for at, text in enumerate(said, 1) for line in (text, f"{at}: you said {text}")]
        for chat, said in texts.items()
    }
