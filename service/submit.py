"""From a request to rows: what is named is looked up, admitted, read and registered.

Everything slow (hashing a checkpoint, reading a task file) comes before the session's first
statement, which on SQLite takes the database's one write lock.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db.browse import count_unfinished
from holdfast.db.catalogue import (
    find_baseline,
    get_baseline,
    get_checkpoint,
    get_policy,
    load_checkpoints,
    register_checkpoint,
    require_unaligned,
    save_policy,
)
from holdfast.db.evaluations import (
    EvaluationFields,
    create_remediation,
    fields_of,
    get_evaluation,
    get_job,
)
from holdfast.db.keys import Caller
from holdfast.errors import (
    CheckpointRefused,
    Conflict,
    InvalidPlan,
    NotBuilt,
    QueueFull,
    first_problem,
)
from holdfast.ids import is_id
from holdfast.ladder.rungs import AUTO, LADDER
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy, refuse_without_anchor, shipped_policy
from holdfast.probes.items import require_suites
from holdfast.projects.retention.repaired_weights import refuse_without_weights
from holdfast.projects.rules import (
    find_project,
    pinned_policy,
    queue_evaluation,
    require_allowed,
    require_pinned,
    rules_of,
)
from holdfast.projects.tables import ProjectRow
from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import PolicyRecipe, recipe_spec
from holdfast.settings import Settings
from service.admitting import Admitting

ANCHOR = "anchor"  # the alias that every evaluation of a project is held against as well
RECIPES: tuple[str, ...] = get_args(PolicyRecipe)

Lookup = Callable[[Session, str], str]  # (session, project) -> the id of a row


def submit_evaluation(
    session: Session,
    settings: Settings,
    admitting: Admitting,
    caller: Caller,
    body: wire.NewEvaluation,
) -> str:
    """Queue an evaluation and return its id; nothing is written unless all of it is good."""
    project = caller.project
    if body.template not in {"baseline", "candidate"}:
        raise NotBuilt(
            "a template of one's own is not available in this version; expected baseline or "
            "candidate, whose own chat template then renders both sides"
        )
    candidate = checkpoint_named(project, body.candidate, settings, admitting, adapter=body.adapter)
    baseline = checkpoint_named(project, body.baseline, settings, admitting)
    policy = policy_named(body.policy, settings)
    pinned = checkpoint_named(project, body.anchor, settings, admitting) if body.anchor else None
    task = admitting.task_data(project, body.task_data) if body.task_data else None
    named = map(str, (body.candidate, body.baseline, body.anchor))
    load_checkpoints(session, [name for name in named if is_id(name, "ckpt")])
    if body.repairs is not None:
        with_weights(session, project, body.repairs, settings)
    baseline_id, policy_id = baseline(session, project), policy(session, project)
    rules = find_project(session, project)
    require_pinned(session, rules, policy_id)
    anchor_id = pinned(session, project) if pinned else project_anchor(session, project, rules)
    check_anchor(get_policy(session, project, policy_id).text, anchor_id)
    check_quota(session, settings, project)
    new = EvaluationFields(
        project=project,
        queue=settings.queue,
        candidate_id=candidate(session, project),
        baseline_id=baseline_id,
        anchor_id=anchor_id,
        policy_id=policy_id,
        tier=body.tier,
        split=body.split,
        template=body.template,
        template_arguments=dict(body.template_arguments) or None,
        task_data=str(task.path) if task else None,
        task_data_sha256=task.sha256 if task else None,
        repairs_id=body.repairs,
        cause=body.cause.model_dump(exclude_none=True) if body.cause else None,
        labels=dict(body.labels) or None,
        line=body.baseline.alias if isinstance(body.baseline, wire.AliasOf) else None,
        priority=body.priority,
        key_id=caller.key_id,
        principal=caller.principal,
    )
    return queue_evaluation(session, new)


def project_anchor(session: Session, project: str, rules: ProjectRow | None) -> str | None:
    """The checkpoint that the project has pinned under its anchor's alias, if it has."""
    alias = rules_of(rules).anchor or ANCHOR
    move = find_baseline(session, project, alias)
    return move.checkpoint_id if move else None


def check_anchor(policy: str, anchor_id: str | None) -> None:
    """A policy that wants an anchor could only end inconclusive without one; say so now."""
    if anchor_id is None:
        refuse_without_anchor(parse_policy(policy, source="policy"))


def check_quota(session: Session, settings: Settings, project: str) -> None:
    """One project must not keep the workers from all others."""
    waiting = count_unfinished(session, project)
    if waiting >= settings.max_jobs:
        raise QueueFull(
            f"project {project} has {waiting} unfinished jobs, {settings.max_jobs} at most may be; "
            "wait for one to end, or cancel one"
        )


