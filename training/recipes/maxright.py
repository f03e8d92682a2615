"""Train the objective that is further from its own optimum, weighted: a fair compromise.

MAXRIGHT (https://arxiv.org/abs/2410.15483): the larger of λ (f_pref - f*_pref) and
(1 - λ) (f_task - f*_task) is trained. In the lean form both are measured every k steps, on the
batch that each would be given next, and between these the trained side by its own step. One batch
is noisy, so measurements may be averaged, an old value counting the less the older it is; but an
average outlives what it measured. Or both losses are those on a slice that nothing trains on, which
costs a pass over it every k steps and is what the optimality gap is about.

Differs from the authors' code in that ties go to the preferences, as in the paper (`ties`), that no
batch is thrown away, and that the optima need not be known.

Knobs, all of `preference`: `share` λ (.5), `every` k (10), `ema` (0), `slice` (none), `hysteresis`
(0), `ties`, `stop_at_optimum`, and the optima: given, measured by a run on one objective alone (the
default, which costs as much as the run itself), or `running`, the least losses so far.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from holdfast.repairs.plan import Plan
from training.objectives.alternation import (
    EMPTY_STATE,
    Rule,
    RuleState,
    choose_objective,
    has_reached_optimum,
    objectives_to_measure,
    record_loss,
    record_step,
    weighted_gaps,
)
from training.progress import Report
from training.recipes.compromise import run_both
from training.recipes.joint import (
    Memory,
    Sides,
    realised_share,
    take_turn,
    two_sides,
)
from training.recipes.optima import optima
from training.runs.loop import Gradient
from training.runs.resume import will_resume


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train whichever objective lags behind and write the checkpoint."""
    sides = two_sides(plan, report)
    memory: Memory = {}
    if not will_resume(plan):
        running = plan.preference.optima == "running"
        memory["optima"] = None if running else optima(sides, plan, report)
    gradient = maxright_gradient(sides, plan, memory)
    check = AtOptimum(plan, sides) if plan.preference.stop_at_optimum else None
    ended = run_both(sides, plan, report, gradient, memory, check=check)
    reached = memory["optima"] or state_of(memory).least
    return {
        **ended,
        "preference_share": realised_share(memory),
        "task_optimum": reached["task"],
        "preference_optimum": reached["preference"],
    }


def maxright_gradient(sides: Sides, plan: Plan, memory: Memory) -> Gradient:
    """The gradient of one objective a step: the one with the larger weighted gap as measured."""

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        rule, state = rule_of(plan, sides, memory), state_of(memory)
        for name in objectives_to_measure(rule, state, step):
            state = record_loss(rule, state, name, sides.measure(name, memory.get(name, 0)))
        objective = choose_objective(rule, state)
        gaps, oldest = weighted_gaps(rule, state), max(state.ages.values())
        figures = take_turn(sides, objective, rows, memory)
        memory["known"] = record_step(rule, state, objective, figures["loss"]).to_plain()
        names = {f"{name}_gap": gap for name, gap in gaps.items()}
        return {**figures, **names, "oldest": oldest}

    return gradient


def rule_of(plan: Plan, sides: Sides, memory: Memory) -> Rule:
    """The rule of a run, with the optima that it has come to know."""
    knobs = plan.preference
    return Rule(
        knobs.share,
        memory["optima"],
        knobs.every,
        knobs.ema,
        knobs.hysteresis,
        fixed=sides.slice is not None,
        ties=knobs.ties,
    )


def state_of(memory: Memory) -> RuleState:
    """The rule's memory of the steps so far."""
    return RuleState(**memory["known"]) if "known" in memory else EMPTY_STATE


@dataclass(frozen=True, slots=True)
class AtOptimum:
    """Ends a run where either loss is down to its optimum, or where its own watch does."""

    plan: Plan
    sides: Sides

    def should_end(self, policy: nn.Module, step: int, memory: Memory, report: Report) -> bool:
        """Whether the losses as last measured say so; the watch looks first."""
        watch = self.sides.watch
        if watch is not None and watch.should_end(policy, step, memory, report):
            return True
        if not has_reached_optimum(rule_of(self.plan, self.sides, memory), state_of(memory)):
            return False
        report("note", text=f"an optimum is reached at step {step}; the run ends")
        return True
