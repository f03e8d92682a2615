"""`holdfast report` and `holdfast evidence`: what is to be kept or shown of an evaluation."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from holdfast.api.client import Client
from holdfast.cli.command import GAVE_UP_WAITING, Usage, emit
from holdfast.cli.show import look_beside, write_report
from holdfast.cli.waiting import verdict_of
from holdfast.errors import NotFound
from holdfast.job import FINISHED
from holdfast.report.beside import Beside, Flip, text_of
from holdfast.report.render import NAMES_FLIPS, render
from holdfast.stack.connect import connect

if TYPE_CHECKING:
    from holdfast.evidence.file import Evidence

COMPARED = ("baseline", "candidate")
SIDES = (*COMPARED, "repaired", "anchor")  # the last two where there are any


def report(options: argparse.Namespace) -> int:
    """Print or write a report; the exit code is the verdict's in every format."""
    form = "json" if options.json else options.format
    if options.with_text and form not in NAMES_FLIPS:
        raise Usage(f"--with-text: only {' and '.join(NAMES_FLIPS)} name flips, found {form}")
    with connect() as client:
        if options.id.startswith("rem_"):
            return report_ladder(client, options, form)
        found = verdict_of(client, options.id)
        around = look_beside(found, [form], partial(evidence_of, client, options.id))
        if options.with_text:
            around = with_text(client, options.id, around)
    text = render(found, form, around)
    give(options, text, form)
    return found.exit_code


def report_ladder(client: Client, options: argparse.Namespace, form: str) -> int:
    """The report of all of a repair's tries: 0 where one was found, 1 where none, 5 until then."""
    from holdfast.cli.ladder_report import FORMATS, ladder_report

    if form not in FORMATS:
        raise Usage(f"a repair is reported as {', '.join(FORMATS)}, found {form}")
    ladder = client.remediation(options.id)
    give(options, ladder_report(ladder, client.candidates(options.id), form), form)
    if ladder.status not in FINISHED:
        return GAVE_UP_WAITING
    return 0 if ladder.checkpoint else 1


def give(options: argparse.Namespace, text: str, form: str) -> None:
    """Print it, or write it where it was asked for."""
    if options.output is None:
        print(text.rstrip("\n"))  # noqa: T201  the command's output
    else:
        write_report(text, form, options.output)


def evidence(options: argparse.Namespace) -> int:
    """Write a file a side, for `gate`, `compare` and `chain`; 0, since nothing is judged."""
    with connect() as client:
        files = evidence_files(client, options.id)
    options.out.mkdir(parents=True, exist_ok=True)
    written = {side: options.out / f"{side}.jsonl" for side in files}
    for side, path in written.items():
        path.write_bytes(files[side])
    lines = "\n".join(f"wrote {path}" for path in written.values())
    emit(options, {"evidence": {side: str(path) for side, path in written.items()}}, lines)
    return 0


def evidence_files(
    client: Client, evaluation_id: str, sides: Sequence[str] = SIDES
) -> dict[str, bytes]:
    """The evidence that an evaluation left, by side, as the service has it."""
    found = {}
    for side in sides:
        try:
            found[side] = client.artifact(evaluation_id, f"evidence/{side}.jsonl")
        except NotFound:
            if side in COMPARED:
                raise
    return found


def evidence_of(client: Client, evaluation_id: str) -> "tuple[Evidence, Evidence]":
    """What baseline and candidate answered, without a word of it."""
    from holdfast.evidence.file import parse_evidence

    files = evidence_files(client, evaluation_id, COMPARED)
    before, after = (parse_evidence(files[side], source=f"{side}.jsonl") for side in COMPARED)
    return before, after


def with_text(client: Client, evaluation_id: str, found: Beside) -> Beside:
    """The same flips with what both sides said; Forbidden where the key may not read it."""

    def told(probe: str, flip: Flip) -> Flip:
        rows = client.items(evaluation_id, probe=probe, item=flip.item, text=True).data
        sides = {row.side: text_of(row.answer) for row in rows if row.variant == flip.variant}
        return replace(flip, said=(sides.get("baseline", ""), sides.get("candidate", "")))

    worst = {
        probe: replace(one, flips=tuple(told(probe, flip) for flip in one.flips))
        for probe, one in found.worst.items()
    }
    return replace(found, worst=worst)