def submit_remediation(
    session: Session, settings: Settings, caller: Caller, body: wire.NewRemediation
) -> str:
    """Queue the repair of a failing evaluation's candidate and return its id."""
    project = caller.project
    if body.recipe not in RECIPES:
        raise InvalidPlan(f"unknown recipe {body.recipe!r}, expected {' or '.join(RECIPES)}")
    options = body.options.explicit_knobs
    if body.recipe != AUTO:
        check_options(body.recipe, options)
    job = get_job(session, body.evaluation, project=project)
    failing = get_evaluation(session, body.evaluation)
    if failing.verdict != "fail":
        raise Conflict(
            f"{body.evaluation} has the verdict {failing.verdict or 'none yet'}; only an "
            "evaluation that failed has something to repair"
        )
    require_allowed(session, fields_of(job, failing), body.recipe, caller.principal)
    if body.recipe != AUTO and recipe_spec(body.recipe).unaligned:
        require_unaligned(session, failing.baseline_id)
    policy = parse_policy(get_policy(session, project, failing.policy_id).text, source="policy")
    options = ladder_options(body, policy, options)
    check_quota(session, settings, project)
    return create_remediation(
        session,
        body.evaluation,
        recipe=body.recipe,
        options=options,
        key_id=caller.key_id,
        principal=caller.principal,
    )


def ladder_options(
    body: wire.NewRemediation, policy: GatePolicy, options: dict[str, Any]
) -> dict[str, Any]:
    """A ladder's budget, the policy's where none is given; any other recipe's own options."""
    if body.recipe != AUTO:
        if body.budget is not None or body.complete_front or body.only:
            raise InvalidPlan(
                f"budget, complete_front and only belong to {AUTO}, not to {body.recipe}"
            )
        return options
    rungs = {rung.recipe: None for rung in LADDER}
    if strange := [recipe for recipe in body.only if recipe not in rungs]:
        raise InvalidPlan(f"only: {strange[0]} is not on the ladder, which has {', '.join(rungs)}")
    if options:
        raise InvalidPlan(f"{AUTO} chooses its own options, found {', '.join(options)}")
    if not policy.sees_over_refusal:
        raise InvalidPlan(
            f"{AUTO} needs a policy with a blocking check of refusal.benign: without it a repair "
            "that refuses everything would pass"
        )
    budget = body.budget or policy.remediation.budget
    ladder = {"complete_front": body.complete_front, "only": list(body.only)}
    return {**budget.model_dump(), **ladder}


def check_options(recipe: str, options: dict[str, Any]) -> None:
    """Hold the knobs to the bounds of a plan; the paths are the worker's to fill in."""
    nowhere = Path("/nowhere")
    try:
        Plan.model_validate({"recipe": recipe, "baseline": nowhere, "output": nowhere, **options})
    except ValidationError as error:
        raise InvalidPlan(f"remediation option {first_problem(error, 'combination')}") from error


def checkpoint_named(
    project: str,
    named: str | wire.AliasOf,
    settings: Settings,
    admitting: Admitting,
    *,
    adapter: str | None = None,
) -> Lookup:
    """A checkpoint by alias, id or folder; a folder is admitted at once, registered later."""
    if isinstance(named, wire.AliasOf):
        alias = named.alias
        return lambda session, project: with_weights(
            session, project, get_baseline(session, project, alias).checkpoint_id, settings
        )
    if is_id(named, "ckpt"):
        if adapter is not None:
            raise CheckpointRefused(
                f"an adapter is given with the folder of its base, found {named}; give that folder"
            )
        return lambda session, project: with_weights(session, project, named, settings)
    ref = admitting.checkpoint(project, named, adapter)
    return lambda session, project: register_checkpoint(session, project, ref).id


def with_weights(session: Session, project: str, checkpoint_id: str, settings: Settings) -> str:
    """The id of a project's checkpoint; CheckpointRefused where its weights were pruned."""
    refuse_without_weights(session, get_checkpoint(session, project, checkpoint_id), settings)
    return checkpoint_id


def policy_named(named: str, settings: Settings) -> Lookup:
    """A policy by id, by a shipped one's name, or as YAML text. Never a path of the server's.

    `pinned` is the project's own.
    """
    if named == "pinned":
        return pinned_policy
    if is_id(named, "pol"):
        return lambda session, project: _stored_policy(session, project, named, settings)
    if "\n" in named:
        text, policy = named, parse_policy(named, source="policy")
    else:
        text, policy = shipped_policy(named)
    require_suites(policy.probes(repair=False), settings.installed_suites)
    return lambda session, project: save_policy(session, project, policy, text).id


def _stored_policy(session: Session, project: str, named: str, settings: Settings) -> str:
    row = get_policy(session, project, named)
    policy = parse_policy(row.text, source=row.name)
    require_suites(policy.probes(repair=False), settings.installed_suites)
    return row.id
