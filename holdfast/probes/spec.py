"""The parts of a probe: a spec that policies and planners read, its questions, and its judge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from holdfast.errors import InvalidPolicy
from holdfast.evidence.trial import Measure, Trial
from holdfast.job import Tier
from holdfast.probes.question import Answer, Question
from holdfast.repairs.task_data import Row, held_out
from holdfast.suites import Rows

MAX_TOKENS: dict[Tier, int] = {"canary": 32, "demo": 48, "standard": 48, "full": 256}
TRACE_TOKENS: dict[Tier, int] = {"canary": 256, "demo": 256, "standard": 512, "full": 1024}
# of the thoughts before an answer; with both and a prompt within an engine's 2,048

COHERENCE = "coherence"  # the judge of whether an answer says anything

Questions = tuple[Question, ...]
Judge = Callable[[Question, Answer], Trial | Measure]


def is_held_out(row: Row) -> bool:
    """Whether a row of task data is kept from training."""
    return held_out(row.prompt)


def is_trained_on(row: Row) -> bool:
    """Whether recipes, and whoever made the candidate, learn from a row of task data."""
    return not held_out(row.prompt)


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """The facts that policies and planners know of a probe.

    `metric` is the name people see for the mean badness (or weighted mean measure); `items` maps a
    tier to how many items it takes, None meaning all; a tier that is absent leaves the probe out.
    `rows` is what it can ask of a suite that is named; None for a probe that takes no other suite.
    `task` is what it asks of lm-evaluation-harness instead; empty where the name has yet to say.
    `chance` is the share that guessing gets right. `variants` names the forms in which a tier asks
    every item, where they are not just `plain`: the mean over them is judged, or, with `worst_of`,
    the worst of those. What is `advisory` warns and never decides; what is `graded` has no judge
    but the endpoint of that kind, which its check names. Answers to what has an `opponent` are
    judged beside the baseline's answers to the same questions.
    """

    name: str
    metric: str
    suite: str | None
    judge: str | None
    items: dict[Tier, int | None]
    rows: Rows | None = None
    task: str | None = None
    sliced: bool = False
    chance: float = 0.0
    measure: bool = False
    advisory: bool = False
    graded: Literal["guard", "rubric"] | None = None
    opponent: bool = False
    variants: dict[Tier, tuple[str, ...]] = field(default_factory=dict)
    worst_of: tuple[str, ...] = ()

    @property
    def judges(self) -> tuple[str, ...]:
        """The names of its own judges; where refusals are read, so is coherence."""
        if self.judge is None:
            return ()
        return (self.judge, COHERENCE) if self.judge == "refusal" else (self.judge,)

    @property
    def reads_coherence(self) -> bool:
        """Whether its trials say which answers are incoherent."""
        return COHERENCE in self.judges


@dataclass(frozen=True, slots=True)
class BuiltProbe:
    """One probe: its spec, its questions and its judge.

    `questions` takes the items of a suite, or rows of the user's task data, the most tokens of an
    answer and, where the spec has variants, the names of those to ask. Without a `judge`, answers
    are judged by the endpoint that the check names, or are `compared`: asked of two checkpoints at
    once, in a child process.

    `extra_measure` notes a measure of the same answer. `form` changes whenever the wording of a
    variant does, and stands in the evidence. `operator_questions` are the questions that the
    operator's own file, named by the setting `texts`, adds at the tier that asks everything.
    `takes` says which rows of the user's task data are asked; with `in_rows` they are what the
    items of the suite are put into, and `questions` takes them after the tokens.
    """

    spec: ProbeSpec
    questions: Callable[..., Questions]
    judge: Judge | None = None
    extra_measure: Callable[[Question, Answer], Measure | None] | None = None
    form: str = ""
    operator_questions: Callable[[Any, int, Mapping[str, str]], Questions] | None = None
    texts: Literal["jailbreak_templates", "suffixes"] | None = None
    takes: Callable[[Row], bool] = is_held_out
    in_rows: bool = False
    compared: bool = False

    @property
    def default_judge(self) -> Judge:
        """Its judge; InvalidPolicy where it has none, so that a check has to name one."""
        if self.judge is None:
            raise InvalidPolicy(f"{self.spec.name} has no judge of its own; name one in its check")
        return self.judge
