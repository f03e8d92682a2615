"""Commands on runs that wait, are under way or are over: list, show, cancel, retry."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.cli.command import Usage, emit
from holdfast.ids import is_id
from holdfast.job import FINISHED
from holdfast.report.escapes import for_terminal
from holdfast.stack.connect import connect

HEADER = ("evaluation", "status", "verdict", "tier", "age", "candidate", "baseline")
AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


def list_runs(options: argparse.Namespace) -> int:
    """The project's newest evaluations; 0 whatever their verdicts are."""
    with connect() as client:
        wanted = (
            evaluation
            for evaluation in _newest(client, options.branch, options.line)
            if (options.status is None or evaluation.status == options.status)
            and (options.verdict is None or evaluation.verdict == options.verdict)
        )
        runs = list(islice(wanted, options.limit))
    now = datetime.now(UTC)
    rows = [HEADER, *(_row(evaluation, now) for evaluation in runs)]
    document = {"evaluations": [evaluation.model_dump(mode="json") for evaluation in runs]}
    emit(options, document, _table(rows) if runs else "no evaluations")
    return 0


def show(options: argparse.Namespace) -> int:
    """Everything that is known of an evaluation or a repair, and what to do next."""
    with connect() as client:
        run = _run(client, options.id)
    document = run.model_dump(mode="json")
    told = {name: value for name, value in document.items() if value not in (None, [], {}, ())}
    width = max(map(len, told))
    lines = [f"{name.ljust(width)}  {for_terminal(str(value))}" for name, value in told.items()]
    emit(options, document, "\n".join([*lines, "", _next_step(run)]))
    return 0


def cancel(options: argparse.Namespace) -> int:
    """End a job: at once where it waits, at the worker's next look where it runs."""
    with connect() as client:
        if is_id(options.id, "rem"):
            job: wire.Job = client.cancel_remediation(options.id)
        else:
            job = client.cancel(options.id)
    ended = "is canceled" if job.status in FINISHED else "ends at its worker's next look"
    emit(options, job.model_dump(mode="json"), f"{job.id} {ended}")
    return 0


def retry(options: argparse.Namespace) -> int:
    """Queue an evaluation again that ended without a result; what it was answered is kept."""
    if not is_id(options.id, "eval"):
        raise Usage(f"{options.id} is no evaluation; a repair is started anew with `remediate`")
    with connect() as client:
        job = client.retry(options.id)
    emit(options, job.model_dump(mode="json"), f"{job.id} is {job.status}; {_next_step(job)}")
    return 0


def _newest(client: Client, branch: str | None, line: str | None) -> Iterator[wire.Evaluation]:
    """Evaluations, newest first, page after page as they are wanted."""
    cursor = None
    while True:
        page = client.evaluations(cursor=cursor, branch=branch, line=line)
        yield from page.data
        if (cursor := page.next_cursor) is None:
            return


def _run(client: Client, run_id: str) -> wire.Evaluation | wire.Remediation:
    return client.remediation(run_id) if is_id(run_id, "rem") else client.evaluation(run_id)


def _row(evaluation: wire.Evaluation, now: datetime) -> tuple[str, ...]:
    return (
        evaluation.id,
        evaluation.status,
        evaluation.verdict or "-",
        evaluation.tier,
        _age((now - evaluation.created_at).total_seconds()),
        evaluation.candidate,
        evaluation.baseline,
    )


def _age(seconds: float) -> str:
    unit, name = next(((size, name) for size, name in AGES if seconds >= size), (1, "s"))
    return f"{max(0, seconds) / unit:.0f} {name}"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _next_step(run: wire.Job) -> str:
    """The command that goes on from here."""
    if run.status not in FINISHED:
        return f"`holdfast wait {run.id}` waits for it, `holdfast cancel {run.id}` ends it"
    if not isinstance(run, wire.Evaluation):
        return f"`holdfast report {run.id}` shows what it tried"
    if run.verdict is None:
        return f"`holdfast retry {run.id}` queues it again; what it was answered is kept"
    if run.verdict == "fail":
        return f"`holdfast remediate {run.id} --recipe auto --wait` repairs it"
    return f"`holdfast report {run.id}` shows why"
