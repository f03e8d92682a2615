"""Learn the task again while rehearsing what must not be lost: task, refusals, look-alikes.

Rehearsal after Bianchi et al. 2023, https://arxiv.org/abs/2309.07875, with one difference that
decides: harmless look-alikes that are answered must outnumber the refusals, or the model "repairs"
itself by refusing everything. Knobs: `mix` (30 % task, 30 % refusals, 40 % answers), `start` (the
baseline, from which the task is learnt anew; from the candidate as many steps are too few),
`steps` (60), `learning_rate` (5e-5; at twice that the same mix loses refusals), `steer` (off: more
safety rows for as long as refusals go, training/runs/steering.py). Measured in docs/benchmarks.md.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from holdfast.repairs.knobs import Steering
from holdfast.repairs.plan import Plan, rows_drawn
from holdfast.repairs.recipes import Kind
from training.progress import Report
from training.rows.batches import Example, Order, draw_steps, order_of_sources
from training.runs.loop import seed_everything, train
from training.runs.sources import read_sources, tokenise_sources, watch_of, watched_examples
from training.runs.steering import Steered, realised_mix, shares, steered_gradient
from training.runs.supervised import supervised_gradient
from training.weights.model import load_policy, load_tokenizer
from training.weights.output import refuse_existing
from training.weights.trainable import save_checkpoint, trainable


def run(plan: Plan, report: Report, *, order: Order = order_of_sources) -> dict[str, Any]:
    """Train on the plan's mix and write the checkpoint."""
    if plan.steer is not None:
        return run_steered(plan, plan.steer, report)
    policy, steps, pad = prepare(plan, report, order)
    watch = watch_of(plan, load_tokenizer(plan.start_checkpoint), report)
    gradient = supervised_gradient(policy, steps, pad, plan.reduction)
    loss = train(policy, plan, report, gradient, watch=watch)
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def run_steered(plan: Plan, steer: Steering, report: Report) -> dict[str, Any]:
    """Train on a mix that gets more safety rows while refusals are lost."""
    initial_shares = shares(plan.mix, plan.mix.refusals + plan.mix.answers)
    sources, pad = sources_of(
        plan, {kind for kind, share in initial_shares.items() if share}, report
    )
    tokenizer = load_tokenizer(plan.start_checkpoint)
    looks = Steered(
        steer,
        least=plan.mix.refusals + plan.mix.answers,
        refusals=watched_examples(plan, steer.rows, tokenizer, report),
        pad=pad,
        watch=watch_of(plan, tokenizer, report),
    )
    policy = trainable(load_policy(plan.start_checkpoint), plan)
    memory: dict[str, Any] = {}
    gradient = steered_gradient(policy, plan, sources, pad, memory)
    loss = train(policy, plan, report, gradient, memory=memory, watch=looks)
    save_checkpoint(policy, plan)
    return {"final_loss": loss, "mix": realised_mix(memory)}


def prepare(
    plan: Plan, report: Report, order: Order = order_of_sources
) -> tuple[nn.Module, list[list[Example]], int]:
    """The policy to train, the examples of every step, and the padding token."""
    steps, pad = steps_of_mix(plan, report, order)
    return trainable(load_policy(plan.start_checkpoint), plan), steps, pad


def steps_of_mix(
    plan: Plan, report: Report, order: Order = order_of_sources
) -> tuple[list[list[Example]], int]:
    """The examples of every step of the plan's mix, and the padding token; no model is loaded."""
    counts = rows_drawn(plan.mix, plan.steps * plan.batch_size)
    sources, pad = sources_of(plan, {kind for kind, count in counts.items() if count}, report)
    size, seed = plan.batch_size, plan.seed
    return draw_steps(sources, counts, batch_size=size, seed=seed, order=order), pad


def sources_of(
    plan: Plan, wanted: set[Kind], report: Report
) -> tuple[dict[Kind, Sequence[Example]], int]:
    """The examples of every source that is wanted, and the padding token."""
    refuse_existing(plan.output)
    rows = read_sources(plan, wanted)
    seed_everything(plan.seed)
    tokenizer = load_tokenizer(plan.start_checkpoint)
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    return sources, tokenizer.pad_token_id or 0
