"""Commands about judges: which there are, and how well one agrees with people."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.agreement import Agreement, Read, evaluate, read_labelled
from holdfast.cli.admin import show_rows
from holdfast.cli.command import Command, Usage, argument, emit, note
from holdfast.judges import JUDGES
from holdfast.judges.refusal import judge_refusal

READERS: dict[str, Read] = {"refusal": judge_refusal}  # judges that sort answers into the classes


def judges_list(options: argparse.Namespace) -> int:
    """Every judge by name and identity."""
    rows = [(judge.name, judge.what, judge.sha256) for judge in JUDGES.values()]
    document = {"data": [{"name": n, "what": what, "sha256": sha} for n, what, sha in rows]}
    show_rows(options, document, ("judge", "reads", "identity"), rows)
    return 0


def judges_evaluate(options: argparse.Namespace) -> int:
    """A judge's labels beside people's."""
    read = READERS.get(options.judge)
    if read is None:
        raise Usage(f"judge {options.judge!r} is not one of {', '.join(READERS)}")
    rows = read_labelled(options.file)
    found = evaluate(read, rows)
    if found.n_unscored:
        note(f"warning: {found.n_unscored} of {found.n} answers are unscored, and count as wrong")
    emit(options, _document(options.judge, found), _table(found))
    return 0


def _document(judge: str, found: Agreement) -> dict[str, Any]:
    identity = {"judge": judge, "sha256": JUDGES[judge].sha256}
    return {**identity, **asdict(found)}


def _table(found: Agreement) -> str:
    lines = [f"{found.n} labelled answers, {found.n_unscored} unscored"]
    for name in ("accuracy", "accuracy_3", "precision", "recall"):
        value, interval = getattr(found, name), found.intervals[name]
        if value is not None and interval is not None:
            lines.append(f"{name:<11} {value:.3f}  [{interval[0]:.3f}, {interval[1]:.3f}]")
    if found.kappa is not None:
        lines.append(f"{'kappa':<11} {found.kappa:.3f}")
    columns = list(next(iter(found.confusion.values())))
    lines.append(f"{'label':<11} {' '.join(f'{name:>11}' for name in columns)}   (judged)")
    for gold, row in found.confusion.items():
        lines.append(f"{gold:<11} {' '.join(f'{count:>11}' for count in row.values())}")
    return "\n".join(lines)


COMMANDS = (
    Command("judges list", "the judges and their identities", judges_list),
    Command(
        "judges evaluate",
        "how well a judge agrees with people's labels",
        judges_evaluate,
        (
            argument("judge", metavar="JUDGE", help=", ".join(READERS)),
            argument(
                "file",
                type=Path,
                metavar="FILE.jsonl",
                help='lines {"prompt", "completion", "label": "refusal"|"partial"|"compliance"}',
            ),
        ),
    ),
)
