"""Ratios by group: the right tensor gets the right one, and a search beats the uniform average."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from holdfast.errors import InvalidPlan
from holdfast.repairs.knobs import Hma
from holdfast.repairs.plan import Plan
from training.merging.in_place import mixture_of
from training.merging.layers import group_of, grouping_of
from training.merging.simplex_search import stakes_of
from training.progress import Report
from training.recipes import RECIPES, hma
from training.weights.shards import Span

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def given(*ratios: float) -> dict[str, Any]:
    mean = sum(ratios) / len(ratios)
    return {"hma": {"groups": len(ratios), "ratios": ratios}, "candidate_weight": mean}


def spanning(*shape: int) -> Span:
    """A tensor of a layout, of which the shape alone matters."""
    return Span("model.safetensors", "F32", shape, 0, 4)


def test_26_blocks_in_three_groups_are_those_of_the_paper() -> None:
    groups = [group_of(block, 26, 3) for block in range(26)]
    assert [groups.count(k) for k in range(3)] == [8, 9, 9]
    assert groups == sorted(groups)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("model.layers.0.input_layernorm.weight", 0.2),
        ("model.layers.1.mlp.up_proj.weight", 0.6),
        ("gpt_neox.layers.1.attention.query_key_value.bias", 0.6),
        ("transformer.h.0.attn.c_attn.weight", 0.2),
        ("model.embed_tokens.weight", 0.4),
        ("model.norm.weight", 0.4),
        ("lm_head.weight", 0.4),
    ],
)
def test_a_tensor_gets_the_ratio_of_its_block_or_the_mean(name: str, weight: float) -> None:
    layout = {one: spanning(3) for one in (name, "model.layers.0.x", "model.layers.1.x")}
    grouping = grouping_of(layout, Hma(groups=2), tied=False)
    assert grouping.weights((0.2, 0.6))[name] == pytest.approx(weight)


def test_given_ratios_average_each_group_with_its_own(
    plan_of: PlanOf, baseline: Path, candidate: Path, report: Report
) -> None:
    plan = plan_of("hma", store="fp32", **given(0.0, 0.5))
    outcome = hma.run(plan, report)
    ours, theirs, merged = (weights(folder) for folder in (baseline, candidate, plan.output))
    for name, got in merged.items():
        ratio = 0.0 if ".layers.0." in name else 0.5 if ".layers.1." in name else 0.25
        expected = (1 - ratio) * ours[name].float() + ratio * theirs[name].float()
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0, msg=name)
    assert outcome["ratios"] == [0.0, 0.5]


@pytest.mark.parametrize("ratios", [(0.7,), (0.7, 0.7)])
def test_one_group_or_equal_ratios_are_wise_ft(
    tmp_path: Path, plan_of: PlanOf, report: Report, ratios: tuple[float, ...]
) -> None:
    plain = plan_of("wise_ft", candidate_weight=0.7, output=tmp_path / "plain")
    grouped = plan_of("hma", output=tmp_path / "grouped", **given(*ratios))
    for plan in (plain, grouped):
        RECIPES[plan.recipe](plan, report)
    same, expected = weights(grouped.output), weights(plain.output)
    assert all(torch.equal(same[name], expected[name]) for name in expected)


def test_a_search_keeps_the_mean_and_is_no_worse_than_uniform(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    learnt = plan_of("finetune", steps=12, output=tmp_path / "learnt")
    RECIPES["finetune"](learnt, report)
    events.clear()
    plan = plan_of(
        "hma",
        candidate=learnt.output,
        candidate_weight=0.5,
        output=tmp_path / "merged",
        hma={"groups": 2, "tries": 10, "rows": 8},
    )
    outcome = hma.run(plan, report)
    tries = {tuple(event["ratios"]): event["task_nats"] for event in events if "ratios" in event}
    assert next(iter(tries)) == pytest.approx((0.5, 0.5))
    assert 3 <= len(tries) <= 12
    assert tries[tuple(outcome["ratios"])] == min(tries.values()) < next(iter(tries.values()))
    assert sum(outcome["ratios"]) / 2 == pytest.approx(0.5, abs=1e-6)


def test_a_search_weighs_the_task_against_the_refusals(
    tmp_path: Path, plan_of: PlanOf, report: Report, events: Events
) -> None:
    """With refusals beside the task what is lost of both together is made least."""
    learnt = plan_of("finetune", steps=12, output=tmp_path / "learnt")
    RECIPES["finetune"](learnt, report)
    fields = {
        "candidate": learnt.output,
        "candidate_weight": 0.5,
        "hma": {"groups": 2, "tries": 10, "rows": 8},
    }
    found = {}
    for name, rehearsal in (("task", None), ("both", learnt.rehearsal_data)):
        events.clear()
        plan = plan_of("hma", **fields, rehearsal_data=rehearsal, output=tmp_path / name)
        hma.run(plan, report)
        found[name] = [event for event in events if "lost" in event]
    assert all("refusal_nats" not in one for one in found["task"])
    uniform, *_ = found["both"]
    best = min(found["both"], key=lambda one: one["lost"])
    assert best["lost"] <= uniform["lost"]
    assert {"task_nats", "refusal_nats"} <= best.keys()


@pytest.mark.parametrize(
    ("task", "refusal", "kept"),
    [
        ((2.0, 1.0), (0.1, 1.1), {"task": 0.5, "refusal": 0.5}),
        ((2.0, 1.0), (1.1, 0.1), {"task": 0.5}),  # the candidate refuses as surely
        ((1.0, 2.0), (1.1, 0.1), {}),
    ],
)
def test_what_is_lost_is_a_share_of_what_lies_between(
    report: Report, task: tuple[float, float], refusal: tuple[float, float], kept: dict[str, float]
) -> None:
    baseline, candidate = ({"task": task[k], "refusal": refusal[k]} for k in (0, 1))
    stakes = stakes_of(baseline, candidate, report)
    halfway = {"task": sum(task) / 2, "refusal": sum(refusal) / 2}
    assert {
        kind: stake.share_lost(halfway[kind]) for kind, stake in stakes.items()
    } == pytest.approx(kept)


def test_the_policy_that_is_scored_is_the_one_that_is_written(
    plan_of: PlanOf, report: Report
) -> None:
    plan = plan_of("hma", store="fp32", **given(0.3, 0.9))
    hma.run(plan, report)
    pair, candidate = hma.pair_of(plan)
    mixture = mixture_of(pair, plan, candidate)
    grouping = grouping_of(pair.layout, plan.hma, tied=True)
    mixture.set_weights(grouping.weights((0.3, 0.9)))
    state = mixture.policy.state_dict()
    for name, written in weights(plan.output).items():
        torch.testing.assert_close(state[name], written, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("search", ["simplex", "gradient"])
@pytest.mark.parametrize(("weight", "groups"), [(1.0, 2), (0.0, 2), (0.7, 1)])
def test_one_set_of_ratios_is_not_searched(
    plan_of: PlanOf, report: Report, weight: float, groups: int, search: str
) -> None:
    """Without task data a search would be refused, so this is none."""
    knobs = {"groups": groups, "search": search}
    plan = plan_of("hma", task_data=None, candidate_weight=weight, hma=knobs)
    assert hma.run(plan, report)["ratios"] == [weight] * groups


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("model.embed_tokens.weight", True),
        ("model.norm.weight", True),
        ("model.layers.0.input_layernorm.weight", True),
        ("model.layers.0.q_norm.bias", True),
        ("model.layers.0.q_proj.weight", False),
        ("model.layers.0.q_proj.bias", False),
        ("model.layers.1.mlp.experts.gate_up_proj", False),
        ("lm_head.weight", False),
    ],
)
def test_of_linear_layers_alone_the_rest_is_the_baselines(name: str, kept: bool) -> None:
    shapes = {
        "model.embed_tokens.weight": (8, 4),
        "model.layers.0.q_proj.weight": (4, 4),
        "model.layers.1.mlp.experts.gate_up_proj": (2, 4, 4),
        "lm_head.weight": (8, 4),
    }
    vectors = ("model.norm.weight", "model.layers.0.input_layernorm.weight")
    vectors += ("model.layers.0.q_norm.bias", "model.layers.0.q_proj.bias")
    layout = {one: spanning(*shapes.get(one, (4,))) for one in (*shapes, *vectors)}
    weights = grouping_of(layout, Hma(groups=2, scope="linear"), tied=False).weights((0.2, 0.6))
    assert (weights[name] == 0.0) == kept
    assert weights["lm_head.weight"] == pytest.approx(0.4)
    tied = grouping_of(layout, Hma(groups=2, scope="linear"), tied=True).weights((0.2, 0.6))
    assert tied["lm_head.weight"] == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidate": None}, "merges with a candidate"),
        ({"task_data": None, "hma": {"groups": 2}}, "draws rows from task_data"),
        ({}, "the model has 2 blocks, which do not make 3 groups"),
        (
            {"hma": {"groups": "layers", "ratios": (0.7, 0.8, 0.9)}},
            "has 2 blocks and hma.ratios names 3",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(
    plan_of: PlanOf, report: Report, changes: dict[str, Any], message: str
) -> None:
    plan = plan_of("hma", **changes)
    with pytest.raises(InvalidPlan, match=message):
        hma.run(plan, report)
    assert not plan.output.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hma": {"groups": 2, "ratios": (0.1, 0.2)}}, r"mean of hma\.ratios is 0\.15, but"),
        ({"hma": {"groups": 3, "ratios": (0.8, 0.8)}}, "2 ratios for 3 groups"),
        ({"hma": {"groups": 1, "ratios": (1.2,)}}, "less than or equal to 1"),
        ({"hma": {"groups": "layers", "ratios": ()}}, "0 ratios for layers groups"),
        ({"hma": {"groups": "layers"}}, "set search: gradient, or a number of groups"),
    ],
)
def test_ratios_that_contradict_the_plan_are_refused(
    plan_of: PlanOf, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        plan_of("hma", **changes)
