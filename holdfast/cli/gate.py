"""The offline commands: evidence files in; a verdict out, or what flipped between them.

They need no server, no database and no model.
"""

import argparse
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.cli.command import Command, argument, emit, note
from holdfast.cli.show import REPORTS, report_targets, show_verdict

if TYPE_CHECKING:
    from holdfast.readings.comparison import Comparison


def gate(options: argparse.Namespace) -> int:
    """Judge two evidence files under a policy."""
    from holdfast.evidence.file import read_evidence
    from holdfast.verdict.gate import gate as decide_files

    report_targets(options)
    verdict = decide_files(
        options.policy,
        options.baseline,
        options.candidate,
        options.repaired_from,
        anchor_path=options.anchor,
        as_of=options.as_of,
    )
    return show_verdict(
        options,
        verdict,
        lambda: (read_evidence(options.baseline), read_evidence(options.candidate)),
    )


def compare(options: argparse.Namespace) -> int:
    """Show what moved between two evidence files; decides nothing, so it is no gate."""
    from holdfast.evidence.file import read_evidence
    from holdfast.readings.comparison import compare as compare_files

    found = compare_files(read_evidence(options.before), read_evidence(options.after))
    for difference in found.differences:
        note(f"warning: not comparable: {difference} (before / after)")
    document = asdict(found)
    if not options.flips:
        for probe in document["probes"]:
            del probe["flips"]
    emit(options, document, _table(found, flips=options.flips))
    return 0


def _table(found: "Comparison", *, flips: bool) -> str:
    lines = []
    for one in found.probes:
        rates = f"{one.before:.3f} -> {one.after:.3f}" if one.before is not None else "none scored"
        moved = f"{one.worse} worse, {one.better} better, {one.lost} lost of {one.n}"
        lines.append(f"{one.probe}: {rates}; {moved}")
        for pair in one.flips if flips else ():
            group = f" ({pair.group})" if pair.group else ""
            lines.append(f"  {pair.item}{group}: {pair.before:g} -> {pair.after:g}")
    return "\n".join(lines) or "neither file holds a trial"


def _moment(text: str) -> datetime:
    """A time with its zone; argparse turns the error into a usage message."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


EVIDENCE = (
    argument("--baseline", required=True, metavar="A.jsonl", help="evidence of the trusted one"),
    argument("--candidate", required=True, metavar="B.jsonl", help="evidence of the new one"),
    argument("--policy", required=True, help="a policy file, or demo, standard, release"),
    argument("--repaired-from", metavar="D.jsonl", help="evidence of the checkpoint it repairs"),
    argument(
        "--as-of",
        type=_moment,
        metavar="TIME",
        help="judge waivers at this moment (ISO 8601 with zone); default: when B was made",
    ),
    argument("--anchor", metavar="C.jsonl", help="evidence of a pinned second baseline"),
    REPORTS,
)

COMMANDS = (
    Command("gate", "judge two evidence files, offline", gate, EVIDENCE),
    Command(
        "compare",
        "what moved between two evidence files",
        compare,
        (
            argument("before", metavar="A.jsonl", help="evidence of one checkpoint"),
            argument("after", metavar="B.jsonl", help="evidence of the other"),
            argument("--flips", action="store_true", help="list every item that moved"),
        ),
    ),
)
