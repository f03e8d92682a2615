"""What stands beside a verdict in a report and is no part of it: the worst flips, the noise floor.

A verdict says how many answers got worse; whoever has to repair them wants to know which. Flips are
named by ids and groups alone; what the models said is added only by who may read it. The noise
floor says how many answers of the baseline move when nothing changed, where that was measured with
the same backend.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.readings.noise import Floor


@dataclass(frozen=True, slots=True)
class Flip:
    """One item that got worse; `said` is what baseline and candidate answered, where shown."""

    item: str
    variant: str
    cluster: str
    group: str | None
    before: float
    after: float
    said: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst flips of one check, worst first, of `worse` in all."""

    flips: tuple[Flip, ...]
    worse: int


@dataclass(frozen=True, slots=True)
class Beside:
    """By check; what was not measured, or did not move, is not in it."""

    worst: Mapping[str, Worst] = field(default_factory=dict)
    noise: Mapping[str, Floor] = field(default_factory=dict)


def text_of(answer: Mapping[str, Any] | None) -> str:
    """The last thing that a stored answer says, with its opening; "" where it only scores."""
    replies = (answer or {}).get("replies", ())
    said = [one for reply in replies for one in reply.get("said", (reply,)) if "text" in one]
    return f"{said[-1].get('opening') or ''}{said[-1]['text']}" if said else ""
