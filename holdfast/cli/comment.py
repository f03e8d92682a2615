"""`holdfast comment`: the verdict on the pull request that it is about, and on its commit.

What cannot be posted is said in a sentence. The gate's own exit code never hangs on it: `--comment`
of the commands that judge posts beside their verdict, and `comment` alone is a command of its own.

A verdict that comes as a file may be anybody's, as a fork's run can leave any. So it is shown, with
a sentence that says so, and the commit, on which a merge may hang, gets no word of it.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from holdfast.cli.command import emit
from holdfast.errors import ForgeRefused, InvalidEvidence
from holdfast.forges.comment import render_comment
from holdfast.forges.facts import Facts, facts_of
from holdfast.forges.rest import Conclusion, Forge, State
from holdfast.forges.sticky import APIS, open_forge, post_comment
from holdfast.ids import is_id
from holdfast.plain_files import read_plain
from holdfast.report.about import About
from holdfast.verdict.document import Verdict

MAX_BYTES = 64 << 20  # of a verdict
UNSIGNED = (
    "_This is the verdict that the pull request's own run left as a file. Nobody has checked where "
    "it comes from, so nothing may hang on it._"
)
NO_CI = (
    "found no CI run (GITHUB_ACTIONS or GITLAB_CI), so it is not known where to post; "
    "--dry-run prints the comment"
)


def comment(options: argparse.Namespace) -> int:
    """Post the verdict of an evaluation, or of a file; 4 where it could not be posted."""
    verdict, about = _read(options)
    if options.dry_run:
        text = render_comment(verdict, about, options.gate)
        emit(options, {"comment": text}, text)
        return 0
    facts = facts_of(os.environ)
    if facts is None:
        raise ForgeRefused(NO_CI)
    number = options.pull_request
    if about.evaluation is None:
        where = post_unsigned(facts, verdict, options.gate, number)
    else:
        where = post(facts, verdict, about, options.gate, pull_request=number)
    emit(options, {"posted": where}, where)
    return 0


def _read(options: argparse.Namespace) -> tuple[Verdict, About]:
    if is_id(options.source, "eval"):
        from holdfast.cli.show import about_run
        from holdfast.cli.waiting import verdict_of
        from holdfast.stack.connect import connect

        with connect() as client:
            verdict = verdict_of(client, options.source)
            return verdict, about_run(client, options.source)
    try:
        raw = read_plain(Path(options.source), MAX_BYTES, InvalidEvidence)
        verdict = Verdict.model_validate_json(raw)
    except (OSError, ValidationError) as error:
        raise InvalidEvidence(
            f"{options.source} is no verdict ({type(error).__name__}); expected an evaluation's "
            "id, or the file of --report json=FILE"
        ) from error
    return verdict, About()


def post(
    facts: Facts,
    verdict: Verdict,
    about: About,
    gate: str,
    *,
    pull_request: int | None = None,
) -> str:
    """Comment on the pull request and conclude on its commit; a sentence on what was done.

    Raises ForgeRefused where either could not be done, once both were tried.
    """
    forge, api = open_forge(facts, os.environ), APIS[facts.forge]
    about = replace(about, link=about.link or facts.run_url)
    refusals: list[ForgeRefused] = []
    with forge.client:
        try:
            number = pull_request or facts.pull_request or api.pull_request_of(forge, facts)
            if number is not None:
                on = replace(facts, pull_request=number)
                post_comment(forge, on, gate, render_comment(verdict, about, gate))
        except ForgeRefused as error:
            refusals.append(error)
        try:
            conclude(forge, facts, gate, verdict.verdict, verdict.reasons[0])
        except ForgeRefused as error:
            refusals.append(error)
    if refusals:
        raise ForgeRefused("; ".join(map(str, refusals)))
    where = f"on pull request {number}" if number else "it is the head of no open pull request"
    return f"said {verdict.verdict} on {facts.commit[:12]}; {where}"


def post_unsigned(facts: Facts, verdict: Verdict, gate: str, pull_request: int | None) -> str:
    """Comment with the verdict of a file, and say nothing on the commit; a sentence on it."""
    forge, api = open_forge(facts, os.environ), APIS[facts.forge]
    with forge.client:
        number = pull_request or facts.pull_request or api.pull_request_of(forge, facts)
        if number is None:
            return f"{facts.commit[:12]} is the head of no open pull request; nothing was posted"
        text = f"{render_comment(verdict, About(), gate)}\n{UNSIGNED}\n"
        post_comment(forge, replace(facts, pull_request=number), gate, text)
        return f"said {verdict.verdict} on pull request {number}, and nothing on its commit"


def conclude(forge: Forge, facts: Facts, gate: str, state: State, title: str) -> None:
    """Say on the commit alone how the gate ended, or that it has not yet."""
    end = Conclusion(gate, state, f"{state}: {title}", facts.run_url)
    APIS[facts.forge].conclude(forge, facts, end)
