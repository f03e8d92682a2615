"""Commands that work through the API: submit, wait, verdict, remediate.

Whatever waits ends with the verdict's own exit code; whatever does not wait says so loudly and
exits 5, because a green job that has only been uploaded is a false green.
"""

import argparse
from functools import partial
from pathlib import Path

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.api.subject import PINNED
from holdfast.cli.bodies import baseline, body, nest_options
from holdfast.cli.command import (
    GAVE_UP_WAITING,
    emit,
    note,
)
from holdfast.cli.ladder import follow_ladder, ladder_fields, no_repair
from holdfast.cli.named_folders import tell_ignored
from holdfast.cli.reports import evidence_of
from holdfast.cli.show import (
    report_targets,
    show_verdict,
)
from holdfast.cli.waiting import (
    Deadline,
    final_verdict,
    finished_repair,
    submitted_verdict,
    verdict_of,
)
from holdfast.errors import HarnessError, InvalidSuite
from holdfast.ids import is_id
from holdfast.ladder.rungs import AUTO
from holdfast.policy.model import GatePolicy
from holdfast.settings import suites_folder
from holdfast.stack.connect import connect, location
from holdfast.verdict.document import Verdict


def submit(options: argparse.Namespace) -> int:
    """Queue an evaluation and, unless --no-wait, wait for its verdict."""
    report_targets(options)
    with connect() as client:
        text, policy = read_policy(client, options.policy)
        wanted = request(options, text)
        tell_cost(policy, options)
        tell_ignored(options)
        made = client.submit(wanted)
        note(f"{made.id} is queued")
        if options.id_file is not None:
            options.id_file.write_text(f"{made.id}\n")
        if options.no_wait:
            return no_verdict_yet(options, made)
        deadline = Deadline(options.timeout)
        shown, verdict = made.id, submitted_verdict(client, wanted, made, deadline)
        if options.follow_repairs and verdict.verdict != "pass":
            shown, verdict = after_repairs(client, made.id, verdict, deadline)
        return show_verdict(options, verdict, partial(evidence_of, client, shown))


def wait(options: argparse.Namespace) -> int:
    """Wait for the verdict of an evaluation, or of the repair that a remediation makes."""
    report_targets(options)
    deadline = Deadline(options.timeout)
    with connect() as client:
        evaluation = options.id
        if evaluation.startswith("rem_"):
            evaluation = gated_repair(client, evaluation, deadline)
        verdict = final_verdict(client, evaluation, deadline)
        return show_verdict(options, verdict, partial(evidence_of, client, evaluation))


def verdict(options: argparse.Namespace) -> int:
    """Print the verdict that an evaluation has now."""
    with connect() as client:
        verdict = verdict_of(client, options.id)
        return show_verdict(options, verdict, partial(evidence_of, client, options.id))


def remediate(options: argparse.Namespace) -> int:
    """Queue a repair of a failing evaluation's candidate; with --wait, gate it."""
    report_targets(options)
    names = ("steps", "candidate_weight", "learning_rate", "seed", "start")
    flags = [(name, value) for name in names if (value := getattr(options, name)) is not None]
    wanted = body(
        wire.NewRemediation,
        evaluation=options.evaluation,
        recipe=options.recipe,
        options=body(wire.RepairOptions, **nest_options([*flags, *options.option])),
        **ladder_fields(options),
    )
    with connect() as client:
        made = client.remediate(wanted)
        note(f"{made.id} is queued: {made.recipe}")
        if not options.wait:
            return no_verdict_yet(options, made)
        deadline = Deadline(options.timeout)
        evaluation = gated_repair(client, made.id, deadline)
        verdict = final_verdict(client, evaluation, deadline)
        return show_verdict(options, verdict, partial(evidence_of, client, evaluation))


def request(options: argparse.Namespace, policy: str) -> wire.NewEvaluation:
    """The body of an evaluation, with folders of this machine by absolute path."""
    return body(
        wire.NewEvaluation,
        candidate=location(options.candidate),
        adapter=None if options.adapter is None else location(options.adapter),
        baseline=baseline(options.baseline),
        anchor=None if options.anchor is None else baseline(options.anchor),
        policy=policy,
        tier=options.tier,
        split=options.split,
        task_data=None if options.task_data is None else location(options.task_data),
        template=options.template,
        template_arguments=dict(options.template_argument),
    )


