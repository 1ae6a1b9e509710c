"""Bodies as WhatsApp Cloud posts them."""

from __future__ import annotations

from typing import Any


def text_message(number: str, message_id: str, text: str = "Hi") -> dict[str, Any]:
    """A webhook with one text message of one user."""
    message = {"from": number, "id": message_id, "timestamp": "1767323045", "type": "text", "text": {"body": text}}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "26300", "phone_number_id": "1"},
        "contacts": [{"wa_id": number, "profile": {"name": "Tino"}}],
        "messages": [message],
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "0", "changes": [{"field": "messages", "value": value}]}],
    }


def status(number: str) -> dict[str, Any]:
    """A webhook that says a message was delivered: nobody's message."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "26300", "phone_number_id": "1"},
        "statuses": [{"id": "wamid.0", "status": "delivered", "timestamp": "1767323045", "recipient_id": number}],
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "0", "changes": [{"field": "messages", "value": value}]}],
    }
