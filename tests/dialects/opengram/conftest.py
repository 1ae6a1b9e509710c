"""Fixtures of Opengram's tests."""

from __future__ import annotations

import pytest

from gridsession import SessionStore


@pytest.fixture(params=["memory", pytest.param("grid", marks=pytest.mark.grid)])
def sessions(request: pytest.FixtureRequest, namespace: str) -> SessionStore:
    """A store of ours, not yet open: in memory, and on three real members."""
    if request.param == "memory":
        return SessionStore.open("memory://", namespace=namespace)
    return SessionStore.open(request.getfixturevalue("grid").url, namespace=namespace)
