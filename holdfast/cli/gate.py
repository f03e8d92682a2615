"""The offline commands: evidence files in; a verdict out, or what flipped between them.

They need no server, no database and no model.
"""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from holdfast.cli.command import emit, note
from holdfast.cli.show import report_targets, show_verdict
from holdfast.cli.telling import tell, told_where_not_run
from holdfast.report.about import About

if TYPE_CHECKING:
    from holdfast.readings.comparison import Comparison


def gate(options: argparse.Namespace) -> int:
    """Judge two evidence files under a policy."""
    from holdfast.evidence.file import read_evidence
    from holdfast.verdict.gate import gate as decide_files

    report_targets(options)
    with told_where_not_run(options):
        verdict = decide_files(
            options.policy,
            options.baseline,
            options.candidate,
            options.repaired_from,
            anchor_path=options.anchor,
            as_of=options.as_of,
        )
    named = (str(words) for words in (options.candidate, options.baseline, options.policy))
    about = About(*named)
    tell(options, verdict, about)
    return show_verdict(
        options,
        verdict,
        lambda: (read_evidence(options.baseline), read_evidence(options.candidate)),
        about,
    )


def compare(options: argparse.Namespace) -> int:
    """Show what moved between two evidence files; decides nothing, so it is no gate."""
    from holdfast.evidence.file import read_evidence
    from holdfast.readings.comparison import compare as compare_files

    comparison = compare_files(read_evidence(options.before), read_evidence(options.after))
    for difference in comparison.differences:
        note(f"warning: not comparable: {difference} (before / after)")
    document = asdict(comparison)
    if not options.flips:
        for probe in document["probes"]:
            del probe["flips"]
    emit(options, document, _table(comparison, flips=options.flips))
    return 0


def _table(comparison: "Comparison", *, flips: bool) -> str:
    lines = []
    for change in comparison.probes:
        rates = (
            f"{change.before:.3f} -> {change.after:.3f}"
            if change.before is not None
            else "none scored"
        )
        moved = f"{change.worse} worse, {change.better} better, {change.lost} lost of {change.n}"
        lines.append(f"{change.probe}: {rates}; {moved}")
        for pair in change.flips if flips else ():
            group = f" ({pair.group})" if pair.group else ""
            lines.append(f"  {pair.item}{group}: {pair.before:g} -> {pair.after:g}")
    return "\n".join(lines) or "neither file holds a trial"
