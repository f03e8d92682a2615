"""The words of an answer as judges and reports read them: one rule, for live and stored answers.

Where an opening was put into the model's mouth, it goes on there, so both are read together. A
model that said nothing after it said nothing: the opening alone is nobody's answer.
"""

from collections.abc import Mapping
from typing import Any


def with_opening(opening: str, text: str) -> str:
    """The opening and what the model made of it; empty where it made nothing."""
    return opening + text if text.strip() else ""


def stored_text(answer: Mapping[str, Any] | None) -> str | None:
    """The last turn of a stored answer; None where there is no answer, or one of scores alone."""
    turns = [
        turn
        for reply in (answer or {}).get("replies", ())
        for turn in reply.get("said", (reply,))
        if "text" in turn
    ]
    return with_opening(turns[-1].get("opening") or "", turns[-1]["text"]) if turns else None
