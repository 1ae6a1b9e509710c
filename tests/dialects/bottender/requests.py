"""Requests of LINE, as its webhooks post them."""

from __future__ import annotations

from typing import Any


def from_user(user: str = "U1", text: str = "Hi", **more: Any) -> dict[str, Any]:
    """A LINE message of one user."""
    source = {"type": "user", "userId": user}
    return {"type": "message", "source": source, "message": {"type": "text", "text": text}, **more}


def posted(*events: dict[str, Any]) -> dict[str, Any]:
    """A LINE request."""
    return {"destination": "Ubot", "events": list(events)}
