"""More safety rows while refusals go: a rehearsal whose mix follows what the policy has lost.

Which share is enough hangs on the task, and too large a one costs skill or teaches to refuse
everything. So the given mix is what a run comes back to, and more is drawn only while refusals
that no step trains on have become unlikely: looked at as training/runs/watch.py looks, moved by
`share_after`. Every source has its rows in an order of its own, so what a step sees hangs on the
seed and on what was drawn before; how much that was is part of what a killed run remembers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import nn

from holdfast.repairs.knobs import Steering
from holdfast.repairs.plan import Mix, Plan
from holdfast.repairs.recipes import Kind
from training.progress import Report
from training.rows.batches import Example, cycles
from training.runs.controllers import share_after
from training.runs.loop import Gradient
from training.runs.supervised import learn
from training.runs.watch import StepCheck, first_tokens, mean_nats

Memory = dict[str, Any]
Sources = Mapping[Kind, Sequence[Example]]


def shares(mix: Mix, safety: float) -> dict[Kind, float]:
    """The sources' shares when refusals and answers together have `safety`, in proportion."""
    scale = safety / (mix.refusals + mix.answers)
    return {"task": 1 - safety, "refusal": scale * mix.refusals, "answer": scale * mix.answers}


def next_rows(
    wanted: Mapping[Kind, float], behind: Mapping[Kind, float], rows: int
) -> tuple[list[Kind], dict[Kind, float]]:
    """Where the next rows come from: each from the source that is furthest behind its share.

    `behind` is by how many rows each is, as the step before left it; the first of equals goes
    first. No source is ever a whole row ahead of its share.
    """
    lags = dict(behind)
    kinds: list[Kind] = []
    for _ in range(rows):
        for kind, share in wanted.items():
            lags[kind] = lags.get(kind, 0.0) + share
        chosen = max(lags, key=lambda kind: round(lags[kind], 9))
        lags[chosen] -= 1
        kinds.append(chosen)
    return kinds, lags


@dataclass(frozen=True, slots=True)
class Steered:
    """Looks at `refusals` every `knobs.every` steps and moves the share that `memory` holds.

    `watch`, if there is one, looks as well, and alone may end the run.
    """

    knobs: Steering
    least: float
    refusals: Sequence[Example]
    pad: int
    watch: StepCheck | None = None

    def should_end(self, policy: nn.Module, step: int, memory: Memory, report: Report) -> bool:
        """Adjust the share if it is due before `step`; True if the watch ends the run here."""
        if step % self.knobs.every == 0:
            nats = mean_nats(policy, [first_tokens(row) for row in self.refusals], self.pad)
            bounds = (self.least, self.knobs.most)
            share = share_after(memory["safety"], nats, self.knobs.limit, bounds=bounds)
            memory["safety"] = share
            report("steer", step=step, refusal_nats=nats, limit=self.knobs.limit, safety=share)
        return self.watch is not None and self.watch.should_end(policy, step, memory, report)


def steered_gradient(
    policy: nn.Module, plan: Plan, sources: Sources, pad: int, memory: Memory
) -> Gradient:
    """The gradient of the mix in `memory`; a row counts as drawn once it has its gradient."""
    total_rows = plan.steps * plan.batch_size
    rows_of = {
        kind: list(islice(cycles(examples, f"{plan.seed}/{kind}"), total_rows))
        for kind, examples in sources.items()
    }
    memory |= {"safety": plan.mix.refusals + plan.mix.answers, "behind": {}, "drawn": {}}

    def gradient(step: int, rows: int) -> Mapping[str, float]:  # noqa: ARG001  memory has its place
        wanted = shares(plan.mix, memory["safety"])
        kinds, behind = next_rows(wanted, memory["behind"], plan.batch_size)
        drawn, examples = dict(memory["drawn"]), []
        for kind in kinds:
            examples.append(rows_of[kind][drawn.get(kind, 0)])
            drawn[kind] = drawn.get(kind, 0) + 1
        figures = learn(policy, examples, pad, rows, reduction=plan.reduction)
        memory.update(behind=behind, drawn=drawn)
        return {**figures, "safety": memory["safety"]}

    return gradient


def realised_mix(memory: Memory) -> dict[str, float]:
    """The mix of all rows so far, as a plan names its shares."""
    drawn: dict[Kind, int] = memory["drawn"]
    names: dict[Kind, str] = {"task": "task", "refusal": "refusals", "answer": "answers"}
    return {name: drawn.get(kind, 0) / sum(drawn.values()) for kind, name in names.items()}
