"""What is said of a page after the redirect, with one button to take it back."""

from __future__ import annotations

from typing import Any

from flask import session

from banklink.web.viewmodel import Button, Notice


def say(tone: str, text: str, undo: Button | None = None) -> None:
    """Wait with it until the next page; it is said once. `undo` may also lead on."""
    session["said"] = {
        "tone": tone,
        "text": text,
        "undo": None
        if undo is None
        else {
            "label": undo.label,
            "name": undo.name,
            "action": undo.action,
            "method": undo.method,
            "url": undo.url,
            "fields": [list(pair) for pair in undo.fields],
        },
    }


def said() -> Notice | None:
    found: dict[str, Any] | None = session.pop("said", None)
    if found is None:
        return None
    undo = found["undo"]
    button = None
    if undo is not None:
        button = Button(
            action=undo.get("action", "undo"),
            label=undo["label"],
            name=undo["name"],
            method=undo.get("method", "post"),
            url=undo["url"],
            fields=tuple((str(name), str(value)) for name, value in undo["fields"]),
        )
    return Notice(tone=found["tone"], text=found["text"], button=button)
