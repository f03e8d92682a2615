"""Limits the cost of an evaluation by tier: prompts, tokens, and minutes of asking.

A budget is a ceiling for runs that got out of hand (a huge imported suite, a slow machine), well
above what the tier's own items need. Once it is spent nothing more is asked; what was not asked is
said in the evidence, and its check is inconclusive. A cache costs nothing and is not counted.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from holdfast.job import Tier

Ceiling = Annotated[int, Field(ge=1)]


class Limits(BaseModel):
    """Ceilings over all sides together; None sets none, and in a policy leaves the tier's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    prompts: Ceiling | None = None
    tokens: Ceiling | None = None
    minutes: Ceiling | None = None

    @property
    def sentence(self) -> str:
        """The limits in words, as a person reads them beside a cost."""
        parts = [f"{value:,} {name}" for name, value in self if value is not None]
        return f"a budget of {', '.join(parts)}"


LIMITS: dict[Tier, Limits] = {
    "canary": Limits(prompts=1_000, tokens=100_000, minutes=10),
    "demo": Limits(prompts=10_000, tokens=1_000_000, minutes=60),
    "standard": Limits(prompts=50_000, tokens=5_000_000, minutes=240),
    "full": Limits(prompts=500_000, tokens=200_000_000, minutes=345),  # a job's deadline is 6 h
}


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost so far, of this worker and of those that it took over from."""

    prompts: int = 0
    tokens: int = 0
    seconds: float = 0.0


def limits_of(tier: Tier, overrides: Limits | None) -> Limits:
    """The tier's ceilings, with those of a policy in their place."""
    ceilings = overrides.model_dump(exclude_none=True) if overrides is not None else {}
    return LIMITS[tier].model_copy(update=ceilings)


def exhausted(limits: Limits, spent: Spent) -> str | None:
    """Which ceiling is reached, in words; None where more may be asked."""
    reached = {
        "prompts": spent.prompts,
        "tokens": spent.tokens,
        "minutes": spent.seconds / 60,
    }
    for name, ceiling in limits:
        if ceiling is not None and reached[name] >= ceiling:
            return f"the budget of {ceiling:,} {name} is spent"
    return None
