"""Where a run's rows come from: task, refusals, answered look-alikes; read, checked, tokenised."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from holdfast.errors import InvalidPlan, InvalidTaskData
from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import Kind
from holdfast.repairs.task_data import Row, held_out, read_rehearsal, read_task_data
from training.progress import Report
from training.rows.batches import Example, tokenise
from training.runs.watch import Watch


def read_sources(plan: Plan, wanted: set[Kind]) -> dict[Kind, tuple[Path, list[Row]]]:
    """The rows of every source that the mix draws from, held-out prompts left out.

    Raises InvalidPlan if a file is not named, InvalidTaskData if it holds no such row.
    """
    rows: dict[Kind, tuple[Path, list[Row]]] = {}
    if "task" in wanted:
        path = _named(plan.task_data, "task_data", plan)
        rows["task"] = (path, [row for row in read_task_data(path) if not held_out(row.prompt)])
    rehearsed: list[Kind] = [kind for kind in ("refusal", "answer") if kind in wanted]
    if rehearsed:
        path = _named(plan.rehearsal_data, "rehearsal_data", plan)
        reserved = {row.line for row in (*watched_rows(plan), *anchored_rows(plan))}
        pool = [row for row in read_rehearsal(path) if row.line not in reserved]
        for kind in rehearsed:
            rows[kind] = (path, [row for row in pool if row.kind == kind])
    for kind, (path, kind_rows) in rows.items():
        if not kind_rows:
            raise InvalidTaskData(
                f"{path}: no {kind} row is left to train on, and the mix asks for some; add rows "
                "(one prompt in ten of the task data is held out), or set that share to 0"
            )
    return rows


def watched_rows(plan: Plan) -> list[Row]:
    """The last refusals of the rehearsal data: looked at (`watch`, `steer`), never trained on."""
    if not plan.watched_refusals:
        return []
    path = _named(plan.rehearsal_data, "rehearsal_data", plan)
    refusals = [row for row in read_rehearsal(path) if row.kind == "refusal"]
    if len(refusals) <= plan.watched_refusals:
        raise InvalidTaskData(
            f"{path} holds {len(refusals)} refusals; watching {plan.watched_refusals} of them "
            "leaves none to train on: give more, or lower watch.rows and steer.rows"
        )
    return refusals[-plan.watched_refusals :]


def anchored_rows(plan: Plan) -> list[Row]:
    """The rehearsal rows on which the bound of `kl_anchor` is checked, and which train nothing.

    The last ones of both kinds that are not watched, half of each.
    """
    if not plan.bound_rows:
        return []
    path = _named(plan.rehearsal_data, "rehearsal_data", plan)
    watched = {row.line for row in watched_rows(plan)}
    pool = [row for row in read_rehearsal(path) if row.line not in watched]
    half = plan.bound_rows // 2
    wanted: dict[Kind, int] = {"refusal": half, "answer": plan.bound_rows - half}
    rows_by_kind = {kind: [row for row in pool if row.kind == kind] for kind in wanted}
    for kind, rows in rows_by_kind.items():
        if len(rows) < wanted[kind]:
            raise InvalidTaskData(
                f"{path} holds {len(rows)} {kind} rows that are not watched; the bound is checked "
                f"on {wanted[kind]}: give more, or lower anchor.rows"
            )
    return [row for kind, rows in rows_by_kind.items() for row in rows[-wanted[kind] :]]


def watch_of(plan: Plan, tokenizer: PreTrainedTokenizerBase, report: Report) -> Watch | None:
    """The watch that the plan asks for."""
    if plan.watch is None:
        return None
    examples = watched_examples(plan, plan.watch.rows, tokenizer, report)
    pad = tokenizer.pad_token_id or 0
    return Watch(examples, pad, every=plan.watch.every, limit=plan.watch.limit)


def watched_examples(
    plan: Plan, count: int, tokenizer: PreTrainedTokenizerBase, report: Report
) -> list[Example]:
    """The last `count` watched refusals, tokenised; a note says how many were too long."""
    rows = watched_rows(plan)[-count:]
    path = _named(plan.rehearsal_data, "rehearsal_data", plan)
    examples = tokenise(rows, tokenizer, plan.max_length, path)
    if len(examples) < len(rows):
        report("note", text=f"{len(rows) - len(examples)} watched refusals are too long to score")
    return examples


def _named(path: Path | None, key: str, plan: Plan) -> Path:
    if path is None:
        raise InvalidPlan(
            f"recipe {plan.recipe} draws rows from {key}, but the plan names no such file; "
            "name one, or set that share of the mix to 0"
        )
    return path


def tokenise_sources(
    rows: dict[Kind, tuple[Path, list[Row]]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    report: Report,
) -> dict[Kind, Sequence[Example]]:
    """Examples by source; a note says how many rows were too long to keep any completion."""
    sources: dict[Kind, Sequence[Example]] = {}
    for kind, (path, kind_rows) in rows.items():
        examples = tokenise(kind_rows, tokenizer, max_length, path)
        if dropped := len(kind_rows) - len(examples):
            report(
                "note",
                text=f"{dropped} of {len(kind_rows)} {kind} rows dropped: their prompts alone fill "
                f"max_length {max_length}",
            )
        sources[kind] = examples
    return sources
