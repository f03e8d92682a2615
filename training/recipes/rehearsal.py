"""Learn the task again while rehearsing what must not be lost: task, refusals, look-alikes.

Rehearsal after Bianchi et al. 2023, https://arxiv.org/abs/2309.07875, with one difference that
decides: harmless look-alikes that are answered must outnumber the refusals, or the model "repairs"
itself by refusing everything. Knobs: `mix` (30 % task, 30 % refusals, 40 % answers), `start` (the
baseline, from which the task is learnt anew; from the candidate as many steps are too few),
`steps` (60), `learning_rate` (5e-5; at twice that the same mix loses refusals). Measured in
docs/benchmarks.md.
"""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from holdfast.errors import InvalidPlan, InvalidTaskData
from holdfast.remediation import Plan, rows_drawn
from holdfast.task_data import Kind, Row, held_out, read_rehearsal, read_task_data
from training.batches import Example, draw_steps, tokenise
from training.loop import seed_everything, train
from training.model import load_policy, load_tokenizer, save_weights
from training.output import copy_companions, declare_fp32, refuse_existing, whole_or_absent
from training.progress import Report


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on the plan's mix and write the checkpoint."""
    refuse_existing(plan.output)
    start = plan.start_checkpoint
    counts = rows_drawn(plan.mix, plan.steps * plan.batch_size)
    rows = read_sources(plan, {kind for kind, count in counts.items() if count})
    seed_everything(plan.seed)
    tokenizer = load_tokenizer(start)
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    steps = draw_steps(sources, counts, batch_size=plan.batch_size, seed=plan.seed)
    policy = load_policy(start)
    loss = train(policy, steps, tokenizer.pad_token_id or 0, plan, report)
    fp32 = plan.store == "fp32"
    with whole_or_absent(plan.output) as folder:
        copy_companions(start, folder)
        if fp32:
            declare_fp32(folder)
        save_weights(policy, start, folder, fp32=fp32)
    return {"final_loss": loss}


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
        pool = read_rehearsal(path)
        for kind in rehearsed:
            rows[kind] = (path, [row for row in pool if row.kind == kind])
    for kind, (path, found) in rows.items():
        if not found:
            raise InvalidTaskData(
                f"{path}: no {kind} row is left to train on, and the mix asks for some; add rows "
                "(one prompt in ten of the task data is held out), or set that share to 0"
            )
    return rows


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
    for kind, (path, found) in rows.items():
        kept = tokenise(found, tokenizer, max_length, path)
        if dropped := len(found) - len(kept):
            report(
                "note",
                text=f"{dropped} of {len(found)} {kind} rows dropped: their prompts alone fill "
                f"max_length {max_length}",
            )
        sources[kind] = kept
    return sources
