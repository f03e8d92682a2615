from pathlib import Path

import pytest

from holdfast.forecast.cost import TWO_CORES, Rates, estimate, weight_bytes
from holdfast.forecast.power import lint
from holdfast.policy.text import load_policy, parse_policy
from holdfast.probes.table import spec_of
from tests.support.folders import write_checkpoint

HARM = parse_policy(
    "version: 1\nname: harm\nchecks:\n"
    "  harm.direct: {metric: attack_success_rate, max_regression: 0.1}\n",
    source="test",
)
TRACE = HARM.checks["harm.direct"].model_copy(update={"tier": "advisory"})
SLOW = Rates("a slide rule", generated=10.0, scored=100.0, start_seconds=60.0, weight_bytes=1000)


def test_the_arithmetic_of_one_probe() -> None:
    cost = estimate(HARM, "demo", rates=SLOW, weight_bytes=1000)
    assert (cost.prompts, cost.generated, cost.scored) == (320, 320 * 48, 0)
    assert cost.minutes == pytest.approx((320 * 48 / 10 + 60) / 60)
    assert "320 prompts" in cost.sentence
    assert "a slide rule" in cost.sentence


def test_a_model_that_thinks_may_take_all_of_its_traces_budget() -> None:
    thinking = estimate(HARM, "demo", rates=SLOW, weight_bytes=1000, thinks=True)
    assert (thinking.prompts, thinking.generated) == (320, 320 * (48 + 256))


def test_thoughts_are_judged_in_answers_that_are_there() -> None:
    both = HARM.model_copy(update={"checks": {**HARM.checks, "harm.trace": TRACE}})
    assert estimate(both, "demo") == estimate(HARM, "demo")
    alone = HARM.model_copy(update={"checks": {"harm.trace": TRACE}})
    assert estimate(alone, "demo") == estimate(HARM, "demo")


def test_minutes_grow_with_the_weights_and_the_tier() -> None:
    small = estimate(HARM, "demo", weight_bytes=TWO_CORES.weight_bytes)
    large = estimate(HARM, "demo", weight_bytes=10 * TWO_CORES.weight_bytes)
    assert large.minutes == pytest.approx(10 * small.minutes)
    assert estimate(HARM, "full").generated > estimate(HARM, "standard").generated
    assert "135M" in estimate(HARM, "demo").basis


def test_questions_are_scored_and_not_generated() -> None:
    cost = estimate(load_policy("demo"), "demo")
    assert cost.prompts == 2 * (160 + 280 + 400 + 240)
    assert cost.generated == 2 * (160 + 280) * 48
    assert cost.scored > 2 * 640 * 5


def test_every_form_of_an_item_is_asked_and_paid_for() -> None:
    attacks = parse_policy(
        "version: 1\nname: attacks\nchecks:\n"
        "  harm.jailbreak: {metric: attack_success_rate, max_regression: 0.1}\n",
        source="test",
    )
    cost = estimate(attacks, "standard")
    assert (cost.prompts, cost.generated) == (2 * 3 * 160, 2 * 3 * 160 * 48)


def test_the_weights_of_a_folder(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "c")
    assert weight_bytes(folder) == (folder / "model.safetensors").stat().st_size
    assert weight_bytes(tmp_path / "elsewhere") is None


def test_an_imported_suite_costs_what_it_holds(tmp_path: Path) -> None:
    rows = (
        f'{{"id": "m{n}", "cluster": "m{n}", "choices": ["so Ann", "so Bea"], "answer": 0, '
        '"continuation": "won."}\n'
        for n in range(30)
    )
    (tmp_path / "mine.jsonl").write_text("".join(rows))
    text = (
        "version: 1\nname: t\nchecks:\n"
        "  cap.knowledge@mine: {metric: error_rate, max_regression: 0.1}\n"
    )
    cost = estimate(parse_policy(text, source="t"), "demo", installed=tmp_path)
    assert (cost.prompts, cost.generated) == (2 * 30, 0)
    assert cost.scored == 2 * (30 * 20 // 4)


def test_what_a_worker_alone_can_count_is_named() -> None:
    check = "{metric: error_rate, max_regression: 0.1}"
    text = f"version: 1\nname: t\nchecks:\n  cap.lm_eval:arc_easy: {check}\n"
    policy = parse_policy(text, source="t")
    cost = estimate(policy, "standard")
    assert (cost.prompts, cost.uncounted) == (0, ("cap.lm_eval:arc_easy",))
    assert "not counted: cap.lm_eval:arc_easy" in cost.sentence
    assert "not counted" not in estimate(policy, "demo").sentence
    assert any("known to the worker alone" in one for one in lint(policy, "standard").warnings)


def test_what_a_tier_leaves_out_and_what_cannot_be_counted_are_named() -> None:
    policy = load_policy("standard")
    cost = estimate(policy, "canary")
    left_out = [name for name in policy.probes(repair=False) if "canary" not in spec_of(name).items]
    assert left_out
    assert cost.unasked == tuple(left_out)
    assert f"NOT ASKED by this tier: {', '.join(left_out)}" in cost.sentence
    drift = policy.model_copy(update={"checks": {"drift.kl": TRACE}})
    assert estimate(drift, "demo").uncounted == ("drift.kl",)
    whole = estimate(policy, "full")
    assert (whole.unasked, "NOT ASKED" in whole.sentence) == ((), False)
