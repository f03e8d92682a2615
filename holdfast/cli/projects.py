"""Commands on a project: its rules, and waivers of one checkpoint."""

import argparse
from datetime import UTC, datetime, timedelta

from holdfast.api import wire
from holdfast.cli.admin import checkpoint_id_of, show_rows
from holdfast.cli.bodies import body
from holdfast.cli.command import emit, note
from holdfast.cli.jobs import read_policy
from holdfast.stack.connect import connect

CHANGES = ("baseline", "anchor", "separate_duties", "unwaivable", "waiver_days", "roots")


def project_show(options: argparse.Namespace) -> int:
    """The rules of a project."""
    with connect() as client:
        rules = client.project(options.project)
    emit(options, rules.model_dump(mode="json"), in_words(rules))
    return 0


def project_set(options: argparse.Namespace) -> int:
    """Change the rules that are named; all others stay as they are."""
    given = {name: getattr(options, name) for name in CHANGES if getattr(options, name) is not None}
    if "separate_duties" in given:
        given["separate_duties"] = given["separate_duties"] == "yes"
    with connect() as client:
        rules = client.project(options.project)
        before = rules.model_dump(include={"policy", *CHANGES})
        if options.policy is not None:
            named = options.policy
            given["policy"] = named if named == "none" else read_policy(client, named)[0]
        emptied = {name: None if value == "none" else value for name, value in given.items()}
        wanted = body(wire.NewProject, **{**before, **emptied})
        changed = client.set_project(options.project, wanted, expected_version=rules.version)
    emit(options, changed.model_dump(mode="json"), in_words(changed))
    return 0


def in_words(rules: wire.Project) -> str:
    """The rules of a project, a line each."""
    set_by = f", set by {rules.policy_set_by}" if rules.policy_set_by else ""
    return "\n".join(
        (
            f"project {rules.name}, version {rules.version}",
            f"policy: {rules.policy or 'as submitted'}{set_by if rules.policy else ''}",
            f"baseline: {rules.baseline or 'as submitted'}",
            f"anchor: {rules.anchor or 'as submitted'}",
            f"separate duties: {'yes' if rules.separate_duties else 'no'}",
            f"never waived: {', '.join(rules.unwaivable) or 'nothing'}",
            f"waivers last at most {rules.waiver_days} days",
            f"roots: {', '.join(rules.roots) if rules.roots is not None else 'all of the server'}",
        )
    )


def waivers_give(options: argparse.Namespace) -> int:
    """Waive a check of a checkpoint; its verdicts are decided anew."""
    until = datetime.now(UTC) + timedelta(days=options.days)
    with connect() as client:
        wanted = body(
            wire.NewWaiver,
            checkpoint=checkpoint_id_of(client, options.checkpoint),
            check=options.check,
            reason=options.reason,
            expires_at=until,
        )
        given = client.give_waiver(wanted)
    emit(options, given.model_dump(mode="json"), given.id)
    note(f"decided anew: {', '.join(given.evaluations) or 'no verdict is another now'}")
    return 0


def waivers_list(options: argparse.Namespace) -> int:
    """The project's waivers, newest first."""
    with connect() as client:
        given = client.waivers()
    rows = [(w.id, w.check, w.digest[:19], w.owner, _state(w), w.reason) for w in given]
    document = {"data": [waiver.model_dump(mode="json") for waiver in given]}
    show_rows(options, document, ("id", "check", "checkpoint", "owner", "until", "reason"), rows)
    return 0


def waivers_revoke(options: argparse.Namespace) -> int:
    """End a waiver at once; its checkpoint's verdicts are decided anew."""
    with connect() as client:
        waiver = client.revoke_waiver(options.id)
    emit(options, waiver.model_dump(mode="json"), f"{waiver.id} is revoked")
    return 0


def _state(waiver: wire.CheckpointWaiver) -> str:
    return "revoked" if waiver.revoked_at else waiver.expires_at.date().isoformat()
