"""Commands that queue an evaluation and wait for its verdict: submit, wait.

Whatever waits ends with the verdict's own exit code; whatever does not wait says so loudly and
exits 5, because a green job that has only been uploaded is a false green.
"""

import argparse
import os
from collections.abc import Mapping
from functools import partial

from pydantic import ValidationError

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.api.subject import PINNED
from holdfast.cli.bodies import baseline, body
from holdfast.cli.command import Usage, note
from holdfast.cli.named_folders import tell_ignored
from holdfast.cli.reports import evidence_of
from holdfast.cli.show import about_run, report_targets, show_verdict
from holdfast.cli.telling import tell, tell_state, told_where_not_run
from holdfast.cli.waiting import Deadline, final_verdict, no_verdict_yet, submitted_verdict
from holdfast.errors import InvalidPolicy, InvalidSuite
from holdfast.forges.facts import facts_of
from holdfast.ids import is_id
from holdfast.new_files import write_new
from holdfast.policy.model import GatePolicy
from holdfast.settings import suites_folder
from holdfast.stack.connect import connect, local_path, location, path_location


def submit(options: argparse.Namespace) -> int:
    """Queue an evaluation and, unless --no-wait, wait for its verdict."""
    report_targets(options)
    with told_where_not_run(options), connect(patient=True) as client:
        text, policy = read_policy(client, options.policy)
        wanted = request(options, text)
        tell_cost(policy, options)
        tell_ignored(options)
        made = client.submit(wanted)
        note(f"{made.id} is queued")
        if options.id_file is not None:
            write_new(options.id_file, f"{made.id}\n".encode(), Usage)
        if options.no_wait:
            tell_state(options, "pending", f"{made.id} is queued")
            return no_verdict_yet(options, made)
        deadline = Deadline(options.timeout)
        shown, verdict = made.id, submitted_verdict(client, wanted, made, deadline)
        if options.follow_repairs and verdict.verdict != "pass":
            from holdfast.cli.repairs import after_repairs  # which knows every rung

            shown, verdict = after_repairs(client, made.id, verdict, deadline)
        about = about_run(client, shown)
        tell(options, verdict, about)
        return show_verdict(options, verdict, partial(evidence_of, client, shown), about)


def wait(options: argparse.Namespace) -> int:
    """Wait for the verdict of an evaluation, or of the repair that a remediation makes."""
    report_targets(options)
    deadline = Deadline(options.timeout)
    with told_where_not_run(options), connect() as client:
        evaluation = options.id
        if evaluation.startswith("rem_"):
            from holdfast.cli.repairs import gated_repair  # which knows every rung

            evaluation = gated_repair(client, evaluation, deadline)
        verdict = final_verdict(client, evaluation, deadline)
        about = about_run(client, evaluation)
        tell(options, verdict, about)
        return show_verdict(options, verdict, partial(evidence_of, client, evaluation), about)


def request(options: argparse.Namespace, policy: str) -> wire.NewEvaluation:
    """The body of an evaluation, with folders of this machine by absolute path."""
    return body(
        wire.NewEvaluation,
        candidate=location(options.candidate),
        adapter=None if options.adapter is None else path_location(options.adapter),
        baseline=baseline(options.baseline),
        anchor=None if options.anchor is None else baseline(options.anchor),
        policy=policy,
        tier=options.tier,
        split=options.split,
        task_data=None if options.task_data is None else path_location(options.task_data),
        template=options.template,
        template_arguments=dict(options.template_argument),
        cause=cause_of(os.environ),
        labels=dict(options.label),
    )


def cause_of(environment: Mapping[str, str]) -> wire.Cause | None:
    """The CI run that this is, as the server keeps it; None where it is none, or a strange one."""
    facts = facts_of(environment)
    if facts is None:
        return None
    try:
        return wire.Cause(
            repository=facts.repository or None,
            commit=facts.commit or None,
            branch=facts.branch or None,
            pull_request=facts.pull_request,
            run_url=facts.run_url or None,
        )
    except ValidationError:
        note("the CI run's own variables are not what a CI sets, so they are not kept")
        return None


def read_policy(client: Client, name: str) -> tuple[str, GatePolicy]:
    """The policy as the server is sent it (an id, `pinned`, or its text), and as understood."""
    from holdfast.policy.text import parse_policy, resolve_policy  # which know every probe

    if name == PINNED:
        return name, parse_policy(client.policy(pinned_by(client)).text, source=name)
    if is_id(name, "pol"):
        return name, parse_policy(client.policy(name).text, source=name)
    return resolve_policy(name)  # what is wrong with it is said here, before anything is queued


def pinned_by(client: Client) -> str:
    """The id of the policy that the project pins; InvalidPolicy where it pins none."""
    rules = client.own_project()
    if rules.policy is None:
        raise InvalidPolicy(f"project {rules.name} pins no policy; name one, such as standard")
    return rules.policy


def tell_cost(policy: GatePolicy, options: argparse.Namespace) -> None:
    """Note the cost of an evaluation before it is queued; warn if the budget is too small."""
    from holdfast.forecast.cost import beyond, estimate, weight_bytes
    from holdfast.models.reasoning import marks_of
    from holdfast.policy.budget import limits_of

    folder = local_path(options.candidate)
    try:
        cost = estimate(
            policy,
            options.tier,
            options.split,
            weight_bytes=None if folder is None else weight_bytes(folder),
            installed=suites_folder(),
            thinks=folder is not None and marks_of(folder, None) is not None,
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
