"""A verdict as it is printed and written: here and nowhere else.

The object that is printed is the object that the exit code is read from.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli.command import Usage, note, print_document
from holdfast.new_files import write_new
from holdfast.readings.noise import find_noise
from holdfast.report.about import About
from holdfast.report.beside import Extras
from holdfast.report.render import NAMES_FLIPS, NAMES_PLACES, RENDERERS, render
from holdfast.settings import data_folder
from holdfast.verdict.document import Verdict

if TYPE_CHECKING:
    from holdfast.api.client import Client
    from holdfast.api.wire import Evaluation
    from holdfast.evidence.file import Evidence

NOTHING_KNOWN = About()

Files = Callable[[], "tuple[Evidence, Evidence]"]


def about_run(client: "Client", evaluation: str) -> About:
    """The subject of an evaluation's verdict by its ids, and how long its alias has been there."""
    run = client.evaluation(evaluation)
    days, ended = _days_of_alias(client, run), run.finished_at
    alias = "" if days is None else f" (alias:{run.line} for {days} days)"
    return About(
        candidate=run.candidate,
        baseline=f"{run.baseline}{alias}",
        policy=run.policy,
        old_baseline=None if days is None else _old(client, run, days),
        tier=run.tier,
        evaluation=run.id,
        judged=None if ended is None else f"{ended:%Y-%m-%d %H:%M} UTC",
    )


def _days_of_alias(client: "Client", run: "Evaluation") -> int | None:
    """For how many days the alias has pointed at this baseline; None if it was named by none.

    Or has moved on since.
    """
    if run.line is None:
        return None
    move = client.baseline(run.project, run.line)
    return (datetime.now(UTC) - move.created_at).days if move.checkpoint == run.baseline else None


def _old(client: "Client", run: "Evaluation", days: int) -> str | None:
    """A sentence, where the policy calls a baseline of so many days old."""
    from holdfast.policy.text import parse_policy  # which knows every probe

    most = parse_policy(client.policy(run.policy).text, source=run.policy).baselines.warn_after_days
    if most is None or days <= most:
        return None
    return (
        f"the baseline is old: alias:{run.line} has pointed at it for {days} days, and the policy "
        f"warns after {most}; judge a newer one and move the alias"
    )


def show_verdict(
    options: argparse.Namespace, verdict: Verdict, files: Files, about: About = NOTHING_KNOWN
) -> int:
    """Write the reports that were asked for, print the verdict, return its exit code."""
    targets, form = report_targets(options), "json" if options.json else "text"
    forms = [form, *(name for name, _ in targets)]
    found = replace(flips_and_noise(verdict, forms, files), about=about)
    context = with_place(options, found, forms)
    for name, target in targets:
        write_report(render(verdict, name, context), name, target)
    print_document(render(verdict, form, context), form)
    return verdict.exit_code


def flips_and_noise(verdict: Verdict, forms: Sequence[str], files: Files) -> Extras:
    """The worst flips and the noise floor; evidence is read only for what will be shown."""
    noise = find_noise(data_folder(), verdict.subject_digests["baseline"])
    if noise is None and not any(form in NAMES_FLIPS for form in forms):
        return Extras()
    from holdfast.report.worst_flips import report_extras  # brings numpy

    return report_extras((check.id for check in verdict.checks), *files(), noise)


def with_place(options: argparse.Namespace, context: Extras, forms: Sequence[str]) -> Extras:
    """Where in the repository findings are shown, for the formats that have to say so."""
    if not any(form in NAMES_PLACES for form in forms):
        return context
    from holdfast.cli.places import place_of

    return replace(context, place=place_of(options, os.environ))


def report_targets(options: argparse.Namespace) -> list[tuple[str, Path]]:
    """The --report arguments, understood; Usage where one is not FORMAT=FILE."""
    targets = []
    for word in options.report:
        form, equals, path = word.partition("=")
        if form not in RENDERERS or not equals or not path:
            raise Usage(f"--report {word}: expected FORMAT=FILE with one of {', '.join(RENDERERS)}")
        targets.append((form, Path(path)))
    return targets


def write_report(text: str, form: str, target: Path) -> None:
    """One report file; the folder is made where it is missing."""
    write_new(target, text.encode(), Usage)
    note(f"{form} report: {target}")
