"""What can be probed.

The catalogue is data: a policy is checked against it before anything runs, the planner takes the
item counts from it, and `holdfast.probes.table.PROBES` must hold exactly its names.

A probe asks its own suite by its bare name, and an installed one as `probe@suite`
(`harm.direct@advbench`); `cap.lm_eval:arc_easy` asks a task of lm-evaluation-harness. That one
string is the probe's name wherever a name stands: in policies, trials, plans, manifests, verdicts.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from holdfast import variants as forms
from holdfast.errors import UnknownProbe

Tier = Literal["canary", "demo", "standard", "full"]
Split = Literal["screen", "confirm"]
Rows = Literal["harmful", "benign", "number", "choice", "groups", "pair", "last_word"]

SUITE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")  # a file's name on every system
TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,51}")  # with its probe, 64 characters

MAX_TOKENS: dict[Tier, int] = {"canary": 32, "demo": 48, "standard": 48, "full": 256}
TRACE_TOKENS: dict[Tier, int] = {"canary": 256, "demo": 256, "standard": 512, "full": 1024}
# of the thoughts before an answer; with both and a prompt within an engine's 2,048

WHOLE_ANSWER, FIRST_TOKENS, LAYERS = "nats", "nats:first", "ratio"  # units of drift.kl's measures
CHARACTERS = "characters"  # the unit of an answer's length, noted beside its trial
COHERENCE = "coherence"  # the judge of whether an answer says anything
HARNESS = "cap.lm_eval"  # stands for no check without a task
WORD_TOKENS = 8  # of an answer of one word, cut into pieces as it may be


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe of the catalogue.

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
        """Those of its own: where refusals are read, so is whether an answer says anything."""
        if self.judge is None:
            return ()
        return (self.judge, COHERENCE) if self.judge == "refusal" else (self.judge,)

    @property
    def reads_coherence(self) -> bool:
        """Whether its trials say which answers are incoherent."""
        return COHERENCE in self.judges


CATALOGUE: dict[str, ProbeSpec] = {
    spec.name: spec
    for spec in (
        ProbeSpec(
            "harm.direct",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"canary": 40, "demo": 160, "standard": 160, "full": None},
        ),
        ProbeSpec(
            "harm.trace",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"canary": 40, "demo": 160, "standard": 160, "full": None},
            advisory=True,
        ),
        ProbeSpec(
            "harm.jailbreak",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"standard": 160, "full": None},
            variants={"standard": forms.FEW_ATTACKS, "full": forms.ATTACKS},
        ),
        ProbeSpec(
            "harm.prefill",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"standard": 160, "full": None},
            variants={"standard": forms.PREFILLS, "full": forms.PREFILLS},
        ),
        ProbeSpec(
            "harm.template",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"standard": 160, "full": None},
            variants={"standard": forms.TEMPLATES, "full": forms.TEMPLATES},
            worst_of=forms.DEPLOYABLE,
        ),
        ProbeSpec(
            "harm.decoding",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"standard": 160, "full": None},
            variants={"standard": forms.samples(4), "full": forms.samples(8)},
        ),
        ProbeSpec(
            "harm.suffix",
            metric="attack_success_rate",
            suite="harmful",
            rows="harmful",
            judge="refusal",
            items={"standard": 160, "full": None},
            variants={"standard": forms.SUFFIXES[:2], "full": forms.SUFFIXES},
        ),
        ProbeSpec(
            "refusal.benign",
            metric="false_refusal_rate",
            suite="benign",
            rows="benign",
            judge="refusal",
            items={"canary": 40, "demo": 280, "standard": 280, "full": None},
        ),
        ProbeSpec(
            "bias.groups",
            metric="error_rate",
            suite="groups",
            rows="groups",
            judge="choice",
            items={"demo": 400, "standard": 1800, "full": None},  # 1800: all of its own suite
            sliced=True,
            chance=1 / 3,
        ),
        ProbeSpec(
            "bias.pairs",
            metric="stereotype_rate",
            suite="pairs",
            rows="pair",
            judge="pair",
            items={"standard": None, "full": None},
            sliced=True,
        ),
        ProbeSpec(
            "cap.knowledge",
            metric="error_rate",
            suite="knowledge",
            rows="choice",
            judge="choice",
            items={"demo": 240, "standard": 240, "full": None},
        ),
        ProbeSpec(
            "cap.letters",
            metric="error_rate",
            suite="knowledge",
            rows="choice",
            judge="choice",
            items={"standard": 240, "full": None},
        ),
        ProbeSpec(
            "cap.arithmetic",
            metric="error_rate",
            suite="arithmetic",
            rows="number",
            judge="exact",
            items={"standard": 240, "full": None},
        ),
        ProbeSpec(
            "cap.last_word",
            metric="error_rate",
            suite="passages",
            rows="last_word",
            judge="word",
            items={"standard": None, "full": None},
        ),
        ProbeSpec(
            HARNESS,
            metric="error_rate",
            suite=None,
            task="",
            judge=None,  # the task's own metric
            items={"standard": 240, "full": None},
        ),
        ProbeSpec(
            "task.retention",
            metric="task_loss",
            suite=None,  # the held-out rows of the user's own task data
            judge=None,
            items={"demo": None, "standard": None, "full": None},
            measure=True,
        ),
        ProbeSpec(
            "leak.pii",
            metric="leak_rate",
            suite="secrets",
            judge="leak",
            items={"standard": None, "full": None},
        ),
        ProbeSpec(
            "leak.memory",
            metric="leak_rate",
            suite=None,  # rows of the user's task data that hold something personal
            judge="leak",
            items={"standard": 160, "full": None},
        ),
        ProbeSpec(
            "tox.continuation",
            metric="toxicity_rate",
            suite="openings",
            judge=None,
            items={"standard": None, "full": None},
            graded="guard",
        ),
        ProbeSpec(
            "quality.winrate",
            metric="loss_rate",
            suite="everyday",
            rows="benign",
            judge=None,
            items={"standard": None, "full": None},
            graded="rubric",
            opponent=True,
        ),
        ProbeSpec(
            "drift.kl",
            metric="kl",
            suite=None,  # prompts of the user's held-out task rows
            judge=None,
            items={"canary": 16, "demo": 32, "standard": 64, "full": 256},
            measure=True,
            advisory=True,
        ),
    )
}


def spec_of(name: str) -> ProbeSpec:
    """The probe that `name` stands for; of `probe@suite` that probe's spec with the other suite.

    Whether the suite is installed or there is such a task, only who asks knows. Or UnknownProbe.
    """
    if name.startswith(f"{HARNESS}:"):
        return _spec_of_task(name)
    probe, at, suite = name.partition("@")
    if probe not in CATALOGUE:
        known = ", ".join(sorted(CATALOGUE))
        raise UnknownProbe(f"unknown probe {probe!r}, expected one of {known}")
    spec = CATALOGUE[probe]
    if not at:
        return spec
    if not SUITE_NAME.fullmatch(suite):
        raise UnknownProbe(f"{name}: {suite!r} cannot be a suite's name: {SUITE_NAME.pattern}")
    if spec.rows is None:
        raise UnknownProbe(f"{name}: {probe} takes no suite by name; write {probe}")
    return replace(spec, suite=suite)


def _spec_of_task(name: str) -> ProbeSpec:
    task = name.removeprefix(f"{HARNESS}:")
    if not TASK_NAME.fullmatch(task):
        raise UnknownProbe(f"{name}: {task!r} cannot be a task's name: {TASK_NAME.pattern}")
    return replace(CATALOGUE[HARNESS], task=task)


def is_known(name: str) -> bool:
    """Whether this version has a probe of that name, with or without a suite or a task."""
    return name.partition("@")[0].partition(":")[0] in CATALOGUE


def place_of(name: str) -> tuple[int, str]:
    """What names are sorted by: the catalogue's order, and within a probe its suites by name."""
    return tuple(CATALOGUE).index(spec_of(name).name), name
