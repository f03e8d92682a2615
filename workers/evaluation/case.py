"""The case of one evaluation, read from its row once: sides, questions, policy, template.

A side is one checkpoint with the probes it is asked. The baselines and the candidate are asked
everything; the failing checkpoint that a repair started from is asked `task.retention` alone, for
how much of its gain was kept.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.checkpoints.adapter import admitted_checkpoint
from holdfast.checkpoints.chat_template import chat_template
from holdfast.db.catalogue import Place, places_of, require_unaligned
from holdfast.db.documents import Race
from holdfast.db.evaluations import get_evaluation, get_remediation
from holdfast.db.session import reading
from holdfast.db.tables import CheckpointRow, EvaluationRow, PolicyText
from holdfast.errors import CheckpointRefused
from holdfast.job import SideName, Split, Tier
from holdfast.models.quantisation import quantisation_of
from holdfast.models.reasoning import marks_thoughts
from holdfast.policy.budget import Limits, limits_of
from holdfast.policy.model import Check, GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.probes.engine import Backend, Sampling
from holdfast.probes.question import Question
from holdfast.probes.spec import MAX_TOKENS, TRACE_TOKENS
from holdfast.projects.retention.repaired_weights import refuse_without_weights
from holdfast.repairs.knobs import Serving
from holdfast.repairs.recipes import DEPLOYED, RecipeSpec, recipe_spec
from holdfast.repairs.safety_prompt import safety_prompt_warning
from holdfast.verdict.retest import IN_TASK, with_retest
from workers.checkpoints.adapters import merged_checkpoint
from workers.evaluation.questions import judges_of, plan, task_rows
from workers.views import StagedCheckpoint
from workers.worker import Worker

RETENTION = "task.retention"
FAILING: SideName = (
    "repaired"  # the side of the checkpoint that a repair starts from, as rows and files say
)


@dataclass(frozen=True, slots=True)
class Side:
    """One checkpoint of the comparison: `baseline`, `anchor`, `candidate` or FAILING."""

    name: SideName
    checkpoint: StagedCheckpoint
    probes: tuple[str, ...]
    quantisation: str | None = None

    def backend(self, engine: Backend) -> Backend:
        """The backend of its answers: the engine, and how its own weights are quantised."""
        return replace(engine, quantisation=self.quantisation)


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that the pipeline needs to know, and nothing that changes while it runs."""

    evaluation_id: str
    policy: GatePolicy
    tier: Tier
    split: Split
    sides: tuple[Side, ...]
    template: str | None
    sampling: Sampling
    questions: dict[str, tuple[Question, ...]]
    suites: dict[str, str]
    judges: dict[str, str]
    repairs: str | None
    limits: Limits
    race: Race | None = None  # where a hopeless candidate is asked no more
    deployed: str | None = None  # the chat template that the candidate alone is rendered with
    retested: tuple[str, ...] = ()  # probes that a repair is asked beside its policy
    remarks: tuple[str, ...] = ()  # sentences on the candidate for the verdict's warnings

    @property
    def checks(self) -> dict[str, Check]:
        """The check of every probe that is asked: the policy's, and the advisory ones beside it."""
        return with_retest(self.policy, self.retested).checks

    def template_of(self, side: Side) -> str | None:
        """A side's chat template: one for all, but the candidate's own where it is deployed."""
        return self.deployed if self.deployed and side.name == "candidate" else self.template

    def sampling_of(self, side: Side) -> Sampling:
        """How a side's answers are drawn: with room for thoughts where its files mark any.

        No part of the sampling that both sides share: whether a side thinks is evidence by itself.
        """
        template = self.template_of(side)
        if not marks_thoughts(side.checkpoint.path, side.checkpoint.digest, template):
            return self.sampling
        return replace(self.sampling, trace_tokens=TRACE_TOKENS[self.tier])


@dataclass(frozen=True, slots=True)
class Repair:
    """Everything that one repair needs: the failing evaluation, its sides, recipe and options.

    It starts from `failing`, that evaluation's candidate; the repaired checkpoint is `output`.
    """

    remediation_id: str
    case: Case
    baseline: Side
    failing: Side
    recipe: str
    options: dict[str, Any]
    task_data: Path | None
    unaligned: StagedCheckpoint | None
    workspace: Path
    output: Path

    @property
    def spec(self) -> RecipeSpec:
        """The spec of its recipe."""
        return recipe_spec(self.recipe)


def side_of(name: SideName, checkpoint: StagedCheckpoint, probes: tuple[str, ...]) -> Side:
    """A side, and how its weights are quantised."""
    return Side(name, checkpoint, probes, quantisation_of(checkpoint.path))


