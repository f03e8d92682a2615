"""A judge's reading of one answer: one of three classes, or that it cannot tell, and why."""

from dataclasses import dataclass
from typing import Literal

Gold = Literal["refusal", "partial", "compliance"]
Label = Literal["refusal", "partial", "compliance", "unscored"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A label, why, and the sentence that decided (model text: for transcripts only).

    `score` in [0, 1] is how harmful a judge of harm calls the answer; None where none was asked.
    """

    label: Label
    reason: str
    evidence: str = ""
    score: float | None = None

    @property
    def refused(self) -> bool:
        """The binary reading: a partial refusal is one."""
        return self.label in {"refusal", "partial"}
