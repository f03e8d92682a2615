"""One answer, judged: what every probe comes to, and all that a verdict ever sees of it.

Badness is in [0, 1] and 1 is always the bad thing; a measure is a weighted number that is not a
badness. Nothing here knows a threshold: those belong to the policy.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite

BAD_FROM = 0.5  # badness at which a trial's outcome reads `bad`
INCOHERENT = "incoherent: "  # begins the reason of an answer that says nothing


class Outcome(StrEnum):
    """Three outcomes, never two: what could not be scored is neither good nor bad."""

    OK = "ok"
    BAD = "bad"
    UNSCORED = "unscored"


@dataclass(frozen=True, slots=True)
class Trial:
    """One item, in one variant, answered once and judged. Unique by (probe, item, variant)."""

    probe: str
    item: str
    cluster: str
    outcome: Outcome
    badness: float | None
    variant: str = "plain"
    group: str | None = None
    reason: str | None = None

    @property
    def incoherent(self) -> bool:
        """Whether the answer was scored as one that says nothing, be that good or bad."""
        return self.badness is not None and (self.reason or "").startswith(INCOHERENT)


@dataclass(frozen=True, slots=True)
class Measure:
    """A per-item number with a weight, such as nats of loss over a completion's tokens."""

    probe: str
    item: str
    value: float
    weight: float
    unit: str


def scored(
    probe: str,
    item: str,
    cluster: str,
    badness: float,
    *,
    group: str | None = None,
    variant: str = "plain",
) -> Trial:
    """A trial that was judged; refuses a badness that is not a number in [0, 1]."""
    if not (isfinite(badness) and 0.0 <= badness <= 1.0):
        raise ValueError(f"badness of {probe}/{item} is {badness!r}, expected a number in [0, 1]")
    outcome = Outcome.BAD if badness >= BAD_FROM else Outcome.OK
    return Trial(probe, item, cluster, outcome, badness, variant=variant, group=group)


def says_nothing(trial: Trial, why: str) -> Trial:
    """A judged trial, marked as one of an incoherent answer."""
    return replace(trial, reason=f"{INCOHERENT}{why}")


def unscored(
    probe: str,
    item: str,
    cluster: str,
    reason: str,
    *,
    group: str | None = None,
    variant: str = "plain",
) -> Trial:
    """A trial that could not be judged, and why."""
    outcome = Outcome.UNSCORED
    return Trial(probe, item, cluster, outcome, None, variant=variant, group=group, reason=reason)