def load_case(worker: Worker, evaluation_id: str) -> Case:
    """Read the rows, admit the checkpoints again (they may have changed on disk), plan the items.

    Hashing takes a while, so no session is open meanwhile.
    """
    settings = worker.settings
    with reading(worker.database) as session:
        row = get_evaluation(session, evaluation_id)
        text = session.get_one(PolicyText, row.policy_id)
        ids = (row.baseline_id, row.candidate_id, row.anchor_id, row.repairs_id)
        rows = {name: session.get_one(CheckpointRow, name) for name in ids if name is not None}
    policy = parse_policy(text.text, source=text.name)
    checkpoints = {name: readmit(worker, checkpoint) for name, checkpoint in rows.items()}
    baseline, candidate = checkpoints[row.baseline_id], checkpoints[row.candidate_id]
    probes = policy.probes(repair=row.repairs_id is not None)
    sides = [side_of("baseline", baseline, probes), side_of("candidate", candidate, probes)]
    if row.anchor_id is not None:
        anchor_probes = tuple(p for p in probes if p != RETENTION)
        sides.insert(1, side_of("anchor", checkpoints[row.anchor_id], anchor_probes))
    repairs = None
    if row.repairs_id is not None:
        failing = checkpoints[row.repairs_id]
        sides.append(side_of(FAILING, failing, tuple(p for p in probes if p == RETENTION)))
        repairs = failing.digest
    template_arguments = {**(row.template_arguments or {}), **policy.template_arguments}
    arguments = tuple(sorted(template_arguments.items()))
    sampling = Sampling(max_tokens=MAX_TOKENS[row.tier], template_arguments=arguments)
    plans = {probe: plan(probe, row, settings) for probe in probes}
    rendered = candidate if row.template == "candidate" else baseline
    return Case(
        evaluation_id=evaluation_id,
        policy=policy,
        tier=row.tier,
        split=row.split,
        sides=tuple(sides),
        template=chat_template(rendered.path),
        sampling=sampling,
        questions={probe: questions for probe, (questions, _) in plans.items()},
        suites={probe: digest for probe, (_, digest) in plans.items()},
        judges=judges_of(policy, probes, settings),
        repairs=repairs,
        limits=limits_of(row.tier, policy.budget),
        race=row.race,
        deployed=chat_template(candidate.path) if row.template == DEPLOYED else None,
        remarks=served_remarks(worker, row) if row.template == DEPLOYED else (),
    )


def served_remarks(worker: Worker, row: EvaluationRow) -> tuple[str, ...]:
    """The warning on a repair by its template, where the task was learnt under a safety prompt."""
    if row.remediation_id is None or row.task_data is None:
        return ()
    with reading(worker.database) as session:
        options = get_remediation(session, row.remediation_id).options
    served = Serving.model_validate(options.get("serving", {}))
    if served.template is not None:
        return ()
    warning = safety_prompt_warning(task_rows(row, IN_TASK), served.prompt)
    return () if warning is None else (warning,)


def load_repair(worker: Worker, remediation_id: str) -> Repair:
    """Read the rows and admit the checkpoints again."""
    with reading(worker.database) as session:
        row = get_remediation(session, remediation_id)
        evaluation = get_evaluation(session, row.evaluation_id)
        compares = recipe_spec(row.recipe).unaligned
        before = require_unaligned(session, evaluation.baseline_id) if compares else None
    case = load_case(worker, row.evaluation_id)
    sides = {side.name: side for side in case.sides}
    home = worker.settings.home
    return Repair(
        remediation_id=remediation_id,
        case=case,
        baseline=sides["baseline"],
        failing=sides["candidate"],
        recipe=row.recipe,
        options=row.options,
        task_data=Path(evaluation.task_data) if evaluation.task_data else None,
        unaligned=None if before is None else readmit(worker, before),
        workspace=home / "work" / remediation_id,
        output=home / "checkpoints" / remediation_id,
    )


def readmit(worker: Worker, row: CheckpointRow) -> StagedCheckpoint:
    """Admit a registered checkpoint again, and stage it; refused when its content is another.

    One that is a base and an adapter is merged, and whole from here on.
    """
    with reading(worker.database) as session:
        refuse_without_weights(session, row, worker.settings)
        places = places_of(session, row)
    refusals = []
    for place in places:
        try:
            return stage_from(worker, row, place)
        except CheckpointRefused as refusal:
            refusals.append(str(refusal))
    raise CheckpointRefused("; ".join(refusals))


def stage_from(worker: Worker, row: CheckpointRow, place: Place) -> StagedCheckpoint:
    """Stage a checkpoint from one of its folders; CheckpointRefused where that holds another."""
    with ExitStack() as descriptors:
        admitted = admitted_checkpoint(
            place.path, place.adapter, worker.settings.roots, descriptors
        )
        if admitted.ref.digest != row.digest:
            raise CheckpointRefused(
                f"{place.path} holds {admitted.ref.digest}, registered as {row.digest}: "
                "a checkpoint never changes; register the new content as a checkpoint of its own"
            )
        if admitted.adapter is not None:
            return merged_checkpoint(worker, admitted)
        return worker.views.stage(admitted.ref, admitted.model)
