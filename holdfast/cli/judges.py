"""Commands about judges: which there are, and how well one agrees with people."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from holdfast.cli.admin import show_rows
from holdfast.cli.command import Usage, emit, note
from holdfast.cli.stack import require_head
from holdfast.db.rejudge import NewJudge, rejudge
from holdfast.db.session import open_database, reading
from holdfast.evidence.file import render_evidence
from holdfast.judges import JUDGES
from holdfast.judges.agreement import Agreement, Read, evaluate, read_labelled
from holdfast.judges.endpoint import EndpointJudge, endpoint_of
from holdfast.judges.refusal import judge_refusal
from holdfast.new_files import write_new
from holdfast.settings import read_settings

READERS = ("refusal", "guard", "rubric")  # judges that sort answers into the classes


def judges_list(options: argparse.Namespace) -> int:
    """Every judge by name and identity."""
    rows = [(judge.name, judge.what, judge.sha256) for judge in JUDGES.values()]
    document = {"data": [{"name": n, "what": what, "sha256": sha} for n, what, sha in rows]}
    show_rows(options, document, ("judge", "reads", "identity"), rows)
    return 0


def judges_evaluate(options: argparse.Namespace) -> int:
    """A judge's labels beside people's."""
    rows = read_labelled(options.file)
    with open_reader(options.judge) as (read, identity):
        agreement = evaluate(read, rows)
    if agreement.n_unscored:
        note(
            f"warning: {agreement.n_unscored} of {agreement.n} answers are unscored, "
            "and count as wrong"
        )
    document = {"judge": options.judge, "sha256": identity, **asdict(agreement)}
    emit(options, document, _table(agreement))
    return 0


@contextmanager
def open_reader(judge: str) -> Iterator[tuple[Read, str]]:
    """A judge that reads answers, and its identity; one behind a model is of the settings."""
    if judge not in READERS:
        raise Usage(f"judge {judge!r} is not one of {', '.join(READERS)}")
    if judge == "refusal":
        yield judge_refusal, JUDGES[judge].sha256
        return
    endpoint = endpoint_of(judge, read_settings(), os.environ)
    with EndpointJudge(endpoint) as reader:
        yield reader.read, endpoint.sha256


def judges_rejudge(options: argparse.Namespace) -> int:
    """Stored answers under another judge, as evidence files."""
    settings = read_settings()
    require_head(settings)
    options.out.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.database_url)
    try:
        with open_reader(options.judge) as (read, identity), reading(database) as session:
            judge = NewJudge(options.judge, identity, read)
            by_side = rejudge(session, options.evaluation, judge, settings.installed_suites)
    finally:
        database.dispose()
    files = {side: options.out / f"{side}.jsonl" for side in by_side}
    for side, file in files.items():
        write_new(file, render_evidence(by_side[side]), Usage)
    lost = sum(t.badness is None for evidence in by_side.values() for t in evidence.trials)
    if lost:
        note(f"warning: {lost} trials are unscored")
    document = {
        "evaluation": options.evaluation,
        "judge": {"name": judge.name, "sha256": judge.sha256},
        "files": {side: str(file) for side, file in files.items()},
        "evidence_digests": {side: by_side[side].digest for side in by_side},
        "unscored": lost,
    }
    emit(options, document, "\n".join(str(file) for file in files.values()))
    return 0


def _table(agreement: Agreement) -> str:
    lines = [f"{agreement.n} labelled answers, {agreement.n_unscored} unscored"]
    for name in ("accuracy", "accuracy_3", "precision", "recall"):
        value, interval = getattr(agreement, name), agreement.intervals[name]
        if value is not None and interval is not None:
            lines.append(f"{name:<11} {value:.3f}  [{interval[0]:.3f}, {interval[1]:.3f}]")
    if agreement.kappa is not None:
        lines.append(f"{'kappa':<11} {agreement.kappa:.3f}")
    columns = list(next(iter(agreement.confusion.values())))
    lines.append(f"{'label':<11} {' '.join(f'{name:>11}' for name in columns)}   (judged)")
    for gold, row in agreement.confusion.items():
        lines.append(f"{gold:<11} {' '.join(f'{count:>11}' for count in row.values())}")
    return "\n".join(lines)
