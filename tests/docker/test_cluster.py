"""The compose file's cluster: webhooks of every platform; services killed, paused, cut off and rolled under load."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from tests.docker.conftest import Cluster

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

_numbers = itertools.count(1)


def _telegram(user: int, update: int) -> bytes:
    message = {"message_id": update, "chat": {"id": user, "type": "private"}, "from": {"id": user}, "text": "Hi"}
    return json.dumps({"update_id": update, "message": message}).encode()


def _json(body: object) -> Callable[[str], bytes]:
    return lambda message: json.dumps(body).replace("MESSAGE", message).encode()


BODIES: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "line": (
        "line:Udocker",
        _json(
            {
                "destination": "Ubot",
                "events": [
                    {
                        "type": "message",
                        "webhookEventId": "MESSAGE",
                        "replyToken": "r",
                        "source": {"type": "user", "userId": "Udocker"},
                        "message": {"id": "1", "type": "text", "text": "Hi"},
                    }
                ],
            }
        ),
    ),
    "messenger": (
        "messenger:500",
        _json(
            {
                "object": "page",
                "entry": [
                    {
                        "id": "1",
                        "messaging": [
                            {
                                "sender": {"id": "500"},
                                "recipient": {"id": "1"},
                                "message": {"mid": "MESSAGE", "text": "Hi"},
                            }
                        ],
                    }
                ],
            }
        ),
    ),
    "slack": (
        "slack:C500",
        _json(
            {
                "type": "event_callback",
                "team_id": "T1",
                "event_id": "MESSAGE",
                "event": {"type": "message", "channel": "C500", "user": "U1", "text": "Hi"},
            }
        ),
    ),
    "viber": (
        "viber:docker=",
        lambda message: json.dumps(
            {
                "event": "message",
                "message_token": 4_912_661_846_655_238_145 + int(message.rpartition("-")[2]),
                "sender": {"id": "docker="},
                "message": {"type": "text", "text": "Hi"},
            }
        ).encode(),
    ),
    "whatsapp": (
        "whatsapp:whatsapp:+500",
        lambda message: urlencode(
            {"SmsStatus": "received", "From": "whatsapp:+500", "To": "whatsapp:+1", "MessageSid": message, "Body": "Hi"}
        ).encode(),
    ),
    "whatsapp-cloud": (
        "500",
        _json(
            {
                "object": "whatsapp_business_account",
                "entry": [
                    {
                        "id": "1",
                        "changes": [
                            {
                                "field": "messages",
                                "value": {
                                    "messaging_product": "whatsapp",
                                    "metadata": {"phone_number_id": "9"},
                                    "contacts": [{"wa_id": "500"}],
                                    "messages": [
                                        {"from": "500", "id": "MESSAGE", "type": "text", "text": {"body": "Hi"}}
                                    ],
                                },
                            }
                        ],
                    }
                ],
            }
        ),
    ),
}


def _tell(**figures: float) -> None:
    """For who wants to know how long it took: shown by -rP."""
    print(json.dumps(figures))  # noqa: T201


def test_up_is_enough(cluster: Cluster) -> None:
    began = time.monotonic()
    status, answer = cluster.post("worker1", "telegram", _telegram(1, next(_numbers)))
    assert (status, answer) == (200, {"session_id": "telegram:1", "replies": ["Count: 1"]})
    _tell(built_and_healthy=round(cluster.seconds_up, 1), answered=round(time.monotonic() - began, 2))


@pytest.mark.parametrize("platform", BODIES)
def test_either_worker_answers_and_a_second_delivery_counts_nothing(
    platform: str, cluster: Cluster, healthy: Callable[[], None]
) -> None:
    session_id, body = BODIES[platform]
    form = platform == "whatsapp"
    told = [
        cluster.post(worker, platform, body(f"{platform}-{number}"), form=form)
        for number, worker in enumerate((*cluster.WORKERS, *cluster.WORKERS))
        for _ in range(2)
    ]
    assert told == [
        (200, {"session_id": session_id, "replies": [f"Count: {count}"]}) for count in (1, 1, 2, 2, 3, 3, 4, 4)
    ]


def test_what_is_no_webhook_is_refused(cluster: Cluster, healthy: Callable[[], None]) -> None:
    assert cluster.post("worker1", "nobody", b"{}")[0] == 404
    assert cluster.post("worker1", "line", b"{")[0] == 400
    assert cluster.post("worker1", "telegram", b"[]")[0] == 400


class Load:
    """Several clients that post until each message is answered, as platforms do; then every count is compared."""

    def __init__(self, cluster: Cluster, users: int = 20, clients: int = 6) -> None:
        self._cluster = cluster
        self._users = [1_000_000 * next(_numbers) + user for user in range(users)]
        self.sent: Counter[int] = Counter()
        self.longest = 0.0
        """Seconds that the message that waited longest waited for its answer, its second deliveries included."""
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(clients)
        self._clients = [self._pool.submit(self._post, random.Random(number)) for number in range(clients)]

    def _post(self, draw: random.Random) -> None:
        while not self._over.is_set():
            user, update = draw.choice(self._users), next(_numbers)
            began = time.monotonic()
            while True:
                status, answer = self._cluster.post(draw.choice(Cluster.WORKERS), "telegram", _telegram(user, update))
                if status == 200:
                    break
                assert time.monotonic() - began < 90, f"update {update} is not answered: {status} {answer}"
                time.sleep(0.05)
            with self._lock:
                self.sent[user] += 1
                self.longest = max(self.longest, time.monotonic() - began)

    def run_on(self, messages: int) -> None:
        goal = self.sent.total() + messages
        deadline = time.monotonic() + 120
        while self.sent.total() < goal:
            assert time.monotonic() < deadline, f"{self.sent.total()} of {goal} messages were answered"
            for client in self._clients:
                if client.done():
                    client.result()
            time.sleep(0.02)

    def check(self) -> None:
        self._over.set()
        self._pool.shutdown()
        for client in self._clients:
            client.result()
        for user, count in self.sent.items():
            told = self._cluster.post("worker1", "telegram", _telegram(user, next(_numbers)))
            assert told == (200, {"session_id": f"telegram:{user}", "replies": [f"Count: {count + 1}"]})


def _kill_node(cluster: Cluster) -> None:
    cluster.compose("kill", "node2")


def _start_node(cluster: Cluster) -> None:
    cluster.compose("start", "node2")


def _kill_worker(cluster: Cluster) -> None:
    cluster.compose("kill", "worker1")


def _start_worker(cluster: Cluster) -> None:
    cluster.compose("start", "worker1")


def _pause(cluster: Cluster) -> None:
    cluster.compose("pause", "node3")


def _unpause(cluster: Cluster) -> None:
    cluster.compose("unpause", "node3")


def _cut_off(cluster: Cluster) -> None:
    cluster.docker("network", "disconnect", cluster.network, cluster.container("node1"))


def _put_back(cluster: Cluster) -> None:
    cluster.docker("network", "connect", "--alias", "node1", cluster.network, cluster.container("node1"))


@pytest.mark.parametrize(
    ("harm", "repair"),
    [(_kill_node, _start_node), (_kill_worker, _start_worker), (_pause, _unpause), (_cut_off, _put_back)],
    ids=["node killed", "worker killed", "node paused", "node cut off"],
)
def test_whatever_fails_every_message_counts_once(
    harm: Callable[[Cluster], None], repair: Callable[[Cluster], None], cluster: Cluster, healthy: Callable[[], None]
) -> None:
    load = Load(cluster)
    load.run_on(100)
    harm(cluster)
    try:
        load.run_on(200)
    finally:
        repair(cluster)
    load.run_on(100)
    healthy()
    load.check()


def test_all_nodes_restarted_one_after_another_lose_nothing(cluster: Cluster, healthy: Callable[[], None]) -> None:
    load = Load(cluster)
    for node in cluster.NODES:
        load.run_on(50)
        cluster.compose("stop", node)
        assert cluster.inspect(node, "{{.State.ExitCode}}") == "0", "it was killed before it had handed over"
        cluster.compose("start", node)
        cluster.wait_healthy(node)
    load.run_on(50)
    load.check()
    _tell(rolled=len(cluster.NODES), turns=load.sent.total(), lost=0, failed=0, longest_wait=round(load.longest, 1))


def test_the_image_runs_without_root_and_writes_nothing(cluster: Cluster, healthy: Callable[[], None]) -> None:
    assert cluster.compose("exec", "-T", "node1", "python", "-c", "import os; print(os.getuid())") == "10001"
    assert cluster.inspect("node1", "{{.HostConfig.ReadonlyRootfs}}") == "true"
    found = cluster.compose(
        "exec", "-T", "node1", "sh", "-c", "ls /opt/gridsession/bin; command -v gcc javac mvn; true"
    )
    assert "gridsession" in found.split()
    assert not {"pip", "gcc", "javac", "mvn"} & {line.rpartition("/")[2] for line in found.splitlines()}
    assert cluster.inspect("node1", "{{.NetworkSettings.Ports}}").count("HostPort") == 0, "no node's port is published"
