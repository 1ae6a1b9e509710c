"""Our jar and a member's configuration for who runs the official Hazelcast image, or any Hazelcast of that version."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from gridsession.errors import MemberFailed, NodeError
from gridsession.node.config import NodeConfig
from gridsession.node.jars import JARS_DIRECTORY, MEMBER_JAR, checkout_sources, manifest, member_jars, staleness

CONFIGURATION: Final = "gridsession-member.yaml"


class Written(NamedTuple):
    """What was written, and the version of Hazelcast that it is for."""

    jar: Path
    configuration: Path
    hazelcast: str


def write_for_official_image(directory: Path, config: NodeConfig, *, public_address: bool) -> Written:
    """Write the jar and one configuration for all members of a grid.

    Args:
        directory: made if it is not there; what is in it under these names is replaced.
        config: as for `gridsession node`; what concerns our own process (memory, health checks, snapshots) is left out.
        public_address: whether `config` says where others reach the member. If not, the configuration is good for each
            member: Hazelcast takes the interface that is among the addresses to join.

    Raises:
        MemberFailed: this package's jars are missing or, in a source tree, stale.
        NodeError: the files cannot be written.
    """
    if fault := staleness(JARS_DIRECTORY, checkout_sources()):
        raise MemberFailed(
            f"{fault}: build them with python deploy/member/hatch_build.py, or install gridsession again"
        )
    jars = member_jars()
    text = replace(config, started_by="gridsession jar").yaml(for_each=not public_address)
    written = Written(directory / MEMBER_JAR, directory / CONFIGURATION, hazelcast_version(jars.hazelcast))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(jars.member, written.jar)
        # The cluster name in it is all that keeps strangers out, but the image's own user must read it: say so.
        written.configuration.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NodeError(f"cannot write to {directory}: {error.strerror or error}") from error
    return written


def hazelcast_version(jar: Path) -> str:
    """The version of a Hazelcast jar, by its manifest; empty if that does not tell."""
    told = manifest(jar)
    return told.get("Implementation-Version", told.get("Bundle-Version", ""))
