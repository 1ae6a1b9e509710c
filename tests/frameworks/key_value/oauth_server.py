"""A FastMCP server behind an OAuth proxy, its clients kept in our store. Arguments: URL, namespace, port."""

from __future__ import annotations

import asyncio
import sys

from fastmcp import FastMCP
from fastmcp.server.auth.oauth_proxy import OAuthProxy
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

from gridsession.dialects.key_value import GridKeyValueStore


async def main(url: str, namespace: str, port: str) -> None:
    """Serve until ended. All processes are one server, at one base URL, as behind a load balancer."""
    async with GridKeyValueStore(f"{url}?namespace={namespace}") as store:
        auth = OAuthProxy(
            upstream_authorization_endpoint="http://127.0.0.1:9/authorize",
            upstream_token_endpoint="http://127.0.0.1:9/token",
            upstream_client_id="upstream",
            upstream_client_secret="a secret of nobody",
            token_verifier=StaticTokenVerifier({}),
            base_url="http://127.0.0.1:9",
            client_storage=store,
            jwt_signing_key="a key of nobody, long enough",
        )
        await FastMCP("guarded", auth=auth).run_http_async(port=int(port), show_banner=False, log_level="warning")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
