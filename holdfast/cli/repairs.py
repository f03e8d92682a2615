"""`holdfast remediate`, and following a repair: of `--recipe auto` each try, then all in a table.

A ladder's own events say which job runs now, and that job's events are followed until its end.
Progress goes to stderr; the answer is the verdict.
"""

import argparse
from functools import partial
from typing import Any

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.cli.bodies import body, nest_options
from holdfast.cli.command import note
from holdfast.cli.front_table import front_text, no_repair
from holdfast.cli.reports import evidence_of
from holdfast.cli.show import report_targets, show_verdict
from holdfast.cli.waiting import (
    Deadline,
    EventSource,
    final_verdict,
    finished_repair,
    no_verdict_yet,
    wait_for_end,
)
from holdfast.errors import HarnessError
from holdfast.ladder.rungs import AUTO, Rung
from holdfast.policy.model import Budget
from holdfast.stack.connect import connect
from holdfast.verdict.document import Verdict


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
    with connect(patient=True) as client:
        made = client.remediate(wanted)
        note(f"{made.id} is queued: {made.recipe}")
        if not options.wait:
            return no_verdict_yet(options, made)
        deadline = Deadline(options.timeout)
        evaluation = gated_repair(client, made.id, deadline)
        verdict = final_verdict(client, evaluation, deadline)
        return show_verdict(options, verdict, partial(evidence_of, client, evaluation))


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


def ladder_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a remediation that a ladder's options set; others are left out."""
    fields: dict[str, Any] = {}
    limits = {"minutes": options.budget, "candidates": options.candidates}
    if any(value is not None for value in limits.values()):
        set_limits = {name: value for name, value in limits.items() if value is not None}
        fields["budget"] = body(Budget, **set_limits)
    if options.complete_front:
        fields["complete_front"] = True
    if options.only is not None:
        fields["only"] = tuple(options.only.split(","))
    return fields


def follow_ladder(client: Client, remediation_id: str, deadline: Deadline) -> None:
    """Return when the ladder has ended; shows each try as it runs, and all of them at the end."""
    for event in EventSource(client, remediation_id, 0, deadline):
        if event.kind == "try":
            note(f"trying {Rung(event.document['recipe'], event.document['options']).name}")
            follow_try(client, event.document["id"], deadline)
        elif event.kind == "confirm":
            note("confirming on held-out items")
            wait_for_end(client, event.document["evaluation"], deadline)
    wait_for_end(client, remediation_id, deadline)
    made = client.remediation(remediation_id)
    for skipped in made.progress.get("skipped", ()):
        note(f"skipped {skipped['recipe']}: {skipped['because']}")
    for line in front_text(client.candidates(remediation_id)).split("\n"):
        note(line)
    note(f"confirmations spent on this checkpoint: {made.progress.get('confirmations', 0)}")


def follow_try(client: Client, try_id: str, deadline: Deadline) -> None:
    """Show the training of a try and its screening until both have ended."""
    wait_for_end(client, try_id, deadline)
    child = client.remediation(try_id).child_evaluation
    if child is not None:
        wait_for_end(client, child, deadline)
