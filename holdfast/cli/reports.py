"""`holdfast verdict`, `report` and `evidence`: what an evaluation found, printed or as files."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from holdfast.api.client import Client
from holdfast.cli.command import GAVE_UP_WAITING, Usage, emit, print_document
from holdfast.cli.show import (
    about_run,
    flips_and_noise,
    show_verdict,
    with_place,
    write_report,
)
from holdfast.cli.waiting import verdict_of
from holdfast.errors import NotFound
from holdfast.evidence.answer_text import stored_text
from holdfast.job import FINISHED
from holdfast.new_files import write_new
from holdfast.report.beside import Extras, WorstFlip
from holdfast.report.render import NAMES_FLIPS, render
from holdfast.stack.connect import connect

if TYPE_CHECKING:
    from holdfast.evidence.file import Evidence

COMPARED = ("baseline", "candidate")
SIDES = (*COMPARED, "repaired", "anchor")  # the last two where there are any


def verdict(options: argparse.Namespace) -> int:
    """Print the verdict that an evaluation has now."""
    with connect() as client:
        verdict = verdict_of(client, options.id)
        about = about_run(client, options.id)
        return show_verdict(options, verdict, partial(evidence_of, client, options.id), about)


def report(options: argparse.Namespace) -> int:
    """Print or write a report; the exit code is the verdict's in every format."""
    form = "json" if options.json else options.format
    if options.with_text and form not in NAMES_FLIPS:
        raise Usage(f"--with-text: only {' and '.join(NAMES_FLIPS)} name flips, found {form}")
    with connect() as client:
        if options.id.startswith("rem_"):
            return report_ladder(client, options, form)
        verdict = verdict_of(client, options.id)
        flips = flips_and_noise(verdict, [form], partial(evidence_of, client, options.id))
        flips = replace(flips, about=about_run(client, options.id))
        context = with_place(options, flips, [form])
        if options.with_text:
            context = with_text(client, options.id, context)
    text = render(verdict, form, context)
    print_or_write(options, text, form)
    return verdict.exit_code


def report_ladder(client: Client, options: argparse.Namespace, form: str) -> int:
    """The report of all of a repair's tries: 0 where one was found, 1 where none, 5 until then."""
    from holdfast.cli.ladder_report import FORMATS, ladder_report

    if form not in FORMATS:
        raise Usage(f"a repair is reported as {', '.join(FORMATS)}, found {form}")
    ladder = client.remediation(options.id)
    print_or_write(options, ladder_report(ladder, client.candidates(options.id), form), form)
    if ladder.status not in FINISHED:
        return GAVE_UP_WAITING
    return 0 if ladder.checkpoint else 1


def print_or_write(options: argparse.Namespace, text: str, form: str) -> None:
    """Print a report, or write it to the file of --output."""
    if options.output is None:
        print_document(text, form)
    else:
        write_report(text, form, options.output)


def evidence(options: argparse.Namespace) -> int:
    """Write a file a side, for `gate`, `compare` and `chain`; 0, since nothing is judged."""
    with connect() as client:
        files = evidence_files(client, options.id)
    written = {side: options.out / f"{side}.jsonl" for side in files}
    for side, path in written.items():
        write_new(path, files[side], Usage)
    lines = "\n".join(f"wrote {path}" for path in written.values())
    emit(options, {"evidence": {side: str(path) for side, path in written.items()}}, lines)
    return 0


def evidence_files(
    client: Client, evaluation_id: str, sides: Sequence[str] = SIDES
) -> dict[str, bytes]:
    """The evidence that an evaluation left, by side, as the service has it."""
    files = {}
    for side in sides:
        try:
            files[side] = client.artifact(evaluation_id, f"evidence/{side}.jsonl")
        except NotFound:
            if side in COMPARED:
                raise
    return files


def evidence_of(client: Client, evaluation_id: str) -> "tuple[Evidence, Evidence]":
    """The evidence of baseline and candidate of an evaluation, which holds no text of answers."""
    from holdfast.evidence.file import parse_evidence

    files = evidence_files(client, evaluation_id, COMPARED)
    before, after = (parse_evidence(files[side], source=f"{side}.jsonl") for side in COMPARED)
    return before, after


def with_text(client: Client, evaluation_id: str, context: Extras) -> Extras:
    """Add both sides' answers to the worst flips; Forbidden where the key may not read them."""

    def with_answers(probe: str, flip: WorstFlip) -> WorstFlip:
        rows = client.items(evaluation_id, probe=probe, item=flip.item, text=True).data
        sides = {
            row.side: stored_text(row.answer) or "" for row in rows if row.variant == flip.variant
        }
        return replace(flip, texts=(sides.get("baseline", ""), sides.get("candidate", "")))

    worst = {
        probe: replace(
            worst_flips, flips=tuple(with_answers(probe, flip) for flip in worst_flips.flips)
        )
        for probe, worst_flips in context.worst.items()
    }
    return replace(context, worst=worst)
