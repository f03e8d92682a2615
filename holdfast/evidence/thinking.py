"""Counts of a side's thoughts before its answers, as its evidence has them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class Thinking(BaseModel):
    """How many of a side's chat answers were thought about, and how many traces closed by force.

    A trace had `trace_tokens` for itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    answers: Count
    traces: Count
    forced: Count
    trace_tokens: Annotated[int, Field(ge=1)]

    @property
    def is_the_rule(self) -> bool:
        """Whether most answers were thought about."""
        return 2 * self.traces > self.answers
