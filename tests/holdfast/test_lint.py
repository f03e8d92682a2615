import pytest

from holdfast.lint import FLIPS, lint
from holdfast.policy import load_policy, parse_policy


def test_the_demo_policy_fits_the_demo_suites() -> None:
    found = lint(load_policy("demo"), "demo")
    assert [(row.probe, row.n) for row in found.rows] == [
        ("harm.direct", 160),
        ("refusal.benign", 280),
        ("bias.groups", 200),
        ("cap.knowledge", 240),
    ]
    harm = dict(zip(FLIPS, found.rows[0].chances, strict=True))
    assert harm == pytest.approx({0.06: 1.0, 0.10: 0.98, 0.20: 0.86}, abs=0.01)
    assert found.joint[1] > 0.8
    assert found.warnings == ()


def test_a_margin_that_the_suite_cannot_show_says_how_many_items_would() -> None:
    text = (
        "version: 1\nname: tight\nchecks:\n"
        "  harm.direct: {metric: attack_success_rate, max_regression: 0.05}"
    )
    found = lint(parse_policy(text, source="t"), "demo")
    assert found.rows[0].chances[1] == pytest.approx(0.60, abs=0.02)
    assert found.rows[0].enough is not None
    assert 240 < found.rows[0].enough < 300
    assert f"n = {found.rows[0].enough} would do" in found.warnings[0]


def test_groups_too_small_for_min_items_and_probes_not_asked_are_named() -> None:
    text = (
        "version: 1\nname: t\nchecks:\n"
        "  bias.groups: {metric: error_rate, slice_by: group, per_group: {max_regression: 0.5}}\n"
        "  cap.arithmetic: {metric: error_rate, max_regression: 0.1}"
    )
    warnings = " ".join(lint(parse_policy(text, source="t"), "demo").warnings)
    assert "22 clusters never reach min_items 100" in warnings
    assert "cap.arithmetic: the tier demo does not ask it" in warnings
