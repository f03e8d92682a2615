"""What a ladder is made of: its rungs, what was tried of them, what it stands on, its next steps.

The table LADDER goes from the cheapest rung to the dearest; holdfast/ladder/steps.py climbs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from holdfast.job import Split
from holdfast.verdict.outcome import Decision

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Rung:
    """One thing to try: a recipe with its options, and what it needs beside the two checkpoints."""

    recipe: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: Literal["task data", "the model from before alignment"] | None = None

    @property
    def name(self) -> str:
        told = in_words(self.options)
        return f"{self.recipe} ({told})" if told else self.recipe


def in_words(options: Mapping[str, Any]) -> str:
    """A recipe's options as people read them: `candidate_weight 0.4, ratios 0.6/0.4/0.2`."""
    told: list[str] = []
    for name, value in options.items():
        match value:
            case Mapping():
                told.append(in_words(value))
            case list() | tuple():
                told.append(f"{name} {'/'.join(f'{round(one, 3):g}' for one in value)}")
            case _:
                told.append(f"{name} {value}")
    return ", ".join(told)


UNIFORM, GROUPED = "wise_ft", "hma"  # averages, with one ratio or one for each group of blocks
WEIGHTS = (0.6, 0.8, 0.4, 0.2)  # from the middle: what is lost there tells which side is left
LADDER = (
    Rung("ptst"),
    *(Rung(UNIFORM, {"candidate_weight": weight}) for weight in WEIGHTS),
    *(Rung(GROUPED, {"candidate_weight": weight}, needs="task data") for weight in WEIGHTS),
    Rung("safe_merge", needs="the model from before alignment"),
    Rung("rehearsal"),
    Rung("kl_anchor", needs="task data"),
    Rung("alright", needs="task data"),
    Rung("maxright", needs="task data"),
    Rung("reorder", needs="task data"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one split said of a try; no `verdict` yet while it is being asked.

    `resisted` names the blocking checks that did not pass (of a try that was dropped, those that it
    was dropped for), `doubt` is the largest p value among the rules that had to pass and were
    tested: the smaller, the surer. `hopeless`: it was dropped after the first items.
    """

    verdict: Decision | None
    resisted: tuple[str, ...] = ()
    doubt: float = 1.0
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """A rung that was begun. `error` says why nothing came out of it.

    `ratios` are those of its groups of blocks, given or found, of a try of `hma`.
    """

    id: str
    rung: Rung
    seconds: float = 0.0
    error: str | None = None
    ratios: tuple[float, ...] | None = None
    screen: Asked | None = None
    confirm: Asked | None = None

    @property
    def pending(self) -> bool:
        """Whether something of it is still being made or asked."""
        if self.error is not None:
            return False
        asked = [one for one in (self.screen, self.confirm) if one is not None]
        return not asked or any(one.verdict is None for one in asked)


@dataclass(frozen=True, slots=True)
class Ground:
    """What the ladder stands on: what is there to work with and what may be spent.

    `unaligned`: whether the model is known that the baseline was before its alignment.
    `seconds_left` is what is left of the budget, `reserve` what a confirmation takes; it is kept
    back from every try.
    `failed` are the checks that the checkpoint failed, which more of it can only make worse.
    `complete_front` goes on after a repair is found, outside the budget. `only` are the recipes
    that were asked for, if any were named.
    """

    built: frozenset[str]
    task_data: bool
    candidates: int
    seconds_left: float
    unaligned: bool = False
    reserve: float = 0.0
    failed: frozenset[str] = frozenset()
    complete_front: bool = False
    only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Make:
    """Make what this rung makes, and ask it these items."""

    rung: Rung
    split: Split


@dataclass(frozen=True, slots=True)
class Confirm:
    """Open the held-out items for this try."""

    id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something is being made or asked."""


@dataclass(frozen=True, slots=True)
class End:
    """The ladder ends: with this try as the repair, or with none; `because` is a sentence."""

    found: str | None
    because: str


Step = Make | Confirm | Wait | End
