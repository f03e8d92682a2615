"""Learn the task again while rehearsing what must not be lost: task, refusals, look-alikes.

Rehearsal after Bianchi et al. 2023, https://arxiv.org/abs/2309.07875, with one difference that
decides: harmless look-alikes that are answered must outnumber the refusals, or the model "repairs"
itself by refusing everything. Knobs: `mix` (30 % task, 30 % refusals, 40 % answers), `start` (the
baseline, from which the task is learnt anew; from the candidate as many steps are too few),
`steps` (60), `learning_rate` (5e-5; at twice that the same mix loses refusals). Measured in
docs/benchmarks.md.
"""

from torch import nn

from holdfast.remediation import Plan, rows_drawn
from training.batches import Example, Order, draw_steps, order_of_sources
from training.loop import seed_everything, train
from training.model import load_policy, load_tokenizer
from training.output import refuse_existing
from training.progress import Report
from training.sources import read_sources, tokenise_sources, watch_of
from training.supervised import supervised
from training.trainable import save_checkpoint, trainable


def run(plan: Plan, report: Report, *, order: Order = order_of_sources) -> dict[str, float | None]:
    """Train on the plan's mix and write the checkpoint."""
    policy, steps, pad = prepared(plan, report, order)
    watch = watch_of(plan, load_tokenizer(plan.start_checkpoint), report)
    gradient = supervised(policy, steps, pad, plan.reduction)
    loss = train(policy, plan, report, gradient, watch=watch)
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def prepared(
    plan: Plan, report: Report, order: Order = order_of_sources
) -> tuple[nn.Module, list[list[Example]], int]:
    """The policy to train, the examples of every step, and the padding token."""
    steps, pad = steps_of_mix(plan, report, order)
    return trainable(load_policy(plan.start_checkpoint), plan), steps, pad


def steps_of_mix(
    plan: Plan, report: Report, order: Order = order_of_sources
) -> tuple[list[list[Example]], int]:
    """The examples of every step of the plan's mix, and the padding token; no model is loaded."""
    refuse_existing(plan.output)
    counts = rows_drawn(plan.mix, plan.steps * plan.batch_size)
    rows = read_sources(plan, {kind for kind, count in counts.items() if count})
    seed_everything(plan.seed)
    tokenizer = load_tokenizer(plan.start_checkpoint)
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    size, seed = plan.batch_size, plan.seed
    steps = draw_steps(sources, counts, batch_size=size, seed=seed, order=order)
    return steps, tokenizer.pad_token_id or 0
