"""The search by gradient: against fixtures, toys with a known optimum, and a model of our own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from holdfast.errors import InvalidTaskData
from holdfast.repairs.knobs import Hma
from holdfast.repairs.plan import Plan
from holdfast.repairs.responses import Responder, Response, write_responses
from holdfast.repairs.task_data import Row
from training.merging.gradient_search import (
    backward,
    descend,
    ratios_of,
    slopes,
    steered_parameters,
    within_bounds,
)
from training.merging.in_place import mixture_of
from training.merging.layers import grouping_of
from training.merging.pairing import pair_of
from training.merging.scored_rows import Scored, draw_rows
from training.progress import Report
from training.recipes import RECIPES, hma
from training.rows.batches import collate
from training.weights.model import load_tokenizer

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
DOUBLE = torch.float64


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def test_the_worked_example_of_the_map() -> None:
    ratios = ratios_of(logits(-1.2, 0.3, 2.0), 0.2, 0.2)
    assert ratios.tolist() == pytest.approx([0.113213, 0.203202, 0.283585], abs=1e-6)


@pytest.mark.parametrize(
    ("groups", "floor", "least", "most"),
    [(3, 1.0, 0.6, 1.5), (3, 0.2, 0.2308, 2.25), (3, 0.0, 0.0, 3.0), (26, 0.2, 0.1722, 5.0323)],
)
def test_how_far_a_floor_lets_a_group_go(
    groups: int, floor: float, least: float, most: float
) -> None:
    lone = torch.full((groups,), -40.0, dtype=DOUBLE)
    lone[0] = 40.0
    assert ratios_of(lone, 0.1, floor)[0].item() / 0.1 == pytest.approx(most, abs=1e-4)
    assert ratios_of(-lone, 0.1, floor)[0].item() / 0.1 == pytest.approx(least, abs=1e-4)


@pytest.mark.parametrize("floor", [0.0, 0.2, 0.9])
def test_equal_logits_are_the_uniform_average_and_all_keep_its_mean(floor: float) -> None:
    for level in (-3.0, 0.0, 2.0):
        assert ratios_of(logits(level, level, level), 0.4, floor).tolist() == pytest.approx(
            [0.4] * 3
        )
    assert ratios_of(logits(-2.0, 0.5, 4.0), 0.4, floor).mean().item() == pytest.approx(0.4)


class Bowl:
    """A loss of the ratios whose least value at a given mean can be written down."""

    def __init__(self, middle: Sequence[float]) -> None:
        self.middle, self.slopes_taken, self.looks = middle, 0, 0

    def __call__(self, ratios: Sequence[float], *, slope: bool) -> tuple[float, list[float]]:
        self.looks += 1
        self.slopes_taken += slope
        away = [ratio - middle for ratio, middle in zip(ratios, self.middle, strict=True)]
        return sum(step**2 for step in away), [2 * step for step in away]


@pytest.mark.parametrize(
    ("middle", "mean", "optimum"),
    [
        ((0.2, 0.5, 0.8), 0.5, (0.2, 0.5, 0.8)),
        ((0.0, 0.3, 0.6), 0.5, (0.2, 0.5, 0.8)),  # the nearest with that mean: all move alike
        ((0.3, 0.9, 1.5), 0.7, (0.25, 0.85, 1.0)),  # one ends at its bound
        ((2.0, 0.2, 0.0), 0.5, (1.0, 0.35, 0.15)),
        ((0.9, 0.6, 0.3), 0.6, (0.9, 0.6, 0.3)),
    ],
)
def test_the_descent_ends_at_the_optimum_of_a_bowl(
    middle: tuple[float, ...], mean: float, optimum: tuple[float, ...]
) -> None:
    knobs = Hma(search="gradient", tries=200, floor=0.0, learning_rate=0.3)
    found = dict(descend(Bowl(middle), 3, mean, knobs))
    (uniform, *_), (least, _) = found.values(), Bowl(middle)(optimum, slope=False)
    assert min(found.values()) == pytest.approx(least, abs=0.01 * (uniform - least))
    assert all(sum(ratios) / 3 == pytest.approx(mean, abs=1e-6) for ratios in found)
    assert all(0 <= ratio <= 1 for ratios in found for ratio in ratios)


@pytest.mark.parametrize(
    ("slope", "ratios", "along"),
    [
        ((3.0, 2.0, 1.0), (0.2, 0.5, 0.8), (1.0, 0.0, -1.0)),
        ((3.0, 2.0, 1.0), (0.5, 0.7, 1.0), (0.5, -0.5, 0.0)),  # the last would leave [0, 1]
        ((1.0, 2.0, 3.0), (0.5, 0.7, 1.0), (-1.0, 0.0, 1.0)),  # and here it comes back
        ((3.0, 2.0, 1.0), (0.0, 0.8, 1.0), (0.0, 0.0, 0.0)),
    ],
)
def test_a_ratio_at_its_bound_only_returns(
    slope: tuple[float, ...], ratios: tuple[float, ...], along: tuple[float, ...]
) -> None:
    assert within_bounds(slope, ratios) == pytest.approx(along)


@pytest.mark.parametrize(("tries", "steps"), [(1, 1), (12, 4), (40, 13)])
def test_a_step_counts_three_passes_and_the_last_look_one(tries: int, steps: int) -> None:
    bowl = Bowl((0.2, 0.5, 0.8))
    (first, _), *_ = descend(bowl, 3, 0.5, Hma(search="gradient", tries=tries))
    assert first == pytest.approx((0.5, 0.5, 0.5))
    assert (bowl.slopes_taken, bowl.looks) == (steps, steps + 1)
    assert 3 * steps + 1 <= max(4, tries + 2)  # a simplex takes two more than its tries


def test_the_floor_keeps_the_found_ratios_within_its_bounds() -> None:
    found = dict(descend(Bowl((9.0, 0.0, -9.0)), 3, 0.2, Hma(search="gradient", tries=90)))
    lasts = list(found)[-1]
    assert max(lasts) < 2.25 * 0.2
    assert min(lasts) > 0.2308 * 0.2


@pytest.fixture
def learnt(tmp_path: Path, plan_of: PlanOf, report: Report, events: Events) -> Path:
    """A candidate that has learnt the task's rows."""
    plan = plan_of("finetune", steps=12, output=tmp_path / "learnt")
    RECIPES["finetune"](plan, report)
    events.clear()
    return plan.output


