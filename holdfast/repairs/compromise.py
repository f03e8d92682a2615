"""How good a compromise a recipe with two objectives came to, as the end of its run tells."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Compromise(BaseModel):
    """Losses and measures of a run's end (arXiv 2410.15483); None: not known.

    Losses and gaps in nats a token (task) and nats a pair (preference). `ideal_distance` is from
    the point where both are at their optimum, `normalised_distance` in units of the gaps at the
    start, `hypervolume` the area that the end has gained over the start. Time and memory are
    multiples of plain fine-tuning's of as many steps.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)
    task_loss: float | None = None
    preference_loss: float | None = None
    task_optimality_gap: float | None = None
    preference_optimality_gap: float | None = None
    ideal_distance: float | None = None
    normalised_distance: float | None = None
    hypervolume: float | None = None
    time_beside_plain: float | None = None
    memory_beside_plain: float | None = None


def compromise_of(progress: Mapping[str, Any]) -> Compromise | None:
    """The compromise in a repair's progress; None before its end, and of all other recipes."""
    if progress.get("event") != "done" or progress.get("preference_loss") is None:
        return None
    return Compromise.model_validate(dict(progress))
