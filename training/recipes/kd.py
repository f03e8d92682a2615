"""Learn the task again while the logits on rehearsal rows stay near the baseline's.

Dark experience replay (Buzzega et al. 2020, https://arxiv.org/abs/2004.07211): the loss gains kd
times the mean squared difference of the logits, over the vocabulary and over the tokens of the
baseline's own answers. Unlike `kl_anchor` it also holds on to what is unlikely in both, its weight
is fixed, and it promises no bound. Knobs: `penalty.kd` (0.1), `mix`, `anchor.cache_mb`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from holdfast.repairs.plan import Plan, rows_drawn
from training.merging.pairing import refuse_another_architecture
from training.objectives.divergences import logit_mse
from training.passes.anchoring import StepRows, divide_steps, pull
from training.passes.trusted import Reference, reference_of
from training.progress import Report
from training.rows.batches import draw_steps
from training.runs.loop import Gradient, seed_everything, train
from training.runs.sources import read_sources, tokenise_sources, watch_of
from training.runs.supervised import learn
from training.weights.model import load_policy, load_tokenizer
from training.weights.output import refuse_existing
from training.weights.trainable import save_checkpoint, trainable


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Train on task rows and the baseline's logits, and write the checkpoint."""
    refuse_existing(plan.output)
    refuse_another_architecture(plan)
    rows = read_sources(plan, {"task", "refusal", "answer"})
    seed_everything(plan.seed)
    tokenizer = load_tokenizer(plan.start_checkpoint)
    pad = tokenizer.pad_token_id or 0
    watch = watch_of(plan, tokenizer, report)
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    counts = rows_drawn(plan.mix, plan.steps * plan.batch_size)
    drawn = draw_steps(sources, counts, batch_size=plan.batch_size, seed=plan.seed)
    steps = divide_steps(drawn, sources["task"])
    reference_rows = [example for _, anchored in steps for example in anchored]
    baseline = load_policy(plan.baseline)
    reference = reference_of(baseline, reference_rows, pad, plan.anchor.cache_mb, report)
    del baseline
    policy = trainable(load_policy(plan.start_checkpoint), plan)
    gradient = distillation_gradient(policy, steps, reference, plan)
    loss = train(policy, plan, report, gradient, watch=watch)
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def distillation_gradient(
    policy: nn.Module, steps: Sequence[StepRows], reference: Reference, plan: Plan
) -> Gradient:
    """The gradient of the task's loss + kd * the squared difference of logits."""
    strength = plan.penalty.kd

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        task, held = steps[step]
        figures = learn(policy, task, reference.pad, rows, reduction=plan.reduction)
        squared_difference = pull(policy, held, reference, logit_mse, rows=rows, scale=strength)
        return {**figures, "logit_mse": squared_difference}

    return gradient