def read_policy(client: Client, name: str) -> tuple[str, GatePolicy]:
    """The policy as the server is sent it (id, name or YAML text), and as it is understood."""
    from holdfast.policy.text import load_policy, parse_policy  # which know every probe

    if name == PINNED and (pinned := client.own_project().policy):
        return name, parse_policy(client.policy(pinned).text, source=name)
    if is_id(name, "pol"):
        return name, parse_policy(client.policy(name).text, source=name)
    policy = load_policy(name)  # what is wrong with it is said here, before anything is queued
    path = Path(name)
    return (path.read_text(encoding="utf-8") if path.is_file() else name), policy


def tell_cost(policy: GatePolicy, options: argparse.Namespace) -> None:
    """Note the cost of an evaluation before it is queued; warn if the budget is too small."""
    from holdfast.forecast.cost import beyond, estimate, weight_bytes
    from holdfast.models.reasoning import marks_of
    from holdfast.policy.budget import limits_of

    folder = Path(options.candidate)
    try:
        cost = estimate(
            policy,
            options.tier,
            options.split,
            weight_bytes=weight_bytes(folder),
            installed=suites_folder(),
            thinks=marks_of(folder, None) is not None,
        )
    except InvalidSuite as error:  # a server far away has its own, and answers for them
        note(f"what this will cost cannot be said here: {error}")
        return
    limits = limits_of(options.tier, policy.budget)
    note(f"this asks {cost.sentence}; it has {limits.sentence}")
    if over := beyond(cost, limits):
        note(
            f"THE BUDGET MAY NOT DO ({', '.join(over)}): what it leaves out is not asked, and its "
            "checks stay inconclusive; set `budget` in the policy, or take a smaller tier"
        )


def no_verdict_yet(options: argparse.Namespace, job: wire.Job) -> int:
    """The loud ending of whoever does not wait."""
    note(f"NO VERDICT YET: {job.id} is {job.status.value}; get it with `holdfast wait {job.id}`")
    emit(options, {"id": job.id, "status": job.status.value, "verdict": None}, job.id)
    return GAVE_UP_WAITING


def gated_repair(client: Client, remediation_id: str, deadline: Deadline) -> str:
    """Wait for a repair; returns the evaluation that gates it.

    Where a ladder found none, that is the failing one: its verdict still stands.
    """
    if client.remediation(remediation_id).recipe == AUTO:
        follow_ladder(client, remediation_id, deadline)
        if (none := no_repair(client.remediation(remediation_id))) is not None:
            note(none)
            return client.remediation(remediation_id).evaluation
    made = finished_repair(client, remediation_id, deadline)
    if made.checkpoint is None or made.child_evaluation is None:
        raise HarnessError(f"{remediation_id} ended without a repaired checkpoint")
    if (judged := client.evaluation(made.child_evaluation).candidate) != made.checkpoint:
        raise HarnessError(
            f"{made.child_evaluation} judges {judged}, expected {made.checkpoint}, which "
            f"{remediation_id} made"
        )
    note(f"repaired checkpoint {made.checkpoint}: {client.checkpoint(made.checkpoint).path}")
    return made.child_evaluation


def after_repairs(
    client: Client, evaluation_id: str, failed: Verdict, deadline: Deadline
) -> tuple[str, Verdict]:
    """The last repair that the policy starts by itself, and its verdict; `failed` if none is.

    Stops at the first repair that passes.
    """
    shown, last, followed = evaluation_id, failed, 0
    while len(repairs := client.evaluation(evaluation_id).remediations) > followed:
        note(f"verdict {last.verdict}; following the repair {repairs[followed]}")
        shown = gated_repair(client, repairs[followed], deadline)
        last = final_verdict(client, shown, deadline)
        followed += 1
        if last.verdict == "pass":
            break
    return shown, last
