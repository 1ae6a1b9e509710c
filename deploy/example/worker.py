"""A webhook worker: the counting bot behind HTTP. Run as many as you like on one grid; any webhook may reach any one.

    POST /webhook/{platform}   a platform's webhook body -> {"session_id": "line:U1", "replies": ["Count: 1"]}
    GET  /healthz              200 while the grid answers
    GET  /metrics              for Prometheus: commands, their times and outcomes, leases, members

Settings: GRIDSESSION_URL (where sessions live), HOST and PORT to listen on (default 0.0.0.0:8080, for a container).
Before this faces the internet, check the platform's signature on the raw body (LINE: x-line-signature, Slack:
x-slack-signature, ...): gridsession reads bodies, it does not vouch for who sent them.
"""

from __future__ import annotations

import asyncio
import logging
import os

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gridsession import Policy, SessionStore, Turn
from gridsession.errors import GridSessionError, InvalidOption, UnknownEvent
from gridsession.hooks.prometheus import PrometheusHook
from gridsession.platforms import events, message_id

_log = logging.getLogger("worker")
STORE = web.AppKey("store", SessionStore)
METRICS = web.AppKey("metrics", CollectorRegistry)
POLICY = Policy(lease=5, wait=10, deadline=5)
"""A dead worker's sessions stay shut until its leases end, hence five seconds."""
ANSWERS_KEPT = 20
RETRY_AFTER = {"Retry-After": "1"}


def reply(turn: Turn) -> list[str]:
    """The bot: counts what it is told."""
    count = turn.state["count"] = turn.state.get("count", 0) + 1
    return [f"Count: {count}"]


async def handle(store: SessionStore, session_id: str, message: str | None) -> list[str]:
    """One event: one turn. What was handled before is not handled again and gets the same answer."""
    async with store.turn(session_id, message=message) as turn:
        answers = turn.state.setdefault("answers", {})
        if turn.repeated:
            return list(answers.get(message, []))
        replies = reply(turn)
        if message is not None:
            answers[message] = replies
            turn.state["answers"] = dict(list(answers.items())[-ANSWERS_KEPT:])
        return replies


async def webhook(request: web.Request) -> web.Response:
    """Handle each event of a body; the platform posts again what is not answered by 200."""
    platform, store = request.match_info["platform"], request.app[STORE]
    try:
        found = events(platform, await request.read())
    except InvalidOption as error:
        raise web.HTTPNotFound(text=f"{error}\n") from None
    except UnknownEvent as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None
    first: str | None = None
    replies: list[str] = []
    try:
        for session_id, event in found:
            if session_id is None:
                continue
            # WhatsApp Cloud's ids are bare numbers; in the store every id names its platform.
            key = session_id if platform != "whatsapp-cloud" else f"{platform}:{session_id}"
            first = first or session_id
            replies += await handle(store, key, message_id(platform, event))
    except GridSessionError as error:
        # Also when the outcome is unknown: the message's id keeps a second delivery from counting twice.
        _log.warning("webhook not handled: %s", type(error).__name__)
        raise web.HTTPServiceUnavailable(text=f"{type(error).__name__}\n", headers=RETRY_AFTER) from None
    return web.json_response({"session_id": first, "replies": replies})


async def healthz(request: web.Request) -> web.Response:
    """Whether the grid answers this worker."""
    try:
        async with asyncio.timeout(2):
            await request.app[STORE].session("health:worker").exists()
    except (GridSessionError, TimeoutError) as error:
        raise web.HTTPServiceUnavailable(text=f"{type(error).__name__}\n") from None
    return web.Response(text="ok\n")


async def metrics(request: web.Request) -> web.Response:
    """What the hook counted, as Prometheus reads it."""
    return web.Response(body=generate_latest(request.app[METRICS]), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def sessions(app: web.Application):  # type: ignore[no-untyped-def]  # aiohttp's own kind of generator
    """The store lives as long as the application."""
    async with SessionStore.open(policy=POLICY, namespace="example", hooks=[PrometheusHook(app[METRICS])]) as store:
        app[STORE] = store
        yield


def application() -> web.Application:
    """The worker, for any aiohttp server."""
    app = web.Application(client_max_size=1 << 20)
    app[METRICS] = CollectorRegistry()
    app.cleanup_ctx.append(sessions)
    app.router.add_post("/webhook/{platform}", webhook)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # In a container every interface is the container's own; what is published is for the compose file to say.
    web.run_app(
        application(),
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104
        port=int(os.environ.get("PORT", "8080")),
        access_log=None,
    )
