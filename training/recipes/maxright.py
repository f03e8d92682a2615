"""Train the objective that is further from its own optimum, weighted: a fair compromise.

MAXRIGHT (https://arxiv.org/abs/2410.15483): the larger of λ (f_pref - f*_pref) and
(1 - λ) (f_task - f*_task) is trained. In the lean form the trained side is measured by its own step
and the other only every k steps, on the batch that it would be given next, so a step costs a
thirtieth more than a plain one. One batch is noisy, so measurements may be averaged, an old value
counting the less the older it is; but an average outlives what it measured. Or both losses are
those on a slice that nothing trains on, which costs a pass over it every k steps and is what the
optimality gap is about.

Knobs, all of `preference`: `share` λ (.5), `every` k (10), `ema` (0), `slice` (none), `hysteresis`
(0), the optima (measured by short runs on one objective alone where they are not given).
"""

from collections.abc import Mapping

from holdfast.repairs.plan import Plan
from training.objectives.alternation import (
    EMPTY_STATE,
    Objective,
    Rule,
    RuleState,
    choose_objective,
    objectives_to_measure,
    record_loss,
    record_step,
    weighted_gaps,
)
from training.progress import Report
from training.recipes.joint import (
    Memory,
    Sides,
    alternating_gradient,
    copy_weights,
    realised_share,
    restore_weights,
    take_turn,
    two_sides,
)
from training.runs.loop import Gradient, train
from training.runs.resume import will_resume
from training.weights.trainable import save_checkpoint

LAST = 5  # turns that the loss of a short run is averaged over


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train whichever objective lags behind and write the checkpoint."""
    sides = two_sides(plan, report)
    memory: Memory = {}
    if not will_resume(plan):
        memory["optima"] = optima(sides, plan, report)
    gradient = maxright_gradient(sides, plan, memory)
    loss = train(sides.policy, plan, report, gradient, memory=memory, watch=sides.watch)
    save_checkpoint(sides.policy, plan)
    optima_by_objective = memory["optima"]
    return {
        "final_loss": loss,
        "preference_share": realised_share(memory),
        "task_optimum": optima_by_objective["task"],
        "preference_optimum": optima_by_objective["preference"],
    }


def maxright_gradient(sides: Sides, plan: Plan, memory: Memory) -> Gradient:
    """The gradient of one objective a step: the one with the larger weighted gap as measured."""
    knobs = plan.preference

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        rule = Rule(
            knobs.share,
            memory["optima"],
            knobs.every,
            knobs.ema,
            knobs.hysteresis,
            fixed=sides.slice is not None,
        )
        state = RuleState(**memory["known"]) if "known" in memory else EMPTY_STATE
        for name in objectives_to_measure(rule, state, step):
            state = record_loss(rule, state, name, sides.measure(name, memory.get(name, 0)))
        objective = choose_objective(rule, state)
        gaps, oldest = weighted_gaps(rule, state), max(state.ages.values())
        figures = take_turn(sides, objective, rows, memory)
        memory["known"] = record_step(rule, state, objective, figures["loss"]).to_plain()
        names = {f"{name}_gap": gap for name, gap in gaps.items()}
        return {**figures, **names, "oldest": oldest}

    return gradient


def optima(sides: Sides, plan: Plan, report: Report) -> dict[Objective, float]:
    """The least loss of either objective alone: as given, or by a short run from the start."""
    planned_optima: dict[Objective, float | None] = {
        "task": plan.preference.task_optimum,
        "preference": plan.preference.preference_optimum,
    }
    return {
        objective: loss_alone(sides, plan, report, objective) if value is None else value
        for objective, value in planned_optima.items()
    }


def loss_alone(sides: Sides, plan: Plan, report: Report, objective: Objective) -> float:
    """The loss after a short run on one objective; the policy is put back.

    On the slice, or where there is none the mean of the last turns.
    """
    start = copy_weights(sides.policy)
    losses: list[float] = []

    def keep(event: str, /, **fields: float) -> None:
        if event == "step":
            losses.append(fields["loss"])

    short = plan.model_copy(
        update={"steps": plan.preference.optimum_steps, "warmup_steps": 0, "resume": None}
    )
    train(sides.policy, short, keep, alternating_gradient(sides, lambda _: objective, {}))
    final_loss = sum(losses[-LAST:]) / len(losses[-LAST:])
    if sides.slice is not None:
        final_loss = sides.measure(objective, 0)
    restore_weights(sides.policy, start)
    report(
        "note", text=f"{objective} alone reaches a loss of {final_loss:.4g} in {short.steps} steps"
    )
    return final_loss
