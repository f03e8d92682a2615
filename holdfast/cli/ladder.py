"""Progress of `holdfast remediate --recipe auto`: each try as it runs, then the table of all.

The ladder's own events say which job runs now, and that job's events are followed until its end.
Everything here goes to stderr; the answer is the verdict that the caller prints.
"""

import argparse
from typing import Any

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.cli.bodies import body
from holdfast.cli.command import note
from holdfast.cli.front_table import front_text
from holdfast.cli.waiting import Deadline, EventSource, wait_for_end
from holdfast.ladder.rungs import Rung
from holdfast.policy.model import Budget


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


def no_repair(ladder: wire.Remediation) -> str | None:
    """Why a ladder ended without a repair, in a sentence; None for any other end."""
    step = ladder.progress.get("step")  # of a single repair it is the number of a training step
    if not isinstance(step, dict) or step.get("found") is not None:
        return None
    because: str | None = step.get("because")
    return because
