"""Learn the task again within a bound on how far the policy moves from the baseline.

min L_task subject to C <= bound: C is the KL divergence from the baseline on rehearsal rows, which
are the baseline's own answers. Where `rehearsal` shows those answers as text, this one shows the
whole distribution at every token, and keeps count. The loss of a step is (L_task + w C) / (1 + w),
so steps stay as large as they are without it; a controller moves w. The bound holds for what is
shipped: on held-out rows, for the weights as they are rounded, by going back along the line to the
baseline where training has not kept it (training/weights/projection.py).

`moving` makes the controller hold less than the bound while refusals that nothing trains on are
unlikely; what is promised stays the bound. `by_risk` lets w follow the risk of each step's task
rows (training/passes/risk.py).

Knobs (`anchor`): `bound` (0.05 nats a token; null calibrates it), `controller` (pid), `divergence`
(forward_kl), `weight` (1), `every` (5), `rows` (16), `moving`, `by_risk`. Without a controller the
idea is old (https://arxiv.org/abs/1606.09282); the controllers and what they are after are named
beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from holdfast.errors import RepairImpossible
from holdfast.repairs.knobs import Anchor
from holdfast.repairs.plan import Plan, Reduction, rows_drawn
from training.devices.parallel import from_first_rank
from training.merging.pairing import refuse_another_architecture
from training.objectives.divergences import DIVERGENCES
from training.passes.anchoring import StepRows, divide_steps, pull
from training.passes.risk import risk_factors
from training.passes.trusted import Reference, reference_of
from training.progress import Report
from training.rows.batches import Example, draw_steps, tokenise
from training.runs.constraint import NOISE_FLOORS, Constraint, noise_floor
from training.runs.controllers import State, start_state, weight_after
from training.runs.loop import Gradient, seed_everything, train
from training.runs.sources import (
    anchored_rows,
    read_sources,
    tokenise_sources,
    watch_of,
    watched_examples,
)
from training.runs.supervised import learn
from training.weights.model import load_policy, load_tokenizer
from training.weights.output import refuse_existing
from training.weights.projection import largest_weight, line_to
from training.weights.trainable import save_checkpoint, trainable, without_adapter


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train within the bound, and ship what is within it."""
    refuse_existing(plan.output)
    refuse_another_architecture(plan)
    rows = read_sources(plan, {"task", "refusal", "answer"})
    seed_everything(plan.seed)
    tokenizer = load_tokenizer(plan.start_checkpoint)
    pad = tokenizer.pad_token_id or 0
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    held_out = tokenise(anchored_rows(plan), tokenizer, plan.max_length, rows["answer"][0])
    drawn = draw_steps(
        sources,
        rows_drawn(plan.mix, plan.steps * plan.batch_size),
        batch_size=plan.batch_size,
        seed=plan.seed,
    )
    steps = divide_steps(drawn, sources["task"])
    baseline = load_policy(plan.baseline)
    reference_rows = [*held_out, *(example for _, anchored in steps for example in anchored)]
    reference = reference_of(baseline, reference_rows, pad, plan.anchor.cache_mb, report)
    bound = bound_of(plan.anchor, baseline, held_out, reference, report)
    factors = risk_factors(baseline, steps, sources, pad) if plan.anchor.by_risk else None
    del baseline
    moving = plan.anchor.moving
    refusals = watched_examples(plan, moving.rows, tokenizer, report) if moving else []
    policy = trainable(load_policy(plan.start_checkpoint), plan)
    watch = watch_of(plan, tokenizer, report)
    constraint = Constraint(plan.anchor, bound, held_out, reference, watch, refusals)
    memory: dict[str, Any] = {}
    gradient = bounded_gradient(
        policy, steps, constraint, memory, reduction=plan.reduction, factors=factors
    )
    loss = train(policy, plan, report, gradient, memory=memory, watch=constraint)
    merged = without_adapter(policy)
    shipped = project(merged, plan, constraint, report)
    save_checkpoint(merged, plan)
    return {"final_loss": loss, "bound": bound, **shipped}


def bounded_gradient(
    policy: nn.Module,
    steps: Sequence[StepRows],
    constraint: Constraint,
    memory: dict[str, Any],
    *,
    reduction: Reduction,
    factors: Sequence[float] | None = None,
) -> Gradient:
    """The gradient of (L_task + w C) / (1 + w); the controller's state is in `memory`.

    `factors`, one a step, multiply the controller's weight in that step.
    """
    knobs, reference = constraint.knobs, constraint.reference
    divergence = DIVERGENCES[knobs.divergence]
    memory["controller"] = asdict(start_state(knobs.weight, constraint.bound))

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        state = State(**memory["controller"])
        task, anchored = steps[step]
        weight = state.weight * (1.0 if factors is None else factors[step])
        share = 1 / (1 + weight)
        figures = learn(policy, task, reference.pad, rows, scale=share, reduction=reduction)
        scale = weight * share
        nats = pull(policy, anchored, reference, divergence, rows=rows, scale=scale)
        bound = constraint.held_bound(memory)
        memory["controller"] = asdict(weight_after(knobs.controller, state, nats, bound))
        return {**figures, "kl": nats, "anchor_weight": weight}

    return gradient


def bound_of(
    knobs: Anchor,
    baseline: nn.Module,
    held_out: Sequence[Example],
    reference: Reference,
    report: Report,
) -> float:
    """The bound that is given, or three times the distance of the baseline from itself."""
    if knobs.bound is not None:
        return knobs.bound
    floor = from_first_rank(noise_floor(baseline, held_out, reference, knobs.divergence))
    bound = NOISE_FLOORS * floor
    report("note", text=f"the baseline is {floor:.2g} nats from itself; the bound is {bound:.2g}")
    return bound


def project(
    policy: nn.Module, plan: Plan, constraint: Constraint, report: Report
) -> dict[str, float | None]:
    """Leave in `policy` the largest share of what it has learnt that is within the bound.

    Raises RepairImpossible if none is.
    """
    place = line_to(policy, load_policy(plan.baseline).state_dict(), plan)

    def distance_at(weight: float) -> float:
        place(weight)
        return constraint.measure(policy).all_tokens

    weight = largest_weight(distance_at, constraint.bound)
    if weight == 0:
        raise RepairImpossible(
            f"the bound of {constraint.bound:g} nats leaves nothing of what was learnt; "
            "raise anchor.bound, or give more steps at a lower learning rate"
        )
    place(weight)
    nats = constraint.measure(policy)
    report(
        "note",
        text=f"shipped: {weight:.3f} of the way from the baseline to the policy, "
        f"{nats.all_tokens:.3g} nats from it ({nats.first:.3g} in the first tokens)",
    )
    return {"policy_weight": weight, "kl": nats.all_tokens, "first_kl": nats.first}
