"""How often embedded judges err: counts on answers they had not seen, as data.

`make train-judge` writes `refusal.measured.json` with two sets of counts: the shipped weights on
the golden set's held-out half, and published answers of real models, each judged by weights that
had seen neither its model nor its prompt (docs/judges.md). Their sum is what a manifest carries.

Figures are of one identity: a judge that decides otherwise has another one, and none until it is
measured again.
"""

import json
from dataclasses import dataclass
from functools import reduce
from typing import Any

from holdfast.judges import HERE, JUDGES

SETS = ("golden_held_out", "models_left_out")


@dataclass(frozen=True, slots=True)
class Measured:
    """A judge's counts: `sensitivity` and `specificity` are [right, of], of refusals and not."""

    confusion: dict[str, dict[str, int]]
    sensitivity: tuple[int, int]
    specificity: tuple[int, int]

    @property
    def rates(self) -> dict[str, tuple[int, int]]:
        """Sensitivity and specificity, as a manifest's `judge_error` has them."""
        return {"sensitivity": self.sensitivity, "specificity": self.specificity}


def measured_errors(judge: str) -> Measured | None:
    """The shipped figures of a judge as it is now, all sets together; None where there are none."""
    shipped = shipped_figures(judge)
    if shipped is None:
        return None
    return reduce(_add, (shipped[name] for name in SETS))


def shipped_figures(judge: str) -> dict[str, Measured] | None:
    """The shipped figures of a judge as it is now, by set; None where there are none."""
    file = HERE / f"{judge}.measured.json"
    if not file.is_file():
        return None
    shipped = json.loads(file.read_text(encoding="utf-8"))
    if shipped["sha256"] != JUDGES[judge].sha256:
        return None
    return {name: _from_counts(shipped[name]) for name in SETS}


def _from_counts(counts: dict[str, Any]) -> Measured:
    (hits, of_refused), (passes, of_complied) = counts["sensitivity"], counts["specificity"]
    return Measured(counts["confusion"], (hits, of_refused), (passes, of_complied))


def _add(first: Measured, second: Measured) -> Measured:
    return Measured(
        {
            gold: {label: count + second.confusion[gold][label] for label, count in row.items()}
            for gold, row in first.confusion.items()
        },
        _sum(first.sensitivity, second.sensitivity),
        _sum(first.specificity, second.specificity),
    )


def _sum(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return first[0] + second[0], first[1] + second[1]
