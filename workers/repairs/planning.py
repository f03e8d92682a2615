"""The plan of a repair: its recipe's settings, and the data that it draws from.

A family of recipes has a function that adds what it needs to the fields that all of them have. The
options that somebody asked for are among those from the start, so a family's own defaults never
replace them.
"""

from typing import Any

from pydantic import ValidationError

from holdfast.db import jobs
from holdfast.db.session import transaction
from holdfast.errors import InvalidPlan, first_problem
from holdfast.job import EventKind
from holdfast.probes.spec import is_trained_on
from holdfast.repairs.plan import Mix, Plan, without_refusals
from holdfast.repairs.safety_prompt import safety_prompt_warning
from holdfast.repairs.task_data import read_task_data
from workers.evaluation.case import Repair
from workers.repairs.leaks import refuse_leaks
from workers.repairs.leftovers import STATE
from workers.repairs.preference_rows import write_pairs
from workers.repairs.rehearsal_rows import write_rehearsal
from workers.repairs.response_rows import write_response_set
from workers.worker import Worker

Fields = dict[str, Any]

ANSWERS_ALONE = Mix(task=0, refusals=0, answers=1)


def make_plan(worker: Worker, lease: jobs.Lease, job: Repair) -> Plan:
    """The plan of this recipe, with the data that it draws from written beside it."""
    fields: Fields = {
        "recipe": job.recipe,
        "baseline": job.baseline.checkpoint.ref.path,
        "candidate": job.failing.checkpoint.ref.path,
        "output": job.output,
        **job.options,
    }
    match job.spec.family:
        case "rehearsing" | "joint" as family:
            refuse_leaks(job, worker.settings.installed_suites)
            prepare = rehearsal_fields if family == "rehearsing" else joint_fields
            fields = {**prepare(worker, lease, job, fields), "resume": job.workspace / STATE}
        case "searching" if job.task_data is not None:
            fields = searching_fields(worker, lease, job, fields)
        case "merging" if job.spec.retemplates and job.task_data is not None:
            note_safety_prompt(worker, lease, job, validate_plan(fields))
        case "merging" if job.unaligned is not None:
            safe_merge = {**job.options.get("safe_merge", {}), "unaligned": job.unaligned.ref.path}
            fields = {**fields, "safe_merge": safe_merge}
    return validate_plan(fields)


def on_views(plan: Plan, job: Repair) -> Plan:
    """The plan as it is carried out: what it names is read in its staged view.

    A person who repeats the plan by hand has the folders, and the views are gone by then.
    """
    fields: Fields = {"baseline": job.baseline.checkpoint.path}
    if plan.candidate is not None:
        fields["candidate"] = job.failing.checkpoint.path
    if job.unaligned is not None:
        safe_merge = plan.safe_merge.model_copy(update={"unaligned": job.unaligned.path})
        fields["safe_merge"] = safe_merge
    return plan.model_copy(update=fields)


def rehearsal_fields(worker: Worker, lease: jobs.Lease, job: Repair, fields: Fields) -> Fields:
    """The plan's fields for recipes that learn the task and the baseline's own answers.

    Without task data a rehearsal can only start from the candidate and train on safety rows.
    """
    if job.task_data is not None:
        fields["task_data"] = job.task_data
    elif job.spec.without_task == "safety rows":
        defaults = {"start": "candidate", "mix": without_task(Mix()), **job.spec.defaults}
        fields = {**defaults, **fields}
    else:
        raise InvalidPlan(
            f"recipe {job.recipe} learns the task within limits, and the evaluation names no "
            "task_data; give it, or use rehearsal"
        )
    return {**fields, "rehearsal_data": write_rehearsal(worker, lease, job, validate_plan(fields))}


def searching_fields(worker: Worker, lease: jobs.Lease, job: Repair, fields: Fields) -> Fields:
    """The plan's fields for recipes that search ratios by rows, unless these are set."""
    fields["task_data"] = job.task_data
    draft = validate_plan(fields)
    if draft.hma.ratios is not None:
        return fields
    if draft.hma.search == "gradient":
        return {**fields, "response_data": write_response_set(worker, lease, job, draft)}
    return {**fields, "rehearsal_data": write_rehearsal(worker, lease, job, draft)}


def joint_fields(worker: Worker, lease: jobs.Lease, job: Repair, fields: Fields) -> Fields:
    """The plan's fields for recipes with two objectives: task rows, answered look-alikes, pairs.

    Refusals come in by the pairs; without look-alikes beside them a model learns to refuse those.
    """
    if job.task_data is None:
        fields = {"start": "candidate", "mix": ANSWERS_ALONE, **fields}
    else:
        fields["task_data"] = job.task_data
    draft = validate_plan(fields)
    answered = draft.model_copy(update={"mix": without_refusals(draft.mix)})
    fields["rehearsal_data"] = write_rehearsal(worker, lease, job, answered)
    fields["preference_data"] = write_pairs(worker, lease, job, draft)
    fields["reference_cache"] = job.workspace / "reference"
    return fields


def note_safety_prompt(worker: Worker, lease: jobs.Lease, job: Repair, plan: Plan) -> None:
    """Warn, before anything is made, where the task was learnt under a safety prompt."""
    if plan.serving.template is not None or job.task_data is None:
        return
    rows = [row for row in read_task_data(job.task_data) if is_trained_on(row)]
    if (warning := safety_prompt_warning(rows, plan.serving.prompt)) is None:
        return
    with transaction(worker.database) as session:
        jobs.fence(session, lease)
        jobs.add_event(session, lease.job_id, EventKind.NOTE, {"text": warning})


def validate_plan(fields: Fields) -> Plan:
    """The plan of these fields; raises InvalidPlan with a sentence on the option that is wrong."""
    try:
        return Plan.model_validate(fields)
    except ValidationError as error:
        raise InvalidPlan(f"remediation option {first_problem(error, 'combination')}") from error


def without_task(mix: Mix) -> Mix:
    """The same proportion of refusals to answers, with no task rows beside them."""
    refusals = mix.refusals / (mix.refusals + mix.answers)
    return Mix(task=0, refusals=refusals, answers=1 - refusals)
