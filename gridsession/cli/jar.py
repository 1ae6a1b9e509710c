"""`gridsession jar`: what members run by somebody else's image need."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gridsession.cli import logs
from gridsession.cli._places import AsJson
from gridsession.cli._tables import Output
from gridsession.node.config import NodeConfig, split_addresses
from gridsession.node.official import write_for_official_image


def command(
    output: Annotated[Path, typer.Option("--output", help="Folder to write to; made if it is not there.")],
    cluster_name: Annotated[
        str | None, typer.Option(help="Name that members and clients agree on; hard to guess.")
    ] = None,
    members_declared: Annotated[
        int | None, typer.Option(help="Members the whole grid has; its majority must be there to serve.")
    ] = None,
    join: Annotated[
        str | None, typer.Option(help="HOST:PORT,... of the members; needed where there are several.")
    ] = None,
    backups: Annotated[
        int | None, typer.Option(help="Synchronous copies, 0 to 6.", show_default="by members declared: 0, 1, 2")
    ] = None,
    bind: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="GRIDSESSION_BIND", show_envvar=False)
    ] = "0.0.0.0",  # noqa: S104 - a container's own
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="5701")] = None,
    public_address: Annotated[
        str | None, typer.Option(help="HOST:PORT that others reach it at: then each member needs a file of its own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Writes gridsession-member.jar and a configuration to run members with the official Hazelcast image.

    One configuration does for all members. Put the jar on their class path and name the configuration: deploy/README.md
    shows how. Options not given are taken from GRIDSESSION_* as by `gridsession node`. Health checks, metrics,
    snapshots and the memory of the JVM are then the image's affair.
    """
    logs.configure(level=logging.WARNING)
    options: dict[str, Any] = {
        "bind": bind,
        "port": port,
        "join": None if join is None else split_addresses(join),
        "members_declared": members_declared,
        "cluster_name": cluster_name,
        "backups": backups,
        "public_address": public_address,
    }
    config = NodeConfig.from_options(**options)
    if config.members_declared > 1 and not config.join:
        raise typer.BadParameter(
            f"a grid of {config.members_declared} members finds itself by their addresses only: "
            "add --join HOST:PORT,... (or GRIDSESSION_JOIN)"
        )
    local = config.public_address is None and bind == "0.0.0.0"  # noqa: S104 - asks, does not listen
    written = write_for_official_image(output, config, public_address=not local)
    told = Output(as_json=as_json)
    told.line(
        jar=str(written.jar), configuration=str(written.configuration), hazelcast=written.hazelcast, event="written"
    )
    told.say(f"{written.jar}, for Hazelcast {written.hazelcast}")
    told.say(f"{written.configuration}: the cluster name in it is a secret")
    told.say("the official image takes them as:")
    told.paste(f"""\
  docker run -v {shlex.quote(f"{output.resolve()}:/opt/gridsession:ro")} -e CLASSPATH='/opt/gridsession/*' \\
    -e JAVA_OPTS=-Dhazelcast.config=/opt/gridsession/{written.configuration.name} \\
    hazelcast/hazelcast:{written.hazelcast}""")
