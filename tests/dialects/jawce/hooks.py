"""Example hooks: business logic that a template calls, with its state in the session."""

from __future__ import annotations

from typing import Any

from gridsession.dialects.jawce import HookModel


def choose_size(model: HookModel[Any]) -> dict[str, Any]:
    """Keep what the user chose for this order, and among the props for the next ones; greet by the name known there."""
    session = model.session_manager(model.session_id)
    size = model.message["text"]["body"]
    session.save(session_id=model.session_id, key="size", data=size)
    session.save_prop("usual_size", size)
    return {"name": session.get_from_props("name", str) or "friend", "size": session.get("size")}


def checkout(model: HookModel[Any]) -> str:
    """Forget the order and keep who ordered: the props stay, and so does the language."""
    session = model.session_manager(model.session_id)
    session.clear(retain_keys=["language"])
    return str(session.get("language", str))