def responses(plan: Plan) -> tuple[Scored, int]:
    tokenizer = load_tokenizer(plan.baseline)
    return draw_rows(plan, tokenizer), tokenizer.pad_token_id or 0


def plainly(plan: Plan, scored: Scored, pad: int, ratios: torch.Tensor) -> torch.Tensor:
    """The same loss by itself: weights mixed as tensors, transformers' forward, one row a time."""
    model = AutoModelForCausalLM.from_pretrained(plan.baseline, dtype=torch.float32)
    sides = [load_file(folder / "model.safetensors") for folder in (plan.baseline, plan.candidate)]
    mixed = {}
    for name in sides[0]:
        ratio = ratios.mean()
        for block in (0, 1):
            ratio = ratios[block] if f".layers.{block}." in name else ratio
        ours, theirs = (side[name].double() for side in sides)
        mixed[name] = ((1 - ratio) * ours + ratio * theirs).float()
    total = torch.zeros((), dtype=DOUBLE)
    for examples in scored.values():
        nats, tokens = torch.zeros((), dtype=DOUBLE), 0
        for example in examples:
            batch = collate([example], pad)
            said = functional_call(model, mixed, (batch.ids,)).logits[
                0, example.prompt_tokens - 1 : -1
            ]
            targets = batch.ids[0, example.prompt_tokens :]
            nats = nats + cross_entropy(said, targets, reduction="sum").double()
            tokens += len(targets)
        total = total + nats / tokens / len(scored)
    return total


def test_the_slope_is_that_of_an_independent_model_and_of_finite_differences(
    plan_of: PlanOf, learnt: Path
) -> None:
    plan = plan_of("hma", candidate=learnt, hma={"groups": 2, "rows": 4})
    scored, pad = responses(plan)
    pair, candidate = pair_of(plan)
    grouping = grouping_of(pair.layout, plan.hma, tied=True)
    mixture = mixture_of(pair, plan, candidate)
    parameters = steered_parameters(mixture, grouping)
    ratios = logits(0.3, 0.6).requires_grad_()
    mixture.set_weights(grouping.weights((0.3, 0.6)))
    nats = backward(mixture, scored, pad, with_slope=True)
    found = slopes(mixture, parameters, grouping)
    expected = plainly(plan, scored, pad, ratios)
    expected.backward()
    assert nats == pytest.approx(expected.item(), abs=2e-3)
    # embeddings and the last norm move with the mean, which is fixed: of no interest to a search
    with torch.no_grad():
        less, more = (
            plainly(plan, scored, pad, logits(0.3 + step, 0.6 - step)) for step in (-0.01, 0.01)
        )
    difference = (more - less).item() / 0.02
    assert ratios.grad is not None
    assert (ratios.grad[0] - ratios.grad[1]).item() == pytest.approx(difference, rel=0.02)
    assert found[0] - found[1] == pytest.approx(difference, rel=0.03)


