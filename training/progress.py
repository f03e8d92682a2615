"""Progress of a running plan, as JSON lines on standard output.

    {"event": "note", "text": "…"}
    {"event": "step", "step": 3, "steps": 30, "loss": 1.21, "seconds": 2.8, "tokens": 402}
    {"event": "done", "output": "…", "recipe": "…", "seconds": 91.3, "final_loss": 0.93}
    {"event": "error", "error": "InvalidPlan", "detail": "…"}

`loss` is in nats a completion token, `tokens` counts those, `seconds` are the step's own.
"""

from typing import Any, Protocol


class Report(Protocol):
    """Where a recipe sends its progress; the name of the event, then its fields."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Send one event."""
