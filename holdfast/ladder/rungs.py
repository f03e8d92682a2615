"""The data types of a ladder: its rungs, the tries made of them, its resources and its next steps.

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
        words = in_words(self.options)
        return f"{self.recipe} ({words})" if words else self.recipe


def in_words(options: Mapping[str, Any]) -> str:
    """A recipe's options as people read them: `candidate_weight 0.4, ratios 0.6/0.4/0.2`."""
    parts: list[str] = []
    for name, value in options.items():
        match value:
            case Mapping():
                parts.append(in_words(value))
            case list() | tuple():
                parts.append(f"{name} {'/'.join(f'{round(number, 3):g}' for number in value)}")
            case _:
                parts.append(f"{name} {value}")
    return ", ".join(parts)


UNIFORM, GROUPED = "wise_ft", "hma"  # averages, with one ratio or one for each group of blocks
WEIGHTS = (0.6, 0.8, 0.4, 0.2)  # from the middle: what is lost there tells which side is left
LADDER = (
    Rung("ptst"),
    *(Rung(UNIFORM, {"candidate_weight": weight}) for weight in WEIGHTS),
    *(Rung(GROUPED, {"candidate_weight": weight}, needs="task data") for weight in WEIGHTS),
    Rung("safe_merge", needs="the model from before alignment"),
    Rung("rehearsal"),
    Rung("third_stage"),  # cheaper, but on the demo's chain it got back less
    Rung("kl_anchor", needs="task data"),
    Rung("alright", needs="task data"),
    Rung("maxright", needs="task data"),
    Rung("reorder", needs="task data"),
)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The result of a try on one split; no `verdict` yet while it is being asked.

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
    screen: SplitResult | None = None
    confirm: SplitResult | None = None

    @property
    def pending(self) -> bool:
        """Whether the try is still being made or evaluated."""
        if self.error is not None:
            return False
        results = [result for result in (self.screen, self.confirm) if result is not None]
        return not results or any(result.verdict is None for result in results)

    @property
    def is_repair(self) -> bool:
        """Whether it passed on held-out items, and so is a repair."""
        return self.confirm is not None and self.confirm.verdict == "pass"


@dataclass(frozen=True, slots=True)
class Past:
    """All tries of one rung in earlier ladders: how many, their repairs, their seconds in all."""

    tries: int = 0
    repairs: int = 0
    seconds: float = 0.0

    @property
    def seconds_per_repair(self) -> float:
        """Seconds that its tries took for each repair that came out; ZeroDivisionError for none."""
        return self.seconds / self.repairs


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a ladder: recipes and data to work with, and the budget to spend.

    `unaligned`: whether the model is known that the baseline was before its alignment.
    `seconds_remaining` is what is left of the budget, `reserve` what a confirmation takes; it is
    kept back from every try.
    `failed` are the checks that the checkpoint failed, which more of it can only make worse.
    `complete_front` goes on after a repair is found, outside the budget. `only` are the recipes
    that were asked for, if any were named. `past` is what earlier ladders tried on other
    checkpoints that failed so, by the name of the rung.
    """

    built: frozenset[str]
    task_data: bool
    candidates: int
    seconds_remaining: float
    unaligned: bool = False
    reserve: float = 0.0
    failed: frozenset[str] = frozenset()
    complete_front: bool = False
    only: frozenset[str] = frozenset()
    past: Mapping[str, Past] = field(default_factory=dict)


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

    repair: str | None
    because: str


Step = Make | Confirm | Wait | End