def test_the_search_finds_what_a_grid_over_an_independent_model_finds(
    tmp_path: Path, plan_of: PlanOf, report: Report, learnt: Path, events: Events
) -> None:
    knobs = {"groups": 2, "rows": 4, "search": "gradient", "tries": 30, "floor": 0.0}
    plan = plan_of("hma", candidate=learnt, candidate_weight=0.5, rehearsal_data=None, hma=knobs)
    outcome = hma.run(plan, report)
    scored, pad = responses(plan)
    with torch.no_grad():
        grid = {
            k / 20: plainly(plan, scored, pad, logits(k / 20, 1 - k / 20)).item() for k in range(21)
        }
        found = plainly(plan, scored, pad, logits(*outcome["ratios"])).item()
    spread = max(grid.values()) - min(grid.values())
    assert found <= min(grid.values()) + 0.05 * spread
    looks = [event["lost"] for event in events if event["event"] == "try"]
    assert min(looks) < looks[0]


@pytest.mark.parametrize("scope", ["model", "linear"])
def test_a_ratio_for_every_layer_and_linear_layers_alone(
    plan_of: PlanOf, report: Report, learnt: Path, scope: str
) -> None:
    knobs = {"groups": "layers", "rows": 4, "search": "gradient", "scope": scope}
    plan = plan_of("hma", candidate=learnt, candidate_weight=0.5, store="fp32", hma=knobs)
    ratios = hma.run(plan, report)["ratios"]
    assert len(ratios) == 2
    assert sum(ratios) / 2 == pytest.approx(0.5, abs=1e-6)
    ours, theirs, merged = (
        load_file(folder / "model.safetensors") for folder in (plan.baseline, learnt, plan.output)
    )
    for name, got in merged.items():
        block = next((k for k in (0, 1) if f".layers.{k}." in name), None)
        ratio = 0.5 if block is None else ratios[block]
        if scope == "linear" and (block is None or got.ndim == 1):
            ratio = 0.0
        expected = torch.lerp(ours[name].float(), theirs[name].float(), ratio)
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0, msg=name)


def answer(kind: str, by: Responder, number: int) -> Response:
    completion = f"It is {number}." if kind == "task" else "I can't help with that."
    row = Row(f"What is {number} plus 0?", completion, kind, number)  # type: ignore[arg-type]
    return Response(row, by)


def test_a_response_set_is_what_is_made_likely_and_says_whose_it_is(
    tmp_path: Path, plan_of: PlanOf, report: Report, learnt: Path, events: Events
) -> None:
    path = tmp_path / "responses.jsonl"
    given = [answer("task", "candidate", k) for k in range(3)]
    given += [answer("task", "baseline", 3), answer("refusal", "baseline", 4)]
    write_responses(path, given)
    plan = plan_of(
        "hma",
        candidate=learnt,
        response_data=path,
        task_data=None,
        rehearsal_data=None,
        hma={"groups": 2, "search": "gradient"},
    )
    hma.run(plan, report)
    (told,) = [event for event in events if event["event"] == "responses"]
    assert {key: told[key] for key in told if key != "event"} == {
        "task_by_candidate": 3,
        "task_by_baseline": 1,
        "refusal_by_baseline": 1,
    }


@pytest.mark.parametrize(
    ("kinds", "message"),
    [(["task"], "holds no refusal"), (["refusal"], "no right answer to the task"), ([], "no rows")],
)
def test_a_response_set_without_high_reward_is_refused_and_nothing_is_written(
    tmp_path: Path, plan_of: PlanOf, report: Report, kinds: list[str], message: str
) -> None:
    path = tmp_path / "responses.jsonl"
    write_responses(path, [answer(kind, "candidate", 1) for kind in kinds])
    plan = plan_of("hma", response_data=path, hma={"groups": 2, "search": "gradient"})
    with pytest.raises(InvalidTaskData, match=message):
        hma.run(plan, report)
    assert not plan.output.exists()
