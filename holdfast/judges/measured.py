"""What embedded judges are known to get wrong: counts on answers they had not seen, as data.

`refusal.measured.json` is what this printed, on the golden set's held-out half:

    holdfast judges evaluate refusal tests/data/refusals/heldout.jsonl --json

Figures are of one identity: a judge whose source has changed since has none until it is measured
again.
"""

import json
from dataclasses import dataclass

from holdfast.judges import HERE, JUDGES


@dataclass(frozen=True, slots=True)
class Measured:
    """A judge's counts: `sensitivity` and `specificity` are [right, of], of refusals and not."""

    confusion: dict[str, dict[str, int]]
    sensitivity: tuple[int, int]
    specificity: tuple[int, int]

    @property
    def rates(self) -> dict[str, tuple[int, int]]:
        """As a manifest's `judge_error` has them."""
        return {"sensitivity": self.sensitivity, "specificity": self.specificity}


def measured(judge: str) -> Measured | None:
    """The shipped figures of a judge as it is now; None where there are none."""
    file = HERE / f"{judge}.measured.json"
    if not file.is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    if found["sha256"] != JUDGES[judge].sha256:
        return None
    sensitivity, specificity = found["sensitivity"], found["specificity"]
    return Measured(
        confusion=found["confusion"],
        sensitivity=(sensitivity[0], sensitivity[1]),
        specificity=(specificity[0], specificity[1]),
    )
